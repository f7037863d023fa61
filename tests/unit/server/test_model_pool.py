"""Models load once, in the background; a failed load is tried again."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import threading
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from starlette.testclient import TestClient

from huggingface_api_handler.server import create_app, model_pool, registry
from huggingface_api_handler.server.model_card import AnyModelCard, Model, Token
from huggingface_api_handler.server.model_pool import ModelPool, ModelWorker
from huggingface_api_handler.server.models import sentiment
from huggingface_api_handler.server.weights import WeightsError

SENTIMENT = "/models/local/sentiment"


class Slow:
    """Loads when told to, answers with the inputs."""

    def __init__(self) -> None:
        self.may_load = threading.Event()
        self.loads = 0

    def load(self) -> Model[Any, Any]:
        self.loads += 1
        assert self.may_load.wait(10)
        return self

    def predict(self, inputs: list[Any], parameters: Mapping[str, Any]) -> list[Any]:
        return inputs


def slow_card(slow: Slow) -> AnyModelCard:
    return dataclasses.replace(sentiment.CARD, name="local/slow", hub_alias="org/slow", load=slow.load)


def test_a_model_that_loads_is_waited_for_unless_the_client_says_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    slow, wait = Slow(), asyncio.wait

    async def loads_when_waited_for(futures: Any, timeout: float | None = None) -> Any:
        slow.may_load.set()
        return await wait(futures, timeout=timeout)

    monkeypatch.setattr(registry, "CARDS", (slow_card(slow),))
    with TestClient(create_app()) as client:
        by_header = client.post("/models/org/slow", json={"inputs": "x"}, headers={"x-wait-for-model": "false"})
        by_option = client.post("/models/org/slow", json={"inputs": "x", "options": {"wait_for_model": False}})
        for response in (by_header, by_option):
            assert response.status_code == 503
            assert response.json() == {"error": "Model org/slow is currently loading", "estimated_time": 20.0}
        # It is loaded no sooner than a request waits for it.
        monkeypatch.setattr(asyncio, "wait", loads_when_waited_for)
        assert client.post("/models/org/slow", json={"inputs": "x"}).status_code == 200
        assert slow.loads == 1


def test_a_model_that_loads_too_long_is_503(monkeypatch: pytest.MonkeyPatch) -> None:
    slow = Slow()
    monkeypatch.setattr(registry, "CARDS", (slow_card(slow),))
    monkeypatch.setattr(model_pool, "MAX_LOAD_WAIT_S", 0.01)
    with TestClient(create_app()) as client:
        assert client.post("/models/org/slow", json={"inputs": "x"}).status_code == 503
        slow.may_load.set()


class Speaker:
    """Says words until nobody listens."""

    def __init__(self) -> None:
        self.silent = threading.Event()

    def predict(self, inputs: list[Any], parameters: Mapping[str, Any]) -> list[Any]:
        raise AssertionError("a stream was asked for")

    def stream(self, item: Any, parameters: Mapping[str, Any], on_token: Callable[[Token], bool]) -> Any:
        while not on_token(Token("word ")):
            pass
        self.silent.set()
        return "never heard"


def test_who_leaves_a_stream_ends_the_run() -> None:
    async def scenario() -> None:
        speaker = Speaker()
        worker: ModelWorker[Any, Any] = ModelWorker(speaker, "speaker")
        async with contextlib.aclosing(worker.stream("x", {})) as parts:
            assert await anext(parts) == Token("word ")
        assert await asyncio.to_thread(speaker.silent.wait, 10)
        worker.close()

    asyncio.run(scenario())


def test_a_failed_load_is_500_with_the_repair_and_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    loads: list[int] = []

    def load() -> Model[Any, Any]:
        loads.append(1)
        if len(loads) == 1:
            raise WeightsError("The weights are damaged. To repair: reinstall")
        return Ready()

    class Ready:
        def predict(self, inputs: list[Any], parameters: Mapping[str, Any]) -> list[Any]:
            return inputs

    card = dataclasses.replace(sentiment.CARD, load=load)
    monkeypatch.setattr(registry, "CARDS", (card,))
    with TestClient(create_app(), headers={"x-wait-for-model": "true"}) as client:
        refused = client.post(SENTIMENT, json={"inputs": "x"})
        assert refused.status_code == 500 and "To repair: reinstall" in refused.json()["error"]
        assert client.post(SENTIMENT, json={"inputs": "x"}).status_code == 200


def test_one_cancelled_wait_does_not_spoil_the_load_for_others() -> None:
    slow = Slow()

    async def scenario() -> None:
        pool = ModelPool()
        waiting = asyncio.create_task(pool.get(slow_card(slow), "org/slow", wait=True))
        await asyncio.sleep(0)
        waiting.cancel()
        slow.may_load.set()
        model = await pool.get(slow_card(slow), "org/slow", wait=True)
        assert await model.predict(["x"], {}) == ["x"]
        pool.close()

    asyncio.run(scenario())
    assert slow.loads == 1
