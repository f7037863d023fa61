"""A stand-in for Hugging Face that notes what it is asked, holds answers back, and says 429 when it is told to."""

from __future__ import annotations

import asyncio
import json
import time
from typing import NamedTuple

from aiohttp import web

from tests.support.web_server import WebServer


class Request(NamedTuple):
    """One request.

    Attributes:
        text: What was asked.
        at: When it came, in seconds of ``time.monotonic``.
        port: Where it came from.
        key: The key that came with it.
    """

    text: str
    at: float
    port: int
    key: str


class PacedService(WebServer):
    """Classifies a text by its last character, one text at a time.

    Attributes:
        requests: What it was asked, in order.
        answered: The texts that it answered.
        refuse_for_s: The next request is told to come again in so many seconds, once.
        resume_at: When it may come again, by ``time.monotonic``; None where none was told so.
    """

    def __init__(self) -> None:
        self.requests: list[Request] = []
        self.answered: set[str] = set()
        self._open = asyncio.Event()
        self._open.set()
        self._unheld = 0
        self.refuse_for_s = 0
        self.resume_at: float | None = None
        super().__init__()

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self.ports[0]}"

    def hold(self, *, after: int) -> None:
        """Hold back what comes, once so many more texts were answered, until ``release``."""

        async def close() -> None:
            self._unheld = after
            self._open.clear()

        asyncio.run_coroutine_threadsafe(close(), self._loop).result()

    def release(self) -> None:
        """Answer what is held back, and all that comes."""
        self._loop.call_soon_threadsafe(self._open.set)

    def texts(self) -> list[str]:
        """What it was asked, in order."""
        return [request.text for request in self.requests]

    async def _handle(self, request: web.Request) -> web.Response:
        if request.method != "POST":
            return web.json_response({"error": "not found"}, status=404)
        text = json.loads(await request.read())["inputs"]
        if not isinstance(text, str):
            return web.json_response({"error": "Input should be a valid string"}, status=422)
        assert request.transport is not None
        port = request.transport.get_extra_info("peername")[1]
        key = request.headers.get("Authorization", "").removeprefix("Bearer ")
        self.requests.append(Request(text, time.monotonic(), port, key))
        if self.refuse_for_s:
            seconds, self.refuse_for_s = self.refuse_for_s, 0
            self.resume_at = time.monotonic() + seconds
            return web.json_response({"error": "Too Many Requests"}, status=429, headers={"Retry-After": str(seconds)})
        self._unheld -= 1
        if self._unheld < 0:
            await self._open.wait()
        self.answered.add(text)
        return web.json_response([{"label": text[-1], "score": 0.75}])
