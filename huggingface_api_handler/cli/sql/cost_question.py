"""Whether a statement may cost what it would: asked in a terminal, refused elsewhere."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from ...errors import InputError

DEFAULT_MAX_REQUESTS = 1000
"""Requests of a statement from which it is asked first: many minutes of an ordinary service."""

DEFAULT_MAX_DOLLARS = 1.0
"""Dollars of a statement from which it is asked first."""

Answer = Callable[[str], bool]
"""Puts a question to the person: True for yes."""


class Estimate(Protocol):
    """What one model of a statement would be asked, as EXPLAIN shows it."""

    @property
    def model(self) -> str:
        """The model's name."""
        ...

    @property
    def requests(self) -> int | None:
        """Requests that would be sent; None where nobody knows."""
        ...

    @property
    def seconds(self) -> float | None:
        """Seconds that they take; None where nobody knows."""
        ...

    @property
    def dollars(self) -> float | None:
        """What they cost; None where nobody knows."""
        ...


class DeclinedError(InputError):
    """The person does not want a statement to cost that much. Nothing of it was sent to this model."""


@dataclass
class CostQuestion:
    """Is handed to ``connect`` as ``confirm``. The models of one statement count together.

    Attributes:
        max_requests: Requests of a statement that need no word of the person's.
        max_dollars: Dollars of a statement that need none.
        ask: Puts the question; None where there is nobody to ask.
        is_agreed: The person has agreed to everything (``--yes``).
    """

    max_requests: int
    max_dollars: float
    ask: Answer | None
    is_agreed: bool = False
    _requests: int = 0
    _dollars: float = 0.0

    def begin(self) -> None:
        """Count anew, for another statement."""
        self._requests, self._dollars = 0, 0.0

    def __call__(self, estimate: Estimate) -> bool:
        """Decide before a model is asked.

        Args:
            estimate: What it would be asked.

        Returns:
            True.

        Raises:
            DeclinedError: It may not be asked. The message says what it would cost.
        """
        self._requests += estimate.requests or 0
        self._dollars += estimate.dollars or 0.0
        if self.is_agreed or (self._requests <= self.max_requests and self._dollars <= self.max_dollars):
            return True
        cost = cost_of(estimate)
        if self.ask is None:
            raise DeclinedError(f"{cost}. Nothing was sent to it. {self._what_to_add()}")
        if not self.ask(f"{cost}. Send them?"):
            raise DeclinedError(f"Nothing was sent to {estimate.model}")
        self.begin()  # what was agreed to is not counted again
        return True

    def _what_to_add(self) -> str:
        """The option that would let it pass."""
        options = []
        if self._requests > self.max_requests:
            options.append(f"--max-requests {self._requests}")
        if self._dollars > self.max_dollars:
            options.append(f"--max-dollars {math.ceil(self._dollars * 100) / 100:.2f}")
        return f"Add {' '.join(options)} to allow so much, or --yes to allow everything"


def cost_of(estimate: Estimate) -> str:
    """What a model would cost, in words.

    Args:
        estimate: What it would be asked.

    Returns:
        The begin of a sentence.
    """
    costs = []
    if estimate.seconds is not None:
        costs.append(f"about {duration(estimate.seconds)}")
    if estimate.dollars is not None:
        costs.append(f"about {estimate.dollars:,.2f} dollars")
    count = "requests" if estimate.requests is None else f"{estimate.requests:,} requests"
    requests = "1 request" if estimate.requests == 1 else count
    return f"{estimate.model} would be sent {requests}{' (' + ', '.join(costs) + ')' if costs else ''}"


def duration(seconds: float) -> str:
    """A time in words.

    Args:
        seconds: How long.

    Returns:
        Seconds, minutes or hours, whichever reads best.

    >>> duration(0.42), duration(95), duration(7200)
    ('0.4 s', '2 min', '2.0 h')
    """
    if seconds < 60:
        return f"{seconds:.1f} s"
    return f"{seconds / 60:.0f} min" if seconds < 3600 else f"{seconds / 3600:.1f} h"
