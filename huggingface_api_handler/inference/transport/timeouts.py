"""Time limits of many requests at once, at the cost of one timer a second.

A timer for each request, as HTTP libraries set it, costs some 5 us of the 100 that the whole request costs. Limits end
in whole seconds here, so that all requests whose time is up in the same second share one timer.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Coroutine
from typing import Any, TypeVar, cast

T = TypeVar("T")


class Deadlines:
    """Time limits on one event loop."""

    def __init__(self) -> None:
        self._ending: dict[int, set[asyncio.Task[Any]]] = {}

    async def within(self, seconds: float, work: Coroutine[Any, Any, T]) -> T:
        """What ``work`` comes to, or ``asyncio.TimeoutError`` after ``seconds`` and at most one more."""
        loop, task = asyncio.get_running_loop(), cast("asyncio.Task[Any]", asyncio.current_task())
        second = math.ceil(loop.time() + seconds)
        ending = self._ending.get(second)
        if ending is None:
            ending = self._ending[second] = set()
            loop.call_at(second, self._end, second)
        ending.add(task)
        try:
            return await work
        except asyncio.CancelledError:
            if task in ending or _cancelled_besides(task):
                raise
            raise asyncio.TimeoutError from None
        finally:
            ending.discard(task)

    def _end(self, second: int) -> None:
        late = self._ending.pop(second)
        for task in late:
            task.cancel()
        late.clear()


def _cancelled_besides(task: asyncio.Task[Any]) -> bool:
    """Take our cancellation of ``task`` back, and say whether somebody else wants it cancelled too."""
    uncancel = getattr(task, "uncancel", None)  # Python 3.10 does not count them
    return uncancel is not None and uncancel() > 0
