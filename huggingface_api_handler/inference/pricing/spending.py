"""Dollars of many requests, with what is not in them."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from typing import Any, NamedTuple

from .cost import Cost
from .exact import exact

_NOT_RECORDED = "its cost was not recorded"
"""Of a request that an earlier version counted, or that is in flight."""

_MAX_REASONS = 20
"""Reasons that are told apart. Some name a provider as the answer names it, who may have a new name each time."""

_OTHER_REASON = "their cost is not known for other reasons"
"""Of those that are more."""


class Range(NamedTuple):
    """What something is at least and at most, about."""

    low: float
    high: float

    def plus(self, other: Range) -> Range:
        """Add a range.

        Args:
            other: Of something else.

        Returns:
            The range of both together.
        """
        return Range(self.low + other.low, self.high + other.high)

    @property
    def in_usd(self) -> str:
        """Dollars in words, with two significant digits, said to be an estimate.

        >>> Range(0.0213, 0.1149).in_usd, Range(1.204, 1200).in_usd, Range(0, 0).in_usd
        ('estimated 0.021 to 0.11 USD', 'estimated 1.2 to 1,200 USD', 'nothing to pay')
        """
        if not self.high:
            return "nothing to pay"
        low, high = _two_digits(self.low), _two_digits(self.high)
        return f"estimated {high} USD" if low == high else f"estimated {low} to {high} USD"


def _two_digits(usd: float) -> str:
    if usd <= 0:
        return "0"
    decimals = 1 - math.floor(math.log10(usd))
    return f"{round(usd, decimals):,.{max(0, decimals)}f}"


@exact
def _sum(one: Decimal, other: Decimal) -> Decimal:
    return one + other


@dataclass
class Spending:
    """What requests cost.

    Attributes:
        usd: Dollars of those whose cost is known, exactly.
        priced: How many these are.
        unbilled: Requests that are not billed, such as those that failed.
        unpriced: Requests whose cost is not known, by the reason.
        estimated: The dollars that were estimated before; None where they were not.
    """

    usd: Decimal = Decimal(0)
    priced: int = 0
    unbilled: int = 0
    unpriced: Counter[str] = field(default_factory=Counter)
    estimated: Range | None = None

    def record(self, cost: Cost) -> None:
        """Count a request.

        Args:
            cost: Its dollars, or why they are not known.
        """
        if not cost.is_billed:
            self.unbilled += 1
        elif cost.usd is None:
            self._count_unpriced(str(cost.unknown), 1)
        else:
            self.usd = _sum(self.usd, cost.usd)
            self.priced += 1

    def add(self, other: Spending) -> None:
        """Add what other requests cost.

        Args:
            other: What to add.
        """
        self.usd = _sum(self.usd, other.usd)
        self.priced += other.priced
        self.unbilled += other.unbilled
        for reason, count in other.unpriced.items():
            self._count_unpriced(reason, count)
        ours, others = self.estimated, other.estimated
        self.estimated = None if ours is None or others is None else ours.plus(others)

    def _count_unpriced(self, reason: str, count: int) -> None:
        is_counted = reason in self.unpriced or len(self.unpriced) < _MAX_REASONS
        self.unpriced[reason if is_counted else _OTHER_REASON] += count

    def shown(self, requests: int) -> float | None:
        """The dollars as a receipt shows them.

        Args:
            requests: All that were sent.

        Returns:
            The sum of what is known; None where requests were billed and nothing is known of any.
        """
        return None if requests > self.unbilled and not self.priced else float(self.usd)

    def text(self, requests: int) -> str | None:
        """The dollars in words, beside those that were estimated.

        Args:
            requests: All that were sent.

        Returns:
            The words; None where nothing is known, or nothing was to be paid.

        >>> Spending(Decimal("0.00113"), 1, estimated=Range(0.00102, 0.0049)).text(1)
        '0.00113 USD (estimated 0.0010 to 0.0049 USD)'
        """
        usd = self.shown(requests)
        if usd is None or not (usd or self.estimated):
            return None
        paid = f"{usd:,.6f}".rstrip("0").rstrip(".")
        return f"{paid} USD" if self.estimated is None else f"{paid} USD ({self.estimated.in_usd})"

    def note(self, requests: int) -> str | None:
        """What is not in the dollars, in words.

        Args:
            requests: All that were sent.

        Returns:
            The reasons, with how many requests each is of; None where the cost of each is known.
        """
        reasons = dict(self.unpriced)
        others = requests - self.priced - self.unbilled - sum(reasons.values())
        if others > 0:
            reasons[_NOT_RECORDED] = others
        return "; ".join(f"{count:,} of {requests:,} requests: {why}" for why, count in reasons.items()) or None

    def to_record(self) -> dict[str, Any]:
        """The fields, as the store keeps them.

        Returns:
            Plain values; dollars are text, so that they stay exact.
        """
        estimated = self.estimated and list(self.estimated)
        return {**vars(self), "usd": str(self.usd), "unpriced": dict(self.unpriced), "estimated": estimated}

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Spending:
        """Read what ``to_record`` wrote.

        Args:
            record: The fields; missing ones get their defaults.

        Returns:
            The spending.

        Raises:
            ValueError: The dollars are no number.
            TypeError: The estimate is no pair.
        """
        try:
            usd = Decimal(record.get("usd", 0))
        except InvalidOperation:
            raise ValueError("usd is no number") from None
        if not usd.is_finite():
            raise ValueError("usd is no number")
        priced, unbilled = int(record.get("priced", 0)), int(record.get("unbilled", 0))
        estimated = record.get("estimated")
        unpriced = Counter({str(reason): int(count) for reason, count in dict(record.get("unpriced", {})).items()})
        return cls(usd, priced, unbilled, unpriced, estimated and Range(*map(float, estimated)))
