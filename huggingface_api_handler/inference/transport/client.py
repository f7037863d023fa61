"""HTTP: one event loop in a daemon thread of each process, and one aiohttp session on it.

The loop is made on first use and kept warm between queries. A forked child makes its own, since a loop and
its sockets do not survive a fork.
"""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import os
import threading
from collections.abc import Awaitable, Coroutine, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple, TypeVar
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import aiohttp

from ...urls import is_loopback
from .timeouts import Deadlines

T = TypeVar("T")

MAX_RESPONSE_BYTES = 256 * 1024 * 1024
"""Bytes of one response body, after decompression. More than that is refused unread."""
_LONGEST_CONNECT = 30.0


class ResponseTooLarge(Exception):  # noqa: N818 - read as what happened
    """A response body larger than ``LARGEST_ANSWER``."""


class Response(NamedTuple):
    """One HTTP response. ``headers`` look names up without regard to case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass
class _Loop:
    loop: asyncio.AbstractEventLoop
    deadlines: Deadlines
    session: aiohttp.ClientSession | None = None


_lock = threading.Lock()
_current: _Loop | None = None


def _loop() -> _Loop:
    return _current or _started()


def _started() -> _Loop:
    global _current  # noqa: PLW0603 - one loop a process is what this module is for
    with _lock:
        if _current is None:
            loop = asyncio.new_event_loop()
            threading.Thread(target=loop.run_forever, name="huggingface-api-io", daemon=True).start()
            _current = _Loop(loop, Deadlines())
        return _current


def _begin_anew() -> None:
    global _current, _lock
    _inherited.append(_current)
    _current, _lock = None, threading.Lock()


_inherited: list[_Loop | None] = []  # closed here, its sockets would vanish from the parent's loop too
os.register_at_fork(after_in_child=_begin_anew)


@atexit.register
def _close() -> None:
    """Close the connections of this process, so that servers see an orderly end."""
    current = _current
    if current is None or current.session is None or not current.loop.is_running():
        return
    with contextlib.suppress(Exception):
        asyncio.run_coroutine_threadsafe(current.session.close(), current.loop).result(timeout=1)


def submit(work: Coroutine[Any, Any, T]) -> Future[T]:
    """Start ``work`` on this process's loop, from any other thread."""
    return asyncio.run_coroutine_threadsafe(work, _loop().loop)


def _session(current: _Loop) -> aiohttp.ClientSession:
    if current.session is None:
        current.session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0),
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=_LONGEST_CONNECT),
        )
    return current.session


@lru_cache(maxsize=256)
def _proxy(url: str) -> str | None:
    """The proxy that the environment names for an address, found once for each; none for this machine itself.

    aiohttp's ``trust_env`` would look it up in a thread for each request, and send passwords from ``.netrc`` along.
    """
    parts = urlsplit(url)
    if is_loopback(parts.hostname or "") or proxy_bypass(parts.netloc):
        return None
    found = getproxies().get(parts.scheme)
    return found if found is None or "://" in found else f"http://{found}"


def post(url: str, body: bytes, headers: Mapping[str, str], timeout: float) -> Awaitable[Response]:
    """POST ``body`` and read the whole response, in at most ``timeout`` seconds (see ``deadlines``).

    Follows no redirect. Raises what aiohttp raises, ``asyncio.TimeoutError``, or ``AnswerTooLarge``.
    """
    current = _loop()
    return current.deadlines.within(timeout, _request(current, "POST", url, body, headers))


def get(url: str, headers: Mapping[str, str], timeout: float) -> Coroutine[Any, Any, Response]:
    """GET, in all else as ``post``."""
    current = _loop()
    return current.deadlines.within(timeout, _request(current, "GET", url, None, headers))


async def _request(current: _Loop, method: str, url: str, body: bytes | None, headers: Mapping[str, str]) -> Response:
    response = await _session(current).request(
        method, url, data=body, headers=headers, proxy=_proxy(url), allow_redirects=False
    )
    # What was read to its end has given its connection back, so that ``async with`` would only cost time.
    try:
        return Response(response.status, response.headers, await _body(response))
    except BaseException:
        response.close()
        raise


def _body(response: aiohttp.ClientResponse) -> Awaitable[bytes]:
    declared = response.content_length
    if declared is not None and declared > MAX_RESPONSE_BYTES:
        raise ResponseTooLarge
    if declared is not None and "Content-Encoding" not in response.headers:
        return response.read()
    return _bounded(response)


async def _bounded(response: aiohttp.ClientResponse) -> bytes:
    chunks, size = [], 0
    async for chunk in response.content.iter_any():
        size += len(chunk)
        if size > MAX_RESPONSE_BYTES:
            raise ResponseTooLarge
        chunks.append(chunk)
    return b"".join(chunks)
