"""A TCP proxy in a thread, for tests of what a network does between a client and a server."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import threading
from collections import deque
from collections.abc import Coroutine
from enum import Enum
from typing import Any

_HOST = "127.0.0.1"
_CALL_TIMEOUT_S = 10.0
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)


class Mode(Enum):
    """What becomes of bytes."""

    FORWARD = "they arrive"
    STALL = "they arrive once the mode is another, as TCP repeats what was lost"
    DROP = "they are lost, and so is all that follows on their connection, which stays open"


class TcpProxy:
    """Forwards what comes to ``port`` to a server, as the network that it plays allows. Every switch works at once.

    New connections are made to the server with the first bytes, so a proxy that drops accepts them and is silent.

    Args:
        port: Where the server listens.
        host: The server's address.

    Attributes:
        port: Where the proxy listens, on the loopback address.
        accepted: Connections so far.
    """

    def __init__(self, port: int, host: str = _HOST) -> None:
        self._server_address = (host, port)
        self._latency_s = 0.0
        self._mode = Mode.FORWARD
        self._links: set[_Link] = set()
        self.accepted = 0
        self._loop = asyncio.new_event_loop()
        self._listening: asyncio.Server | None = None
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self.port = 0
        self._call(self._listen())

    def forward(self) -> None:
        """Let bytes and connections through again. What was stalled arrives now; what was dropped never does."""

        async def switch() -> None:
            if self._listening is None:
                await self._listen()
            self._switch(Mode.FORWARD)

        self._call(switch())

    def stall(self) -> None:
        """Keep all bytes back until another mode, in both directions. Connections stay open."""
        self._call(self._switched(Mode.STALL))

    def drop(self) -> None:
        """Lose all bytes, in both directions. Connections stay open, and those that lost bytes never work again."""
        self._call(self._switched(Mode.DROP))

    def refuse(self) -> None:
        """Refuse new connections until ``forward``, and reset those that are open."""

        async def switch() -> None:
            if self._listening is not None:
                self._listening.close()
                self._listening = None
            self._reset_links()

        self._call(switch())

    def cut(self) -> None:
        """Reset all connections that are open. New ones are accepted."""

        async def reset() -> None:
            self._reset_links()

        self._call(reset())

    def delay(self, seconds: float) -> None:
        """Add latency.

        Args:
            seconds: For each direction, so an answer takes twice as long. It holds for bytes that come from now on.
        """
        self._latency_s = seconds

    def close(self) -> None:
        """Stop listening and reset all connections."""
        self.refuse()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(_CALL_TIMEOUT_S)
        self._loop.close()

    def __enter__(self) -> TcpProxy:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def _call(self, coroutine: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(_CALL_TIMEOUT_S)

    async def _listen(self) -> None:
        self._listening = await self._loop.create_server(lambda: _Link(self).client, _HOST, self.port)
        self.port = self._listening.sockets[0].getsockname()[1]

    async def _switched(self, mode: Mode) -> None:
        self._switch(mode)

    def _switch(self, mode: Mode) -> None:
        self._mode = mode
        for link in list(self._links):
            link.client.deliver()
            link.server.deliver()

    def _reset_links(self) -> None:
        for link in list(self._links):
            link.client.reset()
            link.server.reset()


class _Link:
    """A client's connection, and the one to the server."""

    def __init__(self, proxy: TcpProxy) -> None:
        self.proxy = proxy
        self.is_dead = False
        self.client, self.server = _Side(self), _Side(self)
        self.client.other, self.server.other = self.server, self.client

    def opened(self) -> None:
        """The client has connected."""
        self.proxy.accepted += 1
        self.proxy._links.add(self)

    async def connect(self) -> None:
        """Connect to the server, which the client's bytes wait for."""
        try:
            await asyncio.get_running_loop().create_connection(lambda: self.server, *self.proxy._server_address)
        except OSError:
            self.client.reset()


class _Side(asyncio.Protocol):
    """One end of a link. ``_pending`` is what the other end sent to it, with the time of its arrival; None is its end."""

    other: _Side

    def __init__(self, link: _Link) -> None:
        self._link = link
        self._pending: deque[tuple[float, bytes | None]] = deque()
        self._transport: asyncio.Transport | None = None
        self._is_connecting = False
        self._has_ended = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        if self is self._link.client:
            self._link.opened()
        self.deliver()

    def data_received(self, data: bytes) -> None:
        self._pass_on(data)

    def eof_received(self) -> bool:
        self._pass_on(None)
        return True  # the other direction stays open

    def connection_lost(self, exception: Exception | None) -> None:
        self._transport = None
        if exception is not None:  # a reset
            self.other.reset()
        self._link.proxy._links.discard(self._link)

    def _pass_on(self, data: bytes | None) -> None:
        link, loop = self._link, asyncio.get_running_loop()
        self.other._pending.append((loop.time() + link.proxy._latency_s, data))
        self.other.deliver()

    def deliver(self) -> None:
        """Hand on what is due, as far as the mode allows."""
        proxy, loop = self._link.proxy, asyncio.get_running_loop()
        if proxy._mode is Mode.DROP and self._pending:
            self._link.is_dead = True
        if self._link.is_dead:
            self._pending.clear()
        if proxy._mode is not Mode.FORWARD or not self._pending:
            return
        if self._transport is None:
            if self is self._link.server and not self._is_connecting:
                self._is_connecting = True
                loop.create_task(self._link.connect())
            return
        while self._pending and not self._transport.is_closing():
            due, data = self._pending[0]
            if due > loop.time():
                loop.call_at(due, self.deliver)
                return
            self._pending.popleft()
            if data is None:
                with contextlib.suppress(OSError):  # it has gone meanwhile
                    self._transport.write_eof()
                self._close_where_both_ended()
            else:
                self._transport.write(data)

    def _close_where_both_ended(self) -> None:
        """After the end of what this side is told: once it has said its own, too, nothing more can come."""
        self._has_ended = True
        if self.other._has_ended:
            for side in (self, self.other):
                if side._transport is not None:
                    side._transport.close()

    def reset(self) -> None:
        """Close it as a host does that knows nothing of the connection."""
        if self._transport is not None:
            with contextlib.suppress(OSError):
                self._transport.get_extra_info("socket").setsockopt(
                    socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE
                )
            self._transport.abort()
