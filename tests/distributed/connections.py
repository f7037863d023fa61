"""A service that knows which connections its requests came over, and which process has the other end."""

from __future__ import annotations

import os
from pathlib import Path

from aiohttp import web

from tests.conftest import Service


class ConnectionCounter(Service):
    """A service.

    Attributes:
        peers: The ports of clients, one for each connection that a request came over.
        last_peer: That of the last request.
    """

    def __init__(self) -> None:
        self.peers: set[int] = set()
        self.last_peer = 0
        super().__init__()

    async def _handle(self, request: web.Request) -> web.Response:
        assert request.transport is not None
        self.last_peer = request.transport.get_extra_info("peername")[1]
        self.peers.add(self.last_peer)
        return await super()._handle(request)


def process_at(port: int) -> int:
    """The process of this machine that a connection begins at.

    Args:
        port: Its port on 127.0.0.1.

    Returns:
        The process's id.
    """
    inode = _inode_of(port)
    for link in Path("/proc").glob("[0-9]*/fd/*"):
        try:
            if os.readlink(link) == f"socket:[{inode}]":
                return int(link.parts[2])
        except OSError:  # a process that has ended meanwhile
            continue
    raise LookupError(f"no process has port {port}")


def _inode_of(port: int) -> str:
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        fields = line.split()
        if int(fields[1].rpartition(":")[2], 16) == port:
            return fields[9]
    raise LookupError(f"no connection has port {port}")
