"""When a request may go: slots in flight, spacing, and the pause that all requests of a route share."""

from __future__ import annotations

import asyncio
import random
import time
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import NamedTuple, Protocol

from ..transport.rate_limit_headers import RateLimitStatus
from .concurrency import MAX_CONCURRENCY, RAMP_UP_INTERVAL_S, AdaptiveConcurrencyLimit
from .request_rate import RateEstimator

_INITIAL_PAUSE_S = 0.1  # where the server announces no wait; it doubles with each rejection that no response follows
_MAX_PAUSE_S = 60.0
_MAX_RETRY_AFTER_S = 3600.0  # an announced wait of more is cut: the query has ended by then, and the next asks again
_MAX_SLOT_WAIT_S = 0.02  # a waiter of this age gets the next slot, though handing it over costs a turn of the loop


class Outcome(NamedTuple):
    """How a request went.

    Attributes:
        seconds: Latency of the request.
        answered: Whether it succeeded.
        rate_limited: Whether the server rejected it and asks for a pause (429, or a 503 of a busy or loading server).
        retry_after_s: Seconds that the server announced, None where it announced nothing.
        estimated: Whether these seconds are only the server's guess, as those of a model that loads.
        rate_limit: What the headers say remains of the server's limit, None where they say nothing.
        inputs: Inputs that the request carried.
        timed_out: Whether it was given up, since no answer came in time.
    """

    seconds: float
    answered: bool
    rate_limited: bool = False
    retry_after_s: float | None = None
    estimated: bool = False
    rate_limit: RateLimitStatus | None = None
    inputs: int = 1
    timed_out: bool = False


class Peers(Protocol):
    """What other processes of this machine do on the same route (see ``coordination.RouteCoordinator``).

    Attributes:
        quota_share: This process's share of the requests in flight, in (0, 1].
        resume_at: When the pause of the route ends, in seconds of this process's clock.
    """

    quota_share: float
    resume_at: float

    def publish_pause(self, seconds: float) -> None:
        """Tell the other processes that no request may go for a while.

        Args:
            seconds: Length of the pause.
        """
        ...


class Limiter:
    """Slots in flight, spacing and one shared pause for all requests of one key on one route.

    Belongs to one event loop. ``acquire`` and ``release`` are all that a query uses, so you can hand in your own.

    Attributes:
        concurrency: How many requests may be in flight.
        rate_estimator: How fast they may follow one another.
        in_flight: Requests in flight now.
        slots: How many requests of this process may be in flight now.

    Example:
        >>> async def send() -> float:
        ...     limiter = Limiter(max_concurrency=8)
        ...     waited = await limiter.acquire()
        ...     limiter.release(Outcome(seconds=0.1, answered=True))
        ...     return waited
        >>> asyncio.run(send())
        0.0
    """

    def __init__(
        self,
        max_concurrency: int | None = None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        concurrency: AdaptiveConcurrencyLimit | None = None,
        rate_estimator: RateEstimator | None = None,
        peers: Peers | None = None,
    ) -> None:
        """Start a limiter, on a new route or with what earlier queries found.

        Args:
            max_concurrency: Requests in flight that are never exceeded, by all processes of the machine together;
                None for ``MAX_CONCURRENCY``.
            clock: Seconds, monotonic.
            sleep: Waits for so many of these seconds.
            concurrency: The limit of requests in flight; None to start one.
            rate_estimator: The estimate of the rate; None to start one.
            peers: The other processes on this route; None where there are none.
        """
        self._max_concurrency = max_concurrency or MAX_CONCURRENCY
        self.concurrency = concurrency or AdaptiveConcurrencyLimit(max_concurrency=self._max_concurrency)
        self.rate_estimator = rate_estimator or RateEstimator()
        self.in_flight = 0
        self._clock = clock
        self._sleep = sleep
        self._peers = peers
        self._pace_lock = asyncio.Lock()
        self._slots_used = 0
        self._waiters: deque[tuple[asyncio.Future[None], float]] = deque()
        self._wakes_waiters_soon = False
        self._ramps_up_soon = False
        self._silent_since = 0.0
        self._resume_at = 0.0
        self._pauses_in_a_row = 0

    async def acquire(self) -> float:
        """Wait for a slot, for the end of the pause, and for the rate. May be cancelled.

        Returns:
            Seconds of the pause that were waited for; 0.0 where there was none.
        """
        await self._acquire_slot()
        waited = 0.0
        if self._pace_lock.locked() or self.rate_estimator.delay(now := self._clock()) > 0 or self._resumes_at() > now:
            try:
                async with self._pace_lock:
                    waited = await self._wait_for_turn()
            except BaseException:
                self._release_slot()
                raise
        self.in_flight += 1
        now = self._clock()
        if self.in_flight == 1:
            self._silent_since = now
        self.rate_estimator.on_send(now)
        return waited

    def release(self, outcome: Outcome | None) -> None:
        """Give back what ``acquire`` took.

        Args:
            outcome: How the request went; None where none was sent.
        """
        if outcome is None:
            self.rate_estimator.on_send_cancelled()
        else:
            self._record(outcome)
        self.in_flight -= 1
        self._release_slot()

    def pace(self) -> dict[str, float]:
        """What was found, for the next query on this route.

        Returns:
            ``places``: the limit of requests in flight; ``rate``: requests a second that the server allows;
            ``answers``: responses a second. The last two are missing where they were not found, and ``rate`` where it
            may be what other processes left of the limit: they may be gone by then.
        """
        rate = None if self.rate_estimator.is_shared else self.rate_estimator.rate
        found = {"places": self._limit, "rate": rate, "answers": self.concurrency.rate}
        return {name: value for name, value in found.items() if value is not None}

    async def _wait_for_turn(self) -> float:
        """Wait until the next request may go. Only one waits here, so that the others need not wake."""
        waited = 0.0
        while True:
            now = self._clock()
            pause = self._resumes_at() - now
            delay = max(pause, self.rate_estimator.delay(now))
            if delay <= 0:
                return waited
            await self._sleep(delay)
            waited += max(0.0, pause)

    async def _acquire_slot(self) -> None:
        if self._slots_used < self.slots:
            self._slots_used += 1
            return
        slot = asyncio.get_running_loop().create_future()
        waiter = slot, self._clock()
        self._waiters.append(waiter)
        self._schedule_ramp_up()
        try:
            await slot
        except asyncio.CancelledError:
            if slot.done() and not slot.cancelled():
                self._release_slot()
            with suppress(ValueError):  # otherwise the next one would be taken to have waited as long
                self._waiters.remove(waiter)
            raise

    def _schedule_ramp_up(self) -> None:
        if self.concurrency.is_ramping_up and self._waiters and not self._ramps_up_soon:
            self._ramps_up_soon = True
            asyncio.get_running_loop().call_later(RAMP_UP_INTERVAL_S, self._ramp_up)

    def _ramp_up(self) -> None:
        self._ramps_up_soon = False
        now = self._clock()
        self.concurrency.ramp_up(now - self._silent_since if self.in_flight else 0.0)
        self._wake_waiters()
        self._schedule_ramp_up()

    def _release_slot(self) -> None:
        self._slots_used -= 1
        if not self._waiters:
            return
        # The worker that releases a slot mostly wants one again at once, and leaving it there costs no turn of the
        # loop. A slot is handed over only to a waiter that has waited for a while, so that none waits for ever.
        if self._clock() - self._waiters[0][1] >= _MAX_SLOT_WAIT_S:
            self._wake_waiters()
        elif not self._wakes_waiters_soon:
            self._wakes_waiters_soon = True
            asyncio.get_running_loop().call_soon(self._wake_waiters)

    def _wake_waiters(self) -> None:
        self._wakes_waiters_soon = False
        while self._waiters and self._slots_used < self.slots:
            slot, _ = self._waiters.popleft()
            if not slot.done():
                self._slots_used += 1
                slot.set_result(None)

    def _record(self, outcome: Outcome) -> None:
        now = self._clock()
        if outcome.answered:
            self._pauses_in_a_row = 0
            self.concurrency.on_response(now, outcome.seconds, self.in_flight, outcome.inputs)
            self._schedule_ramp_up()
        if outcome.rate_limit is not None and not outcome.rate_limited:
            self.rate_estimator.on_quota_headers(now, now - outcome.seconds, outcome.rate_limit, self.in_flight - 1)
            if outcome.rate_limit.remaining == 0:
                resume_at = now + min(outcome.rate_limit.reset_s, _MAX_RETRY_AFTER_S)
                self.rate_estimator.on_exhausted(now - outcome.seconds, resume_at, rejected=False)
                self._pause_until(resume_at)
        if outcome.timed_out:
            hold_s = self.concurrency.on_timeout(now, outcome.seconds, self.in_flight)
            if hold_s > 0:
                self._pause_until(now + hold_s)
        if outcome.rate_limited:
            self._silent_since = now
            pause_s = self._pause_s(outcome, now)
            if not outcome.estimated:  # a model that loads says nothing about how much it will take
                sent_at = now - outcome.seconds
                first = self.rate_estimator.on_exhausted(sent_at, max(self._resume_at, now + pause_s), rejected=True)
                if self.rate_estimator.rate is None and not self.rate_estimator.is_non_rate_limited(now):
                    self.concurrency.on_rejected(now, self.in_flight, first=first)
                else:
                    self.concurrency.forget_rejection()
            self._pause_until(now + pause_s)

    def _pause_s(self, outcome: Outcome, now: float) -> float:
        """Seconds: an announced wait in full plus jitter, at most half of a wait that the server only guessed."""
        jitter = random.uniform(1.0, 1.05)
        announced_s = outcome.retry_after_s
        if announced_s and not outcome.estimated:
            return min(announced_s, _MAX_RETRY_AFTER_S) * jitter + 0.01
        if self._resume_at <= now:  # rejections of requests that were in flight together count once
            self._pauses_in_a_row += 1
        pause_s = _INITIAL_PAUSE_S
        if self._pauses_in_a_row:
            pause_s = min(_INITIAL_PAUSE_S * 2 ** (self._pauses_in_a_row - 1), _MAX_PAUSE_S)
        return (min(pause_s, announced_s / 2) if announced_s else pause_s) * jitter

    def _pause_until(self, resume_at: float) -> None:
        if resume_at > self._resume_at:
            self._resume_at = resume_at
            if self._peers is not None:
                self._peers.publish_pause(resume_at - self._clock())

    def _resumes_at(self) -> float:
        return self._resume_at if self._peers is None else max(self._resume_at, self._peers.resume_at)

    @property
    def slots(self) -> float:
        """How many requests of this process may be in flight now."""
        if self._peers is None:
            return self._limit
        return max(1.0, min(self._limit, self._max_concurrency * self._peers.quota_share))

    @property
    def _limit(self) -> float:
        """Requests that may be in flight, those of other processes included."""
        limit, answered_in_time = self.concurrency.limit, self.concurrency.timeout_bound.limit
        return limit if limit <= answered_in_time else answered_in_time  # for each request, and cheaper than ``min``
