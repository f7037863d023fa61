"""Vectors and similarities of texts."""

from __future__ import annotations

import math
from typing import Any

import pytest
from starlette.testclient import TestClient

from ..conftest import ask

MINILM = "/models/sentence-transformers/all-MiniLM-L6-v2"


def test_one_text_has_a_flat_vector_and_a_list_has_a_list_of_them(client: TestClient) -> None:
    one = ask(client, f"{MINILM}/pipeline/feature-extraction", "Hi, who are you?")
    assert len(one) == 384 and math.hypot(*one) == pytest.approx(1, abs=1e-5)
    assert ask(client, MINILM, ["Hi, who are you?", "x"])[0] == pytest.approx(one, abs=1e-6)


def test_the_vector_is_that_of_the_hub_s_model(client: TestClient) -> None:
    # First numbers recorded from sentence-transformers/all-MiniLM-L6-v2 on Hugging Face; ours has 8-bit weights.
    recorded = [-0.015488003, 0.025685050, 0.090885900, 0.061985303, -0.040129248, -0.053392034, 0.097156003]
    ours = ask(client, MINILM, "Hi, who are you?")
    assert ours[:7] == pytest.approx(recorded, abs=0.02)


def test_normalize_and_truncate_are_honoured_in_both_places(client: TestClient) -> None:
    raw = ask(client, MINILM, "A cat.", normalize=False)
    assert math.hypot(*raw) != pytest.approx(1, abs=0.1)
    beside = client.post(MINILM, json={"inputs": "A cat.", "normalize": False})
    assert beside.json() == raw
    long = "word " * 300
    left = ask(client, MINILM, "start " + long, truncation_direction="left")
    right = ask(client, MINILM, "start " + long)
    assert left != right and len(right) == 384
    refused = client.post(MINILM, json={"inputs": long, "parameters": {"truncate": False}})
    assert refused.status_code == 413 and "Given: 302" in refused.json()["error"]


LONG = "word " * 300
SIMILARITY = f"{MINILM}/pipeline/sentence-similarity"


def too_long(response: Any) -> bool:
    told = "Input validation error: `inputs` must have less than 256 tokens. Given: 302"
    return bool(response.status_code == 413 and response.json() == {"error": told, "error_type": "Validation"})


@pytest.mark.parametrize(("source", "sentences"), [("a dog", ["a cat", LONG]), (LONG, ["a cat", "a dog"])])
def test_similarity_refuses_what_it_must_not_cut(client: TestClient, source: str, sentences: list[str]) -> None:
    inputs = {"source_sentence": source, "sentences": sentences}
    cut = ask(client, SIMILARITY, inputs)
    assert len(cut) == 2 and ask(client, SIMILARITY, inputs, truncate=True) == cut
    assert too_long(client.post(SIMILARITY, json={"inputs": inputs, "parameters": {"truncate": False}}))
    short = {"source_sentence": "a dog", "sentences": ["a cat"]}
    assert ask(client, SIMILARITY, short, truncate=False) == ask(client, SIMILARITY, short)
    unknown = client.post(SIMILARITY, json={"inputs": short, "parameters": {"truncation": False}})
    assert unknown.status_code == 400 and "it has: truncate" in str(unknown.json())


def test_rerank_refuses_what_it_must_not_cut(client: TestClient) -> None:
    body = {"query": "a dog", "texts": ["a cat", LONG], "model": "local/minilm-l6-v2-int8"}
    cut = client.post("/rerank", json=body)
    assert cut.status_code == 200 and client.post("/rerank", json={**body, "truncate": True}).json() == cut.json()
    assert too_long(client.post("/rerank", json={**body, "truncate": False}))
    short = client.post("/rerank", json={**body, "texts": ["a cat"], "truncate": False})
    assert short.status_code == 200 and "x-warning" not in short.headers
    of_others = client.post("/rerank", json={"query": "a dog", "documents": [LONG], "truncate": False})
    assert of_others.status_code == 200 and "truncate" in of_others.headers["x-warning"]


@pytest.mark.parametrize(
    ("model", "parameters"),
    [("local/sentiment", {}), ("local/zero-shot-minilm", {"candidate_labels": ["animals", "cars"]})],
)
def test_what_is_made_of_a_vector_refuses_what_it_must_not_cut(
    client: TestClient, model: str, parameters: dict[str, Any]
) -> None:
    path = f"/models/{model}"
    assert len(ask(client, path, ["a dog", LONG], **parameters)) == 2
    assert too_long(client.post(path, json={"inputs": ["a dog", LONG], "parameters": parameters, "truncate": False}))
    assert ask(client, path, ["a dog"], **parameters, truncate=False) == ask(client, path, ["a dog"], **parameters)


def test_a_long_label_is_not_cut_either(client: TestClient) -> None:
    body = {"inputs": "a dog", "parameters": {"candidate_labels": ["cars", LONG]}, "truncate": False}
    refused = client.post("/models/local/zero-shot-minilm", json=body)
    assert refused.status_code == 413 and "must have less than 256 tokens" in refused.json()["error"]


def test_similarity_gives_a_number_for_each_sentence(client: TestClient) -> None:
    inputs = {
        "source_sentence": "That is a happy person",
        "sourceSentence": "That is a happy person",
        "sentences": ["That is a happy dog", "That is a very happy person", "Today is a sunny day"],
    }
    scores = ask(client, f"{MINILM}/pipeline/sentence-similarity", inputs)
    assert len(scores) == 3 and scores[1] == max(scores) > 0.9 > scores[2]
    assert ask(client, MINILM, inputs) == scores
