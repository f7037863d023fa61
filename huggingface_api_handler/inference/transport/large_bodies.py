"""Responses over a megabyte: they are read on a thread, and all of them together have a bounded part of the memory.

A server needs kilobytes on the wire, compressed, to send what takes gigabytes here and seconds to read. Other queries
of the process wait for neither.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from typing import TypeVar

T = TypeVar("T")

LARGE_BYTES = 1024 * 1024
"""A larger body is a large one. Smaller ones are taken apart within milliseconds, on the event loop."""

MAX_IN_FLIGHT_BYTES = 256 * 1024 * 1024
"""Bytes of large bodies that one event loop holds, those of the oldest one aside."""


class BodyBudget:
    """The memory of the large bodies on one event loop, from their first bytes until they were taken apart.

    A body waits for memory while others have it. The oldest one never waits, so that they cannot wait for each other.
    """

    def __init__(self, max_bytes: int = MAX_IN_FLIGHT_BYTES) -> None:
        """Start without any body.

        Args:
            max_bytes: Bytes of all bodies but the oldest.
        """
        self._max_bytes = max_bytes
        self._sizes: dict[object, int] = {}  # the oldest first
        self._total = 0
        self._freed = asyncio.Event()

    async def reserve(self, body: object, size: int) -> None:
        """Take memory for a body, and wait until there is some.

        Args:
            body: Stands for the body, the same object each time.
            size: Bytes that it has by now.
        """
        self._sizes.setdefault(body, 0)
        while self._total + size - self._sizes[body] > self._max_bytes and next(iter(self._sizes)) is not body:
            self._freed.clear()
            await self._freed.wait()
        self._total += size - self._sizes[body]
        self._sizes[body] = size

    def free(self, body: object) -> None:
        """Give back the memory of a body. Nothing happens where it has none.

        Args:
            body: As of ``reserve``.
        """
        self._total -= self._sizes.pop(body, 0)
        self._freed.set()


async def off_loop(function: Callable[..., T], *args: object) -> T:
    """Call a function on the thread for large bodies: one at a time, in their order.

    Args:
        function: What to call.
        args: Its arguments.

    Returns:
        What it returns.
    """
    return await asyncio.get_running_loop().run_in_executor(_executor(), function, *args)


@lru_cache(maxsize=1)
def _executor() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(1, thread_name_prefix="huggingface-api-large")


os.register_at_fork(after_in_child=_executor.cache_clear)  # its thread is the parent's
