"""What the local inference server refuses, with which status, in which words."""

from __future__ import annotations

import asyncio
import dataclasses
import importlib
import importlib.util
import sys
import threading
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from starlette.testclient import TestClient

from huggingface_api_handler import server
from huggingface_api_handler.server import create_app, registry
from huggingface_api_handler.server.model_card import Card, Model
from huggingface_api_handler.server.model_pool import Shelf
from huggingface_api_handler.server.models import sentiment
from huggingface_api_handler.server.protocol.errors import Refusal
from huggingface_api_handler.server.weights import WeightsError

SENTIMENT = "/models/local/sentiment"
ZERO_SHOT = "/models/local/zero-shot-minilm"
MINILM = "/models/local/minilm-l6-v2-int8"


@pytest.fixture(scope="module")
def client() -> Iterator[TestClient]:
    with TestClient(create_app(), headers={"x-wait-for-model": "true"}) as client:
        yield client


def test_an_unknown_model_is_404_in_the_recorded_words(client: TestClient) -> None:
    for path in ("/models/this-model/does-not-exist-123", "/hf-inference/models/this-model/does-not-exist-123"):
        for response in (client.post(path, json={"inputs": "x"}), client.get(path)):
            assert response.status_code == 404
            assert response.json()["error"] == "Model this-model/does-not-exist-123 does not exist"


@pytest.mark.parametrize("path", ["/", "/modles/x", "/v2/nothing"])
def test_a_wrong_path_is_told_the_endpoint_url(client: TestClient, path: str) -> None:
    response = client.post(path, json={"inputs": "x"})
    assert response.status_code == 404
    assert response.json()["error"].endswith("The endpoint URL to use is http://testserver/models")


MESSAGES = [{"role": "user", "content": "Hello"}]


def test_chat_without_a_model_names_the_chat_models(client: TestClient) -> None:
    response = client.post("/v1/chat/completions", json={"messages": MESSAGES})
    assert response.status_code == 400 and "local/smollm2-135m-instruct" in response.json()["error"][0]


@pytest.mark.parametrize("named", ["no/such-model", "no/such-model:fastest"])
def test_chat_with_an_unknown_model_is_404(client: TestClient, named: str) -> None:
    response = client.post("/v1/chat/completions", json={"model": named, "messages": MESSAGES})
    assert response.status_code == 404 and response.json()["error"] == "Model no/such-model does not exist"


def test_a_model_that_does_not_chat_says_so(client: TestClient) -> None:
    response = client.post(f"{SENTIMENT}/v1/chat/completions", json={"messages": MESSAGES})
    assert response.status_code == 400 and "does not do chat-completion" in response.json()["error"]


def test_a_wrong_method_is_405(client: TestClient) -> None:
    response = client.put(SENTIMENT, json={"inputs": "x"})
    assert response.status_code == 405 and "error" in response.json()
    assert client.post("/health").status_code == 405


BAD_BODIES = [
    b"",
    b"not json",
    b"\xff\xfe\x00",
    b'{"inputs": "\xc3\x28"}',
    b'{"inputs": NaN}',
    b'{"inputs": "\\ud800"}',
    b'["x"]',
    b'"x"',
    b"null",
    b"{}",
    b'{"inputs": null}',
    b'{"inputs": 3}',
    b'{"inputs": true}',
    b'{"inputs": []}',
    b'{"inputs": [1]}',
    b'{"inputs": ["a", null]}',
    b'{"inputs": [["a", "b"]]}',
    b'{"inputs": {"text": "a"}}',
    b'{"inputs": "x", "parameters": []}',
    b'{"inputs": "x", "parameters": {"top_k": 0}}',
    b'{"inputs": "x", "parameters": {"top_k": true}}',
    b'{"inputs": "x", "parameters": {"top_k": "1"}}',
    b'{"inputs": "x", "parameters": {"topk": 1}}',
    b'{"inputs": "x", "parameters": {"function_to_apply": "cube"}}',
    b'{"inputs": "x", "options": 1}',
    b'{"inputs": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    b'{"inputs": ' + b'{"a":' * 100_000 + b"1" + b"}" * 100_001,
    b'{"inputs": "x", "parameters": {"top_k": ' + b"9" * 10_000 + b"}}",
]


@pytest.mark.parametrize("body", BAD_BODIES, ids=lambda body: repr(body[:40]))
def test_a_bad_body_is_400_with_a_reason(client: TestClient, body: bytes) -> None:
    response = client.post(SENTIMENT, content=body, headers={"content-type": "application/json"})
    assert response.status_code == 400, response.text
    assert response.json()["error"] and "Traceback" not in response.text


def test_a_bad_field_is_named_as_hf_inference_does(client: TestClient) -> None:
    error = client.post(SENTIMENT, json={"inputs": ["a", 1]}).json()["error"]
    assert error == ["Error in `inputs.1`: expected a string, got number"]


@pytest.mark.parametrize(
    "inputs",
    [
        {"sentences": ["a"]},
        {"source_sentence": "a"},
        {"source_sentence": 1, "sentences": ["a"]},
        {"source_sentence": "a", "sentences": "a"},
        {"source_sentence": "a", "sentences": []},
        {"source_sentence": "a", "sentences": [1]},
        "a text",
        ["a text"],
    ],
)
def test_bad_sentences_are_400(client: TestClient, inputs: object) -> None:
    response = client.post(f"{MINILM}/pipeline/sentence-similarity", json={"inputs": inputs})
    assert response.status_code == 400 and response.json()["error"]


@pytest.mark.parametrize(
    ("parameters", "status"),
    [
        ({}, 400),
        ({"candidate_labels": []}, 400),
        ({"candidate_labels": " , "}, 400),
        ({"candidate_labels": 3}, 400),
        ({"candidate_labels": ["a", 1]}, 400),
        ({"candidate_labels": [str(number) for number in range(129)]}, 400),
        ({"candidate_labels": ["a"], "multi_label": "yes"}, 400),
        ({"candidate_labels": ["a"], "hypothesis_template": 1}, 400),
        ({"candidate_labels": ["a"], "hypothesis_template": "no place"}, 422),
    ],
)
def test_bad_zero_shot_parameters_are_refused(client: TestClient, parameters: object, status: int) -> None:
    response = client.post(ZERO_SHOT, json={"inputs": "x", "parameters": parameters})
    assert response.status_code == status and response.json()["error"]


def test_a_list_beyond_the_limit_is_413_in_the_words_of_text_embeddings_inference(client: TestClient) -> None:
    assert client.post(MINILM, json={"inputs": ["a"] * 128}).status_code == 200
    response = client.post(MINILM, json={"inputs": ["a"] * 129})
    assert response.status_code == 413
    assert response.json() == {
        "error": "batch size 129 > maximum allowed batch size 128",
        "error_type": "Validation",
    }


def test_a_body_beyond_the_limit_is_413_announced_or_not(client: TestClient) -> None:
    def chunks() -> Iterator[bytes]:
        for _ in range(11):
            yield b"x" * 1_000_000

    assert client.post(SENTIMENT, content=b"x" * 10_000_001).status_code == 413
    assert client.post(SENTIMENT, content=chunks()).status_code == 413


def test_a_task_the_model_does_not_do_is_400(client: TestClient) -> None:
    response = client.post(f"{SENTIMENT}/pipeline/translation", json={"inputs": "x"})
    assert response.status_code == 400
    assert response.json()["error"] == "Model local/sentiment does not do translation; it does text-classification"


EVERY_PATH = ["/health", "/info", "/models", "/models/local/sentiment", "/", "/nothing"]


@pytest.mark.parametrize("path", EVERY_PATH)
@pytest.mark.parametrize(
    "sent", [None, "", "Bearer wrong", "secret", "Basic secret", "bearer secret ", "Bearer sécret"]
)
def test_every_path_is_401_without_the_right_token(path: str, sent: str | None) -> None:
    headers = {} if sent is None else {"authorization": sent.encode()}
    response = TestClient(create_app("secret")).get(path, headers=headers)
    assert response.status_code == 401
    assert response.json() == {"error": "Invalid credentials in Authorization header"}
    assert response.headers["www-authenticate"].startswith("Bearer")


def test_the_right_token_opens(client: TestClient) -> None:
    with_token = TestClient(create_app("secret"), headers={"authorization": "Bearer secret"})
    assert with_token.get("/health").status_code == 200
    with pytest.raises(ValueError, match="token is empty"):
        create_app(" ")


def test_serving_to_other_machines_needs_a_token() -> None:
    with pytest.raises(ValueError, match=r"0\.0\.0\.0 without a token"):
        server.run("0.0.0.0", 1)


class Slow:
    """Loads when told to, answers with the inputs."""

    def __init__(self) -> None:
        self.may_load = threading.Event()
        self.loads = 0

    def load(self) -> Model:
        self.loads += 1
        assert self.may_load.wait(10)
        return self

    def answer(self, inputs: list[Any], parameters: Mapping[str, Any]) -> list[Any]:
        return inputs


def slow_card(slow: Slow) -> Card:
    return dataclasses.replace(sentiment.CARD, name="local/slow", stands_in_for="org/slow", load=slow.load)


def test_a_model_that_loads_is_503_and_waited_for_on_demand(monkeypatch: pytest.MonkeyPatch) -> None:
    slow = Slow()
    monkeypatch.setattr(registry, "CARDS", (slow_card(slow),))
    with TestClient(create_app()) as client:
        for _ in range(2):
            response = client.post("/models/org/slow", json={"inputs": "x"})
            assert response.status_code == 503
            assert response.json() == {"error": "Model org/slow is currently loading", "estimated_time": 20.0}
        slow.may_load.set()
        by_header = client.post("/models/org/slow", json={"inputs": "x"}, headers={"x-wait-for-model": "true"})
        assert by_header.status_code == 200 and slow.loads == 1
        by_option = client.post("/models/org/slow", json={"inputs": "x", "options": {"wait_for_model": True}})
        assert by_option.status_code == 200


def test_a_failed_load_is_500_with_the_repair_and_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    loads: list[int] = []

    def load() -> Model:
        loads.append(1)
        if len(loads) == 1:
            raise WeightsError("The weights are damaged. To repair: reinstall")
        return Ready()

    class Ready:
        def answer(self, inputs: list[Any], parameters: Mapping[str, Any]) -> list[Any]:
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
        shelf = Shelf()
        waiting = asyncio.create_task(shelf.get(slow_card(slow), "org/slow", wait=True))
        await asyncio.sleep(0)
        waiting.cancel()
        slow.may_load.set()
        model = await shelf.get(slow_card(slow), "org/slow", wait=True)
        assert await model.answer(["x"], {}) == ["x"]
        shelf.close()

    asyncio.run(scenario())
    assert slow.loads == 1


def test_a_model_whose_packages_are_missing_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    card = dataclasses.replace(sentiment.CARD, needs=("no_such_module",), extra="local-ner")
    monkeypatch.setattr(registry, "CARDS", (card,))
    with pytest.raises(Refusal) as refused:
        registry.choose("local/sentiment", None, "x")
    assert refused.value.status == 404
    assert 'pip install "huggingface_api_handler[local-ner]"' in str(refused.value)
    assert "no_such_module" in registry.metadata("local/sentiment")["unavailable"]


def test_without_the_extra_the_import_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    find_spec = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util,
        "find_spec",
        lambda name, package=None: None if name == "onnxruntime" else find_spec(name, package),
    )
    for name in [name for name in sys.modules if name.startswith("huggingface_api_handler.server")]:
        monkeypatch.delitem(sys.modules, name)
    with pytest.raises(ModuleNotFoundError, match=r'onnxruntime.*pip install "huggingface_api_handler\[local\]"'):
        importlib.import_module("huggingface_api_handler.server")


def test_what_nobody_foresaw_is_a_500_without_a_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    class Broken:
        def answer(self, inputs: list[Any], parameters: Mapping[str, Any]) -> list[Any]:
            raise RuntimeError("a secret detail")

    monkeypatch.setattr(registry, "CARDS", (dataclasses.replace(sentiment.CARD, load=Broken),))
    app = create_app()
    with TestClient(app, headers={"x-wait-for-model": "true"}, raise_server_exceptions=False) as client:
        response = client.post(SENTIMENT, json={"inputs": "x"})
    assert response.status_code == 500 and "RuntimeError" in response.json()["error"]
    assert "secret detail" not in response.text
