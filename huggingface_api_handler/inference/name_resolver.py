"""Names of hosts looked up on threads: a name server that hangs holds up nobody else's look-ups."""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import TYPE_CHECKING

from aiohttp.abc import AbstractResolver

from .threads import OwnedThreads, Threads

if TYPE_CHECKING:
    from aiohttp.abc import ResolveResult

_MAX_LOOKUPS_OF_A_NAME = 4
"""Look-ups of one name at once. A name server that hangs holds no more threads of each name."""


class NameResolver(AbstractResolver):
    """The machine's own resolver.

    Args:
        threads: Gives the threads for the look-ups of a host; by default each host has its own.
    """

    def __init__(self, threads: Callable[[str], Threads] | None = None) -> None:
        self._threads = threads or OwnedThreads(_MAX_LOOKUPS_OF_A_NAME).of

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """Look up a name, as aiohttp asks for it.

        Args:
            host: The name.
            port: The port, which comes back with each address.
            family: The kind of addresses; any for ``AF_UNSPEC``.

        Returns:
            The addresses.

        Raises:
            OSError: The name has none, or cannot be looked up.
        """
        found = await self._threads(host).run(socket.getaddrinfo, host, port, family, socket.SOCK_STREAM)
        flags = socket.AI_NUMERICHOST | socket.AI_NUMERICSERV
        return [
            {
                "hostname": host,
                "host": _with_zone(address),
                "port": port,
                "family": found_family,
                "proto": protocol,
                "flags": flags,
            }
            for found_family, _, protocol, _, address in found
        ]

    async def close(self) -> None:
        """Nothing is held open."""


def _with_zone(address: tuple[object, ...]) -> str:
    """A link-local address of IPv6 means something on one interface only, which is the last number."""
    host, zone = str(address[0]), address[3] if len(address) > 3 else 0
    return f"{host}%{zone}" if zone and "%" not in host else host
