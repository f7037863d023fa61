"""The limiter that a query waits for: the route's, and a limit of the person's own where there is one."""

from __future__ import annotations

from typing import Protocol

from ..flow_control.outcome import Outcome
from .session import ConcurrencyLimiter


class Limiter(Protocol):
    """What a query needs of a limiter (see ``flow_control.limiter.Limiter``)."""

    async def acquire(self) -> float:
        """Wait until a request may go. Who waits may be cancelled.

        Returns:
            The seconds of it in which the route was paused.
        """
        ...

    def release(self, outcome: Outcome | None) -> None:
        """Give the slot back and say how the request went.

        Args:
            outcome: of the request; None where none was sent.
        """
        ...


class LimiterWithSlots:
    """The route's limiter behind a limit of the person's own, so that a request waits for both.

    Args:
        limiter: of the route.
        slots: of the person.
    """

    def __init__(self, limiter: Limiter, slots: ConcurrencyLimiter) -> None:
        self._limiter, self._slots = limiter, slots

    async def acquire(self) -> float:
        """Wait for both.

        Returns:
            As of ``Limiter.acquire``.
        """
        await self._slots.acquire()
        try:
            return await self._limiter.acquire()
        except BaseException:
            self._slots.release()
            raise

    def release(self, outcome: Outcome | None) -> None:
        """Give both back.

        Args:
            outcome: as of ``Limiter.release``.
        """
        self._limiter.release(outcome)
        self._slots.release()
