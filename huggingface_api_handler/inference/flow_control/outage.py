"""A service that is away: a model that starts, a server that restarts. Its failures are then no input's.

As in a half-open circuit breaker, one request at a time tries the service, with growing pauses, and all others wait.
"""

from __future__ import annotations

import logging
import random
from collections.abc import Container

from ..failures import Failure, FailureKind

logger = logging.getLogger(__name__)

_START_STATUSES = (502, 503, 504)  # what proxies answer while nothing behind them does
_MIN_FAILED_IN_A_ROW = 8  # different inputs; by chance that is rare, even where a third of all requests fails
_MORE_AFTER_TRIAL = 4  # times as many, where a trial has just shown that it is the inputs
NOT_SERVED = (404, 410)
"""What says that a model is not there, any more or for now."""

_UNSUPPORTED = (400, 422)  # with words that say so, see failures.classify_response
_SERVER_ERROR = 500
_SERVER_ERRORS = range(_SERVER_ERROR, 600)

_FIRST_TRIAL_PAUSE_S = 0.5
_MAX_TRIAL_PAUSE_S = 15.0  # so that a start of 300 s is tried 24 times
_MAX_UNREACHABLE_S = 30.0
_MAX_START_WITHOUT_WAIT_S = 30.0
_MAX_RESTART_S = 60.0


def is_not_served(failure: Failure) -> bool:
    """Whether a server says that it has no such model, by its status or in its words.

    Args:
        failure: Of the request, before it is taken for one of its input.

    Returns:
        True for ``NOT_SERVED``, and for 400 and 422 with words that say so.
    """
    return failure.status in NOT_SERVED or (failure.status in _UNSUPPORTED and failure.input_message is not None)


class Outage:
    """Whether one query's service is away, and for how long that is borne.

    Attributes:
        is_on: Whether the service is away, as far as its responses show.
        awaited: What is waited for while it is away, in words.
        is_tried: Whether a request is out, or about to be, that tries it. All others wait for what comes of it.
        has_failures: Whether any failure was noted since the last answer.
    """

    def __init__(self, max_wait_s: float, *, wait_for_model: bool, max_away_s: float | None = None) -> None:
        """Start with a service that is there.

        Args:
            max_wait_s: Seconds that the query waits for an answer at most.
            wait_for_model: Whether a model that starts is waited for as long.
            max_away_s: Seconds for which the service may be away, where another can be asked instead: then any 5xx
                before the first answer says that it is. None where there is no other.
        """
        self.is_on = self.is_tried = self.has_failures = False
        self.awaited = ""
        self._max_restart_s = min(max_wait_s, _MAX_RESTART_S)
        self._max_unreachable_s = min(max_wait_s, _MAX_UNREACHABLE_S)
        self._max_start_s = max_wait_s if wait_for_model else min(max_wait_s, _MAX_START_WITHOUT_WAIT_S)
        self._start_statuses: Container[int] = _START_STATUSES
        self._has_other = max_away_s is not None
        if max_away_s is not None:
            self._start_statuses = _SERVER_ERRORS
            self._max_restart_s, self._max_start_s = min(max_away_s, max_wait_s), min(max_away_s, max_wait_s)
        self._since: float | None = None  # when it went away; refusals since do not say that it is back for good
        self._unreachable_since: float | None = None
        self._trials = 0
        self._failed: set[int] = set()
        self._min_failed = _MIN_FAILED_IN_A_ROW

    def on_response(self) -> None:
        """Note that the service answered."""
        self.is_on = self.has_failures = False
        self._since = self._unreachable_since = None
        self._failed.clear()
        self._min_failed = _MIN_FAILED_IN_A_ROW

    def on_trial_answered(self) -> None:
        """Note that an input was answered which had been answered before: what fails fails for the inputs' sake."""
        min_failed = _MORE_AFTER_TRIAL * self._min_failed if self._trials == 1 else _MIN_FAILED_IN_A_ROW
        self.on_response()
        self.has_failures = True
        self._min_failed = min_failed  # until the next answer: a table's tail of such inputs is seldom taken for it

    def is_cause(self, failure: Failure, index: int, now: float, *, has_answer: bool, open_inputs: int) -> bool:
        """Note a failure, and say whether it is the service's, which is away, and not the input's.

        Args:
            failure: Of the request.
            index: Of its first input.
            now: Seconds of a monotonic clock.
            has_answer: Whether the query has any answer.
            open_inputs: How many inputs have neither answer nor failure, this one among them.

        Returns:
            True where the host cannot be reached; before the first answer, where a proxy has no server behind it;
            after it, where several inputs in a row, or all that are left, met errors of the server, or where the model
            is not there any more and another provider may have it.
        """
        status = failure.status or 0
        self.has_failures = True
        is_missing = has_answer and self._has_other and is_not_served(failure)
        has_no_server = not status or status in self._start_statuses
        if not is_missing and (failure.kind is not FailureKind.TRANSIENT or not (has_answer or has_no_server)):
            self._on_words()
            return False
        if has_answer and (status >= _SERVER_ERROR or is_missing):
            self._failed.add(index)
        if not failure.is_unreachable:
            self._unreachable_since = None
        elif self._unreachable_since is None:
            self._unreachable_since = now
        min_failed = self._min_failed
        if min_failed == _MIN_FAILED_IN_A_ROW:  # no trial has shown yet that it is the inputs
            min_failed = 1 if is_missing else min(min_failed, max(open_inputs, 2))
        has_gone = len(self._failed) >= min_failed if has_answer else status in self._start_statuses
        if not self.is_on and (has_gone or failure.is_unreachable):
            self.is_on = True
            if self._since is None:
                self._since, self._trials = now, 0
            self.awaited = "the service to come back" if has_answer else "the model to start"
            logger.info("waiting for %s (%s)", self.awaited, failure.reason)
        return self.is_on

    def _on_words(self) -> None:
        """Note that the service refused something in words of its own, or asks to wait."""
        self.is_on = False
        self._unreachable_since = None
        self._failed.clear()

    def pause_s(self) -> float:
        """How long to wait before the service is tried again.

        Returns:
            Seconds, more each time, with jitter.
        """
        self._trials += 1
        return min(_FIRST_TRIAL_PAUSE_S * 2.0 ** (self._trials - 1), _MAX_TRIAL_PAUSE_S) * random.uniform(1.0, 1.1)

    def reason_to_stop(self, failure: Failure, now: float, *, has_answer: bool) -> Failure | None:
        """Say whether the service has been away for too long.

        Args:
            failure: Of the last request.
            now: Seconds of a monotonic clock.
            has_answer: Whether the query has any answer.

        Returns:
            The reason to stop; None where the service is to be tried again.
        """
        away_s = now - (now if self._since is None else self._since)
        unreachable_s = 0.0 if self._unreachable_since is None else now - self._unreachable_since
        is_gone = not has_answer and unreachable_s >= self._max_unreachable_s
        if away_s < (self._max_restart_s if has_answer else self._max_start_s) and not is_gone:
            return None
        advice = "Run the query again later: what is answered is not asked again"
        if not has_answer:
            advice = "The service is down, or this is not its address: check the endpoint, and try again later"
        message = f"{failure.message.rstrip('.')} (for {away_s:.0f} s, tried {self._trials} times). {advice}"
        return Failure(FailureKind.FATAL, message, failure.status, input_message=failure.input_message)
