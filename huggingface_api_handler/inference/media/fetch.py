"""A URL's bytes, from the public internet only.

The address that was judged is the address that is connected to: the judge is the connector's own resolver, so a name
that answers differently the second time gains nothing. Every fetch has its own session: no cookie, connection,
proxy, key or referrer is shared with any other.
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
from .ssrf import is_public, not_fetched, not_public, public_url

if TYPE_CHECKING:
    from aiohttp.abc import ResolveResult

__all__ = ["fetch", "is_public"]

MOST_REDIRECTS = 5
_REDIRECTS = (301, 302, 303, 307, 308)
_HEADERS = {"Accept": "*/*", "Accept-Encoding": "identity", "User-Agent": "huggingface-api-handler"}
_CHUNK = 64 * 1024


@cache
def tls() -> ssl.SSLContext:
    """Certificates are checked, against the machine's authorities."""
    context = ssl.create_default_context()
    context.set_alpn_protocols(["http/1.1"])
    return context


async def fetch(text: str, *, allow_private: bool, largest: int, resolver: AbstractResolver | None = None) -> bytes:
    """The body at ``text``, in at most ``largest`` bytes. The caller bounds the time.

    Raises MediaError with the host and never more of the URL, whose path and query can be a secret.
    """
    url = public_url(text, allow_private=allow_private)
    judge = _Judge(resolver or aiohttp.ThreadedResolver(), allow_private)
    connector = aiohttp.TCPConnector(resolver=judge, use_dns_cache=False, force_close=True, ssl=tls())
    async with aiohttp.ClientSession(
        connector=connector,
        cookie_jar=aiohttp.DummyCookieJar(),
        headers=_HEADERS,
        timeout=aiohttp.ClientTimeout(total=None),
        auto_decompress=False,
        trust_env=False,
    ) as session:
        for _ in range(MOST_REDIRECTS + 1):
            try:
                async with session.get(url, allow_redirects=False) as response:
                    if response.status not in _REDIRECTS:
                        return await _body(response, url, largest)
                    location = response.headers.get("Location", "")
            except (aiohttp.ClientError, asyncio.TimeoutError, OSError) as error:
                raise MediaError(_unreachable(url, error)) from None
            url = _redirected(url, location, judge.allow_private)
    raise MediaError(f"{url.raw_host} redirects more than {MOST_REDIRECTS} times. Give the final URL")


class _Judge(AbstractResolver):
    """A resolver that lets no name through of which any address is not public."""

    def __init__(self, names: AbstractResolver, allow_private: bool) -> None:
        self._names = names
        self.allow_private = allow_private

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        try:
            found = await self._names.resolve(host, port, family)
        except (OSError, UnicodeError):
            found = []
        if not found:
            raise MediaError(f"there is no host named {host}, or its name could not be looked up. Check the URL")
        if not self.allow_private:
            for address in found:
                if what := not_public(address["host"]):
                    raise MediaError(not_fetched(host, what))
        return found

    async def close(self) -> None:
        await self._names.close()


async def _body(response: aiohttp.ClientResponse, url: URL, largest: int) -> bytes:
    host = url.raw_host
    if response.status != 200:
        raise MediaError(
            f"{host} answered HTTP {response.status} instead of the file. Check that the URL opens without a login"
        )
    encoding = response.headers.get("Content-Encoding", "identity").strip().lower()
    if encoding not in ("", "identity"):
        # What it would unpack to is unknown until it has been unpacked.
        raise MediaError(
            f"{host} sends the file compressed ({encoding[:20]}) though it was asked not to. Serve it as it is"
        )
    too_large = f"the file at {host} is larger than {megabytes(largest)}. Make it smaller"
    if (response.content_length or 0) > largest:
        raise MediaError(too_large)
    body = bytearray()
    async for chunk in response.content.iter_chunked(_CHUNK):
        body += chunk
        if len(body) > largest:
            raise MediaError(too_large)
    return bytes(body)


def _redirected(url: URL, location: str, allow_private: bool) -> URL:
    try:
        target = urljoin(str(url), location) if location else ""
    except ValueError:
        target = ""
    if not target:
        raise MediaError(f"{url.raw_host} redirects to nowhere. Give the final URL")
    try:
        to = public_url(target, allow_private=allow_private)
    except MediaError as error:
        raise MediaError(f"{url.raw_host} redirects to what is not fetched: {error}") from None
    if url.scheme == "https" and to.scheme != "https":
        raise MediaError(
            f"{url.raw_host} redirects from https:// to http://, which is not followed. Give the final URL"
        )
    return to


def _unreachable(url: URL, error: BaseException) -> str:
    """Only the error's class: the texts of HTTP libraries' errors can hold whole URLs."""
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        return f"the certificate of {url.raw_host} is not valid, so the file was not fetched"
    return f"the file cannot be fetched from {url.raw_host} ({type(error).__name__}). Check the URL"


def megabytes(size: int) -> str:
    return f"{size / 1024 / 1024:.4g} MB"
