"""A small HTTP service for tests: it answers as the recordings do, and remembers what it was asked."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from inspect import isawaitable
from typing import Any

import pytest
from aiohttp import web

from huggingface_api_handler.inference.protocols import hub_models
from huggingface_api_handler.inference.protocols.discovery import DetectedServers
from huggingface_api_handler.inference.runtime.session import default_session
from huggingface_api_handler.inference.storage.open_stores import close_stores
from tests.support.web_server import WebServer


@dataclass
class Reply:
    """``body`` is bytes, or what becomes JSON."""

    body: Any
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)


Answer = Callable[[Any, dict[str, str], str], "Reply | Any"]


class Service(WebServer):
    """Serves ``answer(json body, headers, path)`` on a loopback port, and remembers what was POSTed, and which paths were fetched."""

    def __init__(self) -> None:
        self.answer: Answer = lambda body, headers, path: Reply({"error": "no answer set"}, 500)
        self.asked: list[Any] = []
        self.headers: list[dict[str, str]] = []
        self.paths: list[str] = []
        self.fetched: list[str] = []
        self.info: Any = None
        self.lists: dict[str, Any] = {"/v1/models": None, "/models": None}  # of models, where a server has one
        self.in_flight = self.most_in_flight = 0
        self.connections: set[object] = set()  # the address and port that each came from
        super().__init__()
        self.port = self.ports[0]

    async def _handle(self, request: web.Request) -> web.Response:
        self.in_flight += 1
        self.connections.add(request.transport and request.transport.get_extra_info("peername"))
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        try:
            raw = await request.read()
            body = json.loads(raw) if raw and request.content_type == "application/json" else raw or None
            headers = {name.lower(): value for name, value in request.headers.items()}
            if request.method == "POST":
                self.asked.append(body)
                self.headers.append(headers)
                self.paths.append(request.path)
            else:
                self.fetched.append(request.path)
            await asyncio.sleep(0)
            if request.path == "/info":
                info = self.info() if callable(self.info) else self.info
                reply = info if isinstance(info, Reply) else Reply(info, 200 if info else 404)
            elif request.method == "GET" and request.path in self.lists:
                listed = self.lists[request.path]
                reply = (listed() if callable(listed) else listed) or Reply({"error": "not found"}, 404)
            else:
                reply = self.answer(body, headers, request.path)
            if isawaitable(reply):
                reply = await reply
            if not isinstance(reply, Reply):
                reply = Reply(reply)
            content = reply.body if isinstance(reply.body, bytes) else json.dumps(reply.body).encode()
            return web.Response(
                body=content, status=reply.status, headers={"Content-Type": "application/json", **reply.headers}
            )
        finally:
            self.in_flight -= 1

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


@pytest.fixture
def service() -> Iterator[Service]:
    running = Service()
    yield running
    running.close()


@pytest.fixture(autouse=True)
def no_keys_of_this_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    """Tests neither use nor see a token or a Redis that the machine happens to have."""
    for variable in (
        "HF_TOKEN",
        "HUGGINGFACE_API_KEY",
        "HUGGINGFACE_TOKEN",
        "HUGGING_FACE_HUB_TOKEN",
        "HUGGINGFACE_API_STORE",
    ):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setattr("huggingface_hub.constants.HF_TOKEN_PATH", str(tmp_path / "no-token"))


@pytest.fixture(autouse=True)
def no_hub(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test asks the real Hub, or finds what another one was told. One with a Hub of its own sets this back."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr(hub_models, "_memory", hub_models._Memory())


@pytest.fixture(autouse=True)
def a_store_of_its_own(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> Iterator[None]:
    """No test finds what another one stored or learned."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HOME", str(tmp_path / "hf-home"))
    monkeypatch.setattr(default_session(), "servers", DetectedServers())  # a port may have been another test's
    yield
    close_stores()
