"""Dollars of many requests, with what is not in them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from typing import Any

from .cost import Cost

_NOT_RECORDED = "its cost was not recorded"
"""Of a request that an earlier version counted, or that is in flight."""


@dataclass
class Spending:
    """What requests cost.

    Attributes:
        usd: Dollars of those whose cost is known, exactly.
        priced: How many these are.
        unbilled: Requests that are not billed, such as those that failed.
        unpriced: Requests whose cost is not known, by the reason.
    """

    usd: Decimal = Decimal(0)
    priced: int = 0
    unbilled: int = 0
    unpriced: Counter[str] = field(default_factory=Counter)

    def record(self, cost: Cost) -> None:
        """Count a request.

        Args:
            cost: Its dollars, or why they are not known.
        """
        if not cost.is_billed:
            self.unbilled += 1
        elif cost.usd is None:
            self.unpriced[str(cost.unknown)] += 1
        else:
            self.usd += cost.usd
            self.priced += 1

    def add(self, other: Spending) -> None:
        """Add what other requests cost.

        Args:
            other: What to add.
        """
        self.usd += other.usd
        self.priced += other.priced
        self.unbilled += other.unbilled
        self.unpriced.update(other.unpriced)

    def shown(self, requests: int) -> float | None:
        """The dollars as a receipt shows them.

        Args:
            requests: All that were sent.

        Returns:
            The sum of what is known; None where requests were billed and nothing is known of any.
        """
        return None if requests > self.unbilled and not self.priced else float(self.usd)

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
        return {**vars(self), "usd": str(self.usd), "unpriced": dict(self.unpriced)}

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Spending:
        """Read what ``to_record`` wrote.

        Args:
            record: The fields; missing ones get their defaults.

        Returns:
            The spending.

        Raises:
            ValueError: The dollars are no number.
        """
        try:
            usd = Decimal(record.get("usd", 0))
        except InvalidOperation:
            raise ValueError("usd is no number") from None
        priced, unbilled = int(record.get("priced", 0)), int(record.get("unbilled", 0))
        return cls(usd, priced, unbilled, Counter(record.get("unpriced", {})))
