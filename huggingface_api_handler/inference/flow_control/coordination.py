"""What the processes of one machine share of a route: cool-downs, the number of them at work, what was learned."""

from __future__ import annotations

import asyncio
import hmac
import logging
import os
import secrets
import sqlite3
import time
from collections.abc import Callable
from typing import Any

import orjson

from ..storage.sqlite import Store
from .batch_size import GREATEST, BatchSizeTuner
from .route_profile import RouteProfile

logger = logging.getLogger(__name__)

LOOK_EVERY = 0.1
_LEASE_SECONDS = 5.0
_RENEW_SECONDS = 1.0
_LONGEST_PAUSE = 4000.0  # none is longer than an hour, unless somebody set the clock
_TRUSTED_SECONDS = 3600.0  # a key may be revoked, a service change: what was learned longer ago is only a hint

_SLOWEST, _FASTEST = 1e-4, 1e6


def route_key(store: Store, name: str) -> bytes:
    """What a route is known by in the store, which holds no address and no key."""
    return hmac.digest(store.secret, name.encode(), "sha256")[:16]


class RouteCoordinator:
    """One process's view of a route. ``share`` is its part of the ``bound`` places, ``resume_at`` on its own clock.

    A lease says that a process is at work on the route. One that dies leaves a lease that expires by itself.
    """

    def __init__(self, store: Store, name: str, bound: int, clock: Callable[[], float] = time.monotonic) -> None:
        self.quota_share = 1.0
        self._bound = bound
        self.resume_at = 0.0
        self._store, self._route, self._clock = store, route_key(store, name), clock
        self._owner = f"{os.getpid()}-{secrets.token_hex(8)}".encode()
        self._renewed = float("-inf")
        self._queries = 0

    def publish_pause(self, seconds: float) -> None:
        """Tell the others that the route rests for ``seconds``."""
        until = time.time() + seconds
        statement = (
            "INSERT INTO routes(route, resume_at) VALUES (?, ?) "
            "ON CONFLICT(route) DO UPDATE SET resume_at = max(resume_at, excluded.resume_at)"
        )
        self._store.run(lambda connection: connection.execute(statement, (self._route, until)).rowcount, 0)

    async def watch(self) -> None:
        """Look at what the others do, until cancelled. Run it while a query is at work."""
        self._queries += 1
        try:
            while True:
                await self.refresh(at_work=True)
                await asyncio.sleep(LOOK_EVERY)
        finally:
            self._queries -= 1
            if self._queries == 0:
                self._renewed = float("-inf")
                self._store.run(self._leave, None)

    async def load_profile(self) -> tuple[RouteProfile, dict[str, float]]:
        """What was learned of this route before, by any process."""
        kept = await asyncio.wrap_future(self._store.run(self._read_learned, None))
        return from_json(kept) if kept else (RouteProfile(), {})

    def save_profile(self, profile: RouteProfile, pace: dict[str, float]) -> None:
        """Keep what was learned for the next query, of this process or another."""
        kept = to_json(profile, pace)
        statement = (
            "INSERT INTO routes(route, learned) VALUES (?, ?) "
            "ON CONFLICT(route) DO UPDATE SET learned = excluded.learned"
        )
        self._store.run(lambda connection: connection.execute(statement, (self._route, kept)).rowcount, 0)

    async def refresh(self, *, at_work: bool = False) -> None:
        """Look once at what the others do; ``at_work`` tells them that this process is one of those that share."""
        now = self._clock()
        renew = at_work and now - self._renewed >= _RENEW_SECONDS
        if renew:
            self._renewed = now
        seen = await asyncio.wrap_future(self._store.run(lambda connection: self._exchange(connection, renew), None))
        if seen is not None:
            resume_at, owners = seen
            left = resume_at - time.time()
            self.resume_at = self._clock() + (left if left < _LONGEST_PAUSE else 0.0)
            self.quota_share = part(self._bound, sorted({*owners, self._owner}).index(self._owner), len(owners))

    def _exchange(self, connection: sqlite3.Connection, renew: bool) -> tuple[float, list[bytes]]:
        now = time.time()
        if renew:
            values = (self._route, self._owner, 1, now + _LEASE_SECONDS)
            connection.execute("INSERT OR REPLACE INTO leases VALUES (?, ?, ?, ?)", values)
            connection.execute("DELETE FROM leases WHERE expires NOT BETWEEN ? AND ?", (now, now + 2 * _LEASE_SECONDS))
        row = connection.execute("SELECT resume_at FROM routes WHERE route = ?", (self._route,)).fetchone()
        owners = connection.execute(
            "SELECT owner FROM leases WHERE route = ? AND expires BETWEEN ? AND ?",
            (self._route, now, now + 2 * _LEASE_SECONDS),
        ).fetchall()
        return (row[0] if row else 0.0), [owner for (owner,) in owners]

    def _leave(self, connection: sqlite3.Connection) -> None:
        connection.execute("DELETE FROM leases WHERE route = ? AND owner = ?", (self._route, self._owner))

    def _read_learned(self, connection: sqlite3.Connection) -> bytes | None:
        row = connection.execute("SELECT learned FROM routes WHERE route = ?", (self._route,)).fetchone()
        return row[0] if row else None


def part(bound: int, rank: int, owners: int) -> float:
    """The share of ``bound`` places of one of so many owners: whole places, together ``bound``, one at least."""
    if owners <= 1:
        return 1.0
    places = bound // owners + (rank < bound % owners)
    return max(1, places - 0.5) / bound  # half a place less, or the limiter would round it up


def to_json(profile: RouteProfile, pace: dict[str, float]) -> bytes:
    sizes = profile.batch_size
    known = {"best": sizes.best, "refused": sizes.refused, "settled": sizes.settled}
    return orjson.dumps(
        {
            "at": time.time(),
            "answered": profile.has_answered,
            "lists": profile.accepts_batches,
            "sizes": known,
            "pace": pace,
        }
    )


def from_json(kept: bytes) -> tuple[RouteProfile, dict[str, float]]:
    """What ``to_json`` wrote; nothing learned where it cannot be read."""
    try:
        values: dict[str, Any] = orjson.loads(kept)
        fresh = 0 <= time.time() - values["at"] < _TRUSTED_SECONDS
        sizes = values["sizes"]
        best, refused = int(sizes["best"]), int(sizes["refused"])
        pace = {str(name): float(value) for name, value in values["pace"].items()}
        if not (0 < best <= GREATEST and refused > 0 and all(_SLOWEST < value < _FASTEST for value in pace.values())):
            raise ValueError("out of all bounds")
        profile = RouteProfile(
            values["answered"] is True and fresh,
            values["lists"] if fresh and isinstance(values["lists"], bool) else None,
            BatchSizeTuner(best, refused, sizes["settled"] is True),
        )
        return profile, pace if fresh else {}
    except (ValueError, KeyError, TypeError, AttributeError):
        logger.warning("what was learned about a route cannot be read, and is learned anew")
        return RouteProfile(), {}
