"""A service that is away: a model that starts, a server that restarts. Its failures are then no input's.

As in a half-open circuit breaker, one request at a time tries the service, with growing pauses, and all others wait.
"""

from __future__ import annotations

import logging
import random

from ..failures import Failure, FailureKind

logger = logging.getLogger(__name__)

_START_STATUSES = (502, 503, 504)  # what proxies answer while nothing behind them does
_MIN_FAILED_IN_A_ROW = 8  # different inputs; by chance that is rare, even where a third of all requests fails
_SERVER_ERROR = 500

_FIRST_TRIAL_PAUSE_S = 0.5
_MAX_TRIAL_PAUSE_S = 15.0  # so that a start of 300 s is tried 24 times
_MAX_UNREACHABLE_S = 30.0
_MAX_START_WITHOUT_WAIT_S = 30.0
_MAX_RESTART_S = 60.0


class Outage:
    """Whether one query's service is away, and for how long that is borne.

    Attributes:
        is_on: Whether the service is away, as far as its responses show.
        is_tried: Whether a request is out, or about to be, that tries it. All others wait for what comes of it.
    """

    def __init__(self, max_wait_s: float, *, wait_for_model: bool) -> None:
        """Start with a service that is there.

        Args:
            max_wait_s: Seconds that the query waits for an answer at most.
            wait_for_model: Whether a model that starts is waited for as long.
        """
        self.is_on = self.is_tried = False
        self._max_restart_s = min(max_wait_s, _MAX_RESTART_S)
        self._max_unreachable_s = min(max_wait_s, _MAX_UNREACHABLE_S)
        self._max_start_s = max_wait_s if wait_for_model else min(max_wait_s, _MAX_START_WITHOUT_WAIT_S)
        self._since = 0.0
        self._trials = 0
        self._failed: set[int] = set()
        self._is_of_inputs = False

    def on_response(self) -> None:
        """Note that the service answered, or refused something in words of its own."""
        self.is_on = self._is_of_inputs = False
        self._failed.clear()

    def on_trial_answered(self) -> None:
        """Note that an input was answered which had been answered before: what fails fails for the inputs' sake."""
        self.on_response()
        self._is_of_inputs = self._trials == 1

    def is_cause(self, failure: Failure, index: int, now: float, *, has_answer: bool) -> bool:
        """Note a failure, and say whether it is the service's, which is away, and not the input's.

        Args:
            failure: Of the request.
            index: Of its first input.
            now: Seconds of a monotonic clock.
            has_answer: Whether the query has any answer.

        Returns:
            True where the host cannot be reached; before the first answer, where a proxy has no server behind it;
            after it, where several inputs in a row met errors of the server.
        """
        status = failure.status or 0
        if failure.kind is not FailureKind.TRANSIENT or not (has_answer or status in (0, *_START_STATUSES)):
            self.on_response()
            return False
        if has_answer and status >= _SERVER_ERROR and not self._is_of_inputs:
            self._failed.add(index)
        has_gone = len(self._failed) >= _MIN_FAILED_IN_A_ROW if has_answer else status in _START_STATUSES
        if not self.is_on and (has_gone or failure.is_unreachable):
            self.is_on, self._since, self._trials = True, now, 0
            what = "the service to come back" if has_answer else "the model to start"
            logger.info("waiting for %s (%s)", what, failure.reason)
        return self.is_on

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
        limit_s, away_s = self._max_start_s, now - self._since
        if has_answer:
            limit_s = self._max_restart_s
        elif failure.is_unreachable:
            limit_s = self._max_unreachable_s
        if away_s < limit_s:
            return None
        advice = "Run the query again later: what is answered is not asked again"
        if not has_answer:
            advice = "The service is down, or this is not its address: check the endpoint, and try again later"
        message = f"{failure.message.rstrip('.')} (for {away_s:.0f} s, tried {self._trials} times). {advice}"
        return Failure(FailureKind.FATAL, message, failure.status)
