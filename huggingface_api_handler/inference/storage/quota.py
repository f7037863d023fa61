"""Limits of requests an hour and a month, counted over all queries and processes of an engine."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping

from ..failures import Failure, FailureKind
from .tables import QuotaTable, reservable

logger = logging.getLogger(__name__)

_MAX_RESERVED_REQUESTS = 16
"""Requests reserved in one transaction. A process that is killed loses no more than these."""

_MIN_RESERVATIONS_PER_LIMIT = 50
"""A reservation is at most this part of the limit, so that a kill costs 2 % of a small limit."""

_WARNING_SHARE = 0.8
"""Used share of a limit above which a warning is logged, once a period."""

_PERIOD_FORMATS = {"requests_per_hour": "%Y-%m-%dT%H", "requests_per_month": "%Y-%m"}
"""``strftime`` format of the period's key in the table ``quotas``. A month's key is a prefix of its hours'."""

_RESET_PHRASES = {"requests_per_hour": "with the next full hour", "requests_per_month": "with the next month"}
"""When a limit is full again, as errors and warnings say it."""


class Quota:
    """The limits of one engine, as one query uses them.

    Requests are reserved in the table a few at a time, and those not sent are given back at the end of the query. A
    process that is killed keeps its reservation: at most 16 requests or a fiftieth of the limit. So no limit is ever
    exceeded. While the table cannot be used, requests of this process are counted in memory.
    """

    def __init__(
        self,
        table: QuotaTable | None,
        scope: bytes,
        limits: Mapping[str, int],
        now: Callable[[], float] | None = None,
    ) -> None:
        """Reserve nothing yet.

        Args:
            table: Where requests are counted; None counts those of this process alone.
            scope: The engine whose requests are counted together.
            limits: Requests by 'requests_per_hour' and 'requests_per_month'. Periods are those of UTC. Empty means
                no limit.
            now: The clock, in seconds since 1970. None for the table's.
        """
        self._table, self._scope, self._limits = table, scope, limits
        self._now = now or (table.now if table is not None else time.time)
        smallest_limit = min(limits.values(), default=0)
        self._reservation_size = max(1, min(_MAX_RESERVED_REQUESTS, smallest_limit // _MIN_RESERVATIONS_PER_LIMIT))
        self._reserved = 0
        self._is_reserved_in_table = False
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
        if not reserved:
            return
        last_counts = _last_counts.get(self._scope, {})
        for period in last_counts.keys() & self._periods.values():
            last_counts[period] -= reserved
        if self._table is not None and self._is_reserved_in_table:
            adding = self._table.add(self._scope, list(self._periods.values()), -reserved)
            await asyncio.wrap_future(adding)

    def _current_periods(self) -> dict[str, str]:
        utc = time.gmtime(self._now())
        return {name: time.strftime(_PERIOD_FORMATS[name], utc) for name in self._limits}

    async def _reserve_more(self) -> None:
        await self.release()
        self._periods = self._current_periods()
        limits = {period: self._limits[name] for name, period in self._periods.items()}
        last_counts = {period: _last_counts.get(self._scope, {}).get(period, 0) for period in limits}
        used = None
        if self._table is not None:
            reserving = self._table.reserve(self._scope, self._reservation_size, limits, last_counts)
            used = await asyncio.wrap_future(reserving)
        self._is_reserved_in_table = used is not None
        if used is None:
            used = last_counts
        self._reserved = reservable(self._reservation_size, limits, used)
        # To go on from it where the table cannot be used later, or was emptied.
        _last_counts[self._scope] = {period: count + self._reserved for period, count in used.items()}
        self._tightest_limit = min(self._limits, key=lambda name: self._limits[name] - used[self._periods[name]])
        for name, limit in self._limits.items():
            period, used_now = (self._scope, name, self._periods[name]), used[self._periods[name]] + self._reserved
            if used_now >= limit * _WARNING_SHARE and period not in _warned:
                _warned.add(period)
                message = "%d of %s = %d are used; it begins anew %s (UTC)"
                logger.warning(message, used_now, name, limit, _RESET_PHRASES[name])


_last_counts: dict[bytes, dict[str, int]] = {}
"""Requests of each scope by period, as this process knows them: its own while the table cannot be used."""

_warned: set[tuple[bytes, str, str]] = set()

NO_QUOTA = Quota(None, b"", {})
"""No limit. All queries may share it."""
