"""The routes that OpenAI's clients ask, and those that rank texts."""

from __future__ import annotations

import base64
import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pytest
from starlette.testclient import TestClient

from huggingface_api_handler.server import create_app, registry
from huggingface_api_handler.server.models import chat, sentiment, text_generation

MINILM = "local/minilm-l6-v2-int8"
MESSAGES = [{"role": "user", "content": "Hello"}]
ANSWER = {
    "choices": [
        {"index": 0, "message": {"role": "assistant", "content": "Hi."}, "logprobs": None, "finish_reason": "stop"}
    ],
    "usage": {"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7},
}


class FakeModel:
    """Answers each input alike, and keeps what it was asked."""

    def __init__(self, answer: object) -> None:
        self.answer = answer
        self.asked: list[tuple[list[Any], Mapping[str, Any]]] = []

    def load(self) -> FakeModel:
        return self

    def predict(self, inputs: list[Any], parameters: Mapping[str, Any]) -> list[Any]:
        self.asked.append((inputs, parameters))
        return [self.answer for _ in inputs]


@pytest.fixture
def chat_model(monkeypatch: pytest.MonkeyPatch) -> FakeModel:
    model = FakeModel(ANSWER)
    card: Any = dataclasses.replace(chat.CARD, name="local/fake", hub_alias=None, load=model.load, required_modules=())
    monkeypatch.setattr(registry, "CARDS", (sentiment.CARD, card))
    return model


@pytest.fixture
def generator(monkeypatch: pytest.MonkeyPatch) -> FakeModel:
    details = {"finish_reason": "length", "generated_tokens": 2, "prompt_tokens": 3, "seed": None}
    model = FakeModel({"generated_text": " on", "details": details})
    card: Any = dataclasses.replace(
        text_generation.CARD, name="local/fake", hub_alias=None, load=model.load, required_modules=()
    )
    monkeypatch.setattr(registry, "CARDS", (card,))
    return model


@pytest.fixture
def fresh() -> Iterator[TestClient]:
    with TestClient(create_app()) as client:
        yield client


def test_models_that_can_be_asked_are_listed(client: TestClient) -> None:
    listed = client.get("/v1/models").json()
    assert listed["object"] == "list"
    [minilm] = [model for model in listed["data"] if model["id"] == MINILM]
    assert minilm["object"] == "model" and minilm["owned_by"] == "huggingface_api_handler"
    assert client.get(f"/v1/models/{MINILM}").json() == minilm
    assert client.get("/v1/models/no/such").status_code == 404


def test_a_model_without_its_package_is_not_listed(fresh: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    card = dataclasses.replace(sentiment.CARD, required_modules=("no_such_module",))
    monkeypatch.setattr(registry, "CARDS", (card,))
    assert fresh.get("/v1/models").json()["data"] == []


def test_embeddings_are_those_of_the_task_in_the_order_of_the_texts(client: TestClient) -> None:
    texts = ["a cat", "a kitten", ""]
    answer = client.post("/v1/embeddings", json={"model": MINILM, "input": texts}).json()
    assert answer["object"] == "list" and answer["model"] == MINILM
    assert [entry["index"] for entry in answer["data"]] == [0, 1, 2]
    vectors = client.post(f"/models/{MINILM}", json={"inputs": texts}).json()
    assert [entry["embedding"] for entry in answer["data"]] == vectors
    # [CLS] and [SEP] count.
    assert answer["usage"] == {"prompt_tokens": 4 + 4 + 2, "total_tokens": 10}


def test_base64_holds_the_same_numbers(client: TestClient) -> None:
    [as_list] = client.post("/v1/embeddings", json={"input": "a cat"}).json()["data"]
    [as_text] = client.post("/v1/embeddings", json={"input": "a cat", "encoding_format": "base64"}).json()["data"]
    decoded = np.frombuffer(base64.b64decode(as_text["embedding"]), dtype="<f4")
    assert decoded.shape == (384,) and decoded == pytest.approx(as_list["embedding"])


def test_more_texts_than_a_task_request_may_have_are_encoded_in_parts(client: TestClient) -> None:
    texts = [f"text {number}" for number in range(130)]
    data = client.post("/v1/embeddings", json={"input": texts}).json()["data"]
    assert [entry["index"] for entry in data] == list(range(130))
    assert data[129]["embedding"] == client.post(f"/models/{MINILM}", json={"inputs": texts[129]}).json()


@pytest.mark.parametrize(
    ("body", "status", "reason"),
    [
        ({"input": [1, 2]}, 400, "check_embedding_ctx_length=False"),
        ({"input": [[1, 2]]}, 400, "check_embedding_ctx_length=False"),
        ({"input": []}, 400, "at least one text"),
        ({"input": ["a", None]}, 400, "input.1"),
        ({"input": {}}, 400, "expected a text"),
        ({}, 400, "expected a text"),
        ({"input": "a", "dimensions": 100}, 400, "384 numbers"),
        ({"input": "a", "dimensions": "384"}, 400, "dimensions"),
        ({"input": "a", "encoding_format": "int8"}, 400, "encoding_format"),
        ({"input": "a", "model": 3}, 400, "model"),
        ({"input": "a", "model": "local/sentiment"}, 400, "does not do feature-extraction"),
        ({"input": "a", "model": "text-embedding-3-small"}, 404, "text-embedding-3-small does not exist"),
        ({"input": ["a"] * 2049}, 413, "2048"),
        (["a"], 400, "JSON object"),
    ],
)
def test_embeddings_that_cannot_be_made_are_refused(client: TestClient, body: object, status: int, reason: str) -> None:
    response = client.post("/v1/embeddings", json=body)
    assert response.status_code == status and reason in str(response.json()["error"])


def test_the_length_that_vectors_have_anyway_may_be_asked_for(client: TestClient) -> None:
    assert client.post("/v1/embeddings", json={"input": "a", "dimensions": 384}).status_code == 200


def test_fields_that_are_not_known_are_ignored_with_a_warning(client: TestClient) -> None:
    response = client.post("/v1/embeddings", json={"input": "a", "input_type": "query", "né\r\nw": 1, "user": "me"})
    assert response.status_code == 200
    assert response.headers["x-warning"] == r"not known here, so ignored: input_type, n\xe9\r\nw"


@pytest.mark.parametrize("path", ["/rerank", "/v1/rerank", "/v2/rerank", f"/models/{MINILM}/v1/rerank"])
def test_texts_are_ranked_in_either_form(client: TestClient, path: str) -> None:
    texts = ["a car", "a kitten", "a tiger"]
    answer = client.post(path, json={"query": "a cat", "documents": texts, "top_n": 2}).json()
    assert [set(result) for result in answer["results"]] == [{"index", "relevance_score"}] * 2
    assert answer["results"][0]["index"] == 1
    whole = client.post(path, json={"query": "a cat", "texts": texts}).json()
    assert {result["index"] for result in whole} == {0, 1, 2}
    scores = [result["score"] for result in whole]
    assert scores == sorted(scores, reverse=True)
    assert [result["relevance_score"] for result in answer["results"]] == scores[:2]
    similar = {"inputs": {"source_sentence": "a cat", "sentences": texts}}
    cosines = client.post(f"/models/{MINILM}", json=similar).json()
    assert {result["index"]: result["score"] for result in whole} == pytest.approx(dict(enumerate(cosines)))


def test_ranked_texts_are_repeated_on_request(client: TestClient) -> None:
    body = {"query": "a cat", "documents": [{"text": "a car"}, "a kitten"], "return_documents": True}
    results = client.post("/rerank", json=body).json()["results"]
    assert [result["document"]["text"] for result in results] == ["a kitten", "a car"]
    found = client.post("/rerank", json={"query": "a cat", "texts": ["a car"], "return_text": True}).json()
    assert found[0]["text"] == "a car"


def test_many_texts_are_ranked_together(client: TestClient) -> None:
    texts = [f"the number {number}" for number in range(150)] + ["a kitten"]
    results = client.post("/rerank", json={"query": "a cat", "documents": texts}).json()["results"]
    assert results[0]["index"] == 150 and sorted(result["index"] for result in results) == list(range(151))


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"documents": ["a"]}, 400),
        ({"query": "a"}, 400),
        ({"query": "a", "documents": ["b"], "texts": ["b"]}, 400),
        ({"query": "a", "documents": []}, 400),
        ({"query": "a", "documents": [3]}, 400),
        ({"query": "a", "documents": [{"title": "b"}]}, 400),
        ({"query": "a", "documents": ["b"], "top_n": 0}, 400),
        ({"query": 3, "documents": ["b"]}, 400),
        ({"query": "a", "texts": ["b"] * 1001}, 413),
        ("a", 400),
    ],
)
def test_what_cannot_be_ranked_is_refused(client: TestClient, body: object, status: int) -> None:
    response = client.post("/rerank", json=body)
    assert response.status_code == status and response.json()["error"]


@pytest.mark.parametrize("model", [None, "", "dummy", "tgi", "local/fake", "local/fake:fastest"])
def test_the_only_chat_model_answers_where_none_is_named(
    fresh: TestClient, chat_model: FakeModel, model: str | None
) -> None:
    answer = fresh.post("/v1/chat/completions", json={"model": model, "messages": MESSAGES}).json()
    assert answer["choices"] == ANSWER["choices"] and answer["model"] == "local/fake"


def test_of_several_models_one_must_be_named(fresh: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    other: Any = dataclasses.replace(chat.CARD, name="local/other")
    monkeypatch.setattr(registry, "CARDS", (chat.CARD, other))
    response = fresh.post("/v1/chat/completions", json={"messages": MESSAGES})
    assert response.status_code == 400 and "local/other" in response.json()["error"][0]


def test_a_model_that_somebody_chose_comes_before_the_built_in_one(
    fresh: TestClient, chat_model: FakeModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    [_, card] = registry.CARDS
    monkeypatch.setattr(registry, "_pipeline_cards", (dataclasses.replace(card, name="my/chat"),))
    assert fresh.post("/v1/chat/completions", json={"messages": MESSAGES}).json()["model"] == "my/chat"


def test_unknown_parameters_of_generation_are_ignored_with_a_warning(fresh: TestClient, chat_model: FakeModel) -> None:
    body = {"messages": MESSAGES, "typical_p": 0.9, "temperature": 0.5, "seed": None, "watermark": None, "user": "me"}
    response = fresh.post("/v1/chat/completions", json=body)
    assert response.headers["x-warning"] == "not known here, so ignored: typical_p"
    [(_, parameters)] = chat_model.asked
    assert parameters == {"temperature": 0.5}


@pytest.mark.parametrize("field", [{"n": 2}, {"tools": [{}]}, {"functions": [{}]}, {"stream": "yes"}])
def test_what_an_answer_would_lack_is_refused_and_not_ignored(
    fresh: TestClient, chat_model: FakeModel, field: dict[str, object]
) -> None:
    response = fresh.post("/v1/chat/completions", json={"messages": MESSAGES, **field})
    assert response.status_code == 400 and chat_model.asked == []


def test_a_message_of_a_developer_is_one_of_the_system(fresh: TestClient, chat_model: FakeModel) -> None:
    messages = [{"role": "developer", "content": "Be short."}, *MESSAGES]
    assert fresh.post("/v1/chat/completions", json={"messages": messages}).status_code == 200
    assert chat_model.asked[0][0][0][0]["role"] == "system"


@pytest.mark.parametrize("path", ["/v1/completions", "/models/local/fake/v1/completions"])
def test_prompts_are_continued_one_choice_for_each(fresh: TestClient, generator: FakeModel, path: str) -> None:
    body = {"prompt": ["Go", "Come"], "max_tokens": 2, "echo": False, "typical_p": 1, "logprobs": 0}
    response = fresh.post(path, json=body)
    answer = response.json()
    assert answer["object"] == "text_completion"
    assert answer["choices"] == [
        {"index": index, "text": " on", "logprobs": None, "finish_reason": "length"} for index in (0, 1)
    ]
    assert answer["usage"] == {"prompt_tokens": 6, "completion_tokens": 4, "total_tokens": 10}
    assert response.headers["x-warning"].endswith("typical_p")
    expected = {"max_new_tokens": 2, "return_full_text": False, "details": True}
    assert generator.asked == [(["Go", "Come"], expected)]


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"prompt": [1, 2]},
        {"prompt": [[1, 2]]},
        {"prompt": []},
        {"prompt": "a", "n": 2},
        {"prompt": "a", "best_of": 2},
        {"prompt": "a", "logprobs": 3},
        {"prompt": "a", "suffix": "b"},
        {"prompt": ["a", "b"], "stream": True},
        {"prompt": "a", "stream": 1},
        ["a"],
    ],
)
def test_completions_that_cannot_be_made_are_refused(fresh: TestClient, generator: FakeModel, body: object) -> None:
    response = fresh.post("/v1/completions", json=body)
    assert response.status_code == 400 and response.json()["error"] and generator.asked == []


def test_a_model_that_tells_no_details_gives_no_usage(fresh: TestClient, generator: FakeModel) -> None:
    generator.answer = [{"generated_text": " on"}]
    answer = fresh.post("/v1/completions", json={"prompt": "Go"}).json()
    assert answer["choices"][0]["text"] == " on" and answer["choices"][0]["finish_reason"] is None
    assert answer["usage"] is None


POSTED = [
    "/v1/chat/completions", "/v1/completions", "/v1/embeddings", "/v1/rerank", "/v2/rerank", "/rerank",
    "/v1/audio/transcriptions", "/v1/audio/speech", "/models/local/sentiment/v1/embeddings",
]  # fmt: skip


@pytest.mark.parametrize("path", POSTED)
def test_every_route_wants_the_token(path: str) -> None:
    with TestClient(create_app(token="a-secret-token")) as client:
        refused = client.post(path, content=b"{}")
        assert refused.status_code == 401 and "a-secret-token" not in refused.text
        assert client.get("/v1/models").status_code == 401
        assert client.post(path, content=b"{}", headers={"authorization": "Bearer a-secret-token"}).status_code != 401


@pytest.mark.parametrize("path", POSTED)
def test_every_route_refuses_what_is_too_large(client: TestClient, path: str) -> None:
    response = client.post(path, content=b"x" * 10_000_001)
    assert response.status_code == 413


@pytest.mark.parametrize("path", [path for path in POSTED if path != "/v1/audio/transcriptions"])
@pytest.mark.parametrize("content", [b"", b"not json", b"null", b"3", b'"x"', b"[" * 600_000])
def test_every_route_refuses_what_is_no_object(client: TestClient, path: str, content: bytes) -> None:
    response = client.post(path, content=content)
    assert response.status_code in (400, 413) and response.json()["error"]
