"""Vectors and similarities of texts."""

from __future__ import annotations

import math

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


def test_similarity_gives_a_number_for_each_sentence(client: TestClient) -> None:
    inputs = {
        "source_sentence": "That is a happy person",
        "sourceSentence": "That is a happy person",
        "sentences": ["That is a happy dog", "That is a very happy person", "Today is a sunny day"],
    }
    scores = ask(client, f"{MINILM}/pipeline/sentence-similarity", inputs)
    assert len(scores) == 3 and scores[1] == max(scores) > 0.9 > scores[2]
    assert ask(client, MINILM, inputs) == scores
