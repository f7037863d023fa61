"""Attacks that succeeded on version 0.1.0, through MindsDB's verbs: whoever may write SQL may do all of this.

As ``tests/unit/test_attacks.py``, this file uses no internal name, so it runs against 0.1.0 too, where each test fails.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import aiohttp.connector
import pandas as pd
import pytest
import trustme
from aiohttp import web

from huggingface_api_handler.handler import HuggingFaceInferenceAPIHandler as Handler
from tests.conftest import Reply, Service
from tests.support.mindsdb_storage import Storage

MACHINE, OWN = "hf_FoundOnTheMachine00", "alice-own-endpoint-key-0"
USING = {"task": "text-classification", "column": "text", "engine": "e"}
METADATA = {"Code": "Success", "AccessKeyId": "ASIAX", "SecretAccessKey": "s3cr3t"}


def model(engine: dict[str, Any], **using: Any) -> Handler:
    """CREATE MODEL on an engine, as far as it gets."""
    handler = Handler(model_storage=Storage(), engine_storage=Storage(engine))
    with suppress(Exception):
        handler.create("s", None, {"target": "s", "using": {**USING, **using}})
    return handler


def told(handler: Handler) -> str:
    """What DESCRIBE s.model and SELECT show, errors included."""
    shown = []
    with suppress(Exception):
        shown.append(handler.describe("model").to_csv())
    try:
        shown.append(handler.predict(pd.DataFrame({"text": ["a"]}), {}).to_csv())
    except Exception as error:
        shown.append(str(error))
    return "\n".join(shown)


class Paths(Service):
    """Keeps the path and the key of each request, whatever its method."""

    def __init__(self) -> None:
        self.keys: list[tuple[str, str]] = []
        super().__init__()
        self.answer = self._keep

    def _keep(self, body: Any, headers: dict[str, str], path: str) -> Any:
        self.keys.append((path, headers.get("authorization", "")))
        return (
            Reply([[{"label": "ok", "score": 0.9}]]) if body else {"id": "o/m", "pipeline_tag": "text-classification"}
        )


@pytest.fixture
def paths() -> Iterator[Paths]:
    running = Paths()
    yield running
    running.close()


def test_a_host_that_begins_as_the_hub_does_gets_no_key_of_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", MACHINE)
    authority, serving, trusting = trustme.CA(), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.create_default_context()
    authority.issue_cert("huggingface.co.evil.test").configure_cert(serving)
    authority.configure_trust(trusting)
    monkeypatch.setattr(aiohttp.connector, "_SSL_CONTEXT_VERIFIED", trusting)
    lookup = socket.getaddrinfo
    monkeypatch.setattr(socket, "getaddrinfo", lambda _, *more, **named: lookup("127.0.0.1", *more, **named))
    keys: list[str | None] = []

    async def answer(request: web.Request) -> web.Response:
        keys.append(request.headers.get("authorization"))
        return web.json_response({})

    loop, port = asyncio.new_event_loop(), []
    ready = threading.Event()

    async def serve() -> None:
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", answer)
        runner = web.AppRunner(app)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=serving).start()
        port.append(runner.addresses[0][1])
        ready.set()

    threading.Thread(target=lambda: (loop.create_task(serve()), loop.run_forever()), daemon=True).start()
    assert ready.wait(20)
    engine = {"endpoint": f"https://huggingface.co.evil.test:{port[0]}/models"}
    Handler(model_storage=None, engine_storage=Storage()).create_engine(engine)
    loop.call_soon_threadsafe(loop.stop)
    assert keys == [None]


def test_the_hub_gets_no_key_of_an_endpoint(paths: Paths, service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", paths.url)
    monkeypatch.setattr("huggingface_hub.hf_api.ENDPOINT", paths.url, raising=False)
    handler = Handler(model_storage=Storage(), engine_storage=Storage({"endpoint": service.url, "api_key": OWN}))
    handler.create("s", None, {"target": "s", "using": {"engine": "e", "model": "o/m", "column": "text"}})
    assert ("/api/models/o/m", "") in paths.keys
    assert not any(key for _, key in paths.keys)


def test_describe_shows_nothing_of_an_internal_address(service: Service) -> None:
    service.answer = lambda *_: METADATA
    handler = model({}, endpoint=f"{service.url}/latest/meta-data/iam/security-credentials/x")
    assert "s3cr3t" not in told(handler)
    assert service.fetched == service.asked == []


@pytest.mark.parametrize("using", [{"endpoint": "{}/admin/users"}, {"model": "../../admin/users"}])
def test_the_key_goes_to_no_other_path_of_the_origin(paths: Paths, using: dict[str, str]) -> None:
    engine = {"endpoint": f"{paths.url}/team-a/models", "api_key": OWN}
    told(model(engine, **{name: value.format(paths.url) for name, value in using.items()}))
    assert not any(key for path, key in paths.keys if path.startswith("/admin"))


def test_a_select_raises_no_limit_of_the_model(service: Service) -> None:
    service.answer = lambda *_: [[{"label": "ok", "score": 0.9}]]
    handler = model({"endpoint": service.url}, max_requests=2, cache=False)
    rows = pd.DataFrame({"text": [f"row {number}" for number in range(6)]})
    with suppress(Exception):
        handler.predict(rows, {"using": {"max_requests": 1_000_000_000}})
    assert 1 <= len(service.asked) <= 2
