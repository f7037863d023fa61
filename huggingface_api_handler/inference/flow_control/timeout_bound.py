"""How many requests may be in flight so that each is answered before its time is up.

A server need not notice that a client has given up. It then works on what nobody waits for, and what is sent again
queues up behind that. So no more should be in flight than are answered within the timeout: by Little's law the answers
a second times the timeout, less a margin. A server that is busy with as many as it takes at once answers no sooner
where fewer are sent, so what it works on is never bounded below that.
"""

from __future__ import annotations

from collections import deque
from math import floor

_MARGIN = 0.75  # of the timeout, since some inputs take longer than others
_SILENT_ANSWER_S = 1.875  # until an answer shows it: for each, one after the other, so that 120 s are for 64
_LIMIT_OF_SILENCE = 3  # where nothing was answered for the whole timeout: so many rows tell that the service is down
_SHRINK_FACTOR = 0.75  # of the limit after a timeout
_SATURATED_SHARE = 0.85  # of the bound in flight, from which an answer may lower it
_QUEUED = 2.0  # latency over the smallest one, from which fewer in flight may lower it too: they waited
_MAX_ANSWERS = 256  # that are remembered
_ROUNDING = 0.25  # of the bound: an answer that came a little late takes no place away
_MAX_WAIT_FOR_ABANDONED_S = 600.0
_NEVER = float("-inf")


class TimeoutBound:
    """What the timeout says about the requests in flight on one route.

    Attributes:
        limit: Requests that may be in flight, at least 1.0; infinite where there is no timeout.

    Example:
        >>> timeout = TimeoutBound(timeout_s=6.0)
        >>> timeout.limit
        3.0
        >>> timeout.on_response(now=1.0, seconds=1.0, in_flight=3, limit=8.0)
        >>> timeout.limit
        4
    """

    def __init__(self, timeout_s: float | None = None) -> None:
        """Start without any answer.

        Args:
            timeout_s: Seconds after which a request is given up; None where it never is.
        """
        self.limit = float("inf")
        self._answers: deque[float] = deque(maxlen=_MAX_ANSWERS)  # when they came
        self._rate: float | None = None  # answers a second
        self._fastest_s = float("inf")
        self._timed_out_at = _NEVER  # the last time
        self._shrunk_at = _NEVER  # by the first timeout of those that belong together
        self._abandoned = 0  # requests that were given up, and that the service may still work on
        self._reach_s = float("inf")
        self.set_timeout(timeout_s)

    def set_timeout(self, timeout_s: float | None) -> None:
        """Use another timeout from now on.

        Args:
            timeout_s: As of ``TimeoutBound``.
        """
        self._reach_s = float("inf") if timeout_s is None else timeout_s * _MARGIN
        if not self._answers and self._timed_out_at == _NEVER and timeout_s is not None:
            self.limit = max(1.0, timeout_s // _SILENT_ANSWER_S)

    def on_response(self, now: float, seconds: float, in_flight: int, limit: float) -> None:
        """Note an answer.

        Args:
            now: Seconds of a monotonic clock, the same one for all methods.
            seconds: Latency of the request.
            in_flight: Requests in flight as it came, its own included.
            limit: Requests that may be in flight, but for the timeout.
        """
        self._answers.append(now)
        if seconds < self._fastest_s:
            self._fastest_s = seconds
        if now - seconds >= self._timed_out_at:  # sent after what was given up, so the service is done with that
            self._abandoned = 0
        if seconds * limit <= self._reach_s and not self._abandoned:  # even if it answers one after the other
            self.limit = self._reach_s / seconds if seconds > 0 else float("inf")
            return
        self._rate = self._rate_since(now - seconds, now)
        allowed = self._allowed(self._rate)
        is_saturated = in_flight >= _SATURATED_SHARE * min(self.limit, limit) or seconds > _QUEUED * self._fastest_s
        if allowed > self.limit or is_saturated:
            self.limit = allowed

    def on_timeout(self, now: float, seconds: float, limit: float) -> tuple[float, float]:
        """Note a request that was given up.

        Args:
            now: Seconds of the clock.
            seconds: How long the request was out.
            limit: Requests that may be in flight, but for the timeout.

        Returns:
            The new limit, and the seconds in which nothing should be sent.
        """
        sent_at = now - seconds
        self._reach_s = min(self._reach_s, seconds * _MARGIN)
        is_retried = sent_at >= self._timed_out_at > _NEVER  # sent after others were given up, and nothing came
        self._timed_out_at = now
        self._abandoned += 1
        if sent_at < self._shrunk_at:
            return limit, 0.0
        waited_s, self._shrunk_at = now - self._shrunk_at, now
        rate = self._rate_since(sent_at, now)
        if rate:
            self._rate = rate
            self.limit = self._allowed(rate)
            return max(1.0, min(limit * _SHRINK_FACTOR, self.limit)), 0.0
        self.limit = _LIMIT_OF_SILENCE
        hold_s = 0.0
        if is_retried and self._rate:
            hold_s = max(0.0, min(self._abandoned / self._rate - waited_s, _MAX_WAIT_FOR_ABANDONED_S))
            self._abandoned = 0
        return min(limit, self.limit), hold_s

    def _allowed(self, rate: float) -> float:
        return max(1.0, floor(rate * max(self._reach_s, self._fastest_s) + _ROUNDING) - self._abandoned)

    def _rate_since(self, sent_at: float, now: float) -> float:
        """Answers a second since a request was sent."""
        answers, count = self._answers, 0
        for at in reversed(answers):
            if at <= sent_at:
                break
            count += 1
        if count == _MAX_ANSWERS:
            sent_at = answers[0]
        return count / max(now - sent_at, 1e-6)
