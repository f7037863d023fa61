"""A provider's job: a helper that blocks follows it on a thread, and each request it makes goes out on the event loop.

So a job ends with its query: nothing goes out for it once it is not waited for, and all that goes out is counted.
"""

from __future__ import annotations

import asyncio
import functools
import threading
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import CancelledError, Future
from contextvars import ContextVar
from typing import TypeVar
from urllib.parse import urlsplit

from ...errors import MediaError
from ...urls import is_same_origin
from ..failures import Failure
from ..media.fetch import fetch as fetch_media
from ..media.ssrf import validate_url
from ..threads import start_thread
from ..transport.client import MAX_RESPONSE_BYTES, Response, proxy_url

T = TypeVar("T")

Fetch = Callable[[str, Mapping[str, str]], Awaitable[Response]]
"""Gets a URL with headers, for a job. Raises ``JobRefusedError`` where it may not."""


Get = Callable[[str, Mapping[str, str], float], Awaitable[Response]]
"""Sends a GET: URL, headers and timeout in seconds (see ``transport.client.HttpClient.get``)."""

_STATUS_OK = 200


class JobTimeoutError(Exception):
    """A job was not done in time."""


class JobEndedError(Exception):
    """Nobody waits for the job any more, so nothing goes out for it."""


class JobRefusedError(Exception):
    """A request of a job may not be sent.

    Args:
        failure: Why not.
    """

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.message)
        self.failure = failure


class Job:
    """A job that is waited for.

    Args:
        fetch: Sends its requests, on the event loop.
        loop: The event loop.
    """

    def __init__(self, fetch: Fetch, loop: asyncio.AbstractEventLoop) -> None:
        self._fetch, self._loop = fetch, loop
        self._lock = threading.Lock()
        self._has_ended = False
        self._pending: Future[Response] | None = None

    def get(self, url: str, headers: Mapping[str, str]) -> Response:
        """Get a URL, and wait for the response on the job's thread.

        Args:
            url: What to get.
            headers: The headers of the request.

        Returns:
            The response, whatever its status.

        Raises:
            JobEndedError: The job has ended.
            JobRefusedError: The request may not be sent.
            Exception: Whatever else the request raises.
        """
        with self._lock:  # so that ``end`` comes before or after it, and cancels what was started
            if self._has_ended:
                raise JobEndedError
            pending = self._pending = asyncio.run_coroutine_threadsafe(self._response(url, headers), self._loop)
        try:
            return pending.result()
        except CancelledError:
            raise JobEndedError from None

    def end(self) -> None:
        """Send nothing more for the job."""
        with self._lock:
            self._has_ended, pending = True, self._pending
        if pending is not None:
            pending.cancel()

    async def _response(self, url: str, headers: Mapping[str, str]) -> Response:
        response = await self._fetch(url, headers)
        if response.free is not None:  # a job has one at a time
            response.free()
        return response


_current: ContextVar[Job | None] = ContextVar("job", default=None)


def current_job() -> Job | None:
    """The job that this thread follows.

    Returns:
        The job, None on all other threads.
    """
    return _current.get()


async def follow(function: Callable[[], T], fetch: Fetch, timeout_s: float) -> T:
    """Call a function that follows a job, on a thread. ``current_job`` is its job there.

    The thread may outlive this call for as long as the helper sleeps between two looks at the job.

    Args:
        function: Waits for the job.
        fetch: Sends the requests that it makes with ``Job.get``.
        timeout_s: Seconds that the job may take.

    Returns:
        What the function returns.

    Raises:
        JobTimeoutError: The job was not done in time.
        Exception: What the function raises.
    """
    job = Job(fetch, asyncio.get_running_loop())
    try:
        result = start_thread(functools.partial(_call_for, job, function))
        await asyncio.wait({result}, timeout=timeout_s)
        if not result.done():
            raise JobTimeoutError
        return result.result()
    finally:
        job.end()


def _call_for(job: Job, function: Callable[[], T]) -> T:
    _current.set(job)  # in the thread's own context
    return function()


async def get_for_job(get: Get, route_url: str, url: str, headers: Mapping[str, str], timeout_s: float) -> Response:
    """Send a request of a job: to the provider itself, or for a file that its answer names.

    Args:
        get: Sends a GET to the provider.
        route_url: Where the job was begun.
        url: What to get.
        headers: The headers of the request, which may hold the key. They go to the provider alone.
        timeout_s: Seconds that the provider may take.

    Returns:
        The response.

    Raises:
        MediaError: The file is not on the public internet, or cannot be had.
        Exception: Whatever the request raises.
    """
    if is_same_origin(url, route_url):
        return await get(url, headers, timeout_s)
    checked = str(validate_url(url, allow_private=False))
    if proxy_url(checked) is None:
        data = await fetch_media(checked, allow_private=False, max_bytes=MAX_RESPONSE_BYTES)
        return Response(_STATUS_OK, {}, data)
    response = await get(checked, {}, timeout_s)  # where the proxy decides which addresses are reached
    if not response.is_success:
        raise MediaError(f"{urlsplit(checked).hostname} answered HTTP {response.status} instead of the file")
    return response
