"""Limits of requests an hour and a month, counted over all queries and processes of an engine."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
import time
from collections.abc import Callable, Mapping
from functools import lru_cache

from ..failures import Failure, FailureKind
from .schema import SCHEMA
from .sqlite import Store

logger = logging.getLogger(__name__)

_MAX_RESERVED_REQUESTS = 16
"""Requests reserved in one transaction. A process that is killed loses no more than these."""

_MIN_RESERVATIONS_PER_LIMIT = 50
"""A reservation is at most this part of the limit, so that a kill costs 2 % of a small limit."""

_WARNING_SHARE = 0.8
"""Used share of a limit above which a warning is logged, once a period."""

_PERIOD_FORMATS = {"requests_per_hour": "%Y-%m-%dT%H", "requests_per_month": "%Y-%m"}
"""``strftime`` format of the period's key in the table ``quotas``. A month's key is a prefix of its hours'."""

_MONTH_CHARS = len("2000-01")
"""Length of a month's key."""

_RESET_PHRASES = {"requests_per_hour": "with the next full hour", "requests_per_month": "with the next month"}
"""When a limit is full again, as errors and warnings say it."""


class Quota:
    """The limits of one engine, as one query uses them.

    Requests are reserved in the store a few at a time, and those not sent are given back at the end of the query. A
    process that is killed keeps its reservation: at most 16 requests or a fiftieth of the limit. So no limit is ever
    exceeded. While the store cannot be used, requests of this process are counted in memory.
    """

    def __init__(
        self, store: Store | None, scope: bytes, limits: Mapping[str, int], now: Callable[[], float] = time.time
    ) -> None:
        """Reserve nothing yet.

        Args:
            store: Where requests are counted; None counts those of this process alone.
            scope: The engine whose requests are counted together.
            limits: Requests by 'requests_per_hour' and 'requests_per_month'. Periods are those of UTC. Empty means
                no limit.
            now: The clock, in seconds since 1970.
        """
        self._store, self._scope, self._limits, self._now = store, scope, limits, now
        smallest_limit = min(limits.values(), default=0)
        self._reservation_size = max(1, min(_MAX_RESERVED_REQUESTS, smallest_limit // _MIN_RESERVATIONS_PER_LIMIT))
        self._reserved = 0
        self._is_reserved_in_store = False
        self._lock = asyncio.Lock()
        self._periods: dict[str, str] = {}
        self._tightest_limit = ""

    @property
    def is_limited(self) -> bool:
        """Whether requests are counted at all."""
        return bool(self._limits)

    async def take(self) -> Failure | None:
        """Count one request.

        Returns:
            None where the request may be sent, else why not.
        """
        if not self.is_limited:
            return None
        async with self._lock:
            if self._reserved == 0 or self._periods != self._current_periods():
                await self._reserve_more()
            if self._reserved > 0:
                self._reserved -= 1
                return None
        name = self._tightest_limit
        return Failure(
            FailureKind.NOT_SENT,
            f"{name} = {self._limits[name]} was reached before this row; it begins anew {_RESET_PHRASES[name]} (UTC)",
        )

    def refund(self) -> None:
        """Undo one ``take`` whose request was not sent after all."""
        self._reserved += self.is_limited

    async def release(self) -> None:
        """Give back the requests that were reserved and not sent. Call it at the end of the query."""
        reserved, self._reserved = self._reserved, 0
        if reserved and self._store is not None and self._is_reserved_in_store:
            await asyncio.wrap_future(self._store.run(lambda connection: self._add(connection, -reserved), None))
        elif reserved:
            self._add(_memory_connection(), -reserved)

    def _current_periods(self) -> dict[str, str]:
        utc = time.gmtime(self._now())
        return {name: time.strftime(_PERIOD_FORMATS[name], utc) for name in self._limits}

    async def _reserve_more(self) -> None:
        await self.release()
        self._periods = self._current_periods()
        used = None
        if self._store is not None:
            used = await asyncio.wrap_future(self._store.run(self._reserve, None))
        self._is_reserved_in_store = used is not None
        if used is None:
            used = self._reserve(_memory_connection())
        else:
            self._copy_to_memory(used)
        self._tightest_limit = min(self._limits, key=lambda name: self._limits[name] - used[name])
        self._reserved = self._reservable(used)
        for name, limit in self._limits.items():
            period, used_now = (self._scope, name, self._periods[name]), used[name] + self._reserved
            if used_now >= limit * _WARNING_SHARE and period not in _warned:
                _warned.add(period)
                message = "%d of %s = %d are used; it begins anew %s (UTC)"
                logger.warning(message, used_now, name, limit, _RESET_PHRASES[name])

    def _reservable(self, used: Mapping[str, int]) -> int:
        """How many requests to reserve, by those used of each limit."""
        return max(0, min(self._reservation_size, *(limit - used[name] for name, limit in self._limits.items())))

    def _reserve(self, connection: sqlite3.Connection) -> dict[str, int]:
        """Reserve requests, and return those used of each limit before."""
        used = {}
        for name, period in self._periods.items():
            row = connection.execute(
                "SELECT used FROM quotas WHERE scope = ? AND period = ?", (self._scope, period)
            ).fetchone()
            used[name] = max(0, row[0]) if row else 0  # one below zero would lift the limit
            if row is None:
                connection.execute("DELETE FROM quotas WHERE period < ?", (period[:_MONTH_CHARS],))
        self._add(connection, self._reservable(used))
        return used

    def _copy_to_memory(self, used: Mapping[str, int]) -> None:
        """Keep the store's count, to go on from it where the store cannot be used later."""
        for name, period in self._periods.items():
            row = (self._scope, period, used[name] + self._reservable(used))
            _memory_connection().execute("INSERT OR REPLACE INTO quotas VALUES (?, ?, ?)", row)

    def _add(self, connection: sqlite3.Connection, count: int) -> None:
        for period in self._periods.values():
            connection.execute(
                "INSERT INTO quotas VALUES (?, ?, ?) ON CONFLICT(scope, period) DO UPDATE SET used = used + ?",
                (self._scope, period, count, count),
            )


_warned: set[tuple[bytes, str, str]] = set()


@lru_cache(maxsize=1)
def _memory_connection() -> sqlite3.Connection:
    """Counts requests of this process while the store cannot be used."""
    connection = sqlite3.connect(":memory:", check_same_thread=False)
    connection.executescript(SCHEMA)
    return connection


NO_QUOTA = Quota(None, b"", {})
"""No limit. All queries may share it."""
