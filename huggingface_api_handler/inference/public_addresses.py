"""Which addresses are of the public internet, and a resolver that gives no others (against SSRF).

The ranges that are not public are those of IANA's special-purpose address registries. They are spelled out here because
``ipaddress`` classifies some of them differently from one Python version to the next.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address, ip_network
from typing import TYPE_CHECKING

from aiohttp.abc import AbstractResolver

from ..urls import is_address

if TYPE_CHECKING:
    from aiohttp.abc import ResolveResult

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


def non_public_words(host: str, reason: str) -> str:
    """Say that a host is not public, as the beginning of a message.

    Args:
        host: Its name or address.
        reason: What ``non_public_reason`` says of the address.

    Returns:
        Half a sentence without a full stop.

    >>> non_public_words("10.0.0.1", "private")
    '10.0.0.1 is no public address: it is private'
    """
    verb = "is" if is_address(host) else "leads to"
    return f"{host} {verb} no public address: it is {reason}"


class PrivateAddress(Exception):  # noqa: N818 - read as what was found
    """A host is at an address that is not public.

    Args:
        host: Its name.
        reason: What ``non_public_reason`` says of the address.
    """

    def __init__(self, host: str, reason: str) -> None:
        super().__init__(host, reason)
        self.host, self.reason = host, reason


class PublicOnlyResolver(AbstractResolver):
    """A resolver that refuses a name if any of its addresses is not public.

    A connector connects to the addresses that it gives, so the address that was judged is the one that is connected
    to. DNS rebinding, a name that resolves to another address the second time, gains nothing.

    Args:
        resolver: Looks names up.
        refusal: Makes the error of a host and of why its address is not public.
    """

    def __init__(self, resolver: AbstractResolver, refusal: Callable[[str, str], Exception]) -> None:
        self._resolver = resolver
        self._refusal = refusal

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """Look up a name as the wrapped resolver does.

        Args:
            host: The name.
            port: To connect to.
            family: Of the addresses.

        Returns:
            The addresses, all of them public.

        Raises:
            Exception: What ``refusal`` made, where an address is not public.
        """
        addresses = await self._resolver.resolve(host, port, family)
        for address in addresses:
            if reason := non_public_reason(address["host"]):
                raise self._refusal(host, reason)
        return addresses

    async def close(self) -> None:
        """Close the wrapped resolver."""
        await self._resolver.close()
