"""One query: what it asks, of which route, for whom, and with what around it."""

from __future__ import annotations

import asyncio
import hashlib
from dataclasses import dataclass, field
from pathlib import Path

from ...config.settings import EngineSettings, ModelSettings
from ...tasks import Media, MediaRef
from ..flow_control.route_registry import RouteState, route_state
from ..media import loader
from ..media.loader import MediaPolicy
from ..protocols import tei
from ..protocols.routing import Route
from ..storage.quota import Quota
from ..storage.response_cache import NoResponseCache, ResponseCache
from ..storage.scope import Scope
from ..storage.sqlite import Store, open_store
from ..telemetry.usage import Usage
from ..transport import client
from .executor import Dependencies


@dataclass(frozen=True)
class Query:
    """What a query asks, and of which route. Made outside the event loop, where the store may take its time to open."""

    model: ModelSettings
    engine: EngineSettings
    route: Route
    usage: Usage
    scope: Scope | None = None
    store: Store = field(init=False)
    answers: ResponseCache | NoResponseCache = field(init=False)

    def __post_init__(self) -> None:
        store = open_store(self.engine.cache_dir)
        store.opened.result()
        object.__setattr__(self, "store", store)
        object.__setattr__(self, "answers", self._answers(store))

    async def dependencies(self) -> tuple[Route, RouteState, Dependencies]:
        """The route as its server wants to be asked, what is known of it, and what the query uses."""
        server = await tei.detect(self.route, self.model.task)
        to, found = self._routed(server), await self.route_state(server)
        limits = {
            name: limit
            for name in ("requests_per_hour", "requests_per_month")
            if (limit := getattr(self.engine, name)) is not None
        }
        policy = MediaPolicy(_path(self.engine.media_dir), self.engine.allow_private_media)
        output = _path(self.engine.output_dir)

        async def load(reference: MediaRef) -> Media:
            return await loader.load(reference.cell, reference.kind, policy)

        async def save(made: Media) -> str:
            return await asyncio.to_thread(loader.save, made, output)

        deps = Dependencies(
            client.post,
            found.limiter,
            found.profile,
            load,
            save,
            answers=self.answers,
            quota=Quota(self.store, self._owner().encode(), limits),
        )
        return to, found, deps

    async def route_state(self, server: tei.Server | None) -> RouteState:
        """What is known of the route, with ``server`` answering there."""
        return await route_state(self._routed(server), server, self.engine, self.store)

    def _routed(self, server: tei.Server | None) -> Route:
        return self.route if server is None else tei.task_route(self.route, self.model.task)

    def _answers(self, store: Store) -> ResponseCache | NoResponseCache:
        model, engine = self.model, self.engine
        wanted = model.cache if model.cache is not None else engine.cache
        if not (model.definition.deterministic if wanted is None else wanted):
            return NoResponseCache()
        return ResponseCache(
            store, self._owner(), self.route.url, model, engine.cache_ttl, read=model.options.use_cache
        )

    def _owner(self) -> str:
        """The engine, or, from Python without a name, the account."""
        if self.scope is not None:
            return self.scope.engine
        account = self.route.headers.get("authorization", "")
        return f"{self.engine.endpoint} {hashlib.sha256(account.encode()).hexdigest()}"


def _path(folder: str | None) -> Path | None:
    return Path(folder) if folder else None
