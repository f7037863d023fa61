"""Requests that an engine may make in an hour and in a month, counted over queries and processes."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
import time
from collections.abc import Callable
from functools import lru_cache

from ..failures import Failure, FailureKind
from .sqlite import SCHEMA, Store

logger = logging.getLogger(__name__)

_AT_ONCE, _SMALL_PART = 16, 50
_WARN_AT = 0.8
_PERIODS = {"requests_per_hour": "%Y-%m-%dT%H", "requests_per_month": "%Y-%m"}
_BEGINS = {"requests_per_hour": "with the next full hour", "requests_per_month": "with the next month"}


class Quota:
    """What is left of an engine's limits, taken from the store a few at a time and given back at the end of a query.

    ``limits`` maps 'requests_per_hour' and 'requests_per_month' to their numbers; periods are those of UTC. A process
    that is killed keeps what it had taken, 16 requests or a fiftieth of the limit, so that none is ever exceeded.
    """

    def __init__(
        self, store: Store | None, scope: bytes, limits: dict[str, int], now: Callable[[], float] = time.time
    ) -> None:
        self._store, self._scope, self._limits, self._now = store, scope, limits, now
        self._at_once = max(1, min(_AT_ONCE, min(limits.values(), default=0) // _SMALL_PART))
        self._taken = 0
        self._taken_from_store = False
        self._taking = asyncio.Lock()
        self._periods: dict[str, str] = {}
        self._spent = ""

    @property
    def is_limited(self) -> bool:
        """Whether requests are counted at all."""
        return bool(self._limits)

    async def take(self) -> Failure | None:
        """Count one request; the reason not to send it where none is left."""
        if not self.is_limited:
            return None
        async with self._taking:
            if self._taken == 0 or self._periods != self._current():
                await self._take_more()
            if self._taken > 0:
                self._taken -= 1
                return None
        name = self._spent
        return Failure(
            FailureKind.NOT_SENT,
            f"{name} = {self._limits[name]} was reached before this row; it begins anew {_BEGINS[name]} (UTC)",
        )

    def refund(self) -> None:
        """Take back the count of a request that was not sent after all."""
        self._taken += self.is_limited

    async def release(self) -> None:
        """Return what was taken and not used."""
        taken, self._taken = self._taken, 0
        if taken and self._store is not None and self._taken_from_store:
            await asyncio.wrap_future(self._store.run(lambda connection: self._add(connection, -taken), None))
        elif taken:
            self._add(_in_memory(), -taken)

    def _current(self) -> dict[str, str]:
        moment = time.gmtime(self._now())
        return {name: time.strftime(_PERIODS[name], moment) for name in self._limits}

    async def _take_more(self) -> None:
        await self.release()
        self._periods = self._current()
        used = None
        if self._store is not None:
            used = await asyncio.wrap_future(self._store.run(self._reserve, None))
        self._taken_from_store = used is not None
        if used is None:
            used = self._reserve(_in_memory())
        else:
            self._note(used)
        self._spent = min(self._limits, key=lambda name: self._limits[name] - used[name])
        self._taken = self._most(used)
        for name, limit in self._limits.items():
            period, now_used = (self._scope, name, self._periods[name]), used[name] + self._taken
            if now_used >= limit * _WARN_AT and period not in _warned:
                _warned.add(period)
                told = "%d of %s = %d are used; it begins anew %s (UTC)"
                logger.warning(told, now_used, name, limit, _BEGINS[name])

    def _most(self, used: dict[str, int]) -> int:
        return max(0, min(self._at_once, *(limit - used[name] for name, limit in self._limits.items())))

    def _reserve(self, connection: sqlite3.Connection) -> dict[str, int]:
        used = {}
        for name, period in self._periods.items():
            row = connection.execute(
                "SELECT used FROM quotas WHERE scope = ? AND period = ?", (self._scope, period)
            ).fetchone()
            used[name] = row[0] if row else 0
            if row is None:
                connection.execute("DELETE FROM quotas WHERE period < ?", (period[: len("2000-01")],))
        self._add(connection, self._most(used))
        return used

    def _note(self, used: dict[str, int]) -> None:
        """Know what was used also while the store cannot be."""
        for name, period in self._periods.items():
            known = (self._scope, period, used[name] + self._most(used))
            _in_memory().execute("INSERT OR REPLACE INTO quotas VALUES (?, ?, ?)", known)

    def _add(self, connection: sqlite3.Connection, count: int) -> None:
        for period in self._periods.values():
            connection.execute(
                "INSERT INTO quotas VALUES (?, ?, ?) ON CONFLICT(scope, period) DO UPDATE SET used = used + ?",
                (self._scope, period, count, count),
            )


_warned: set[tuple[bytes, str, str]] = set()


@lru_cache(maxsize=1)
def _in_memory() -> sqlite3.Connection:
    """Where requests of this process are counted while the store cannot be used."""
    connection = sqlite3.connect(":memory:", check_same_thread=False)
    connection.executescript(SCHEMA)
    return connection


NO_QUOTA = Quota(None, b"", {})
