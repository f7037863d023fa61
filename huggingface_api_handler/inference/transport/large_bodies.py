"""Responses over a megabyte: they are read on a thread, and all of them together have a bounded part of the memory.

A server needs kilobytes on the wire, compressed, to send what takes gigabytes here and seconds to read. Other queries
of the process wait for neither.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache, partial
from io import BytesIO
from typing import TypeVar

import aiohttp

from ...pieces import LARGE_BYTES

T = TypeVar("T")

MAX_IN_FLIGHT_BYTES = 256 * 1024 * 1024
"""Bytes of large bodies that one event loop holds, those of the oldest one aside."""


MAX_ERROR_BYTES = 1_000_000
"""Bytes that are read of a response of a status that means no success. Servers say what is wrong in less."""

_MAX_UNTURNED_BYTES = 64 * 1024
"""Bytes of an error that are read at once: errors are shorter."""

_MAX_UNRESTED_S = 0.005
"""Time of a call on the thread for large bodies after which it rests, for as long again."""

_MAX_REST_S = 0.05
"""Longest rest: a row of another query takes less."""


class ResponseTooLarge(Exception):  # noqa: N818 - read as what happened
    """A response body is larger than it may be."""


def is_success(status: int) -> bool:
    """Whether a status means success, so that the body is an answer.

    Args:
        status: Of a response.

    Returns:
        True from 200 to 299.
    """
    return 200 <= status < 300


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
        self._turn = asyncio.Lock()

    async def wait_for_turn(self) -> None:
        """Wait until the event loop has gone round once for this body alone. Call it before each piece is unpacked.

        Where the next piece is on hand already, reading it would not let anything else run; and a piece of each of many
        bodies in one round would hold up all that is small.
        """
        async with self._turn:
            await asyncio.sleep(0)

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


async def read_large(
    response: aiohttp.ClientResponse, max_bytes: int, bodies: BodyBudget
) -> tuple[bytes, Callable[[], None] | None]:
    """Read a body that may be large, however much it unpacks to.

    Args:
        response: The response. Nothing was read of it.
        max_bytes: Bytes of the largest body, decompressed.
        bodies: Where the memory of a large body is counted.

    Returns:
        The body, of a status that means no success its first ``MAX_ERROR_BYTES``, and what gives back the memory that
        was counted; None where none was.

    Raises:
        ResponseTooLarge: The body is larger than ``max_bytes``.
    """
    if not is_success(response.status):
        return await _read_beginning(response, bodies), None
    if (response.content_length or 0) > max_bytes:
        raise ResponseTooLarge
    body, size = BytesIO(), 0  # chunks to be joined would take twice the memory at the end
    try:
        async for chunk in response.content.iter_any():
            size += len(chunk)
            if size > max_bytes:
                raise ResponseTooLarge
            if size > LARGE_BYTES:
                await bodies.reserve(body, size)
                await bodies.wait_for_turn()
            body.write(chunk)
    except BaseException:
        bodies.free(body)
        raise
    return body.getvalue(), partial(bodies.free, body) if size > LARGE_BYTES else None


async def _read_beginning(response: aiohttp.ClientResponse, bodies: BodyBudget) -> bytes:
    """The beginning of a body. The rest is not waited for."""
    body = bytearray()
    async for chunk in response.content.iter_any():
        body += chunk
        if len(body) > MAX_ERROR_BYTES:
            response.close()
            break
        if len(body) > _MAX_UNTURNED_BYTES:
            await bodies.wait_for_turn()
    return bytes(body[:MAX_ERROR_BYTES])


async def off_loop(function: Callable[..., T], *args: object) -> T:
    """Call a function on the thread for large bodies: one at a time, in their order.

    Args:
        function: What to call.
        args: Its arguments.

    Returns:
        What it returns.
    """
    return await asyncio.get_running_loop().run_in_executor(_executor(), _call_and_rest, function, *args)


def _call_and_rest(function: Callable[..., T], *args: object) -> T:
    """Call a function, then leave the interpreter to others: what is one call in C held it all the time."""
    started = time.perf_counter()
    try:
        return function(*args)
    finally:
        if (spent := time.perf_counter() - started) > _MAX_UNRESTED_S:
            time.sleep(min(spent, _MAX_REST_S))


@lru_cache(maxsize=1)
def _executor() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(1, thread_name_prefix="huggingface-api-large")


os.register_at_fork(after_in_child=_executor.cache_clear)  # its thread is the parent's
