"""Which URLs and addresses a cell may name: the public internet over HTTPS, in one spelling of each.

The list of what is not public is IANA's special-purpose registries, spelled out here because ``ipaddress`` judges
some of these ranges differently from one Python version to the next.
"""

from __future__ import annotations

import re
import unicodedata
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from urllib.parse import quote

from yarl import URL

from ...errors import MediaError

PORTS = {"https": frozenset({443}), "http": frozenset({80})}
"""Ports that may be named where private addresses may not."""

_NOT_PUBLIC_4 = tuple(
    (IPv4Network(network), what)
    for network, what in {
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
    }.items()
)
_PUBLIC_6 = IPv6Network("2000::/3")
_NOT_PUBLIC_6 = tuple(
    (IPv6Network(network), what)
    for network, what in {
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
_NAT64 = IPv6Network("64:ff9b::/96")
_ISATAP = (0x00005EFE, 0x02005EFE)

_URL = re.compile(r"(https?)://([^/?#]*)([^#]*)", re.I)
_AUTHORITY = re.compile(r"(\[[^\]]*\]|[^:\[\]]*)(?::([0-9]{0,5}))?")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_LABEL = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?")
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")
_AS_IT_IS = "!$%&'()*+,/:;=?@[]~"


def not_public(address: str) -> str | None:
    """What ``address`` is where it is not one of the public internet, else None."""
    try:
        ip = ip_address(address)
    except ValueError:
        return "no address"
    if isinstance(ip, IPv4Address):
        return next((what for network, what in _NOT_PUBLIC_4 if ip in network), None)
    if ip.scope_id is not None:
        return "link-local"
    inner = _embedded(ip)
    if inner is not None:
        return not_public(str(inner))
    what = next((what for network, what in _NOT_PUBLIC_6 if ip in network), None)
    return what or (None if ip in _PUBLIC_6 else "reserved")


def _embedded(ip: IPv6Address) -> IPv4Address | None:
    """The IPv4 address that a packet to ``ip`` would end at, where it is one of the forms that carry such."""
    number = int(ip)
    if ip in _NAT64 or (number >> 32) & 0xFFFFFFFF in _ISATAP:
        return IPv4Address(number & 0xFFFFFFFF)
    return ip.ipv4_mapped or ip.sixtofour


def public_url(text: str, *, allow_private: bool) -> URL:
    """``text`` as the URL to request, its host in ASCII and lower case. Raises MediaError where it may not be fetched.

    A host that is an address is judged here; a name is judged by the addresses it resolves to (``not_public``).
    """
    found = _URL.match(text)
    if found is None or _CONTROL.search(text) or not found[2]:
        raise MediaError(
            "only URLs of the form https://host/path are fetched, and this is none. Other schemes never are"
        )
    scheme = found[1].lower()
    if scheme == "http" and not allow_private:
        raise MediaError(
            "http:// is not fetched: anybody on the way could change it. Use https://, or set "
            "allow_private_media = true in CREATE ML_ENGINE where all who write SQL may reach internal servers"
        )
    if "@" in found[2]:
        raise MediaError("the URL holds a user name or password, which would be sent to its host. Leave it out")
    authority = _AUTHORITY.fullmatch(found[2])
    if authority is None:
        raise MediaError("the URL has no readable host. Write it as https://host/path")
    host = _host(authority[1])
    port = int(authority[2] or (443 if scheme == "https" else 80))
    if not 0 < port < 65536 or not (allow_private or port in PORTS[scheme]):
        raise MediaError(
            f"the URL names port {port}; only {', '.join(map(str, sorted(PORTS[scheme])))} is fetched from. Serve it "
            "there, or set allow_private_media = true in CREATE ML_ENGINE"
        )
    if not allow_private and _is_address(host) and (what := not_public(host)):
        raise MediaError(not_fetched(host, what))
    bracketed = f"[{host}]" if ":" in host else host
    try:
        path = quote(found[3], safe=_AS_IT_IS)
    except UnicodeEncodeError:
        raise MediaError("the URL is not valid Unicode") from None
    path = path if path.startswith("/") else f"/{path}"
    url = URL(f"{scheme}://{bracketed}:{port}{path}", encoded=True)
    if url.raw_host != host or url.port != port or url.user is not None:
        raise MediaError("the URL has no readable host. Write it as https://host/path")
    return url


def not_fetched(host: str, what: str) -> str:
    leads = "is" if _is_address(host) else "leads to"
    return (
        f"{host} {leads} no public address: it is {what}. Use a public one, or set allow_private_media = true "
        "in CREATE ML_ENGINE where all who write SQL may reach internal servers"
    )


def is_public(address: str) -> bool:
    return not_public(address) is None


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def _host(text: str) -> str:
    """A host in its one spelling. Raises MediaError for the many others that resolvers accept for an address."""
    if text.startswith("["):
        try:
            return str(IPv6Address(text[1:-1])) if "%" not in text else _no_host()
        except ValueError:
            return _no_host()
    if not text.isascii():
        try:
            text = URL.build(scheme="https", host=unicodedata.normalize("NFKC", text)).raw_host or ""
        except (ValueError, UnicodeError):
            return _no_host()
    host = text.lower().removesuffix(".")
    if _is_address(host) and ":" not in host:
        return host
    labels = host.split(".")
    if len(host) > 253 or not all(map(_LABEL.fullmatch, labels)):
        return _no_host()
    if _NUMBER.fullmatch(labels[-1]):
        raise MediaError("the URL's host is an address in an unusual spelling. Write it as four decimal numbers")
    return host


def _no_host() -> str:
    raise MediaError("the URL has no readable host. Write it as https://host/path")
