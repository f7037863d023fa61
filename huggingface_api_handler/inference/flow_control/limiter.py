"""When a request may go: slots in flight, spacing, and the pause that all requests of a route share."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Protocol

from .concurrency import MAX_CONCURRENCY, RAMP_UP_INTERVAL_S, AdaptiveConcurrencyLimit
from .outcome import Outcome
from .request_rate import RateEstimator
from .route_limits import RouteLimits

_MAX_SLOT_WAIT_S = 0.02  # a waiter of this age gets the next slot, though handing it over costs a turn of the loop


class Peers(Protocol):
    """The other processes on the same route (see ``coordination.RouteCoordinator``).

    Attributes:
        is_shared: Whether there are any. Then slots and turns come from here, and not from this process's own limits.
        slots: Requests of this process that may be in flight, where the route is shared.
    """

    is_shared: bool
    slots: float

    @property
    def resume_at(self) -> float:
        """When the pause of the route ends, in seconds of this process's clock."""
        ...

    def delay(self, now: float) -> float:
        """How long the next request has to wait for its turn, where the route is shared.

        Args:
            now: Seconds of the clock.

        Returns:
            Seconds; 0.0 or less where it may go now.
        """
        ...

    def on_send(self, now: float) -> None:
        """Note that a request goes now.

        Args:
            now: Seconds of the clock.
        """
        ...

    def on_send_cancelled(self) -> None:
        """Note that the request of the last ``on_send`` was not sent."""
        ...

    def on_outcome(self, now: float, outcome: Outcome) -> None:
        """Note how a request went.

        Args:
            now: Seconds of the clock.
            outcome: How it went.
        """
        ...

    def on_waiting(self) -> None:
        """Note that a request waits for a slot."""
        ...

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
        limits: What the requests of this process have shown of the route. They hold while no other process uses it.
        in_flight: Requests in flight now.

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
        max_slots = max_concurrency or MAX_CONCURRENCY
        self.limits = RouteLimits(max_slots, concurrency, rate_estimator)
        self.in_flight = 0
        self._clock = clock
        self._sleep = sleep
        self._peers = peers
        self._pace_lock = asyncio.Lock()
        self._slots_used = 0
        self._waiters: deque[tuple[asyncio.Future[None], float]] = deque()
        self._wakes_waiters_soon = False
        self._ramps_up_soon = False

    @property
    def concurrency(self) -> AdaptiveConcurrencyLimit:
        """How many requests may be in flight, as far as this process has seen."""
        return self.limits.concurrency

    @property
    def rate_estimator(self) -> RateEstimator:
        """How fast requests may follow one another, as far as this process has seen."""
        return self.limits.rate_estimator

    @property
    def slots(self) -> float:
        """How many requests of this process may be in flight now."""
        peers = self._peers
        return peers.slots if peers is not None and peers.is_shared else self.limits.slots

    @property
    def slots_used(self) -> int:
        """How many slots are taken, by requests in flight and by those that wait for their turn."""
        return self._slots_used

    @property
    def is_hungry(self) -> bool:
        """Whether a request waits for a slot or for its turn, so that more slots and a higher rate would be used."""
        return bool(self._waiters) or self._pace_lock.locked()

    async def acquire(self) -> float:
        """Wait for a slot, for the end of the pause, and for the rate. May be cancelled.

        Returns:
            Seconds of the pause that were waited for; 0.0 where there was none.
        """
        if self._slots_used < self.slots:
            self._slots_used += 1
        else:
            await self._wait_for_slot()
        waited = 0.0
        if self._pace_lock.locked() or self._delay(now := self._clock()) > 0 or self._resumes_at() > now:
            try:
                async with self._pace_lock:
                    waited = await self._wait_for_turn()
            except BaseException:
                self._release_slot()
                raise
        self.in_flight += 1
        now = self._clock()
        if self.in_flight == 1:
            self.limits.silent_since = now
        self.limits.rate_estimator.on_send(now)
        if self._peers is not None:
            self._peers.on_send(now)
        return waited

    def release(self, outcome: Outcome | None) -> None:
        """Give back what ``acquire`` took.

        Args:
            outcome: How the request went; None where none was sent.
        """
        if outcome is not None:
            self._record(outcome)
        else:
            self.limits.rate_estimator.on_send_cancelled()
            if self._peers is not None:
                self._peers.on_send_cancelled()
        self.in_flight -= 1
        self._release_slot()

    def pace(self) -> dict[str, float]:
        """What was found, for the next query on this route.

        Returns:
            ``places``: the limit of requests in flight; ``rate``: requests a second that the server allows;
            ``answers``: responses a second. The last two are missing where they were not found.
        """
        concurrency, rate = self.limits.concurrency, self.limits.rate_estimator.rate
        found = {"places": self.limits.slots, "rate": rate, "answers": concurrency.rate}
        return {name: value for name, value in found.items() if value is not None}

    def on_grant(self) -> None:
        """Use what the other processes leave to this one, after that has changed."""
        self._wake_waiters()

    async def _wait_for_turn(self) -> float:
        """Wait until the next request may go. Only one waits here, so that the others need not wake."""
        waited = 0.0
        while True:
            now = self._clock()
            pause = self._resumes_at() - now
            delay = max(pause, self._delay(now))
            if delay <= 0:
                return waited
            await self._sleep(delay)
            waited += max(0.0, pause)

    def _delay(self, now: float) -> float:
        peers = self._peers
        if peers is not None and peers.is_shared:
            return peers.delay(now)
        return self.limits.rate_estimator.delay(now)

    async def _wait_for_slot(self) -> None:
        slot = asyncio.get_running_loop().create_future()
        waiter = slot, self._clock()
        self._waiters.append(waiter)
        self._schedule_ramp_up()
        if self._peers is not None and self._peers.is_shared:
            self._peers.on_waiting()
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
        self.concurrency.ramp_up(now - self.limits.silent_since if self.in_flight else 0.0)
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
        now, limits, peers = self._clock(), self.limits, self._peers
        resume_at = limits.resume_at
        limits.record(now, outcome, self.in_flight)
        if outcome.answered:
            self._schedule_ramp_up()
        if peers is not None:
            peers.on_outcome(now, outcome)
            if limits.resume_at > resume_at:
                peers.publish_pause(limits.resume_at - now)

    def _resumes_at(self) -> float:
        resume_at = self.limits.resume_at
        return resume_at if self._peers is None else max(resume_at, self._peers.resume_at)
