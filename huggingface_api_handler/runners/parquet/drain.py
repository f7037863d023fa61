"""How a worker ends early: it sends no more, and stores what is still on its way."""

from __future__ import annotations

import asyncio
import threading
import time

MAX_DRAIN_S = 10.0
"""For answers to requests that were sent. What comes later is asked again."""

_DRAIN_POLL_INTERVAL_S = 0.05


class Drain:
    """A ``ConcurrencyLimiter`` without a limit, until it begins to let nobody through.

    Attributes:
        cancel: Is set once nothing is on its way any more.
        has_begun: Whether requests are held back.
    """

    def __init__(self) -> None:
        self.cancel = threading.Event()
        self.has_begun = False
        self._in_flight = 0

    async def acquire(self) -> None:
        """Let a request go, or have it wait for the end of its query."""
        if self.has_begun:
            await asyncio.Event().wait()
        self._in_flight += 1

    def release(self) -> None:
        """Note that a request has ended."""
        self._in_flight -= 1

    def begin(self) -> None:
        """Hold requests back from now on, and end queries once those that were sent are answered."""
        if not self.has_begun:
            self.has_begun = True
            threading.Thread(target=self._wait, name="drain", daemon=True).start()

    def _wait(self) -> None:
        deadline = time.monotonic() + MAX_DRAIN_S
        while self._in_flight and time.monotonic() < deadline:
            time.sleep(_DRAIN_POLL_INTERVAL_S)
        time.sleep(
            _DRAIN_POLL_INTERVAL_S
        )  # the last answer is read and handed to the store after its request has ended
        self.cancel.set()
