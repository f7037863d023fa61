"""HTTP: an event loop in a daemon thread, and on it one aiohttp session, with another for public addresses only.

All are made on first use and stay open between queries. A forked child makes its own, since a loop and its sockets
do not survive a fork.
"""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import os
import threading
import weakref
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple, TypeVar, cast
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import aiohttp

from ...errors import InferenceError, SessionClosedError
from ...pieces import LARGE_BYTES
from ...urls import is_loopback
from ..name_resolver import NameResolver
from ..public_addresses import PrivateAddress, PublicOnlyResolver
from ..threads import OwnedThreads, Threads
from .large_bodies import BodyBudget, read_large
from .timeouts import Deadlines

T = TypeVar("T")

MAX_RESPONSE_BYTES = 64 * 1024 * 1024
"""Bytes of one response body after decompression: a video. A larger one is refused. JSON may have less (``codec``)."""

MAX_INFO_BYTES = 256 * 1024
"""Bytes of the response to a GET, in which a server says what it is."""

_CONNECT_TIMEOUT_S = 30.0
"""Time to connect to one address of a host. A host that takes longer is down, whatever the request's own timeout."""

_MAX_HEADER_BYTES = 64 * 1024
"""Bytes of one response header, of which aiohttp takes 128. Some proxies send more than aiohttp's limit of 8,190."""

_CLOSE_TIMEOUT_S = 1.0
"""Time to close connections as the process ends."""

_MAX_THREADS_OF_AN_OWNER = 16
"""Threads at once for the media of one engine: files that are read and written, names that are looked up."""

_MAX_PROXY_URLS = 256
"""URLs whose proxy is remembered. A query uses one or two."""


class Response(NamedTuple):
    """One HTTP response.

    Attributes:
        status: The status code.
        headers: The headers, looked up without regard to case.
        body: The body, decompressed; of a status that means no success its first ``MAX_ERROR_BYTES``.
        free: Gives back the memory that was counted for a large body. Whoever takes the body apart calls it.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes
    free: Callable[[], None] | None = None

    @property
    def is_success(self) -> bool:
        """Whether the status means success, so that the body is an answer."""
        return 200 <= self.status < 300  # as ``large_bodies.is_success``, without the call: each response asks twice


@dataclass
class _Transport:
    """A running loop, and what lives on it."""

    loop: asyncio.AbstractEventLoop
    thread: threading.Thread
    deadlines: Deadlines
    threads: OwnedThreads
    bodies: BodyBudget
    session: aiohttp.ClientSession | None = None
    public_session: aiohttp.ClientSession | None = None


class HttpClient:
    """One event loop in a daemon thread, with one pool of connections. Both start on first use."""

    def __init__(self) -> None:
        self._lock = threading.RLock()  # a garbage collection in it may end a query, which takes it again
        self._transport: _Transport | None = None
        self._is_closed = False
        _clients.add(self)

    def submit(self, coroutine: Coroutine[object, None, T]) -> Future[T]:
        """Start a coroutine on the event loop, from any other thread.

        Args:
            coroutine: What to run.

        Returns:
            A future of its result. Cancelling it cancels the coroutine.

        Raises:
            SessionClosedError: The client was closed.
            InferenceError: This is the event loop's own thread, which would wait for itself.
        """
        try:
            with self._lock:  # so that ``close`` comes before or after it, and cancels what was started
                self._check_thread()
                return asyncio.run_coroutine_threadsafe(coroutine, self._running().loop)
        except InferenceError:
            coroutine.close()
            raise

    def call_soon(self, function: Callable[[], None]) -> None:
        """Call a function on the event loop, from any other thread.

        Args:
            function: What to call. It must not block.

        Raises:
            SessionClosedError: The client was closed.
        """
        with self._lock:
            self._running().loop.call_soon_threadsafe(function)

    @property
    def is_closed(self) -> bool:
        """Whether ``close`` was called."""
        return self._is_closed

    @property
    def is_on_loop(self) -> bool:
        """Whether this is the event loop's own thread, as in a hook."""
        transport = self._transport
        return transport is not None and transport.thread is threading.current_thread()

    def post(self, url: str, body: bytes, headers: Mapping[str, str], timeout: float) -> Awaitable[Response]:
        """POST a body and read the whole response. Await it on the client's event loop.

        Args:
            url: Where to send it. Redirects are not followed.
            body: What to send.
            headers: The request's headers.
            timeout: Seconds for all of it, connecting included (see ``Deadlines.within``).

        Returns:
            The response, whatever its status.

        Raises:
            aiohttp.ClientError: Where the connection fails.
            asyncio.TimeoutError: Where it takes too long.
            ResponseTooLarge: Where the body is larger than ``MAX_RESPONSE_BYTES``.
        """
        transport = self._transport or self._running()
        return transport.deadlines.within(timeout, _request(transport, "POST", url, body, headers, MAX_RESPONSE_BYTES))

    def post_to_public(self, url: str, body: bytes, headers: Mapping[str, str], timeout: float) -> Awaitable[Response]:
        """POST as ``post`` does, to public addresses only and without a proxy, which would look the name up itself.

        Args:
            url: As of ``post``. Its host was judged as far as it is an address (``endpoint_policy.is_public_only``).
            body: As of ``post``.
            headers: As of ``post``.
            timeout: As of ``post``.

        Returns:
            The response, whatever its status.

        Raises:
            PrivateAddress: The host's name leads to an address that is not public.
            aiohttp.ClientError, asyncio.TimeoutError, ResponseTooLarge: As of ``post``.
        """
        transport = self._transport or self._running()
        return transport.deadlines.within(
            timeout, _request(transport, "POST", url, body, headers, MAX_RESPONSE_BYTES, public_only=True)
        )

    def get(
        self,
        url: str,
        headers: Mapping[str, str],
        timeout: float,
        *,
        max_bytes: int = MAX_INFO_BYTES,
        public_only: bool = False,
    ) -> Coroutine[object, None, Response]:
        """GET a URL and read the whole response. Await it on the client's event loop.

        Args:
            url: What to get. Redirects are not followed.
            headers: The request's headers.
            timeout: As in ``post``.
            max_bytes: Bytes of the largest body.
            public_only: Whether to ask as ``post_to_public`` does.

        Returns:
            The response, whatever its status.

        Raises:
            PrivateAddress: As of ``post_to_public``.
            aiohttp.ClientError, asyncio.TimeoutError: As in ``post``.
            ResponseTooLarge: Where the body is larger than ``max_bytes``.
        """
        transport = self._transport or self._running()
        request = _request(transport, "GET", url, None, headers, max_bytes, public_only=public_only)
        return transport.deadlines.within(timeout, request)

    async def look_up_public(self, url: str) -> None:
        """Look up the host of a URL as ``post_to_public`` does. Await it on the client's event loop.

        Args:
            url: What would be asked.

        Raises:
            PrivateAddress: Its name leads to an address that is not public.
            OSError: The name cannot be looked up.
        """
        parts = urlsplit(url)
        await _public_resolver().resolve(parts.hostname or "", parts.port or 0)

    def threads_of(self, owner: str) -> Threads:
        """Find the threads for what blocks in the queries of an owner, such as disks. Use them on the event loop.

        Args:
            owner: A name of the engine, which no other has.

        Returns:
            The same threads for all queries of the owner that run.
        """
        return (self._transport or self._running()).threads.of(owner)

    def close(self) -> None:
        """Cancel what runs on the loop, close the connections, and end the thread. A second call does nothing.

        Threads that block in something are not waited for: they hold nothing, and end with it or with the process.

        Raises:
            InferenceError: This is the event loop's own thread, which would wait for itself.
        """
        with self._lock:
            self._check_thread()
            self._is_closed, transport, self._transport = True, self._transport, None
        if transport is None:
            return
        asyncio.run_coroutine_threadsafe(_shut_down(transport), transport.loop).result()
        transport.loop.call_soon_threadsafe(transport.loop.stop)
        transport.thread.join()
        transport.loop.close()

    def _running(self) -> _Transport:
        with self._lock:
            if self._is_closed:
                raise SessionClosedError
            if self._transport is None:
                loop = asyncio.new_event_loop()
                thread = threading.Thread(target=_run, args=(loop,), name="huggingface-api-io", daemon=True)
                thread.start()
                threads = OwnedThreads(_MAX_THREADS_OF_AN_OWNER)
                self._transport = _Transport(loop, thread, Deadlines(), threads, BodyBudget())
            return self._transport

    def _check_thread(self) -> None:
        if self.is_on_loop:
            raise InferenceError(
                "a hook or a progress function cannot use the session that calls it. Hand that to another thread"
            )

    def _forget_after_fork(self) -> None:
        _inherited.append(self._transport)
        self._transport, self._lock = None, threading.RLock()

    def _close_connections(self) -> None:
        """As the process ends: no more than the connections, since the loop's thread dies with the process."""
        transport = self._transport
        if transport is None or not transport.loop.is_running():
            return
        with contextlib.suppress(Exception):
            closing = asyncio.run_coroutine_threadsafe(_close_sessions(transport), transport.loop)
            closing.result(timeout=_CLOSE_TIMEOUT_S)


_clients: weakref.WeakSet[HttpClient] = weakref.WeakSet()

# Kept, so that nothing closes a parent's session in its child: the sockets would vanish from the parent's loop too.
_inherited: list[_Transport | None] = []


def _forget_all_after_fork() -> None:
    for client in list(_clients):
        client._forget_after_fork()


os.register_at_fork(after_in_child=_forget_all_after_fork)


@atexit.register
def _close_all_connections() -> None:
    """Close the connections of this process, so that servers see an orderly end."""
    for client in list(_clients):
        client._close_connections()


def _run(loop: asyncio.AbstractEventLoop) -> None:
    """Run a loop until it is stopped. Tasks that raise these end it; whoever waits for the task gets them too."""
    while True:
        try:
            loop.run_forever()
            return
        except (KeyboardInterrupt, SystemExit):
            continue


async def _shut_down(transport: _Transport) -> None:
    tasks = asyncio.all_tasks() - {asyncio.current_task()}
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await _close_sessions(transport)
    await transport.loop.shutdown_asyncgens()
    await transport.loop.shutdown_default_executor()


def _get_session(transport: _Transport) -> aiohttp.ClientSession:
    if transport.session is None:
        transport.session = _new_session(aiohttp.TCPConnector(limit=0, resolver=NameResolver()))
    return transport.session


def _get_public_session(transport: _Transport) -> aiohttp.ClientSession:
    if transport.public_session is None:
        transport.public_session = _new_session(aiohttp.TCPConnector(limit=0, resolver=_public_resolver()))
    return transport.public_session


def _public_resolver() -> PublicOnlyResolver:
    return PublicOnlyResolver(NameResolver(), PrivateAddress)


def _new_session(connector: aiohttp.TCPConnector) -> aiohttp.ClientSession:
    jar, timeout = aiohttp.DummyCookieJar(), aiohttp.ClientTimeout(total=None, sock_connect=_CONNECT_TIMEOUT_S)
    return aiohttp.ClientSession(connector=connector, cookie_jar=jar, timeout=timeout, max_field_size=_MAX_HEADER_BYTES)


async def _close_sessions(transport: _Transport) -> None:
    for session in (transport.session, transport.public_session):
        if session is not None:
            await session.close()


@lru_cache(maxsize=_MAX_PROXY_URLS)
def proxy_url(url: str) -> str | None:
    """The proxy that the environment names for a URL, None for this machine itself.

    aiohttp's ``trust_env`` would look it up in a thread for each request, and send passwords from ``.netrc`` along.

    Args:
        url: Where a request goes.

    Returns:
        The proxy's URL, None where there is none.
    """
    parts = urlsplit(url)
    if is_loopback(parts.hostname or "") or proxy_bypass(parts.netloc):
        return None
    proxy = getproxies().get(parts.scheme)
    return proxy if proxy is None or "://" in proxy else f"http://{proxy}"


async def _request(
    transport: _Transport,
    method: str,
    url: str,
    data: bytes | None,
    headers: Mapping[str, str],
    max_bytes: int,
    *,
    public_only: bool = False,
) -> Response:
    session = _get_public_session(transport) if public_only else _get_session(transport)
    proxy = None if public_only else proxy_url(url)
    response = await session.request(method, url, data=data, headers=headers, proxy=proxy, allow_redirects=False)
    # A body that was read to its end has given its connection back, so ``async with`` would only cost time.
    try:
        declared_bytes = response.content_length
        is_known = declared_bytes is not None and "Content-Encoding" not in response.headers
        if is_known and cast("int", declared_bytes) <= min(max_bytes, LARGE_BYTES):
            return Response(response.status, response.headers, await response.read())
        body, free = await read_large(response, max_bytes, transport.bodies)
        return Response(response.status, response.headers, body, free)
    except BaseException:
        response.close()
        raise
