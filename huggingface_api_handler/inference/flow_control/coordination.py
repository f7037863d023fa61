"""What the processes of one machine share about a route: pauses, how many of them are active, and the profile."""

from __future__ import annotations

import asyncio
import hmac
import logging
import os
import secrets
import sqlite3
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import orjson

from ..storage.sqlite import Store
from .batch_size import MAX_BATCH_SIZE, BatchSizeTuner
from .route_profile import RouteProfile
from .token_limit import TokenLimit

logger = logging.getLogger(__name__)

PEERS_POLL_INTERVAL_S = 0.1
"""Between two looks at what other processes do: another process's pause is kept after this at the latest."""

_LEASE_S = 5.0  # after which a process that was killed no longer counts
_RENEW_INTERVAL_S = 1.0
_MAX_PLAUSIBLE_PAUSE_S = 4000.0  # none is longer than an hour, unless somebody set the clock
_PROFILE_TTL_S = 3600.0  # a key may be revoked, a server may change: an older profile is only a hint
_MIN_PACE = 1e-4  # bounds of all values of a stored pace, to reject garbage
_MAX_PACE = 1e6


def route_key(store: Store, name: str) -> bytes:
    """The route's key in the store, which holds neither addresses nor API keys.

    Args:
        store: Its secret keys the hash.
        name: The route's name.

    Returns:
        16 bytes.
    """
    return hmac.digest(store.secret, name.encode(), "sha256")[:16]


class RouteCoordinator:
    """One process's view of what all processes of this machine do on one route.

    An active process holds a lease in the store. The lease of a process that was killed expires by itself.

    Attributes:
        quota_share: This process's share of ``max_concurrency``, in (0, 1].
        resume_at: When the pause of the route ends, in seconds of this process's clock.
        on_neighbours: Is told at each look how many other processes use the route; None where nobody asks.
    """

    def __init__(
        self, store: Store, name: str, max_concurrency: int, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Start a view. Nothing is read or written yet.

        Args:
            store: What the processes share.
            name: The route's name.
            max_concurrency: Requests in flight of all processes together.
            clock: Seconds, monotonic.
        """
        self.on_neighbours: Callable[[int], None] | None = None
        self.quota_share = 1.0
        self.resume_at = 0.0
        self._max_concurrency = max_concurrency
        self._store = store
        self._name = name
        self._clock = clock
        self._owner = f"{os.getpid()}-{secrets.token_hex(8)}".encode()
        self._renewed_at = float("-inf")
        self._active_queries = 0

    def publish_pause(self, seconds: float) -> None:
        """Tell the other processes that no request may go for a while.

        Args:
            seconds: Length of the pause, from now. A pause that ends later is not shortened.
        """
        resume_at = time.time() + seconds
        statement = (
            "INSERT INTO routes(route, resume_at) VALUES (?, ?) "
            "ON CONFLICT(route) DO UPDATE SET resume_at = max(resume_at, excluded.resume_at)"
        )
        self._store.run(lambda connection: connection.execute(statement, (self._route, resume_at)).rowcount, 0)

    async def watch(self) -> None:
        """Refresh until cancelled, and give the lease back with the last query. Run it while a query is active."""
        self._active_queries += 1
        try:
            while True:
                await self.refresh(active=True)
                await asyncio.sleep(PEERS_POLL_INTERVAL_S)
        finally:
            self._active_queries -= 1
            if self._active_queries == 0:
                self._renewed_at = float("-inf")
                self._store.run(self._release_lease, None)

    async def load_profile(self) -> tuple[RouteProfile, dict[str, float]]:
        """Read what earlier queries stored, of any process.

        Returns:
            The profile, and the pace as of ``Limiter.pace``; a new profile and no pace where nothing is stored.
        """
        record = await asyncio.wrap_future(self._store.run(self._read_profile, None))
        return from_json(record) if record else (RouteProfile(), {})

    def save_profile(self, profile: RouteProfile, pace: dict[str, float]) -> None:
        """Store what was found for the next query, of this process or another.

        Args:
            profile: What requests have shown.
            pace: As of ``Limiter.pace``.
        """
        record = to_json(profile, pace)
        statement = (
            "INSERT INTO routes(route, learned) VALUES (?, ?) "
            "ON CONFLICT(route) DO UPDATE SET learned = excluded.learned"
        )
        self._store.run(lambda connection: connection.execute(statement, (self._route, record)).rowcount, 0)

    async def refresh(self, *, active: bool = False) -> None:
        """Look once at what the other processes do.

        Args:
            active: Whether this process has a query on the route, so that the others leave it its share.
        """
        now = self._clock()
        renew = active and now - self._renewed_at >= _RENEW_INTERVAL_S
        if renew:
            self._renewed_at = now
        work = asyncio.wrap_future(self._store.run(lambda connection: self._sync(connection, renew), None))
        snapshot = await work
        if snapshot is not None:
            pause_s = snapshot.resume_at - time.time()
            self.resume_at = self._clock() + (pause_s if pause_s < _MAX_PLAUSIBLE_PAUSE_S else 0.0)
            rank = sorted({*snapshot.owners, self._owner}).index(self._owner)
            self.quota_share = quota_share(self._max_concurrency, rank, len(snapshot.owners))
            if self.on_neighbours is not None:
                self.on_neighbours(sum(owner != self._owner for owner in snapshot.owners))

    @property
    def _route(self) -> bytes:
        """The route's key, made anew each time: the store's secret may be known only later."""
        return route_key(self._store, self._name)

    def _sync(self, connection: sqlite3.Connection, renew: bool) -> _Snapshot:
        now = time.time()
        if renew:
            values = (self._route, self._owner, 1, now + _LEASE_S)
            connection.execute("INSERT OR REPLACE INTO leases VALUES (?, ?, ?, ?)", values)
            connection.execute("DELETE FROM leases WHERE expires NOT BETWEEN ? AND ?", (now, now + 2 * _LEASE_S))
        row = connection.execute("SELECT resume_at FROM routes WHERE route = ?", (self._route,)).fetchone()
        owners = connection.execute(
            "SELECT owner FROM leases WHERE route = ? AND expires BETWEEN ? AND ?",
            (self._route, now, now + 2 * _LEASE_S),
        ).fetchall()
        return _Snapshot(row[0] if row else 0.0, [owner for (owner,) in owners])

    def _release_lease(self, connection: sqlite3.Connection) -> None:
        connection.execute("DELETE FROM leases WHERE route = ? AND owner = ?", (self._route, self._owner))

    def _read_profile(self, connection: sqlite3.Connection) -> bytes | None:
        row = connection.execute("SELECT learned FROM routes WHERE route = ?", (self._route,)).fetchone()
        return row[0] if row else None


class _Snapshot(NamedTuple):
    """What the store says: the end of the pause in seconds since 1970, and the processes that hold a lease."""

    resume_at: float
    owners: list[bytes]


def quota_share(max_concurrency: int, rank: int, owners: int) -> float:
    """One process's share of the slots: whole slots, at least one, in sum no more than there are.

    Args:
        max_concurrency: Slots of all processes together.
        rank: The process's number among the active ones, from 0.
        owners: Active processes.

    Returns:
        A share of ``max_concurrency``, in (0, 1].

    Example:
        >>> [int(quota_share(5, rank, owners=2) * 5 + 0.5) for rank in (0, 1)]
        [3, 2]
    """
    if owners <= 1:
        return 1.0
    slots = max_concurrency // owners + (rank < max_concurrency % owners)
    return max(1, slots - 0.5) / max_concurrency  # half a slot less, or the limiter would round it up


def to_json(profile: RouteProfile, pace: dict[str, float]) -> bytes:
    """Encode what is stored about a route.

    Args:
        profile: What requests have shown.
        pace: As of ``Limiter.pace``.

    Returns:
        JSON, with the time at which it was written.
    """
    tuner = profile.batch_size
    sizes = {"best": tuner.best, "refused": tuner.smallest_rejected, "settled": tuner.settled}
    return orjson.dumps(
        {
            "at": time.time(),
            "answered": profile.has_answered,
            "lists": profile.accepts_batches,
            "sizes": sizes,
            "length": profile.token_limit.to_record(),
            "pace": pace,
        }
    )


def from_json(record: bytes) -> tuple[RouteProfile, dict[str, float]]:
    """Decode what ``to_json`` wrote.

    Args:
        record: JSON.

    Returns:
        The profile and the pace. A record older than an hour gives the sizes of batches only. One that cannot be
        read gives a new profile and no pace, and a warning.
    """
    try:
        values: dict[str, Any] = orjson.loads(record)
        is_fresh = 0 <= time.time() - values["at"] < _PROFILE_TTL_S
        sizes = values["sizes"]
        best, smallest_rejected = int(sizes["best"]), int(sizes["refused"])
        pace = {str(name): float(value) for name, value in values["pace"].items()}
        are_credible = all(_MIN_PACE < value < _MAX_PACE for value in pace.values())
        if not (0 < best <= MAX_BATCH_SIZE and smallest_rejected > 0 and are_credible):
            raise ValueError("out of all bounds")
        profile = RouteProfile(
            values["answered"] is True and is_fresh,
            values["lists"] if is_fresh and isinstance(values["lists"], bool) else None,
            BatchSizeTuner(best, smallest_rejected, sizes["settled"] is True),
            token_limit=TokenLimit.from_record(values.get("length")) if is_fresh else TokenLimit(),
        )
        return profile, pace if is_fresh else {}
    except (ValueError, KeyError, TypeError, AttributeError):
        logger.warning("what was learned about a route cannot be read, and is learned anew")
        return RouteProfile(), {}
