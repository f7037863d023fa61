"""What this process knows of each route: its limiter, what it has shown, its neighbours in other processes."""

from __future__ import annotations

import asyncio
import hashlib
from dataclasses import dataclass

from ...config.settings import EngineSettings
from ..protocols import tei
from ..protocols.routing import Route
from ..storage.sqlite import Store
from .batch_size import BatchSizes
from .concurrency import GREATEST, Ceiling
from .coordination import Shared
from .limiter import Limiter
from .request_rate import Pacer
from .route_profile import Learned


@dataclass
class Known:
    """One route as this process knows it. Belongs to one event loop."""

    limiter: Limiter
    learned: Learned
    shared: Shared
    before: dict[str, float]

    def pace(self) -> dict[str, float]:
        """The limiter's pace; where it has not seen yet how many are answered in a second, what earlier ones saw."""
        seen = {name: value for name, value in self.before.items() if name == "answers"}
        return {**seen, **self.limiter.pace()}

    def remember(self) -> None:
        """Keep what was learned for the next query, of this process or another."""
        self.shared.remember(self.learned, self.pace())


_known: dict[tuple[int, Store, str], Known] = {}


async def known(to: Route, server: tei.Server | None, engine: EngineSettings, store: Store) -> Known:
    """What is known of the route ``to``; ``server`` is what was found to answer there."""
    key = (id(asyncio.get_running_loop()), store, f"{engine.max_concurrency} {_name(to)}")
    if key not in _known:
        bound = engine.max_concurrency or GREATEST
        shared = Shared(store, _name(to), bound)
        learned, pace = await shared.learned()
        limiter = Limiter(
            bound, ceiling=Ceiling(pace.get("places"), bound), pacer=Pacer(pace.get("rate")), neighbours=shared
        )
        _known.setdefault(key, Known(limiter, learned, shared, pace))
    found = _known[key]
    await found.shared.look()  # a pause that another process was told is kept from the first request on
    if not to.takes_lists:
        found.learned.lists = False
    if server is not None:
        found.learned.lists = True
        if not found.learned.sizes.settled:
            found.learned.sizes = BatchSizes(best=server.largest_batch, settled=True)
    return found


def _name(where: Route) -> str:
    """What a route is known by. What was seen of it under one key says nothing about another key."""
    account = hashlib.sha256(where.headers.get("authorization", "").encode()).hexdigest()
    return f"{account} {where.url} {where.model}"
