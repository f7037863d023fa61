"""Which URLs and addresses a cell may name: the public internet over HTTPS, each in one spelling (against SSRF).

The ranges that are not public are those of IANA's special-purpose address registries. They are spelled out here because
``ipaddress`` classifies some of them differently from one Python version to the next.
"""

from __future__ import annotations

import re
import unicodedata
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address, ip_network
from typing import NoReturn
from urllib.parse import quote

from yarl import URL

from ...errors import MediaError

ALLOWED_PORTS = {"https": frozenset({443}), "http": frozenset({80})}
"""The ports of each scheme that a URL may name unless private addresses are allowed."""

_NON_PUBLIC = tuple(
    (ip_network(network), reason)
    for network, reason in {
        "0.0.0.0/8": "unspecified",
        "10.0.0.0/8": "private",
        "100.64.0.0/10": "private (carrier-grade NAT)",
        "127.0.0.0/8": "this machine's own (loopback)",
        "168.63.129.16/32": "a cloud's metadata service",
        "169.254.0.0/16": "link-local, where clouds keep their metadata",
        "172.16.0.0/12": "private",
        "192.0.0.0/24": "reserved",
        "192.0.2.0/24": "reserved",
        "192.88.99.0/24": "reserved",
        "192.168.0.0/16": "private",
        "198.18.0.0/15": "reserved",
        "198.51.100.0/24": "reserved",
        "203.0.113.0/24": "reserved",
        "224.0.0.0/4": "multicast",
        "240.0.0.0/4": "reserved",
        "::/128": "unspecified",
        "::1/128": "this machine's own (loopback)",
        "fc00::/7": "private",
        "fe80::/10": "link-local",
        "fec0::/10": "private",
        "ff00::/8": "multicast",
        "2001::/23": "reserved",
        "2001:db8::/32": "reserved",
        "3fff::/20": "reserved",
    }.items()
)
_GLOBAL_UNICAST_V6 = IPv6Network("2000::/3")
_NAT64 = IPv6Network("64:ff9b::/96")
_ISATAP_IDENTIFIERS = (0x00005EFE, 0x02005EFE)

_URL = re.compile(r"(https?)://([^/?#]*)([^#]*)", re.I)
_AUTHORITY = re.compile(r"(\[[^\]]*\]|[^:\[\]]*)(?::([0-9]{0,5}))?")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_LABEL = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?")
_NUMERIC_LABEL = re.compile(r"[0-9]+|0x[0-9a-f]*")
_UNQUOTED_CHARS = "!$%&'()*+,/:;=?@[]~"


def non_public_reason(address: str) -> str | None:
    """Why an address is not one of the public internet.

    Args:
        address: An IPv4 or IPv6 address. An IPv6 address that carries an IPv4 address is classified by that one.

    Returns:
        A few words such as ``private`` or ``multicast``, or None for a public address.

    >>> non_public_reason("169.254.169.254")
    'link-local, where clouds keep their metadata'
    >>> non_public_reason("::ffff:10.0.0.1")
    'private'
    >>> non_public_reason("1.1.1.1") is None
    True
    """
    try:
        ip = ip_address(address)
    except ValueError:
        return "no address"
    if isinstance(ip, IPv4Address):
        return _listed_reason(ip)
    if ip.scope_id is not None:
        return "link-local"
    embedded = _embedded_ipv4(ip)
    if embedded is not None:
        return non_public_reason(str(embedded))
    return _listed_reason(ip) or (None if ip in _GLOBAL_UNICAST_V6 else "reserved")


def _listed_reason(ip: IPv4Address | IPv6Address) -> str | None:
    return next((reason for network, reason in _NON_PUBLIC if ip in network), None)


def _embedded_ipv4(ip: IPv6Address) -> IPv4Address | None:
    """The IPv4 address that a packet to ``ip`` reaches, where ``ip`` is a form that carries one."""
    number = int(ip)
    if ip in _NAT64 or (number >> 32) & 0xFFFFFFFF in _ISATAP_IDENTIFIERS:
        return IPv4Address(number & 0xFFFFFFFF)
    return ip.ipv4_mapped or ip.sixtofour


def validate_url(text: str, *, allow_private: bool) -> URL:
    """Check that a URL may be fetched, as far as its text shows.

    A host that is an address is checked here. A host that is a name is checked once it is resolved, by
    ``non_public_reason`` of each address.

    Args:
        text: The URL as a cell or a redirect holds it.
        allow_private: Whether private addresses, other ports and http:// are allowed.

    Returns:
        The URL to request, its host in ASCII and lower case.

    Raises:
        MediaError: The URL may not be fetched, or can be read in more than one way.

    >>> validate_url("https://EXAMPLE.com/a cat.png", allow_private=False).raw_path
    '/a%20cat.png'
    """
    match = _URL.match(text)
    if match is None or _CONTROL.search(text) or not match[2]:
        raise MediaError(
            "only URLs of the form https://host/path are fetched, and this is none. Other schemes never are"
        )
    scheme = match[1].lower()
    if scheme == "http" and not allow_private:
        raise MediaError(
            "http:// is not fetched: anybody on the way could change it. Use https://, or set "
            "allow_private_media = true in CREATE ML_ENGINE where all who write SQL may reach internal servers"
        )
    if "@" in match[2]:
        raise MediaError("the URL holds a user name or password, which would be sent to its host. Leave it out")
    authority = _AUTHORITY.fullmatch(match[2])
    if authority is None:
        raise MediaError("the URL has no readable host. Write it as https://host/path")
    host = _canonical_host(authority[1])
    port = int(authority[2] or (443 if scheme == "https" else 80))
    if not 0 < port < 65536 or not (allow_private or port in ALLOWED_PORTS[scheme]):
        allowed = ", ".join(map(str, sorted(ALLOWED_PORTS[scheme])))
        raise MediaError(
            f"the URL names port {port}; only {allowed} is fetched from. Serve it "
            "there, or set allow_private_media = true in CREATE ML_ENGINE"
        )
    if not allow_private and _is_address(host) and (reason := non_public_reason(host)):
        raise MediaError(non_public_message(host, reason))
    bracketed = f"[{host}]" if ":" in host else host
    try:
        path = quote(match[3], safe=_UNQUOTED_CHARS)
    except UnicodeEncodeError:
        raise MediaError("the URL is not valid Unicode") from None
    path = path if path.startswith("/") else f"/{path}"
    url = URL(f"{scheme}://{bracketed}:{port}{path}", encoded=True)
    if url.raw_host != host or url.port != port or url.user is not None:
        raise MediaError("the URL has no readable host. Write it as https://host/path")
    return url


def non_public_message(host: str, reason: str) -> str:
    """The text of the error for a host that is not public.

    Args:
        host: The name or address in the URL.
        reason: What ``non_public_reason`` returned.

    Returns:
        What is wrong and what to do.
    """
    verb = "is" if _is_address(host) else "leads to"
    return (
        f"{host} {verb} no public address: it is {reason}. Use a public one, or set allow_private_media = true "
        "in CREATE ML_ENGINE where all who write SQL may reach internal servers"
    )


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def _canonical_host(text: str) -> str:
    """A host in its one spelling. MediaError for the other spellings of an address that resolvers accept."""
    if text.startswith("["):
        try:
            return str(IPv6Address(text[1:-1])) if "%" not in text else _raise_unreadable_host()
        except ValueError:
            return _raise_unreadable_host()
    if not text.isascii():
        try:
            text = URL.build(scheme="https", host=unicodedata.normalize("NFKC", text)).raw_host or ""
        except (ValueError, UnicodeError):
            return _raise_unreadable_host()
    host = text.lower().removesuffix(".")
    if _is_address(host) and ":" not in host:
        return host
    labels = host.split(".")
    if len(host) > 253 or not all(map(_LABEL.fullmatch, labels)):
        return _raise_unreadable_host()
    if _NUMERIC_LABEL.fullmatch(labels[-1]):
        raise MediaError("the URL's host is an address in an unusual spelling. Write it as four decimal numbers")
    return host


def _raise_unreadable_host() -> NoReturn:
    raise MediaError("the URL has no readable host. Write it as https://host/path")
