"""How many requests may be in flight: found by trying, as TCP finds the capacity of a path.

Requests that wait in the server's queue take longer than they take on an idle server. So the latency over that of an
idle server tells how long the queue is. After each round trip the limit is multiplied by idle latency over present
latency, and its square root is added, to see whether the server now takes more (after "Gradient2" of Netflix's
concurrency-limits, https://github.com/Netflix/concurrency-limits). At first the limit grows with each response, as in
TCP's slow start. A rejection tells the server's limit at once: the requests in flight, less the rejected ones. Servers
reject at once what they do not take, so no response is a signal too: while the first response is overdue, the limit
rises a little.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from math import sqrt

from .timeout_bound import TimeoutBound

INITIAL_LIMIT = 8
"""Requests in flight on a route that is new: few enough for a small server's queue."""
MAX_CONCURRENCY = 1024
"""Requests in flight at most where the engine sets no ``max_concurrency``, for a server that takes them all."""
FIRST_RESPONSE_TIMEOUT_S = 0.3
"""Wait for the first response before more is sent: an error that would fail every row comes back sooner."""
RAMP_UP_INTERVAL_S = 0.01
"""Between two steps of ``ramp_up``: short, so that the first rejections come back before many more requests go."""

_RAMP_UP_FACTOR = 1.12  # of each step, for the same reason
_LATENCY_TOLERANCE = 1.25  # latency over that of an idle server: a short queue keeps all of the server busy
_QUEUE_THRESHOLD = 1.4  # latency over that of an idle server at which slow start ends
_QUEUED_GROWTH = 2.0  # slots that are tried beyond what the queue allows, once it is as long
_MIN_GRADIENT = 0.5  # no round more than halves the limit
_MIN_CEILING_SHARE = 0.25  # of the requests in flight at a rejection, as it may be for their rate
_BASELINE_ROUNDS = 42  # the smallest latency of so many rounds counts as that of an idle server
_CONFIDENCE_STANDARD_ERRORS = 2.0  # that a mean may be off by chance
_DRAIN_INTERVAL_ROUNDS = 40  # a queue that never empties would be taken for the latency of an idle server
_DRAIN_FACTOR = 0.8  # of the limit without a queue, to empty it
_DRAIN_THRESHOLD = 1.1  # latency over that of an idle server from which draining is worth its cost
_INITIAL_CEILING_S = 30.0
_MAX_CEILING_S = 960.0  # the ceiling's time doubles up to here while the server rejects again and again
_SLOTS_PER_RESPONSE = 2.0  # in slow start: the limit triples each round trip
_SATURATED_SHARE = 0.85  # of the limit in flight, from which a round says something about the limit
_MAX_GROWTH_LATENCY = 2.0  # latency over the first one, up to which slow start grows: others may just be longer
_QUEUE_CHECK_LATENCIES = 3  # first latencies that a check takes: all that is in flight should be answered as often
_QUEUE_CHECK_DIVISOR = 4  # there is a queue if less than a quarter of that was answered
_MAX_LIMIT_BEFORE_RESPONSE = 64  # on a server that works on one request at a time, the last waits 64 times as long
_LIMIT_AFTER_FIRST_RESPONSE = 20  # a server that answered takes a few more
_MIN_SAMPLES = 4  # fewer latencies make no standard error


class AdaptiveConcurrencyLimit:
    """The number of requests that may be in flight now on one route.

    Attributes:
        limit: Requests that may be in flight, at least 1.0.
        rate: Responses a second in the last round that used the whole limit; None before the first one.
        timeout_bound: What the timeout says besides.

    Example:
        >>> concurrency = AdaptiveConcurrencyLimit(max_concurrency=64)
        >>> concurrency.limit
        8
        >>> concurrency.on_rejected(now=0.1, in_flight=8, first=True)
        >>> concurrency.limit
        7.0
    """

    def __init__(
        self,
        initial_limit: float | None = None,
        max_concurrency: int = MAX_CONCURRENCY,
        timeout_s: float | None = None,
        *,
        is_settled: bool = False,
    ) -> None:
        """Start a limit.

        Args:
            initial_limit: The limit that an earlier query found; None on a new route.
            max_concurrency: Requests in flight that are never exceeded.
            timeout_s: Seconds after which a request is given up; None where it never is.
            is_settled: Whether the limit is in use now, so that it is not looked for as on a new route.
        """
        self.timeout_bound = TimeoutBound(timeout_s)
        self._max_concurrency = max_concurrency
        self.limit = max(1.0, min(initial_limit if initial_limit is not None else INITIAL_LIMIT, max_concurrency))
        self.rate: float | None = None
        self._target = self.limit  # what ``limit`` rises to in slow start, and is between drains
        self._in_slow_start = not is_settled
        self._awaits_first_response = initial_limit is None
        self._queue_check = _QueueCheck()
        self._round = _Round()
        self._rounds = 0
        self._baseline = _LatencyBaseline()
        self._ceiling_after_rejection = _CeilingAfterRejection()

    def set_max_concurrency(self, max_concurrency: int) -> None:
        """Use another bound from now on.

        Args:
            max_concurrency: Requests in flight that are never exceeded.
        """
        self._max_concurrency = max_concurrency
        self.limit, self._target = min(self.limit, max_concurrency), min(self._target, max_concurrency)

    def on_response(self, now: float, seconds: float, in_flight: int, inputs: int = 1) -> None:
        """Note a response.

        Args:
            now: Seconds of a monotonic clock, the same one for all methods.
            seconds: Latency of the request.
            in_flight: Requests in flight as it came, its own included.
            inputs: Inputs that the request carried. Latencies are compared among requests of about the same size.
        """
        if self._awaits_first_response:
            self._awaits_first_response = False
            self._target = min(max(self._target, _LIMIT_AFTER_FIRST_RESPONSE), self._max_concurrency)
        self.timeout_bound.on_response(now, seconds, in_flight, self.limit)
        current = self._round
        current.add(seconds, inputs)
        if in_flight >= self.limit * _SATURATED_SHARE:
            current.is_saturated = True
            if self._in_slow_start:
                self._grow(seconds)
        if self._in_slow_start:
            self._check_queue(now, seconds, in_flight)
        current.pending -= 1  # the fastest responses alone say little about the others
        if now - seconds >= current.started_at and current.pending <= 0:
            self._end_round(now, in_flight)

    def _grow(self, seconds: float) -> None:
        """Raise what slow start rises to, unless the response was late: then a queue builds up."""
        first_s = self._queue_check.first_latency_s
        if first_s and seconds > _MAX_GROWTH_LATENCY * first_s:
            self._target = self.limit
        else:
            limit = max(self._target, 4 * self.limit)
            self._target = min(self._target + _SLOTS_PER_RESPONSE, limit, self._max_concurrency)

    @property
    def is_ramping_up(self) -> bool:
        """Whether ``limit`` rises with time, so that ``ramp_up`` is to be called every ``RAMP_UP_INTERVAL_S``."""
        return self._in_slow_start and (
            self.limit < self._target or (self._awaits_first_response and self.limit < _MAX_LIMIT_BEFORE_RESPONSE)
        )

    def ramp_up(self, silence_s: float) -> None:
        """Raise ``limit`` by one step towards what the responses allow, or more while the first one is overdue.

        Args:
            silence_s: Seconds for which requests have been in flight without a response; 0.0 while none is.
        """
        if self._awaits_first_response and silence_s >= FIRST_RESPONSE_TIMEOUT_S:
            self._target = max(self._target, min(self._target * _RAMP_UP_FACTOR, _MAX_LIMIT_BEFORE_RESPONSE))
        self.limit = min(self._target, self.limit * _RAMP_UP_FACTOR, self._max_concurrency)

    def on_rejected(self, now: float, in_flight: int, *, first: bool, sent_at: float = float("-inf")) -> None:
        """Note a rejection for too many requests: lower ``limit`` to what the server took.

        Args:
            now: Seconds of the clock.
            in_flight: Requests in flight as it came, its own included.
            first: Whether it is the first of those that belong together: sent before any of them came back.
            sent_at: When it went. One that another process sent meanwhile is not among those in flight then.
        """
        self._awaits_first_response = False
        if first:
            self._in_slow_start = False
            self._ceiling_after_rejection.start(now, in_flight)
            self._round.restart(now, in_flight)
        self._ceiling_after_rejection.lower(sent_at)
        self._set(self._target, now)

    def on_timeout(self, now: float, seconds: float, in_flight: int) -> float:
        """Note a request that was given up since no answer came in time: lower ``limit`` at once.

        Args:
            now: Seconds of the clock.
            seconds: How long the request was out.
            in_flight: Requests in flight as it was given up, its own included.

        Returns:
            Seconds in which nothing should be sent, as the server still works on what was given up.
        """
        limit, hold_s = self.timeout_bound.on_timeout(now, seconds, self.limit)
        if limit < self.limit:
            self._in_slow_start = self._awaits_first_response = False
            self._set(limit, now)
            self._round.restart(now, in_flight)
        return hold_s

    def forget_rejection(self) -> None:
        """Drop the ceiling of the last rejection: the server does not count requests in flight."""
        self._ceiling_after_rejection.expires_at = float("-inf")

    def _check_queue(self, now: float, seconds: float, in_flight: int) -> None:
        """End slow start if a queue builds up: a small server would take many round trips to work it off."""
        limit = self._queue_check.on_response(now, seconds, in_flight)
        if limit is not None:
            self._in_slow_start = False
            self._set(limit, now)
            self._round.restart(now, in_flight)

    def _end_round(self, now: float, in_flight: int) -> None:
        ended = self._round
        # A round that is not saturated says too little, which is better than nothing for whoever plans a query.
        if ended.started_at > float("-inf") and (ended.is_saturated or self.rate is None):
            self.rate = sum(each.count for each in ended.latencies.values()) / max(now - ended.started_at, 1e-6)
        queueing = self._baseline.queueing(ended.latencies)
        if self._in_slow_start and queueing >= _QUEUE_THRESHOLD:
            self._in_slow_start, self._target = False, self.limit
        if not self._in_slow_start and ended.is_saturated:
            gradient = max(_MIN_GRADIENT, min(1.0, _LATENCY_TOLERANCE / queueing))
            growth = sqrt(self._target) if queueing < _QUEUE_THRESHOLD else min(sqrt(self._target), _QUEUED_GROWTH)
            self._set(self._target * gradient + growth, now)
        self._rounds += 1
        if not self._in_slow_start:
            drains = self._rounds % _DRAIN_INTERVAL_ROUNDS < 2 and queueing > _DRAIN_THRESHOLD
            self.limit = max(1.0, self._target / queueing * _DRAIN_FACTOR) if drains else self._target
        ended.restart(now, in_flight)

    def _set(self, target: float, now: float) -> None:
        target = self._ceiling_after_rejection.cap(target, now)
        self.limit = self._target = max(1.0, min(target, self._max_concurrency))


class _Latencies:
    """Mean of latencies, and its standard error."""

    __slots__ = ("_squares", "_sum", "count")

    def __init__(self) -> None:
        self.count = 0
        self._sum = self._squares = 0.0

    def add(self, seconds: float) -> None:
        self.count += 1
        self._sum += seconds
        self._squares += seconds * seconds

    @property
    def mean(self) -> float:
        return self._sum / self.count

    @property
    def standard_error(self) -> float:
        variance = max(0.0, self._squares - self._sum * self._sum / self.count) / (self.count - 1)
        return sqrt(variance / self.count)


@dataclass(slots=True)
class _Round:
    """One round trip: it ends when all that was in flight at its start came back. Reused from round to round."""

    started_at: float = float("-inf")
    pending: int = 0
    is_saturated: bool = False
    latencies: dict[int, _Latencies] = field(default_factory=dict)
    """By the bit length of the number of inputs, so that a request is compared with those of about its size."""

    def add(self, seconds: float, inputs: int) -> None:
        size = inputs.bit_length()
        if size not in self.latencies:
            self.latencies[size] = _Latencies()
        self.latencies[size].add(seconds)

    def restart(self, now: float, in_flight: int) -> None:
        self.started_at, self.pending, self.is_saturated = now, in_flight, False
        self.latencies.clear()


class _LatencyBaseline:
    """The latency of an idle server, for each size of request: the smallest of the last rounds."""

    __slots__ = ("_upper_bounds",)

    def __init__(self) -> None:
        self._upper_bounds: dict[int, deque[float]] = {}

    def queueing(self, latencies: Mapping[int, _Latencies]) -> float:
        """Latency of this round over that of an idle server, at least 1.0, as far as chance does not explain it."""
        present = idle = 0.0
        for size, sample in latencies.items():
            if sample.count < _MIN_SAMPLES:
                continue
            mean, error = sample.mean, _CONFIDENCE_STANDARD_ERRORS * sample.standard_error
            rounds = self._upper_bounds.setdefault(size, deque(maxlen=_BASELINE_ROUNDS))
            rounds.append(mean + error)
            present += max(0.0, mean - error) * sample.count
            idle += min(rounds) * sample.count
        return max(1.0, present / idle) if idle > 0 else 1.0


@dataclass(slots=True)
class _QueueCheck:
    """Whether responses come as fast as the first one did, counted over a few times its latency."""

    due_at: float | None = None
    in_flight: int = 0
    first_latency_s: float = 0.0
    responses: int = 0

    def on_response(self, now: float, seconds: float, in_flight: int) -> float | None:
        """The limit that leaves no long queue, once there is one; None as long as all is well."""
        if self.due_at is None:
            self.first_latency_s = seconds
            self.due_at, self.in_flight = now + _QUEUE_CHECK_LATENCIES * seconds, in_flight
        self.responses += 1
        if now < self.due_at:
            return None
        limit = None
        if self.responses * _QUEUE_CHECK_DIVISOR < self.in_flight * _QUEUE_CHECK_LATENCIES:
            limit = 2 * self.responses / _QUEUE_CHECK_LATENCIES
        self.due_at, self.in_flight = now + _QUEUE_CHECK_LATENCIES * self.first_latency_s, in_flight
        self.responses = 0
        return limit


@dataclass(slots=True)
class _CeilingAfterRejection:
    """What the limit may not exceed for a while, since the server rejected more."""

    value: float = float("inf")
    floor: float = 1.0
    started_at: float = float("-inf")
    expires_at: float = float("-inf")
    duration_s: float = _INITIAL_CEILING_S

    def start(self, now: float, in_flight: int) -> None:
        if now >= self.expires_at:  # rejected again soon after the last ceiling expired: the next one lasts longer
            again = now - self.expires_at < self.duration_s
            self.duration_s = min(_MAX_CEILING_S, self.duration_s * 2) if again else _INITIAL_CEILING_S
        self.started_at = now
        self.value, self.floor = float(in_flight), in_flight * _MIN_CEILING_SHARE
        self.expires_at = now + self.duration_s

    def lower(self, sent_at: float) -> None:
        if sent_at <= self.started_at:
            self.value = max(1.0, self.floor, self.value - 1)

    def cap(self, limit: float, now: float) -> float:
        return min(limit, self.value) if now < self.expires_at else limit
