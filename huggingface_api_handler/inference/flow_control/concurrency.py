"""How many requests in flight a service works on at once: found by trying, as TCP finds the width of a path.

Where requests stand in line they take longer than they take alone, so latency over that of an idle service tells the
queue. Each round trip the number is multiplied by idle over present latency, and a square root of it is added to see
whether the ceiling rose (after "Gradient2" of Netflix's concurrency-limits, https://github.com/Netflix/concurrency-limits).
At first it grows by places for each answer, as in TCP's slow start. A refusal tells the ceiling at once: what was in
flight, less what was refused of it. And since services refuse at once what they do not take, silence tells as well: a
few more may go while the first answers are overdue.
"""

from __future__ import annotations

from collections import deque
from math import sqrt

FIRST = 8
GREATEST = 1024

_TOLERATED = 1.25  # latency over that of an idle service: a short queue keeps every place of the service busy
_QUEUE_SEEN = 1.4
_LEAST_KEPT = 0.5
_LEAST_LEFT = 0.25  # of what was in flight when a refusal came, and it may be refused for its pace
_ROUNDS = 42
_SURE = 2.0  # standard errors that a mean may be off by chance
_DRAIN_EVERY, _DRAINED = 40, 0.8  # a queue that always stands would be taken for the latency of an idle service
_WORTH_DRAINING = 1.1
_ROOF_SECONDS, _LONGEST_ROOF = 30.0, 960.0
_GROWTH = 2.0  # places for each answer, while a service is new: three times as many each round trip
_LINE, _LONG = 3, 4  # times the first answer's seconds, in which all that is out should have come three times
FIRST_RESPONSE_TIMEOUT_S = 0.3  # seconds: what dooms a request is told sooner
_MOST_IN_SILENCE = 64  # of a service that turns out to have one place, the last waits so many times as long
_AFTER_ONE = 20  # places
LOOK_EVERY, _SMOOTHLY = 0.01, 1.12  # so that the first refusals come back before many more are sent
_FEW = 4


class AdaptiveConcurrencyLimit:
    """``limit`` is the number of requests that may be in flight now. Times in seconds of one monotonic clock."""

    def __init__(self, learned: float | None = None, bound: int = GREATEST) -> None:
        self._bound = bound
        self.limit = max(1.0, min(learned if learned is not None else FIRST, bound))
        self.rate: float | None = None
        """Answered requests a second, in the last round that had all places taken."""
        self._starting = True
        self._awaited = learned is None  # no word of the service came yet
        self._line: tuple[float, int] | None = None
        self._alone = 0.0
        self._answers = 0
        self._began = float("-inf")
        self._due = 0
        self._filled = False
        self._latencies: dict[int, _Latencies] = {}
        self._idle: dict[int, deque[float]] = {}
        self._rounds = 0
        self._base = self.limit
        self._ceiling_after_rejection = float("inf")
        self._lowest = 1.0
        self._ceiling_expires_at = float("-inf")
        self._ceiling_duration_s = _ROOF_SECONDS

    def on_response(self, now: float, seconds: float, in_flight: int, inputs: int = 1) -> None:
        """Note an answer to a request of ``inputs`` that was out for ``seconds``, ``in_flight`` with it."""
        if self._awaited:
            self._awaited = False
            self._base = min(max(self._base, _AFTER_ONE), self._bound)
        size = inputs.bit_length()
        if size not in self._latencies:
            self._latencies[size] = _Latencies()
        self._latencies[size].add(seconds)
        if in_flight >= self.limit * 0.85:
            self._filled = True
            if self._starting:
                self._base = min(self._base + _GROWTH, max(self._base, 4 * self.limit), self._bound)
        if self._starting:
            self._watch_line(now, seconds, in_flight)
        self._due -= 1  # the quickest answers alone say little of the others
        if now - seconds >= self._began and self._due <= 0:
            self._end_round(now, in_flight)

    @property
    def is_ramping_up(self) -> bool:
        """Whether ``limit`` rises as time goes by: see ``grow``."""
        return self._starting and (self.limit < self._base or (self._awaited and self.limit < _MOST_IN_SILENCE))

    def ramp_up(self, now: float, silence_s: float) -> None:
        """Note that ``LOOK_EVERY`` went by, and that the first request was out for ``silent`` seconds."""
        if self._awaited and silence_s >= FIRST_RESPONSE_TIMEOUT_S:
            self._base = max(self._base, min(self._base * _SMOOTHLY, _MOST_IN_SILENCE))
        self.limit = min(self._base, self.limit * _SMOOTHLY, self._bound)

    def on_rejected(self, now: float, in_flight: int, *, first: bool) -> None:
        """Note a refusal with ``in_flight`` out; ``first`` of those that came at one time."""
        self._awaited = False
        if first:
            self._starting = False
            if (
                now >= self._ceiling_expires_at
            ):  # refused again soon after the last roof fell: the next one stands longer
                again = now - self._ceiling_expires_at < self._ceiling_duration_s
                self._ceiling_duration_s = min(_LONGEST_ROOF, self._ceiling_duration_s * 2) if again else _ROOF_SECONDS
            self._ceiling_after_rejection, self._lowest = float(in_flight), in_flight * _LEAST_LEFT
            self._ceiling_expires_at = now + self._ceiling_duration_s
            self._begin_round(now, in_flight)
        self._ceiling_after_rejection = max(1.0, self._lowest, self._ceiling_after_rejection - 1)
        self._set(self._base, now)

    def forget_rejection(self) -> None:
        """Forget where the service refused: what it counts is not how many are in flight."""
        self._ceiling_expires_at = float("-inf")

    def _watch_line(self, now: float, seconds: float, in_flight: int) -> None:
        """A service with few places would take many round trips to work off what starting sent it: stop at once."""
        if self._line is None:
            self._alone = seconds
            self._line = now + _LINE * seconds, in_flight
        due, out = self._line
        self._answers += 1
        if now < due:
            return
        if self._answers * _LONG < out * _LINE:
            self._starting = False
            self._set(2 * self._answers / _LINE, now)
            self._begin_round(now, in_flight)
        self._line, self._answers = (now + _LINE * self._alone, in_flight), 0

    def _end_round(self, now: float, in_flight: int) -> None:
        if self._filled and self._began > float("-inf"):
            self.rate = sum(took.count for took in self._latencies.values()) / max(now - self._began, 1e-6)
        queued = self._queued()
        if self._starting and queued >= _QUEUE_SEEN:
            self._starting, self._base = False, self.limit
        if not self._starting and self._filled:
            gradient = max(_LEAST_KEPT, min(1.0, _TOLERATED / queued))
            self._set(self._base * gradient + sqrt(self._base), now)
        self._rounds += 1
        if not self._starting:
            drains = self._rounds % _DRAIN_EVERY < 2 and queued > _WORTH_DRAINING
            self.limit = max(1.0, self._base / queued * _DRAINED) if drains else self._base
        self._begin_round(now, in_flight)

    def _queued(self) -> float:
        """What a request took in this round over what it takes alone, as far as chance does not explain it."""
        present = alone = 0.0
        for size, took in self._latencies.items():
            if took.count < _FEW:
                continue
            middle, error = took.mean, _SURE * took.standard_error
            idle = self._idle.setdefault(size, deque(maxlen=_ROUNDS))
            idle.append(middle + error)
            present += max(0.0, middle - error) * took.count
            alone += min(idle) * took.count
        return max(1.0, present / alone) if alone > 0 else 1.0

    def _begin_round(self, now: float, in_flight: int) -> None:
        self._began, self._due, self._filled = now, in_flight, False
        self._latencies.clear()

    def _set(self, base: float, now: float) -> None:
        if now < self._ceiling_expires_at:
            base = min(base, self._ceiling_after_rejection)
        self.limit = self._base = max(1.0, min(base, self._bound))


class _Latencies:
    """Mean of latencies, and how far it may be off."""

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
