"""A web server on a thread of its own, for tests that say what it answers."""

from __future__ import annotations

import asyncio
import ssl
import threading
from collections.abc import Sequence

from aiohttp import web

_MAX_BODY_BYTES = 64 * 1024 * 1024


class WebServer:
    """Gives each request to ``_handle``, on an event loop of its own.

    Args:
        address: Where it listens.
        contexts: A port is opened for each: with TLS, or in clear for None.

    Attributes:
        ports: The ports, in the order of ``contexts``.
    """

    def __init__(self, address: str = "127.0.0.1", contexts: Sequence[ssl.SSLContext | None] = (None,)) -> None:
        self.ports: list[int] = []
        self._address, self._contexts = address, contexts
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        threading.Thread(target=self._run, daemon=True).start()
        assert self._ready.wait(10)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        app = web.Application(client_max_size=_MAX_BODY_BYTES)
        app.router.add_route("*", "/{path:.*}", self._handle)
        runner = web.AppRunner(app)
        self._loop.run_until_complete(runner.setup())
        for context in self._contexts:
            self._loop.run_until_complete(web.TCPSite(runner, self._address, 0, ssl_context=context).start())
        self.ports = [address[1] for address in runner.addresses]
        self._ready.set()
        self._loop.run_forever()
        self._loop.run_until_complete(runner.cleanup())
        self._loop.close()

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        raise NotImplementedError

    def close(self) -> None:
        """Stop the server."""
        self._loop.call_soon_threadsafe(self._loop.stop)
