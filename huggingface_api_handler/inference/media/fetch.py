"""Download a URL, from the public internet only.

The connector's own resolver checks each address (``PublicOnlyResolver``). Every fetch has its own session: no cookie,
connection, proxy, key or referrer is shared with any other.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from functools import cache
from typing import TYPE_CHECKING
from urllib.parse import urljoin

import aiohttp
from aiohttp.abc import AbstractResolver
from yarl import URL

from ...errors import MediaError
from ...urls import is_address
from ..name_resolver import NameResolver
from ..public_addresses import PublicOnlyResolver
from .ssrf import non_public_message, validate_url

if TYPE_CHECKING:
    from aiohttp.abc import ResolveResult

MAX_REDIRECTS = 5
"""Redirects that one fetch follows. Real files are behind one or two; a loop has to end."""

_REDIRECT_STATUSES = (301, 302, 303, 307, 308)
_HEADERS = {"Accept": "*/*", "Accept-Encoding": "identity", "User-Agent": "huggingface-api-handler"}
_CHUNK_BYTES = 64 * 1024  # how far a body may pass the limit before the fetch stops


@cache
def tls_context() -> ssl.SSLContext:
    """The TLS settings of every fetch.

    Returns:
        A context that checks certificates and host names against the machine's certificate authorities.
    """
    context = ssl.create_default_context()
    context.set_alpn_protocols(["http/1.1"])
    return context


async def fetch(text: str, *, allow_private: bool, max_bytes: int, resolver: AbstractResolver | None = None) -> bytes:
    """Download the body at a URL. Sets no time limit: the caller does.

    Args:
        text: The URL as the cell holds it.
        allow_private: Whether private addresses, other ports and http:// are allowed.
        max_bytes: The maximum size of the body in bytes.
        resolver: Looks names up instead of the machine's own resolver.

    Returns:
        The body.

    Raises:
        MediaError: The URL is not allowed or cannot be fetched, or its body is too large. The text names the host and
            no more of the URL, whose path and query can be a secret.
    """
    url = validate_url(text, allow_private=allow_private)
    names = _media_resolver(resolver, allow_private)
    connector = aiohttp.TCPConnector(resolver=names, use_dns_cache=False, force_close=True, ssl=tls_context())
    async with aiohttp.ClientSession(
        connector=connector,
        cookie_jar=aiohttp.DummyCookieJar(),
        headers=_HEADERS,
        timeout=aiohttp.ClientTimeout(total=None),
        auto_decompress=False,
        trust_env=False,
    ) as session:
        for _ in range(MAX_REDIRECTS + 1):
            try:
                async with session.get(url, allow_redirects=False) as response:
                    if response.status not in _REDIRECT_STATUSES:
                        return await _read_body(response, url, max_bytes)
                    location = response.headers.get("Location", "")
            except (aiohttp.ClientError, asyncio.TimeoutError, OSError) as error:
                raise MediaError(_connection_error(url, error)) from None
            url = _redirect_target(url, location, allow_private)
    raise MediaError(f"{url.raw_host} redirects more than {MAX_REDIRECTS} times. Give the final URL")


async def judge(text: str, *, allow_private: bool, resolver: AbstractResolver | None = None) -> None:
    """Check that somebody else may be sent to a URL: what ``fetch`` would check before it connects.

    Args:
        text: The URL as the cell holds it.
        allow_private: Whether private addresses, other ports and http:// are allowed.
        resolver: Looks names up instead of the machine's own resolver.

    Raises:
        MediaError: The URL may not be fetched, or its host's name is unknown or leads to an address that is not public.
    """
    url = validate_url(text, allow_private=allow_private)
    if not allow_private and not is_address(url.raw_host or ""):
        await _media_resolver(resolver, allow_private).resolve(url.raw_host or "", url.port or 0)


def _media_resolver(resolver: AbstractResolver | None, allow_private: bool) -> AbstractResolver:
    names = _MediaResolver(resolver or NameResolver())
    if allow_private:
        return names
    return PublicOnlyResolver(names, lambda host, reason: MediaError(non_public_message(host, reason)))


class _MediaResolver(AbstractResolver):
    """A resolver whose error, of a name that has no address, is a row's reason."""

    def __init__(self, resolver: AbstractResolver) -> None:
        self._resolver = resolver

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """Look up ``host`` as the wrapped resolver does. MediaError if it has no address."""
        try:
            addresses = await self._resolver.resolve(host, port, family)
        except (OSError, UnicodeError):
            addresses = []
        if not addresses:
            raise MediaError(f"there is no host named {host}, or its name could not be looked up. Check the URL")
        return addresses

    async def close(self) -> None:
        """Close the wrapped resolver."""
        await self._resolver.close()


async def _read_body(response: aiohttp.ClientResponse, url: URL, max_bytes: int) -> bytes:
    host = url.raw_host
    if response.status != 200:
        raise MediaError(
            f"{host} answered HTTP {response.status} instead of the file. Check that the URL opens without a login"
        )
    encoding = response.headers.get("Content-Encoding", "identity").strip().lower()
    if encoding not in ("", "identity"):
        # The size after decompression is unknown until the whole body is decompressed.
        raise MediaError(
            f"{host} sends the file compressed ({encoding[:20]}) though it was asked not to. Serve it as it is"
        )
    too_large = f"the file at {host} is larger than {_megabytes(max_bytes)}. Make it smaller"
    if (response.content_length or 0) > max_bytes:
        raise MediaError(too_large)
    body = bytearray()
    async for chunk in response.content.iter_chunked(_CHUNK_BYTES):
        body += chunk
        if len(body) > max_bytes:
            raise MediaError(too_large)
    return bytes(body)


def _redirect_target(url: URL, location: str, allow_private: bool) -> URL:
    try:
        target = urljoin(str(url), location) if location else ""
    except ValueError:
        target = ""
    if not target:
        raise MediaError(f"{url.raw_host} redirects to nowhere. Give the final URL")
    try:
        next_url = validate_url(target, allow_private=allow_private)
    except MediaError as error:
        raise MediaError(f"{url.raw_host} redirects to what is not fetched: {error}") from None
    if url.scheme == "https" and next_url.scheme != "https":
        raise MediaError(
            f"{url.raw_host} redirects from https:// to http://, which is not followed. Give the final URL"
        )
    return next_url


def _connection_error(url: URL, error: BaseException) -> str:
    """Only the class of the error: the texts of HTTP libraries' errors can hold whole URLs."""
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        return f"the certificate of {url.raw_host} is not valid, so the file was not fetched"
    return f"the file cannot be fetched from {url.raw_host} ({type(error).__name__}). Check the URL"


def _megabytes(size: int) -> str:
    return f"{size / 1024 / 1024:.4g} MB"
