"""Whether a statement may cost what it would: asked in a terminal, refused elsewhere."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from ...errors import InputError
from ...inference.pricing.spending import Range

DEFAULT_MAX_REQUESTS = 1000
"""Requests of a statement from which it is asked first: many minutes of an ordinary service."""

DEFAULT_MAX_DOLLARS = 1.0
"""Dollars of a statement, at most as estimated, from which it is asked first."""

_MAX_REQUESTS_OF_INPUT = 16
"""Requests that one input may take: the parts of a long text, unless ``max_chunks`` says otherwise."""

Answer = Callable[[str], bool]
"""Puts a question to the person: True for yes."""


class Estimate(Protocol):
    """What one model of a statement would be asked, as EXPLAIN shows it."""

    @property
    def model(self) -> str:
        """The model's name."""
        ...

    @property
    def distinct_inputs(self) -> int:
        """Different inputs that it is asked about."""
        ...

    @property
    def requests(self) -> int:
        """Requests that would be sent."""
        ...

    @property
    def seconds(self) -> float | None:
        """Seconds that they take; None where nobody knows."""
        ...

    @property
    def usd_low(self) -> float | None:
        """Dollars that they cost at least, about; None where nobody knows."""
        ...

    @property
    def usd_high(self) -> float | None:
        """Dollars that they cost at most, about; None where nobody knows."""
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
    _asked: set[str] = field(default_factory=set)

    def begin(self) -> None:
        """Count anew, for another statement."""
        self._requests, self._dollars = 0, 0.0
        self._asked.clear()

    def __call__(self, estimate: Estimate) -> bool:
        """Decide before a model is asked.

        Args:
            estimate: What it would be asked. A LIMIT asks in several windows, each with an estimate.

        Returns:
            True.

        Raises:
            DeclinedError: It may not be asked. The message says what it would cost.
        """
        if self.is_agreed:
            return True
        self._dollars += estimate.usd_high or 0.0
        # To count requests takes a look at each input, so few inputs are not counted.
        few = estimate.distinct_inputs * _MAX_REQUESTS_OF_INPUT
        self._requests += few if self._requests + few <= self.max_requests else estimate.requests
        if self._requests > self.max_requests or self._dollars > self.max_dollars:
            self._settle(estimate)
        self._asked.add(estimate.model)
        return True

    def _settle(self, estimate: Estimate) -> None:
        """Have the person agree, or raise DeclinedError."""
        cost = cost_of(estimate)
        sent = "No more was sent" if estimate.model in self._asked else "Nothing was sent"
        if self.ask is None:
            raise DeclinedError(f"{cost}. {sent} to {estimate.model}. {self._what_to_add()}")
        if not self.ask(f"{cost}. Send them?"):
            raise DeclinedError(f"{sent} to {estimate.model}")
        self._requests, self._dollars = 0, 0.0  # what was agreed to is not counted again

    def _what_to_add(self) -> str:
        """The option that would let it pass."""
        options = []
        if self._requests > self.max_requests:
            options.append(f"--max-requests {self._requests}")
        if self._dollars > self.max_dollars:
            options.append(f"--max-dollars {math.ceil(self._dollars * 100) / 100:.2f}")
        return f"Add {' '.join(options)} to allow so much, or --yes to allow everything"


def ask_in_terminal(question: str) -> bool:
    """Put a question to whoever sits there.

    Args:
        question: With its question mark.

    Returns:
        True for yes.
    """
    print(f"{question} [y/N] ", end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip().lower() in ("y", "yes")


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
    if estimate.usd_high:  # what is free needs no word
        costs.append(Range(estimate.usd_low or 0.0, estimate.usd_high).in_usd)
    requests = f"{estimate.requests:,} {'request' if estimate.requests == 1 else 'requests'}"
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
