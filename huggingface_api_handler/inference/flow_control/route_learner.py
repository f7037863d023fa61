"""What the elected process finds of a route that several share: one limit, from the requests of all."""

from __future__ import annotations

import copy
from bisect import bisect_right
from collections.abc import Iterable

from .concurrency import MAX_CONCURRENCY, RAMP_UP_INTERVAL_S, AdaptiveConcurrencyLimit
from .request_rate import RateEstimator
from .route_events import Event
from .route_limits import RouteLimits
from .route_record import Limits
from .timeout_bound import TimeoutBound

_MAX_REPORT_WAIT_S = 2.0  # for the report of a process that may be gone
_MAX_RAMP_UP_STEPS = 20  # at once, so that a process that was held up does not jump


class RouteLearner:
    """Learns the limits of a route as one process would that sends all of its requests.

    Attributes:
        limits: What was found.
    """

    def __init__(self, limits: RouteLimits) -> None:
        """Begin with what is known.

        Args:
            limits: Are changed.
        """
        self.limits = limits
        self._in_flight = 0
        self._unheard: list[Event] = []  # later than what all processes have told
        self._seen_until = float("-inf")
        self._ramped_at: float | None = None
        self._corrections = limits.rate_estimator.corrections

    @classmethod
    def after(cls, limits: Limits, timeout_bound: TimeoutBound, max_concurrency: int = MAX_CONCURRENCY) -> RouteLearner:
        """Go on after another process.

        Args:
            limits: What it had found.
            timeout_bound: What this process's timeout says besides. It is copied.
            max_concurrency: Requests in flight that are never exceeded.

        Returns:
            A learner that begins with these limits.
        """
        concurrency = AdaptiveConcurrencyLimit(limits.slots, max_concurrency, is_settled=True)
        concurrency.timeout_bound = copy.deepcopy(timeout_bound)
        return cls(RouteLimits(max_concurrency, concurrency, RateEstimator(limits.rate)))

    def learn(self, events: Iterable[Event], heard_until: float, in_flight: int, now: float, *, is_short: bool) -> None:
        """Note what happened since the last time.

        Events later than ``heard_until`` wait, so that they are taken in the order in which they happened.

        Args:
            events: Of all processes, of this process's clock.
            heard_until: Until when all processes have told theirs.
            in_flight: Requests that were in flight after all of these.
            now: Seconds of the clock.
            is_short: Whether any process wants more slots than it has.
        """
        limits = self.limits
        # None is of the future, unless a clock was set. It would be waited for.
        news = (event if event.at <= now else event._replace(at=now) for event in (*self._unheard, *events))
        self._unheard = sorted(news, key=_moment)
        heard_until = max(heard_until, now - _MAX_REPORT_WAIT_S)
        heard = bisect_right(self._unheard, heard_until, key=_moment)
        ready, self._unheard = self._unheard[:heard], self._unheard[heard:]
        for event in ready:
            # What comes late is taken as of now: clocks of the estimates never go back.
            at = self._seen_until = max(self._seen_until, event.at)
            if event.outcome is not None:
                limits.record(at, event.outcome, max(1, self._in_flight))
            elif event.is_cancelled:
                limits.rate_estimator.on_send_cancelled()
            else:
                if self._in_flight < 1:
                    limits.silent_since = at
                limits.rate_estimator.delay(at)  # which measures, once a pause is over
                limits.rate_estimator.on_send(at)
            self._in_flight += _in_flight_change(event)
        self._in_flight = in_flight - sum(map(_in_flight_change, self._unheard))
        limits.rate_estimator.delay(now)  # which raises the rate with time
        self._ramp_up(now, is_short=is_short)

    @property
    def is_news(self) -> bool:
        """Whether it was found anew since ``found`` when the next request is due."""
        return self.limits.rate_estimator.corrections != self._corrections

    @property
    def is_behind(self) -> bool:
        """Whether it knows of a rejection that happened later than what all processes have told."""
        return any(event.outcome is not None and event.outcome.rate_limited for event in self._unheard)

    def found(self) -> Limits:
        """What is known now.

        Returns:
            The limits, in seconds of this process's clock.
        """
        estimator = self.limits.rate_estimator
        self._corrections = estimator.corrections
        next_at = None
        if estimator.rate and estimator.next_at > float("-inf"):
            next_at = estimator.next_at + sum(event.is_sent for event in self._unheard) / estimator.rate
        return Limits(max(1.0, self.limits.slots), estimator.rate, max(0.0, estimator.burst_s), next_at)

    def _ramp_up(self, now: float, *, is_short: bool) -> None:
        """Take the steps for which a process alone has a timer."""
        concurrency = self.limits.concurrency
        since = self._ramped_at if self._ramped_at is not None else now
        self._ramped_at = now
        if not is_short:
            return
        for _ in range(min(int((now - since) / RAMP_UP_INTERVAL_S), _MAX_RAMP_UP_STEPS)):
            if not concurrency.is_ramping_up:
                return
            concurrency.ramp_up(now - self.limits.silent_since if self._in_flight > 0 else 0.0)


def _in_flight_change(event: Event) -> int:
    return 1 if event.is_sent else -1


def _moment(event: Event) -> float:
    return event.at
