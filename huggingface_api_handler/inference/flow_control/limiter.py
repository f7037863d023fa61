"""When a request may go: places in flight, spacing, and the pause that all requests of a route share."""

from __future__ import annotations

import asyncio
import random
import time
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import NamedTuple, Protocol

from ..transport.rate_limit_headers import RateLimitStatus
from .concurrency import GREATEST, LOOK_EVERY, AdaptiveConcurrencyLimit
from .request_rate import RateEstimator

_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 60.0
_LONGEST_ANNOUNCED = 3600.0
_LONG_ENOUGH = 0.02


class Outcome(NamedTuple):
    """How a request went: seconds it was out, whether it was answered, whether the service had enough.

    ``wait`` is the seconds that the service announced, None where it announced nothing; ``estimated`` marks a wait
    that it only guessed. ``left`` is what it says is left of its limit. ``inputs`` is how many the request carried.
    """

    seconds: float
    answered: bool
    rate_limited: bool = False
    wait: float | None = None
    estimated: bool = False
    rate_limit: RateLimitStatus | None = None
    inputs: int = 1


class Peers(Protocol):
    """What other processes of this machine do on the same route (see ``shared.Shared``)."""

    quota_share: float
    resume_at: float

    def publish_pause(self, seconds: float) -> None: ...


class Limiter:
    """Places in flight, spacing and one shared cool-down for a (key, route).

    Callers ``await acquire()`` before a request and ``release(outcome)`` after it, with None where none was sent;
    nothing else is shared, so that a cluster can bring its own. Belongs to one event loop.
    """

    def __init__(
        self,
        bound: int | None = None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        concurrency: AdaptiveConcurrencyLimit | None = None,
        rate_estimator: RateEstimator | None = None,
        peers: Peers | None = None,
    ) -> None:
        self.concurrency = concurrency or AdaptiveConcurrencyLimit(bound=bound or GREATEST)
        self.rate_estimator = rate_estimator or RateEstimator()
        self.in_flight = 0
        self._bound = bound or GREATEST
        self._clock, self._sleep, self._peers = clock, sleep, peers
        self._gate = asyncio.Lock()
        self._slots_taken = 0
        self._handing_over = False
        self._waiting: deque[tuple[asyncio.Future[None], float]] = deque()
        self._watching = False
        self._out_since = 0.0
        self._resume_at = 0.0
        self._pauses = 0

    async def acquire(self) -> float:
        """Wait for a place, for the end of the cool-down and for the pace. Returns the seconds of cool-down sat out."""
        await self._acquire_slot()
        waited = 0.0
        if self._gate.locked() or self.rate_estimator.delay(now := self._clock()) > 0 or self._resumes_at() > now:
            try:
                async with self._gate:
                    waited = await self._turn()
            except BaseException:
                self._release_slot()
                raise
        self.in_flight += 1
        now = self._clock()
        if self.in_flight == 1:
            self._out_since = now
        self.rate_estimator.on_send(now)
        return waited

    def release(self, outcome: Outcome | None) -> None:
        """Give the place back and say how it went; None where no request was sent."""
        if outcome is None:
            self.rate_estimator.on_send_cancelled()
        else:
            self._learn(outcome)
        self.in_flight -= 1
        self._release_slot()

    async def _turn(self) -> float:
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
        if self._slots_taken < self._slot_limit():
            self._slots_taken += 1
            return
        turn = asyncio.get_running_loop().create_future()
        place_in_line = turn, self._clock()
        self._waiting.append(place_in_line)
        self._watch()
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self._release_slot()
            with suppress(ValueError):  # or the next is taken to have waited as long
                self._waiting.remove(place_in_line)
            raise

    def _watch(self) -> None:
        """Look again in a moment, while somebody waits for a place and time brings more."""
        if self.concurrency.is_ramping_up and self._waiting and not self._watching:
            self._watching = True
            asyncio.get_running_loop().call_later(LOOK_EVERY, self._look)

    def _look(self) -> None:
        self._watching = False
        now = self._clock()
        self.concurrency.ramp_up(now, now - self._out_since if self.in_flight else 0.0)
        self._hand_over()
        self._watch()

    def _release_slot(self) -> None:
        self._slots_taken -= 1
        if not self._waiting:
            return
        # Who gives a place back mostly wants one again at once, and keeping it costs no turn of the loop. Only one who
        # has waited a while has it handed over, so that nobody waits for ever.
        if self._clock() - self._waiting[0][1] >= _LONG_ENOUGH:
            self._hand_over()
        elif not self._handing_over:
            self._handing_over = True
            asyncio.get_running_loop().call_soon(self._hand_over)

    def _hand_over(self) -> None:
        self._handing_over = False
        while self._waiting and self._slots_taken < self._slot_limit():
            turn, _ = self._waiting.popleft()
            if not turn.done():
                self._slots_taken += 1
                turn.set_result(None)

    def pace(self) -> dict[str, float]:
        """What was found out, for the next query: places, and requests and answers a second."""
        found = {"places": self.concurrency.limit, "rate": self.rate_estimator.rate, "answers": self.concurrency.rate}
        return {name: value for name, value in found.items() if value is not None}

    def _learn(self, outcome: Outcome) -> None:
        now = self._clock()
        if outcome.answered:
            self._pauses = 0
            self.concurrency.on_response(now, outcome.seconds, self.in_flight, outcome.inputs)
            self._watch()
        if outcome.rate_limit is not None and not outcome.rate_limited:
            self.rate_estimator.on_quota_headers(now, now - outcome.seconds, outcome.rate_limit, self.in_flight - 1)
            if outcome.rate_limit.remaining == 0:
                resume = now + min(outcome.rate_limit.reset_s, _LONGEST_ANNOUNCED)
                self.rate_estimator.on_exhausted(now - outcome.seconds, resume, refused=False)
                self._pause_until(resume)
        if outcome.rate_limited:
            self._out_since = now
            pause = self._pause(outcome, now)
            if not outcome.estimated:  # a model that loads says nothing of how much it will take
                sent = now - outcome.seconds
                first = self.rate_estimator.on_exhausted(sent, max(self._resume_at, now + pause), refused=True)
                if self.rate_estimator.rate is None and not self.rate_estimator.is_non_rate_limited(now):
                    self.concurrency.on_rejected(now, self.in_flight, first=first)
                else:
                    self.concurrency.forget_rejection()
            self._pause_until(now + pause)

    def _pause(self, outcome: Outcome, now: float) -> float:
        """Announced waits are kept in full, with jitter only upwards; of a guessed one half is slept at most."""
        jitter = random.uniform(1.0, 1.05)
        if outcome.wait and not outcome.estimated:
            return min(outcome.wait, _LONGEST_ANNOUNCED) * jitter + 0.01
        if self._resume_at <= now:  # one refusal counts once, however many were in flight
            self._pauses += 1
        own = min(_FIRST_PAUSE * 2 ** (self._pauses - 1), _LONGEST_PAUSE) if self._pauses else _FIRST_PAUSE
        return (min(own, outcome.wait / 2) if outcome.wait else own) * jitter

    def _pause_until(self, resume_at: float) -> None:
        if resume_at > self._resume_at:
            self._resume_at = resume_at
            if self._peers is not None:
                self._peers.publish_pause(resume_at - self._clock())

    def _resumes_at(self) -> float:
        return self._resume_at if self._peers is None else max(self._resume_at, self._peers.resume_at)

    def _slot_limit(self) -> float:
        if self._peers is None:
            return self.concurrency.limit
        return max(1.0, min(self.concurrency.limit, self._bound * self._peers.quota_share))
