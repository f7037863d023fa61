"""What one query may take: requests, dollars and tokens, reserved before each request and settled by its usage."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from decimal import Decimal
from typing import NamedTuple

from ...config.settings import EngineSettings, ModelSettings
from ...tasks import Input, Task
from ..failures import Failure, FailureKind, rejection_kind
from ..pricing.bounds import MICRO_DOLLARS, Bound, token_bounds, usd_bound, writes_tokens
from ..pricing.cost import Cost
from ..pricing.exact import exact
from ..pricing.prices import PriceList
from ..pricing.reported_usage import ReportedUsage
from ..storage.quota import ENGINE_LIMITS, KINDS, QUERY_LIMITS, Quota, Reservation, Unit, unit_of
from ..storage.tables import QuotaTable


class Reserved(NamedTuple):
    """What one request may take of each quota.

    Attributes:
        task: That it asks for.
        reservations: With their units.
    """

    task: Task
    reservations: list[tuple[Unit, Reservation]]

    @exact
    def settle(self, cost: Cost, usage: ReportedUsage | None) -> None:
        """Give back what the request did not take. What is not known of it stays reserved.

        Args:
            cost: What it cost.
            usage: What the service reports; None where it reports nothing.
        """
        used: Mapping[Unit, Decimal | int | None] = {
            Unit.REQUESTS: 1,
            Unit.MICRO_DOLLARS: None if cost.usd is None else cost.usd * MICRO_DOLLARS,
            Unit.TOKENS: _tokens(self.task, usage) if cost.is_billed else 0,
        }
        for unit, reservation in self.reservations:
            reservation.settle(used[unit])

    def cancel(self) -> None:
        """Give all back: the request is not sent."""
        for _, reservation in self.reservations:
            reservation.settle(0)


class Budgets:
    """The quotas of one query, also where it is asked of several providers."""

    def __init__(self, model: ModelSettings, quotas: Iterable[Quota], prices: Callable[[], PriceList]) -> None:
        """Reserve nothing yet.

        Args:
            model: The settings of the model.
            quotas: Those that may limit the query.
            prices: What requests cost, as it is known now.
        """
        self._model, self._prices = model, prices
        self._quotas = [quota for quota in quotas if quota.is_limited]
        self._units = {quota.unit for quota in self._quotas}

    @property
    def is_limited(self) -> bool:
        """Whether anything is limited."""
        return bool(self._quotas)

    def why_unbounded(self, seconds: float) -> str | None:
        """Say why a limit cannot be held, before anything is sent.

        Args:
            seconds: The longest that a service can compute for one request.

        Returns:
            A sentence that says what to give; None where each limit can be held.
        """
        bounds = self._bounds((), b"", seconds)
        unbounded = next((unit for unit, bound in bounds.items() if bound.most is None), None)
        if unbounded is None:
            return None
        name = next(name for quota in self._quotas if quota.unit is unbounded for name in quota.names)
        return f"{name} cannot be held, so nothing is sent: {bounds[unbounded].unknown}. Else leave {name} out"

    async def reserve(self, items: Sequence[Input], data: bytes, seconds: float) -> Reserved | Failure | Quota:
        """Reserve the most that one request can take.

        Args:
            items: Its inputs.
            data: Its body.
            seconds: The longest that a service can compute for it.

        Returns:
            What is reserved; a failure where it may not be sent; or the quota to wait for, since what requests in
            flight give back may be enough.
        """
        bounds = self._bounds(items, data, seconds)
        for bound in bounds.values():
            if bound.most is None:
                reason = self.why_unbounded(seconds)
                if reason is not None:
                    return Failure(FailureKind.FATAL, reason)
                return Failure(rejection_kind(len(items)), f"a budget cannot be held for this row: {bound.unknown}")
        reserved = Reserved(self._model.definition, [])
        done = False
        try:
            for quota in self._quotas:
                found = await quota.reserve(bounds[quota.unit].most or 0)
                if isinstance(found, Failure):
                    # Fewer inputs may fit. More requests for them would only use up a limit of requests.
                    fits_in_parts = len(items) > 1 and not quota.unit.is_exact
                    return quota if quota.is_settling else replace(found, is_batch_too_large=fits_in_parts)
                reserved.reservations.append((quota.unit, found))
            done = True
            return reserved
        finally:
            if not done:
                reserved.cancel()

    async def count_request(self) -> Failure | None:
        """Count one more request of a job that was begun. What limits the query alone does not end it.

        Returns:
            Why it may not be sent; None where it may.
        """
        for quota in self._quotas:
            if quota.unit is Unit.REQUESTS:
                if quota.is_of_query:
                    quota.count()
                elif isinstance(found := await quota.reserve(), Failure):
                    return found
        return None

    async def release(self) -> None:
        """Give back what was reserved in advance. Call it at the end of the query."""
        for quota in self._quotas:
            await quota.release()

    def _bounds(self, items: Sequence[Input], data: bytes, seconds: float) -> dict[Unit, Bound]:
        bounds = {Unit.REQUESTS: Bound(1)}
        if self._units != bounds.keys():
            tokens = token_bounds(self._model.definition, self._model, items, data)
            if Unit.TOKENS in self._units:
                bounds[Unit.TOKENS] = tokens.total
            if Unit.MICRO_DOLLARS in self._units:
                bounds[Unit.MICRO_DOLLARS] = usd_bound(self._prices(), tokens, seconds)
        return bounds


def query_quotas(model: ModelSettings, table: QuotaTable | None = None, job: bytes = b"") -> list[Quota]:
    """The limits of one query.

    Args:
        model: The settings of the model.
        table: Where the processes of one job count together; None for a query of one process.
        job: Tells jobs apart.

    Returns:
        A quota for each.
    """
    return [Quota(table, job, limits) for limits in _by_unit(model, QUERY_LIMITS)]


def engine_quotas(engine: EngineSettings, table: QuotaTable, owner: bytes) -> list[Quota]:
    """The limits of an engine.

    Args:
        engine: The settings of the engine.
        table: Where all its queries count.
        owner: Whose queries these are.

    Returns:
        A quota for each unit.
    """
    return [Quota(table, owner, limits) for limits in _by_unit(engine, ENGINE_LIMITS)]


class EngineBudget(NamedTuple):
    """A limit of an engine in the period that runs.

    Attributes:
        name: The argument.
        limit: Its units.
        used: Units that are spent, or reserved by queries that run.
        reset: When it is full again, in words.
    """

    name: str
    limit: int
    used: int
    reset: str

    @property
    def remaining(self) -> int:
        """Units that are left."""
        return max(0, self.limit - self.used)

    def show(self, units: int) -> str:
        """Units as people write them.

        Args:
            units: How many.

        Returns:
            Requests or dollars.
        """
        return unit_of(self.name).show(units)


def engine_budgets(engine: EngineSettings, counts: Mapping[str, int], now: float) -> list[EngineBudget]:
    """What is left of the limits of an engine.

    Args:
        engine: The settings of the engine.
        counts: Units by period, as the store has them.
        now: The clock by which they are counted, in seconds since 1970.

    Returns:
        Each limit that it has.
    """
    found = []
    for name in ENGINE_LIMITS:
        kind = KINDS[name]
        if (limit := getattr(engine, name)) is not None and kind.reset is not None:
            used = counts.get(time.strftime(kind.period_format, time.gmtime(now)), 0)
            found.append(EngineBudget(name, kind.unit.of(limit), max(0, used), kind.reset))
    return found


def _by_unit(settings: EngineSettings | ModelSettings, names: Sequence[str]) -> list[dict[str, int]]:
    limits: dict[Unit, dict[str, int]] = {}
    for name in names:
        if (limit := getattr(settings, name)) is not None:
            unit = unit_of(name)
            limits.setdefault(unit, {})[name] = unit.of(limit)
    return list(limits.values())


def _tokens(task: Task, usage: ReportedUsage | None) -> int | None:
    """Tokens that a request took; None where the service says nothing of some of them."""
    if usage is None:
        return None
    read, written = usage.input_tokens, usage.output_tokens
    if read is not None and written is not None:
        return max(usage.tokens, read + written)
    is_whole = not writes_tokens(task) or (read is None and written is None)
    return usage.tokens if usage.tokens and is_whole else None
