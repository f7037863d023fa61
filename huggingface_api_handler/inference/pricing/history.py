"""What answered requests took, in sums that say how much others will take, and how far that may be off."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from .reported_usage import ReportedUsage


@dataclass
class Sums:
    """One measure over the requests that report it.

    Attributes:
        requests: How many these are.
        size: Bytes of their bodies.
        amount: What they took in all.
        squares: The sum of the squares of what each took.
    """

    requests: int = 0
    size: int = 0
    amount: float = 0.0
    squares: float = 0.0

    def record(self, size: int, amount: float) -> None:
        """Count a request.

        Args:
            size: Bytes of its body.
            amount: What it took.
        """
        self.requests += 1
        self.size += size
        self.amount += amount
        self.squares += amount * amount

    def add(self, other: Sums) -> None:
        """Count the requests of other sums too.

        Args:
            other: What to add.
        """
        self.requests += other.requests
        self.size += other.size
        self.amount += other.amount
        self.squares += other.squares


@dataclass
class History:
    """What the answered requests of a query took.

    Attributes:
        read: Tokens that the model read, the cached ones among them.
        cached: Those of them that it took from its prefix cache.
        written: Tokens that it generated.
        seconds: Seconds that the service computed.
    """

    read: Sums = field(default_factory=Sums)
    cached: Sums = field(default_factory=Sums)
    written: Sums = field(default_factory=Sums)
    seconds: Sums = field(default_factory=Sums)

    def record(self, size: int, reported: ReportedUsage | None) -> None:
        """Count an answered request.

        Args:
            size: Bytes of its body.
            reported: What the service says of its work.
        """
        if reported is None:
            return
        read = reported.input_tokens if reported.sum_alone is None else reported.sum_alone
        if read is not None:
            self.read.record(size, read)
            self.cached.record(size, reported.cached_tokens or 0)
        if reported.output_tokens is not None:
            self.written.record(size, reported.output_tokens)
        if reported.compute_seconds is not None:
            self.seconds.record(size, reported.compute_seconds)

    def add(self, other: History) -> None:
        """Count the requests of another query too.

        Args:
            other: What to add.
        """
        for name, sums in vars(self).items():
            sums.add(getattr(other, name))

    def to_record(self) -> dict[str, list[float]]:
        """The sums, as the store keeps them.

        Returns:
            The fields of each measure in their order, by its name.
        """
        return {name: list(vars(sums).values()) for name, sums in vars(self).items()}

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> History:
        """Read what ``to_record`` wrote.

        Args:
            record: The sums; missing ones are empty.

        Returns:
            The history.

        Raises:
            TypeError: A measure is no list of its fields.
        """
        return cls(**{name: Sums(*record[name]) for name in vars(cls()) if name in record})
