"""What a session knows about each route: its limiter, its profile, and its coordination with other processes."""

from __future__ import annotations

import asyncio
import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ...config.settings import EngineSettings
from ..protocols.routing import Route
from ..storage.sqlite import Store
from .concurrency import MAX_CONCURRENCY, AdaptiveConcurrencyLimit
from .coordination import RouteCoordinator
from .limiter import Limiter
from .request_rate import RateEstimator
from .route_ledger import RouteLedger
from .route_profile import RouteProfile
from .sqlite_ledger import SqliteLedger
from .stored_profile import ProfileRecord, SqliteProfileRecord, StoredProfile

if TYPE_CHECKING:
    from ..storage.redis_store import RedisStore


@dataclass
class RouteState:
    """One route as this session knows it. Belongs to one event loop.

    Attributes:
        limiter: Says when a request may go.
        profile: What requests have shown.
        coordinator: Shares pauses, slots and the rate with other processes.
        stored_profile: What the next query begins with.
        stored_pace: The pace that earlier queries stored.
    """

    limiter: Limiter
    profile: RouteProfile
    coordinator: RouteCoordinator
    stored_profile: StoredProfile
    stored_pace: dict[str, float]

    def pace(self) -> dict[str, float]:
        """The limiter's pace, or that of all processes where the route is shared.

        Returns:
            As of ``Limiter.pace``, with the stored ``answers`` until the limiter has measured them.
        """
        answers = {name: value for name, value in self.stored_pace.items() if name == "answers"}
        return {**answers, **self.limiter.pace(), **self.coordinator.pace()}

    def save(self) -> None:
        """Store profile and pace for the next query, of this process or another."""
        self.stored_profile.save(self.profile, self.pace())


class RouteRegistry:
    """The routes that the queries of one session have used."""

    def __init__(self) -> None:
        """Start without any."""
        self._states: dict[tuple[int, Store | RedisStore, str], RouteState] = {}

    async def state(
        self, route: Route, engine: EngineSettings, store: Store, shared_store: RedisStore | None = None
    ) -> RouteState:
        """What is known about a route, read from the store the first time.

        Args:
            route: Where the requests go.
            engine: Its ``max_concurrency`` is kept. Engines of different ones have states of their own. Its ``timeout``
                bounds the requests in flight; of several engines the latest query's.
            store: Where other processes and earlier queries left what they found.
            shared_store: Where slots and turns are shared with other machines; None where those of this machine share
                them.

        Returns:
            The state, the same object for all queries of this event loop.
        """
        # By the loop too: a forked child has the registry of its parent, and a limiter belongs to one loop.
        shared_with = shared_store or store
        key = (id(asyncio.get_running_loop()), shared_with, f"{engine.max_concurrency} {route_name(route)}")
        if key not in self._states:
            max_concurrency = engine.max_concurrency or MAX_CONCURRENCY
            ledger, record = _records_of(route_name(route), store, shared_store)
            stored = StoredProfile(record)
            profile, pace = await stored.load()
            coordinator = RouteCoordinator(ledger, max_concurrency)
            limiter = Limiter(
                max_concurrency,
                concurrency=AdaptiveConcurrencyLimit(pace.get("places"), max_concurrency),
                rate_estimator=RateEstimator(pace.get("rate")),
                peers=coordinator,
            )
            coordinator.attach(limiter)
            self._states.setdefault(key, RouteState(limiter, profile, coordinator, stored, pace))
        state = self._states[key]
        await state.coordinator.refresh()  # so that another process's pause holds from the first request on
        state.profile.limit_batch_size(route.protocol.max_batch_size)
        state.profile.token_limit.state(route.max_input_tokens)
        state.profile.batch_size.timeout_s = engine.timeout
        state.limiter.concurrency.timeout_bound.set_timeout(engine.timeout)
        return state


def _records_of(name: str, store: Store, shared_store: RedisStore | None) -> tuple[RouteLedger, ProfileRecord]:
    """Where a route's record and its profile are."""
    if shared_store is None:
        return SqliteLedger(store, name), SqliteProfileRecord(store, name)
    from .redis_ledger import RedisLedger  # which imports redis
    from .redis_profile import RedisProfileRecord

    return RedisLedger(shared_store, name), RedisProfileRecord(shared_store, name)


def route_name(route: Route) -> str:
    """The name of a route in a store, which keeps a keyed hash of it.

    Args:
        route: Where requests go.

    Returns:
        The key's hash, the URL and the model: what one key may do says nothing about another key.
    """
    account = hashlib.sha256(route.account.encode()).hexdigest()
    return f"{account} {route.url} {route.model}"
