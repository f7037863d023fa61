"""Clocks put in below asyncio, so that no test waits for backoff, pauses, patience or timeouts.

Call one of these before anything that reads the clock is imported: functions that name ``time.monotonic`` as a default then
name the clock that is put in.
"""

from __future__ import annotations

import asyncio
import selectors
import time
from collections.abc import Callable
from typing import Any

real = time.monotonic


def run_faster(speed: float) -> None:
    """Make this process's clock run ``speed`` times faster. The waits of real sockets keep their proportions."""

    class Selector(selectors.DefaultSelector):
        def select(self, timeout: float | None = None) -> Any:
            return super().select(timeout / speed if timeout else timeout)

    _put_in(lambda: real() * speed, Selector)


def skip_waits() -> None:
    """Let time pass where a loop would wait for it, and nowhere else. For processes whose loops read no sockets."""
    skipped = 0.0

    class Selector(selectors.DefaultSelector):
        def select(self, timeout: float | None = None) -> Any:
            nonlocal skipped
            ready = super().select(0 if timeout is not None else None)
            if not ready and timeout is not None and timeout > 0:
                skipped += timeout
            return ready

    _put_in(lambda: real() + skipped, Selector)


def _put_in(clock: Callable[[], float], selector: type[selectors.DefaultSelector]) -> None:
    class Loops(asyncio.DefaultEventLoopPolicy):
        def new_event_loop(self) -> asyncio.AbstractEventLoop:
            return asyncio.SelectorEventLoop(selector())

    time.monotonic = clock
    asyncio.set_event_loop_policy(Loops())
