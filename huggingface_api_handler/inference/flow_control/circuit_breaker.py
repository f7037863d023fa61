"""When a query stops early: its requests were paused for too long, or the request itself is wrong and not its rows."""

from __future__ import annotations

from collections import Counter

from ...config.settings import ModelSettings
from ..failures import Failure, FailureKind

MAX_STALL_S = 300.0
"""Seconds without any response, while the server asks to wait, after which a query stops."""

_MAX_IDENTICAL_REJECTIONS = 3  # of different rows with none answered: more would only repeat the message


class CircuitBreaker:
    """Decides whether one query should stop.

    The methods that note a failure return the reason to stop, None where the query goes on.
    """

    def __init__(self, model: ModelSettings, max_stall_s: float = MAX_STALL_S) -> None:
        """Start a query's breaker.

        Args:
            model: The model's settings, whose parameters are named in the reason.
            max_stall_s: Seconds without any response, while the server asks to wait, after which the query stops.
        """
        self._model = model
        self._max_stall_s = max_stall_s
        self._has_answer = False
        self._stalled_since: float | None = None
        self._rejections: Counter[str] = Counter()

    def on_response(self) -> None:
        """Note that a row was answered."""
        self._has_answer = True
        self._stalled_since = None

    def on_rate_limited(self, failure: Failure, now: float) -> Failure | None:
        """Note that the server asks to wait.

        Args:
            failure: The failure of the request, with the wait that the server announced.
            now: Seconds of a monotonic clock.

        Returns:
            The reason to stop where no response came for ``max_stall_s``, or none would until then.
        """
        if self._stalled_since is None:
            self._stalled_since = now
        stalled_s, announced_s = now - self._stalled_since, failure.retry_after_s or 0.0
        if stalled_s + (0.0 if failure.is_estimated else announced_s) <= self._max_stall_s:
            return None
        wait = f"it asks to wait {announced_s:.0f} s" if announced_s else f"no answer for {stalled_s:.0f} s"
        message = f"{failure.message} ({wait}). Try again later: what is answered is not asked again"
        return Failure(FailureKind.FATAL, message, failure.status)

    def on_rejected(self, failure: Failure) -> Failure | None:
        """Note that a row failed for good.

        Args:
            failure: The failure of the row.

        Returns:
            The reason to stop where the server gave the same reason for several rows and answered none.
        """
        # Only what the server rejected says something about the request: a cell that was rejected here, before any
        # request, says something about its row only.
        if self._has_answer or failure.kind is not FailureKind.INPUT_REJECTED or failure.status is None:
            return None
        self._rejections[failure.message] += 1
        if self._rejections[failure.message] < _MAX_IDENTICAL_REJECTIONS:
            return None
        parameters = ", ".join(sorted(self._model.parameters)) or "none"
        message = (
            f"{failure.message} (the same for {_MAX_IDENTICAL_REJECTIONS} different rows and no row answered, so the "
            f"request is at fault: check the model, its task, and the parameters sent: {parameters})"
        )
        return Failure(FailureKind.FATAL, message, failure.status)
