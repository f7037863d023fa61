"""Outputs as they come, in the forms of OpenAI and of Text Generation Inference."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest
from starlette.testclient import TestClient

from huggingface_api_handler.server import create_app, registry
from huggingface_api_handler.server.model_card import AnyModelCard, Token
from huggingface_api_handler.server.models import chat, sentiment, text_generation
from huggingface_api_handler.server.protocol.errors import HTTPError

CHAT = "/v1/chat/completions"
MESSAGES = [{"role": "user", "content": "Hello"}]
TOKENS = [Token("Bon", 7, -0.5), Token("jour", 8, -0.25)]
USAGE = {"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7}
ANSWER = {
    "choices": [
        {
            "index": 0,
            "message": {"role": "assistant", "content": "Bonjour"},
            "logprobs": None,
            "finish_reason": "stop",
        }
    ],
    "usage": USAGE,
}
DETAILS = {"finish_reason": "length", "generated_tokens": 2, "prompt_tokens": 3, "seed": None}
TEXT = {"generated_text": "Bonjour", "details": DETAILS}


class Whole:
    """A model that cannot stream."""

    def __init__(self, output: object) -> None:
        self.output = output

    def predict(self, inputs: list[Any], parameters: Mapping[str, Any]) -> list[Any]:
        return [self.output]


class Streaming(Whole):
    """A model that can, and may fail before its first token or after it."""

    def __init__(self, output: object, fails_early: Exception | None = None, fails_late: Exception | None = None):
        super().__init__(output)
        self.fails_early = fails_early
        self.fails_late = fails_late

    def stream(self, item: Any, parameters: Mapping[str, Any], on_token: Callable[[Token], bool]) -> Any:
        if self.fails_early:
            raise self.fails_early
        for token in TOKENS:
            assert not on_token(token)
        if self.fails_late:
            raise self.fails_late
        return self.output


@pytest.fixture
def client() -> Iterator[TestClient]:
    with TestClient(create_app()) as client:
        yield client


def serve(monkeypatch: pytest.MonkeyPatch, card: AnyModelCard, model: Whole) -> None:
    served: AnyModelCard = dataclasses.replace(
        card, name="local/fake", hub_alias=None, load=lambda: model, required_modules=()
    )
    monkeypatch.setattr(registry, "CARDS", (served, sentiment.CARD))


def events(client: TestClient, path: str, body: Mapping[str, object]) -> list[Any]:
    response = client.post(path, json={**body, "stream": True})
    assert response.status_code == 200, response.text
    assert response.headers["content-type"].startswith("text/event-stream")
    blocks = response.text.split("\n\n")
    assert blocks.pop() == "" and all(block.startswith("data: ") for block in blocks)
    return [block if block == "data: [DONE]" else json.loads(block.removeprefix("data: ")) for block in blocks]


def test_a_chat_comes_in_parts_that_end_with_done(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    serve(monkeypatch, chat.CARD, Streaming(ANSWER))
    *parts, done = events(client, CHAT, {"messages": MESSAGES})
    assert done == "data: [DONE]"
    assert {part["object"] for part in parts} == {"chat.completion.chunk"} and len({part["id"] for part in parts}) == 1
    choices = [part["choices"][0] for part in parts]
    assert [choice["delta"] for choice in choices] == [
        {"role": "assistant", "content": "Bon"},
        {"content": "jour"},
        {},
    ]
    assert [choice["finish_reason"] for choice in choices] == [None, None, "stop"]


def test_the_tokens_used_come_last_where_they_are_asked_for(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    serve(monkeypatch, chat.CARD, Streaming(ANSWER))
    with_usage = events(client, CHAT, {"messages": MESSAGES, "stream_options": {"include_usage": True}})
    assert with_usage[-2]["choices"] == [] and with_usage[-2]["usage"] == USAGE
    assert all("usage" not in part for part in events(client, CHAT, {"messages": MESSAGES})[:-1])


def test_a_model_that_cannot_stream_answers_in_one_part_and_says_so(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    serve(monkeypatch, chat.CARD, Whole(ANSWER))
    first, last, _ = events(client, CHAT, {"messages": MESSAGES})
    assert first["choices"][0]["delta"] == {"role": "assistant", "content": "Bonjour"}
    assert last["choices"][0]["finish_reason"] == "stop"
    warning = client.post(CHAT, json={"messages": MESSAGES, "stream": True, "top_z": 1}).headers["x-warning"]
    assert warning == "not known here, so ignored: top_z; this model's output comes as one piece"


def test_a_completion_comes_in_parts(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    serve(monkeypatch, text_generation.CARD, Streaming(TEXT))
    body = {"prompt": "Say", "stream_options": {"include_usage": True}}
    *parts, usage, done = events(client, "/v1/completions", body)
    assert [part["choices"][0]["text"] for part in parts] == ["Bon", "jour", ""]
    assert parts[-1]["choices"][0]["finish_reason"] == "length"
    assert usage["usage"]["total_tokens"] == 5 and done == "data: [DONE]"
    serve(monkeypatch, text_generation.CARD, Whole(TEXT))


def test_text_generation_streams_in_the_form_of_tgi(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    serve(monkeypatch, text_generation.CARD, Streaming(TEXT))
    first, last = events(client, "/models/local/fake", {"inputs": "Say", "parameters": {"details": True}})
    token = {"id": 7, "text": "Bon", "logprob": -0.5, "special": False}
    assert first == {"index": 1, "token": token, "generated_text": None, "details": None}
    assert last["index"] == 2 and last["token"]["text"] == "jour"
    assert last["generated_text"] == "Bonjour" and last["details"] == DETAILS


def test_without_tokens_text_generation_is_one_event(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    serve(monkeypatch, text_generation.CARD, Whole([{"generated_text": "Bonjour"}]))
    [only] = events(client, "/models/local/fake", {"inputs": "Say"})
    assert only["token"]["text"] == only["generated_text"] == "Bonjour" and only["details"] is None


@pytest.mark.parametrize("path", [CHAT, "/models/local/fake/v1/chat/completions"])
def test_what_is_refused_before_the_first_token_has_its_status(
    client: TestClient, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    serve(monkeypatch, chat.CARD, Streaming(ANSWER, fails_early=HTTPError(422, "too long")))
    response = client.post(path, json={"messages": MESSAGES, "stream": True})
    assert response.status_code == 422 and response.json() == {"error": "too long"}


def test_a_stream_that_breaks_says_so_and_is_not_done(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    serve(monkeypatch, chat.CARD, Streaming(ANSWER, fails_late=RuntimeError("a secret detail")))
    broken = events(client, CHAT, {"messages": MESSAGES})
    assert "RuntimeError" in broken[-1]["error"] and "secret" not in str(broken)
    serve(monkeypatch, chat.CARD, Streaming(ANSWER, fails_late=HTTPError(400, "no more")))
    with TestClient(create_app()) as other:
        assert events(other, CHAT, {"messages": MESSAGES})[-1] == {"error": "no more"}


@pytest.mark.parametrize(("path", "inputs"), [("/models/local/sentiment", "x"), ("/models/local/fake", ["a", "b"])])
def test_a_stream_is_of_one_text_and_of_a_task_that_generates(
    client: TestClient, monkeypatch: pytest.MonkeyPatch, path: str, inputs: object
) -> None:
    serve(monkeypatch, text_generation.CARD, Streaming(TEXT))
    response = client.post(path, json={"inputs": inputs, "stream": True})
    assert response.status_code == 400 and "stream" in response.json()["error"][0]
