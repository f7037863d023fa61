"""How many requests in flight bring the most answers a second: found by trying, as TCP finds the width of a path.

After BBR (Cardwell et al., "BBR: Congestion-Based Congestion Control", ACM Queue 14(5), 2016): the answers that come
in while a request is out, over the time it is out, measure the rate of delivery; that rate times the latency of a
service with no queue is the number in flight at which nothing waits and nothing idles. More in flight only makes a
queue, less leaves the service idle. The number doubles each round trip until the rate no longer follows, then circles
around the product: a little more to see whether the ceiling rose, a little less to let a queue drain.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import deque

FIRST = 2
GREATEST = 1024

_STILL_RISING = 1.25
_QUEUE_SEEN = 1.6  # mean latency over that of an idle service at which requests stand in line
_HEADROOM = 1.1
_GAINS = (1.25, 0.8, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0)
_RATE_ROUNDS, _LATENCY_ROUNDS = 10, 40
_LESS, _UNDER_ROOF = 0.75, 0.9
_ROOF_SECONDS = 30.0
_REMEMBERED = 4096


class Ceiling:
    """``limit`` is the number of requests that may be in flight now. Times in seconds of one monotonic clock."""

    def __init__(self, learned: float | None = None, bound: int = GREATEST) -> None:
        self._bound = bound
        self.limit = max(1.0, min(learned if learned is not None else FIRST, bound))
        self._starting = True
        self._times: list[float] = []
        self._round_began = float("-inf")
        self._latencies: list[float] = []
        self._delivered = 0.0
        self._filled = False
        self._rates: deque[float] = deque(maxlen=_RATE_ROUNDS)
        self._idle_latencies: deque[float] = deque(maxlen=_LATENCY_ROUNDS)
        self._turn = 0
        self._roof: float | None = None
        self._roof_until = 0.0
        self._roof_seconds = _ROOF_SECONDS

    @property
    def rate(self) -> float | None:
        """Answered requests a second, the best of the last rounds."""
        return max(self._rates, default=None)

    @property
    def latency(self) -> float | None:
        """Seconds that a request takes where none stand in line."""
        return min(self._idle_latencies, default=None)

    def answered(self, now: float, seconds: float, in_flight: int) -> None:
        """Note an answer to a request that was out for ``seconds``, with ``in_flight`` out, itself among them."""
        self._times.append(now)
        if len(self._times) > 2 * _REMEMBERED:
            del self._times[:_REMEMBERED]
        started = now - seconds
        self._latencies.append(seconds)
        if in_flight >= self.limit * 0.85:
            self._filled = True
            if self._starting:
                self._set(self.limit + 1, now)
        self._delivered += (len(self._times) - bisect_right(self._times, started)) / max(seconds, 1e-6)
        if started >= self._round_began:
            self._end_round(now)

    def refused(self, now: float, in_flight: int) -> None:
        """Note that the service had enough at ``in_flight``: once for each time it says so, not for each request."""
        self._starting = False
        again = self._roof is not None and now < self._roof_until and in_flight < self._roof * _UNDER_ROOF
        self._roof_seconds = _ROOF_SECONDS if again else self._roof_seconds * 2
        self._roof, self._roof_until = float(in_flight), now + self._roof_seconds
        self._set(min(self.limit, max(1.0, in_flight * _LESS)), now)
        self._begin_round(now)

    def lift_roof(self) -> None:
        """Forget where the service had enough: what it counts is not how many are in flight."""
        self._roof = None

    def _end_round(self, now: float) -> None:
        mean = sum(self._latencies) / len(self._latencies)
        delivered = self._delivered / len(self._latencies)
        idle = self.latency
        rate = self.rate
        if self._filled or rate is None or delivered > rate:  # a round with too little to send shows no ceiling
            self._rates.append(delivered)
        self._idle_latencies.append(mean)
        if self._starting and self._filled and rate is not None and idle is not None:
            queued = mean > idle * _QUEUE_SEEN
            self._starting = delivered > rate * _STILL_RISING and not queued
        if not self._starting:
            self._turn = (self._turn + 1) % len(_GAINS)
            self._set(self._product() * _HEADROOM * _GAINS[self._turn] + 1, now)
        self._begin_round(now)

    def _product(self) -> float:
        return (self.rate or 0.0) * (self.latency or 0.0)

    def _begin_round(self, now: float) -> None:
        self._round_began, self._delivered, self._filled = now, 0.0, False
        self._latencies.clear()

    def _set(self, limit: float, now: float) -> None:
        if self._roof is not None and now < self._roof_until:
            limit = min(limit, max(1.0, self._roof * _UNDER_ROOF))
        self.limit = max(1.0, min(limit, self._bound))
