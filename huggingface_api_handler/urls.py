"""URLs taken apart for what is decided by them: hosts in their one spelling, exact origins, paths without detours."""

from __future__ import annotations

import re
import unicodedata
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import NamedTuple
from urllib.parse import unquote, urlsplit, urlunsplit

_DEFAULT_PORTS = {"https": 443, "http": 80}
_LABEL = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?")
_NUMERIC_LABEL = re.compile(r"[0-9]+|0x[0-9a-f]*")
_NOT_IN_HOSTS = re.compile(r"[/\\?#@\s]|:$")
_SEPARATOR = re.compile(r"[/\\]")
_MAX_HOST_CHARS = 253
_MAX_DECODINGS = 8


class Origin(NamedTuple):
    """What a server is told apart by: two URLs of one origin lead to the same server.

    Attributes:
        scheme: ``http`` or ``https``.
        host: In its one spelling (see ``canonical_host``).
        port: Always given.
    """

    scheme: str
    host: str
    port: int


def origin_of(url: str) -> Origin:
    """The exact origin of a URL.

    Args:
        url: An absolute URL.

    Returns:
        Its scheme, host and port.

    Raises:
        ValueError: It has no host, or one that can be read in more than one way.

    >>> origin_of("https://EXAMPLE.com/models") == origin_of("https://example.com:443")
    True
    """
    parts = urlsplit(url)
    host = parts.hostname or ""
    port = parts.port or _DEFAULT_PORTS.get(parts.scheme)
    if port is None:
        raise ValueError("is neither http nor https")
    return Origin(parts.scheme, canonical_host(f"[{host}]" if ":" in host else host), port)


def without_slash(url: str) -> str:
    """A URL as it is told from others: some servers want the slash at the end of a path, none has another there.

    Args:
        url: An absolute URL.

    Returns:
        The URL without the slash at the end of its path.

    >>> without_slash("https://example.com/predict/?key=1")
    'https://example.com/predict?key=1'
    """
    parts = urlsplit(url)
    return urlunsplit(parts._replace(path=parts.path.rstrip("/"))) if parts.path.endswith("/") else url


def redirect_target(location: str) -> str:
    """Where a redirect leads, as a message may show it: without what may hold a key.

    Args:
        location: The header of the response.

    Returns:
        `` to `` and the host, or the path on the same host; empty where neither can be told.

    >>> redirect_target("https://example.com/x?token=1"), redirect_target("/predict/?token=1")
    (' to example.com', ' to /predict/')
    """
    host = re.match(r"https?://([^/@?#]+)(?:[/?#]|$)", location)
    path = re.match(r"(/[^/?#][^?#]*)", location)
    found = host or path
    return f" to {found.group(1)[:_MAX_HOST_CHARS]}" if found else ""


def is_same_origin(url: str, other: str) -> bool:
    """Whether two URLs lead to the same server.

    Args:
        url: A URL.
        other: Another.

    Returns:
        True where their exact origins are equal. What has no origin equals nothing.

    >>> is_same_origin("https://example.com", "https://example.com:443/v1"), is_same_origin("example", "example")
    (True, False)
    """
    try:
        return origin_of(url) == origin_of(other)
    except ValueError:
        return False


def is_host_with_port(text: str) -> bool:
    """Whether a text is a host, or a host with a port, and no more of a URL.

    Args:
        text: Any text.

    Returns:
        True for these only.

    >>> is_host_with_port("gw.example:8443"), is_host_with_port("[::1]"), is_host_with_port("https://gw.example/path")
    (True, True, False)
    """
    try:
        origin_of(f"https://{text}")
    except ValueError:
        return False
    return _NOT_IN_HOSTS.search(text) is None


def canonical_host(text: str) -> str:
    """A host in its one spelling: names in ASCII and lower case, addresses as ``ipaddress`` writes them.

    Args:
        text: The host as a URL holds it, an IPv6 address in brackets.

    Returns:
        The host, without brackets.

    Raises:
        ValueError: It can be read in more than one way, as the other spellings of an address that resolvers accept.

    >>> canonical_host("EXAMPLE.com."), canonical_host("[::0001]"), canonical_host("bücher.example")
    ('example.com', '::1', 'xn--bcher-kva.example')
    """
    if text.startswith("["):
        return _ipv6_host(text)
    if not text.isascii():
        text = _idna_host(text)
    host = text.lower().removesuffix(".")
    if is_address(host) and ":" not in host:
        return host
    labels = host.split(".")
    if len(host) > _MAX_HOST_CHARS or not all(map(_LABEL.fullmatch, labels)):
        raise ValueError("has no readable host. Write it as https://host/path")
    if _NUMERIC_LABEL.fullmatch(labels[-1]):
        raise ValueError("has a host that is an address in an unusual spelling. Write it as four decimal numbers")
    return host


def _ipv6_host(text: str) -> str:
    try:
        if text.endswith("]") and "%" not in text:
            return str(IPv6Address(text[1:-1]))
    except ValueError:
        pass
    raise ValueError("has no readable host. Write it as https://host/path")


def _idna_host(text: str) -> str:
    from yarl import URL  # only for the few hosts that are not ASCII

    try:
        return URL.build(scheme="https", host=unicodedata.normalize("NFKC", text)).raw_host or ""
    except (ValueError, UnicodeError):
        raise ValueError("has no readable host. Write it as https://host/path") from None


def is_address(host: str) -> bool:
    """Whether a host is an address, and no name.

    Args:
        host: Without a port and without the brackets of IPv6.

    Returns:
        True for an address as ``ipaddress`` reads it.

    >>> is_address("10.0.0.1"), is_address("::1"), is_address("ten.example")
    (True, True, False)
    """
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def is_secure_url(url: str) -> bool:
    """Whether nobody on the way to a URL can read what is sent there.

    Args:
        url: An absolute URL.

    Returns:
        True for https, and for a host that is this machine itself.

    >>> is_secure_url("https://example.com"), is_secure_url("http://127.0.0.1:8080"), is_secure_url("http://example.com")
    (True, True, False)
    """
    parts = urlsplit(url)
    return parts.scheme == "https" or is_loopback(parts.hostname or "")


def is_loopback(host: str) -> bool:
    """Whether a host is this machine itself. Looks up no name.

    Args:
        host: A name or an address, without a port and without the brackets of IPv6.

    Returns:
        True for ``localhost``, ``::1`` and all of ``127.0.0.0/8``, and for nothing that only looks like these.

    >>> is_loopback("127.0.0.1"), is_loopback("::1"), is_loopback("example.com"), is_loopback("127.0.0.\\u0661")
    (True, True, False, False)
    """
    if host == "localhost":
        return True
    try:
        address = ip_address(host)
    except ValueError:
        return False
    # Judged as what it reaches on every Python: some call an IPv4 address in IPv6 loopback, others do not.
    mapped = None if isinstance(address, IPv4Address) else address.ipv4_mapped
    return (mapped or address).is_loopback


def has_detour(path: str) -> bool:
    """Whether a path has a segment that is empty, ``.`` or ``..``, percent-encoded ones and those of Windows included.

    Such a path leads elsewhere than its letters say, and servers do not agree where.

    Args:
        path: A path without the slash that it begins with.

    Returns:
        True where it has one.

    >>> has_detour("models/owner/name"), has_detour("models/../admin"), has_detour("a/%2e%2E%2fb"), has_detour("a//b")
    (False, True, True, True)
    """
    for _ in range(_MAX_DECODINGS):
        decoded = unquote(path)
        if decoded == path:
            break
        path = decoded
    else:
        return True  # nobody means a path that is escaped so often
    return any(map(_is_detour, _SEPARATOR.split(unicodedata.normalize("NFKC", path))))


def _is_detour(segment: str) -> bool:
    """Whether some server reads a segment so: one that ends texts at NUL or ``;``, or drops what it cannot decode."""
    read = re.split("[;\0]", segment)[0]
    return "".join(each for each in read if each.isprintable() and each != "\ufffd").strip() in ("", ".", "..")
