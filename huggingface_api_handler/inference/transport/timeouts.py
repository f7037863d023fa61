"""Time limits of many requests at once, with one timer a second.

A timer for each request, as HTTP libraries set it, costs about 5 us of the 100 us that the whole request costs. Here
limits end in whole seconds, so that all requests whose time is up in the same second share one timer.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Coroutine
from typing import TypeVar, cast

T = TypeVar("T")


class Deadlines:
    """Time limits on one event loop."""

    def __init__(self) -> None:
        """Set no limit yet."""
        self._tasks_by_second: dict[int, set[asyncio.Task[object]]] = {}

    async def within(self, seconds: float, coroutine: Coroutine[object, None, T]) -> T:
        """Await a coroutine with a time limit.

        Args:
            seconds: The limit. It is kept to within a second, never early.
            coroutine: What to await. It is cancelled when its time is up.

        Returns:
            The coroutine's result.

        Raises:
            asyncio.TimeoutError: Where it took longer than ``seconds``.
        """
        loop, task = asyncio.get_running_loop(), cast("asyncio.Task[object]", asyncio.current_task())
        second = math.ceil(loop.time() + seconds)
        tasks = self._tasks_by_second.get(second)
        if tasks is None:
            tasks = self._tasks_by_second[second] = set()
            loop.call_at(second, self._cancel_expired, second)
        tasks.add(task)
        try:
            return await coroutine
        except asyncio.CancelledError:
            if task in tasks or _is_cancelled_by_others(task):
                raise
            raise asyncio.TimeoutError from None
        finally:
            tasks.discard(task)

    def _cancel_expired(self, second: int) -> None:
        expired = self._tasks_by_second.pop(second)
        for task in expired:
            task.cancel()
        expired.clear()


def _is_cancelled_by_others(task: asyncio.Task[object]) -> bool:
    """Take back our own cancellation of a task, and see whether another one remains."""
    uncancel = getattr(task, "uncancel", None)  # Python 3.10 does not count them
    return uncancel is not None and uncancel() > 0
