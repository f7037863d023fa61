"""What this process knows of each route: its limiter, what it has shown, its neighbours in other processes."""

from __future__ import annotations

import asyncio
import hashlib
from dataclasses import dataclass

from ...config.settings import EngineSettings
from ..protocols import tei
from ..protocols.routing import Route
from ..storage.sqlite import Store
from .batch_size import BatchSizeTuner
from .concurrency import GREATEST, AdaptiveConcurrencyLimit
from .coordination import RouteCoordinator
from .limiter import Limiter
from .request_rate import RateEstimator
from .route_profile import RouteProfile


@dataclass
class RouteState:
    """One route as this process knows it. Belongs to one event loop."""

    limiter: Limiter
    profile: RouteProfile
    coordinator: RouteCoordinator
    earlier_pace: dict[str, float]

    def pace(self) -> dict[str, float]:
        """The limiter's pace; where it has not seen yet how many are answered in a second, what earlier ones saw."""
        seen = {name: value for name, value in self.earlier_pace.items() if name == "answers"}
        return {**seen, **self.limiter.pace()}

    def save(self) -> None:
        """Keep what was learned for the next query, of this process or another."""
        self.coordinator.save_profile(self.profile, self.pace())


_states: dict[tuple[int, Store, str], RouteState] = {}


async def route_state(to: Route, server: tei.Server | None, engine: EngineSettings, store: Store) -> RouteState:
    """What is known of the route ``to``; ``server`` is what was found to answer there."""
    key = (id(asyncio.get_running_loop()), store, f"{engine.max_concurrency} {_name(to)}")
    if key not in _states:
        bound = engine.max_concurrency or GREATEST
        coordinator = RouteCoordinator(store, _name(to), bound)
        profile, pace = await coordinator.load_profile()
        limiter = Limiter(
            bound,
            concurrency=AdaptiveConcurrencyLimit(pace.get("places"), bound),
            rate_estimator=RateEstimator(pace.get("rate")),
            peers=coordinator,
        )
        _states.setdefault(key, RouteState(limiter, profile, coordinator, pace))
    found = _states[key]
    await found.coordinator.refresh()  # a pause that another process was told is kept from the first request on
    if not to.accepts_batches:
        found.profile.accepts_batches = False
    if server is not None:
        found.profile.accepts_batches = True
        if not found.profile.batch_size.settled:
            found.profile.batch_size = BatchSizeTuner(best=server.max_batch_size, settled=True)
    return found


def _name(where: Route) -> str:
    """What a route is known by. What was seen of it under one key says nothing about another key."""
    account = hashlib.sha256(where.headers.get("authorization", "").encode()).hexdigest()
    return f"{account} {where.url} {where.model}"
