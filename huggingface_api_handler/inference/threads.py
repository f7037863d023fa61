"""Work that blocks, on daemon threads of its own: what is stuck for one person holds no thread of another's.

A pool that everybody shares is full once a few names, disks or jobs of one engine do not answer. Here each piece of
work starts a thread, which takes about as long as handing it to a pool, and the threads of each owner are counted.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import contextvars
import functools
import threading
import weakref
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def start_thread(
    function: Callable[..., T], *args: object, on_end: Callable[[], object] | None = None
) -> asyncio.Future[T]:
    """Call a function on a daemon thread of its own, in a copy of this context.

    Args:
        function: What to call. Where nobody waits for it any more it runs on, and its result is dropped.
        args: What to call it with.
        on_end: Is called on the event loop once the thread is done, whether or not anybody waits for it.

    Returns:
        What the function will return or raise.

    Raises:
        RuntimeError: No thread can be started.
    """
    loop, context = asyncio.get_running_loop(), contextvars.copy_context()
    future: asyncio.Future[T] = loop.create_future()

    def finish(settle: Callable[[], None]) -> None:
        if on_end is not None:
            on_end()
        if not future.cancelled():
            settle()

    def fail(error: BaseException) -> None:
        future.set_exception(error)
        future.exception()  # else asyncio logs it where nobody waits for it: it may tell what no log should

    def work() -> None:
        try:
            result = context.run(function, *args)
            settle = functools.partial(future.set_result, result)
        except BaseException as error:
            settle = functools.partial(fail, error)
        with contextlib.suppress(RuntimeError):  # the loop was closed meanwhile
            loop.call_soon_threadsafe(finish, settle)

    threading.Thread(target=work, name="huggingface-api-work", daemon=True).start()
    return future


def call_within(seconds: float, function: Callable[..., T], *args: object) -> T:
    """Call a function on a daemon thread of its own, and wait for it no longer than that. Not for an event loop.

    Args:
        seconds: How long to wait.
        function: What to call. Where it takes longer it runs on, and its result is dropped.
        args: What to call it with.

    Returns:
        What the function returns.

    Raises:
        RuntimeError: No thread can be started.
        Exception: What the function raises; ``concurrent.futures.TimeoutError`` where it takes longer.
    """
    future: concurrent.futures.Future[T] = concurrent.futures.Future()
    context = contextvars.copy_context()

    def work() -> None:
        try:
            future.set_result(context.run(function, *args))
        except BaseException as error:
            future.set_exception(error)

    threading.Thread(target=work, name="huggingface-api-work", daemon=True).start()
    return future.result(seconds)


class Threads:
    """The threads of one owner. One that is stuck counts until it is done, whether or not anybody waits for it.

    Args:
        limit: Threads at once. More work waits.
    """

    def __init__(self, limit: int) -> None:
        self._slots = asyncio.Semaphore(limit)

    async def run(self, function: Callable[..., T], *args: object) -> T:
        """Call a function on a thread, once one of the owner's is free.

        Args:
            function: What to call.
            args: What to call it with.

        Returns:
            What the function returns.

        Raises:
            RuntimeError: No thread can be started.
            Exception: What the function raises.
        """
        await self._slots.acquire()
        try:
            future = start_thread(function, *args, on_end=self._slots.release)
        except BaseException:
            self._slots.release()
            raise
        return await future


class OwnedThreads:
    """The threads of all owners, forgotten once they do nothing.

    Args:
        limit: Threads at once for each owner.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._threads: weakref.WeakValueDictionary[str, Threads] = weakref.WeakValueDictionary()

    def of(self, owner: str) -> Threads:
        """Find the threads of an owner.

        Args:
            owner: A name, such as an engine's or a host's.

        Returns:
            The same object as long as anybody holds it or one of its threads runs.
        """
        threads = self._threads.get(owner)
        if threads is None:
            threads = self._threads[owner] = Threads(self._limit)
        return threads
