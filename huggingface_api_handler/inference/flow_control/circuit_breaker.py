"""When a query gives up: it was told to wait for too long, or its request is at fault and not its rows."""

from __future__ import annotations

from collections import Counter

from ...config.settings import ModelSettings
from ..failures import Failure, FailureKind

MAX_STALL_S = 300.0
"""Seconds without any answer, while told to wait, after which a query gives up."""

_SAME_REFUSALS = 3


class CircuitBreaker:
    """What speaks for giving up. Its methods return why it is time to, or None. Times in seconds of one clock."""

    def __init__(self, model: ModelSettings) -> None:
        self._model = model
        self._answered = False
        self._waits_since: float | None = None
        self._refusals: Counter[str] = Counter()

    def on_response(self) -> None:
        """Note an answer."""
        self._answered = True
        self._waits_since = None

    def on_rate_limited(self, failure: Failure, now: float) -> Failure | None:
        """Note that the service is to be given time."""
        if self._waits_since is None:
            self._waits_since = now
        waited, announced = now - self._waits_since, failure.retry_after_s or 0.0
        if waited + (0.0 if failure.is_estimated else announced) <= MAX_STALL_S:
            return None
        wait = f"it asks to wait {announced:.0f} s" if announced else f"no answer for {waited:.0f} s"
        told = f"{failure.message} ({wait}). Try again later: what is answered is not asked again"
        return Failure(FailureKind.FATAL, told, failure.status)

    def on_rejected(self, failure: Failure) -> Failure | None:
        """Note the failure of a row for good."""
        # Only what the service refused speaks of the request: a cell refused here, before any request, is its row's.
        if self._answered or failure.kind is not FailureKind.INPUT_REJECTED or failure.status is None:
            return None
        self._refusals[failure.message] += 1
        if self._refusals[failure.message] < _SAME_REFUSALS:
            return None
        given = ", ".join(sorted(self._model.parameters)) or "none"
        told = (
            f"{failure.message} (the same for {_SAME_REFUSALS} different rows and no row answered, so the request is "
            f"at fault: check the model, its task, and the parameters sent: {given})"
        )
        return Failure(FailureKind.FATAL, told, failure.status)
