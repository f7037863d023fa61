"""The usage log in rows: what was asked and what it cost, by day, engine or model."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields
from decimal import Decimal
from typing import TYPE_CHECKING

from ..inference.pricing.exact import exact

if TYPE_CHECKING:
    from ..inference.telemetry.usage import Usage
    from ..inference.telemetry.usage_log import UsageByDay
    from .known_names import KnownNames


EARLIER = "earlier"
"""The day of what an older version counted, and of days that are no longer stored one by one."""


@dataclass
class Figures:
    """What queries took.

    Attributes:
        queries: How many.
        rows: Of their tables.
        distinct: Different inputs.
        stored: Those of them whose answer was stored.
        requests: That were sent.
        failed: Rows without a prediction.
        tokens: That services say they read and wrote.
        usd: Dollars of the requests whose cost is known.
        priced: How many these are.
        unbilled: Requests that are not billed.
    """

    queries: int = 0
    rows: int = 0
    distinct: int = 0
    stored: int = 0
    requests: int = 0
    failed: int = 0
    tokens: int = 0
    usd: Decimal = Decimal(0)
    priced: int = 0
    unbilled: int = 0

    @classmethod
    def of(cls, usage: Usage) -> Figures:
        """The figures of usage.

        Args:
            usage: Of queries.

        Returns:
            Its figures.
        """
        spending = usage.spending
        return cls(
            usage.queries,
            usage.rows,
            usage.distinct,
            usage.cache_hits,
            usage.requests,
            sum(usage.errors.values()),
            usage.tokens,
            spending.usd,
            spending.priced,
            spending.unbilled,
        )

    @exact
    def plus(self, other: Figures) -> Figures:
        """Add figures.

        Args:
            other: Of other queries.

        Returns:
            Those of all.
        """
        return Figures(*(getattr(self, each.name) + getattr(other, each.name) for each in fields(self)))

    @exact
    def minus(self, other: Figures) -> Figures:
        """Take figures away.

        Args:
            other: Of some of the queries.

        Returns:
            Those of the others, none below zero.
        """
        differences = (getattr(self, each.name) - getattr(other, each.name) for each in fields(self))
        return Figures(*(max(difference, type(difference)(0)) for difference in differences))

    @property
    def share_of_hits(self) -> float | None:
        """Of the different inputs those whose answer was stored, from 0 to 1; None where there were none."""
        return self.stored / self.distinct if self.distinct else None

    @property
    def known_usd(self) -> float | None:
        """Dollars of what is known; None where requests were billed and the cost of none is known."""
        return None if self.requests > self.unbilled and not self.priced else float(self.usd)

    @property
    def unpriced(self) -> int:
        """Requests whose cost is not known."""
        return max(0, self.requests - self.priced - self.unbilled)

    def as_dict(self) -> dict[str, int | float | None]:
        """The figures as plain values by name."""
        counts = {each.name: getattr(self, each.name) for each in fields(self)[:_COUNTS]}
        return {**counts, "usd": self.known_usd, "unpriced_requests": self.unpriced}


_COUNTS = 7
"""The first fields, which are counts of what people know."""


def figures_by(
    group: str, models: Iterable[UsageByDay], names: KnownNames, since: str | None = None
) -> dict[str, Figures]:
    """Sum usage up.

    Args:
        group: One of day, engine and model.
        models: The usage of each model.
        names: Of engines and models.
        since: The first day that counts, as 2026-11-29; None for all.

    Returns:
        The figures of each day in order; or of each engine or model, the most requests first.
    """
    found: dict[str, Figures] = {}
    for each in models:
        for day, figures in _days(each, since):
            name = {"day": day, "engine": names.engine(each.model), "model": _model_name(each, names)}[group]
            found[name] = found.get(name, Figures()).plus(figures)
    if group == "day":
        return dict(sorted(found.items(), key=lambda item: (item[0] != EARLIER, item[0])))
    return dict(sorted(found.items(), key=lambda item: item[1].requests, reverse=True))


def _days(model: UsageByDay, since: str | None) -> Iterator[tuple[str, Figures]]:
    of_days = Figures()
    for day, usage in model.days.items():
        figures = Figures.of(usage)
        of_days = of_days.plus(figures)
        if since is None or day >= since:
            yield day, figures
    earlier = Figures.of(model.total).minus(of_days)
    if since is None and earlier.queries:
        yield EARLIER, earlier


def _model_name(model: UsageByDay, names: KnownNames) -> str:
    asked = f"{model.total.model} ({model.total.task})"
    name = names.models.get(model.model)
    return asked if name is None else f"{name}: {asked}"
