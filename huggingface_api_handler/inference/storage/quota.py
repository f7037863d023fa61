"""Limits of requests, dollars and tokens, counted over the queries and processes that share them.

A request reserves the most that it can take before it is sent, and settles for what it took.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from decimal import ROUND_CEILING, Decimal
from enum import Enum
from typing import NamedTuple

from ..failures import Failure, FailureKind
from ..pricing.exact import exact
from .tables import QuotaTable, reservable

logger = logging.getLogger(__name__)

_MIN_RESERVATIONS_PER_LIMIT = 50
"""A reservation is at most this part of the limit, so that a kill costs 2 % of a small limit."""

_MAX_UNITS = 2**53
"""More than any limit has. What a service reports beyond is a mistake, and would not fit into a table."""

_WARNING_SHARE = 0.8
"""Used share of a limit above which a warning is logged, once a period."""


class Unit(Enum):
    """What is counted. The values are how many there are in what people write, and the most reserved in advance."""

    REQUESTS = (1, 16)
    """A process that is killed loses no more than these."""
    MICRO_DOLLARS = (1_000_000, _MAX_UNITS)
    TOKENS = (1, _MAX_UNITS)

    @property
    def is_exact(self) -> bool:
        """Whether what is reserved for a request is what it takes."""
        return self is Unit.REQUESTS

    @exact
    def of(self, limit: float) -> int:
        """A limit in whole units.

        Args:
            limit: As people write it.

        Returns:
            The units, rounded down.

        >>> Unit.MICRO_DOLLARS.of(0.29)
        290000
        """
        return int(Decimal(str(limit)) * self.value[0])

    def show(self, units: int) -> str:
        """Units as people write them.

        Args:
            units: How many.

        Returns:
            Requests, dollars or tokens.

        >>> Unit.MICRO_DOLLARS.show(499300), Unit.REQUESTS.show(500)
        ('0.4993', '500')
        """
        amount, part = divmod(units, self.value[0])
        return f"{amount}.{part:06}".rstrip("0") if part else str(amount)


class LimitKind(NamedTuple):
    """What a limit counts, ``strftime``'s format of its period's key, and when it is full again, in words.

    A month's key is a prefix of those of its hours. What counts for one query, or the processes of one job, is named.
    """

    unit: Unit
    period_format: str
    reset: str | None = None


KINDS = {
    "requests_per_hour": LimitKind(Unit.REQUESTS, "%Y-%m-%dT%H", "with the next full hour"),
    "requests_per_month": LimitKind(Unit.REQUESTS, "%Y-%m", "with the next month"),
    "usd_per_month": LimitKind(Unit.MICRO_DOLLARS, "%Y-%m usd", "with the next month"),
    "max_requests": LimitKind(Unit.REQUESTS, "query requests"),
    "max_usd": LimitKind(Unit.MICRO_DOLLARS, "query usd"),
    "max_tokens_total": LimitKind(Unit.TOKENS, "query tokens"),
}
"""Each limit by its argument."""

ENGINE_LIMITS = tuple(name for name, kind in KINDS.items() if kind.reset is not None)
"""Arguments that limit all queries of an engine."""

QUERY_LIMITS = tuple(name for name, kind in KINDS.items() if kind.reset is None)
"""Arguments that limit one query."""


def unit_of(name: str) -> Unit:
    """What a limit counts.

    Args:
        name: The argument.

    Returns:
        Its unit.
    """
    return KINDS[name].unit


@dataclass
class _Account:
    """What a process has reserved in the periods of one moment, and what became of it, in units.

    Attributes:
        periods: The key of each limit's period.
        used_by_others: Units of each limit that others had used or reserved, as the table said it last.
        reserved: Units that are counted as used there.
        outstanding: Of these, units of requests in flight.
        in_flight: Requests in flight.
        spent: Units of requests that are done, exactly. Of those whose usage is not known, what was reserved.
        standing: Of these, units of requests whose usage is not known.
        counted: Units that the table counts for this process; others than these while it cannot be used.
    """

    periods: Mapping[str, str]
    used_by_others: dict[str, int]
    reserved: int = 0
    outstanding: int = 0
    in_flight: int = 0
    spent: Decimal = Decimal(0)
    standing: int = 0
    counted: int = 0

    @property
    def used(self) -> int:
        """Units that are spent, or that requests in flight may spend."""
        return int(self.spent.to_integral_value(ROUND_CEILING)) + self.outstanding

    @exact
    def spend(self, units: Decimal | int) -> None:
        """Count units of a request that is done.

        Args:
            units: How many; below zero to undo it.
        """
        self.spent = min(self.spent + units, Decimal(_MAX_UNITS))

    @property
    def room(self) -> int:
        """Units that are left of what is reserved."""
        return self.reserved - self.used


class Reservation:
    """What one request may take of a quota."""

    def __init__(self, quota: Quota, account: _Account | None, units: int) -> None:
        """Note it.

        Args:
            quota: Which is told when it is settled.
            account: In which it is reserved; None where there is no limit.
            units: That are reserved.
        """
        self._quota, self._account, self._units = quota, account, units

    def settle(self, used: Decimal | int | None) -> None:
        """Give back what the request did not take. Only the first call counts.

        Args:
            used: Units that it took, exactly; None where that is not known: then the reservation stands.
        """
        account, self._account = self._account, None
        if account is not None:
            self._quota._settle(account, self._units, used)


class Quota:
    """Limits of one unit, as one query uses them.

    Units are reserved in the table some at a time, and those not used are given back. A process that is killed keeps
    its reservation: what its requests in flight may take, and beside these at most 16 requests, or a twenty-fifth of
    the limit. So no limit is ever exceeded. While the table cannot be used, the units of this process are counted in
    memory.
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
            table: Where units are counted; None counts those of this query alone.
            scope: Whose units are counted together: an engine's, or a job's.
            limits: Units by argument, all of one unit. Periods are those of UTC. Empty means no limit.
            now: The clock, in seconds since 1970. None for the table's.
        """
        self.unit = next((unit_of(name) for name in limits), Unit.REQUESTS)
        self._table, self._scope, self._limits = table, scope, limits
        self._now = now or (table.now if table is not None else time.time)
        smallest = min(limits.values(), default=0)
        advance = min(self.unit.value[1], smallest // _MIN_RESERVATIONS_PER_LIMIT)
        self._advance = max(1, smallest if table is None else advance)
        self._account: _Account | None = None
        self._earlier: list[_Account] = []
        self._last_counts = {} if table is None else _last_counts.setdefault((scope, self.unit.name), {})
        self._warned = set() if table is None else _warned
        self._lock, self._changed = asyncio.Lock(), asyncio.Event()
        self._granting: asyncio.Task[None] | None = None
        self._settlements = 0

    @property
    def is_limited(self) -> bool:
        """Whether anything is counted at all."""
        return bool(self._limits)

    @property
    def is_of_query(self) -> bool:
        """Whether it limits one query or job, and not an engine."""
        return not any(KINDS[name].reset for name in self._limits)

    @property
    def names(self) -> list[str]:
        """The arguments of its limits."""
        return list(self._limits)

    @property
    def is_settling(self) -> bool:
        """Whether requests in flight may give something back."""
        return self._account is not None and self._account.in_flight > 0

    async def wait_for_settlement(self) -> None:
        """Wait until a request in flight is settled, where one is."""
        if self.is_settling:
            self._changed.clear()
            await self._changed.wait()

    async def reserve(self, units: int = 1) -> Reservation | Failure:
        """Reserve what one request may take.

        Args:
            units: The most that it can take.

        Returns:
            The reservation; or why there is none. Where ``is_settling``, one may be had once a request is settled.
        """
        if not self.is_limited:
            return Reservation(self, None, units)
        async with self._lock:
            periods = self._current_periods()
            account = self._account
            if account is None or account.periods != periods:
                account = self._begin(periods)
            while account.room < units:
                settlements = self._settlements
                await self._reserve_more(account, units - account.room)
                if account.room < units and settlements == self._settlements:  # nothing came back meanwhile
                    return self._refusal(account, units)
        if self.unit.is_exact:
            account.spend(units)
            self._warn(account)
        else:
            account.outstanding += units
            account.in_flight += 1
        return Reservation(self, account, units)

    def count(self, units: int = 1) -> None:
        """Count what is taken in any case, beyond the limits too.

        Args:
            units: How many.
        """
        if self._account is not None:
            self._account.spend(units)

    async def release(self) -> None:
        """Give back what was reserved and not used. Call it at the end of the query."""
        if self._granting is not None:
            await self._granting
        accounts = [*self._earlier, *([self._account] if self._account is not None else [])]
        self._earlier, self._account = [], None
        for account in accounts:
            if (returning := self._return(account, account.room)) is not None:
                await asyncio.wrap_future(returning)

    def _settle(self, account: _Account, units: int, used: Decimal | int | None) -> None:
        if self.unit.is_exact:
            account.spend(0 if used is None else used - units)
            return
        account.outstanding -= units
        account.in_flight -= 1
        account.spend(units if used is None else used)
        account.standing += units if used is None else 0
        self._settlements += 1
        self._changed.set()
        self._warn(account)
        advance = max(self._advance, units)
        if self._table is not None and account.room > 2 * advance:  # others may have no room because of it
            self._return(account, account.room - advance)

    def _current_periods(self) -> dict[str, str]:
        utc = time.gmtime(self._now())
        return {name: time.strftime(KINDS[name].period_format, utc) for name in self._limits}

    def _begin(self, periods: Mapping[str, str]) -> _Account:
        """Begin the account of other periods. Requests in flight stay in the one before."""
        if self._account is not None:
            self._earlier.append(self._account)
            self._return(self._account, self._account.room)
        self._account = _Account(periods, dict.fromkeys(periods, 0))
        return self._account

    def _return(self, account: _Account, units: int) -> Future[None] | None:
        """Give units back. Where more was spent than reserved, or while the table could not be used, count that too."""
        account.reserved -= units
        for period in self._last_counts.keys() & account.periods.values():
            self._last_counts[period] -= units
        difference, account.counted = account.reserved - account.counted, account.reserved
        if self._table is None or not difference:
            return None
        return self._table.add(self._scope, list(account.periods.values()), difference)

    async def _reserve_more(self, account: _Account, missing: int) -> None:
        """Reserve in the table. It counts what it is told also where nobody waits for it any more."""
        if self._granting is not None:
            await asyncio.shield(self._granting)
        self._granting = asyncio.ensure_future(self._grant(account, missing))
        await asyncio.shield(self._granting)

    async def _grant(self, account: _Account, missing: int) -> None:
        size = min(max(missing, self._advance), _MAX_UNITS)
        limits = {period: self._limits[name] for name, period in account.periods.items()}
        last_counts = {period: self._last_counts.get(period, 0) for period in limits}
        own, used = account.counted, None
        if self._table is not None:
            reserving = self._table.reserve(self._scope, size, limits, last_counts)
            used = await asyncio.wrap_future(reserving)
        is_in_table = used is not None
        if used is None:
            used, own = last_counts, account.reserved
        for name, period in account.periods.items():
            account.used_by_others[name] = max(0, used[period] - own)
        granted = reservable(size, limits, used)
        account.reserved += granted
        account.counted += granted * is_in_table
        # To go on from it where the table cannot be used later, or was emptied.
        self._last_counts.clear()
        self._last_counts.update({period: count + granted for period, count in used.items()})

    def _refusal(self, account: _Account, units: int) -> Failure:
        name = min(self._limits, key=lambda name: self._limits[name] - account.used_by_others[name])
        show, reset = self.unit.show, KINDS[name].reset
        words = f"{name} = {show(self._limits[name])} was reached before this row"
        if not self.unit.is_exact:
            is_certain = self._table is None and not account.standing
            words += (
                f": {show(account.used_by_others[name] + account.used)} are "
                f"{'spent' if is_certain else 'spent or reserved'}, the next request may "
                f"{'cost' if self.unit is Unit.MICRO_DOLLARS else 'take'} {show(units)}"
            )
        if reset is not None:
            words += f"; it begins anew {reset} (UTC)"
        return Failure(FailureKind.NOT_SENT, words)

    def _warn(self, account: _Account) -> None:
        spent = account.used - account.outstanding
        for name, limit in self._limits.items():
            used, period = account.used_by_others[name] + spent, (self._scope, name, account.periods[name])
            if used >= limit * _WARNING_SHARE and period not in self._warned:
                self._warned.add(period)
                reset = KINDS[name].reset
                anew = "" if reset is None else f"; it begins anew {reset} (UTC)"
                show = self.unit.show
                logger.warning("%s of %s = %s are used%s", show(used), name, show(limit), anew)


_last_counts: dict[tuple[bytes, str], dict[str, int]] = {}
"""Units of each scope by period, as this process knows them: its own while the table cannot be used."""

_warned: set[tuple[bytes, str, str]] = set()
