"""What is allowed on one route, found by how requests went: how many in flight, how fast, and from when on."""

from __future__ import annotations

import random

from .concurrency import MAX_CONCURRENCY, AdaptiveConcurrencyLimit
from .outcome import Outcome
from .request_rate import RateEstimator

_INITIAL_PAUSE_S = 0.1  # where the server announces no wait; it doubles with each rejection that no response follows
_MAX_PAUSE_S = 60.0
_MAX_RETRY_AFTER_S = 3600.0  # an announced wait of more is cut: the query has ended by then, and the next asks again


class RouteLimits:
    """The limits of one route, from the outcomes of all requests that they are for.

    Attributes:
        concurrency: How many requests may be in flight.
        rate_estimator: How fast they may follow one another.
        resume_at: When the pause of the route ends, in seconds of the clock that ``record`` is given.
        silent_since: When a response last came, or the first request of those in flight went.
    """

    def __init__(
        self,
        max_concurrency: int = MAX_CONCURRENCY,
        concurrency: AdaptiveConcurrencyLimit | None = None,
        rate_estimator: RateEstimator | None = None,
    ) -> None:
        """Start, on a new route or with what earlier queries found.

        Args:
            max_concurrency: Requests in flight that are never exceeded.
            concurrency: The limit of requests in flight; None to start one.
            rate_estimator: The estimate of the rate; None to start one.
        """
        self.concurrency = concurrency or AdaptiveConcurrencyLimit(max_concurrency=max_concurrency)
        self.rate_estimator = rate_estimator or RateEstimator()
        self.resume_at = 0.0
        self.silent_since = 0.0
        self._pauses_in_a_row = 0

    @property
    def slots(self) -> float:
        """Requests that may be in flight, those of all processes together."""
        limit, answered_in_time = self.concurrency.limit, self.concurrency.timeout_bound.limit
        return limit if limit <= answered_in_time else answered_in_time  # for each request, and cheaper than ``min``

    def record(self, now: float, outcome: Outcome, in_flight: int) -> None:
        """Note how a request went.

        Args:
            now: Seconds of a monotonic clock, when it ended.
            outcome: How it went.
            in_flight: Requests in flight then, its own included.
        """
        if outcome.answered:
            self._pauses_in_a_row = 0
            self.concurrency.on_response(now, outcome.seconds, in_flight, outcome.inputs)
        if outcome.rate_limit is not None and not outcome.rate_limited:
            self.rate_estimator.on_quota_headers(now, now - outcome.seconds, outcome.rate_limit, in_flight - 1)
            if outcome.rate_limit.remaining == 0:
                resume_at = now + min(outcome.rate_limit.reset_s, _MAX_RETRY_AFTER_S)
                self.rate_estimator.on_exhausted(now - outcome.seconds, resume_at, rejected=False)
                self.resume_at = max(self.resume_at, resume_at)
        if outcome.timed_out:
            hold_s = self.concurrency.on_timeout(now, outcome.seconds, in_flight)
            if hold_s > 0:
                self.resume_at = max(self.resume_at, now + hold_s)
        if outcome.rate_limited:
            self._on_rejected(now, outcome, in_flight)

    def _on_rejected(self, now: float, outcome: Outcome, in_flight: int) -> None:
        self.silent_since = now
        pause_s = self._pause_s(outcome, now)
        if not outcome.estimated:  # a model that loads says nothing about how much it will take
            sent_at = now - outcome.seconds
            first = self.rate_estimator.on_exhausted(sent_at, max(self.resume_at, now + pause_s), rejected=True)
            if self.rate_estimator.rate is None and not self.rate_estimator.is_non_rate_limited(now):
                self.concurrency.on_rejected(now, in_flight, first=first, sent_at=sent_at)
            else:
                self.concurrency.forget_rejection()
        self.resume_at = max(self.resume_at, now + pause_s)

    def _pause_s(self, outcome: Outcome, now: float) -> float:
        """Seconds: an announced wait in full plus jitter, at most half of a wait that the server only guessed."""
        jitter = random.uniform(1.0, 1.05)
        announced_s = outcome.retry_after_s
        if announced_s and not outcome.estimated:
            return min(announced_s, _MAX_RETRY_AFTER_S) * jitter + 0.01
        if self.resume_at <= now:  # rejections of requests that were in flight together count once
            self._pauses_in_a_row += 1
        pause_s = _INITIAL_PAUSE_S
        if self._pauses_in_a_row:
            pause_s = min(_INITIAL_PAUSE_S * 2 ** (self._pauses_in_a_row - 1), _MAX_PAUSE_S)
        return (min(pause_s, announced_s / 2) if announced_s else pause_s) * jitter
