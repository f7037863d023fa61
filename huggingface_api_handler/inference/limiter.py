"""How many requests may be in flight on a route, and the pause that all of them share."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable
from typing import NamedTuple

IN_FLIGHT = 16
_FIRST_PAUSE, _LONGEST_PAUSE = 1.0, 60.0
_LONGEST_ANNOUNCED = 3600.0


class Outcome(NamedTuple):
    """How a request went: seconds it took, whether it was answered, and, where told to wait, the seconds to wait."""

    seconds: float
    answered: bool
    told_to_wait: bool = False
    wait: float | None = None
    estimated: bool = False


class Limiter:
    """Places in flight and one shared cool-down for a (key, route).

    Callers ``await acquire()`` before a request and ``release(outcome)`` after it; nothing else is shared, so that a
    cluster can bring its own. Belongs to one event loop.
    """

    def __init__(self, places: int = IN_FLIGHT, clock: Callable[[], float] = time.monotonic) -> None:
        self._places = asyncio.Semaphore(places)
        self._clock = clock
        self._resume_at = 0.0
        self._pauses = 0

    async def acquire(self) -> float:
        """Wait for a place and for the end of the cool-down. Returns the seconds of cool-down sat out."""
        await self._places.acquire()
        waited = 0.0
        try:
            while (left := self._resume_at - self._clock()) > 0:
                await asyncio.sleep(left)
                waited += left
        except BaseException:
            self._places.release()
            raise
        return waited

    def release(self, outcome: Outcome) -> None:
        """Give the place back and say how it went."""
        self._places.release()
        if outcome.answered:
            self._pauses = 0
        elif outcome.told_to_wait:
            self._resume_at = max(self._resume_at, self._clock() + self._pause(outcome))

    def _pause(self, outcome: Outcome) -> float:
        """Announced waits are kept in full, with jitter only upwards; of a guessed one half is slept at most."""
        jitter = random.uniform(1.0, 1.1)
        if outcome.wait is not None and not outcome.estimated:
            return min(outcome.wait, _LONGEST_ANNOUNCED) * jitter + 0.01
        if self._resume_at <= self._clock():  # one refusal counts once, however many were in flight
            self._pauses += 1
        own = min(_FIRST_PAUSE * 2 ** (self._pauses - 1), _LONGEST_PAUSE) if self._pauses else _FIRST_PAUSE
        return (min(own, outcome.wait / 2) if outcome.wait else own) * jitter
