"""A model tells how many tokens it reads. More are refused in the words of Text Embeddings Inference, unless it cuts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from huggingface_api_handler.server.pipelines.text_length import max_tokens

from .fixtures import Asker, models_here

LENGTHS: dict[str, int | None] = {
    "classes": 64,
    "entities": 64,
    "mask": 64,
    "tokens": 64,
    "sentences": 8,
    "entailment": 64,
    "writer": 64,
    "chatter": 64,
    "reader": None,  # in windows
    "document": None,
    "picture": None,
}


@pytest.mark.parametrize("name", LENGTHS)
def test_a_model_tells_its_length_before_it_is_loaded(client: TestClient, name: str) -> None:
    if name not in models_here():
        pytest.skip("left transformers in 5.0")
    assert client.get(f"/models/{name}").json()["max_input_length"] == LENGTHS[name]
    assert client.get(f"/models/{name}/info").json()["max_input_length"] == LENGTHS[name]
    [listed] = [model for model in client.get("/info").json()["models"] if model["id"] == name]
    assert listed["max_input_length"] == LENGTHS[name]
    described = client.get(f"/v1/models/{name}").json()
    assert described["max_input_length"] == LENGTHS[name]
    assert described.get("max_model_len") == (64 if name in ("writer", "chatter") else None)


@pytest.mark.parametrize(
    ("name", "text", "given", "parameters"),
    [
        ("classes", "the cat " * 100, 202, {}),
        ("mask", "the cat " * 100 + "[MASK]", 203, {}),
        ("sentences", "the cat " * 100, 202, {"truncate": False}),
        ("tokens", "the cat " * 100, 202, {"truncate": False}),
        ("writer", "the cat " * 100, 200, {"max_new_tokens": 4}),
    ],
)
def test_a_text_that_is_too_long_is_413_with_limit_and_tokens(
    ask: Asker, name: str, text: str, given: int, parameters: Any
) -> None:
    told = ask.refused(name, text, 413, **parameters)
    assert told == f"Input validation error: `inputs` must have less than {LENGTHS[name]} tokens. Given: {given}"


CATS = "the cat " * 100
CHOICES = {"candidate_labels": ["a cat", "the car is red"]}


@pytest.mark.parametrize(
    ("name", "task", "inputs", "given", "parameters"),
    [
        ("sentences", "", "the cat is red , the car is red", 11, {}),  # longer than its folder says, and no position
        ("sentences", "sentence-similarity", {"source_sentence": "a cat", "sentences": ["a", CATS]}, 202, {}),
        ("sentences", "sentence-similarity", {"source_sentence": CATS, "sentences": ["a", "a cat"]}, 202, {}),
        ("tokens", "sentence-similarity", {"source_sentence": "a cat", "sentences": ["a", CATS]}, 202, {}),
        ("classes", "", CATS, 202, {}),
        ("entities", "", CATS, 202, {}),
        ("entailment", "", CATS, 211, CHOICES),
    ],
)
def test_what_a_pipeline_would_cut_is_413_where_it_must_not(
    ask: Asker, name: str, task: str, inputs: Any, given: int, parameters: Any
) -> None:
    told = ask.refused(name, inputs, 413, task, **parameters, truncate=False)
    assert told == f"Input validation error: `inputs` must have less than {LENGTHS[name]} tokens. Given: {given}"


@pytest.mark.parametrize(
    ("name", "task", "inputs", "parameters"),
    [
        ("sentences", "", "a cat", {}),
        ("sentences", "sentence-similarity", {"source_sentence": "a cat", "sentences": ["a", "the car"]}, {}),
        ("classes", "", "the cat", {}),
        ("entities", "", "the cat", {}),
        ("entailment", "", "the cat", CHOICES),
    ],
)
def test_what_is_short_enough_is_answered_as_ever(
    ask: Asker, name: str, task: str, inputs: Any, parameters: Any
) -> None:
    assert ask(name, inputs, task, **parameters, truncate=False) == ask(name, inputs, task, **parameters)
    assert "expected true or false" in ask.refused(name, inputs, 400, task, **parameters, truncate="no")


@pytest.mark.parametrize("name", ["summary", "translated"])
def test_a_text_that_is_rewritten_is_not_cut_either(ask: Asker, name: str) -> None:
    short = ask.response(name, "the cat", truncate=False, max_new_tokens=4)
    assert short.json() == ask(name, "the cat", max_new_tokens=4) and "x-warning" not in short.headers
    assert "must have less than 64 tokens. Given: 20" in ask.refused(name, CATS, 413, truncate=False)


def test_entities_that_are_read_in_windows_are_not_cut(ask: Asker) -> None:
    ask("entities", CATS, stride=8, truncate=False)


def test_a_conversation_that_is_too_long_is_413_with_its_tokens(client: TestClient) -> None:
    messages = [{"role": "user", "content": "the cat " * 100}]
    refused = client.post("/models/chatter/v1/chat/completions", json={"messages": messages, "max_tokens": 4})
    assert refused.status_code == 413
    assert "must have less than 64 tokens. Given: 204" in str(refused.json())


def test_what_a_pipeline_cuts_itself_is_answered(ask: Asker) -> None:
    long = "the cat " * 100
    assert ask("classes", long, truncation=True)
    assert ask("entailment", long, candidate_labels=["cat", "dog"])
    assert ask("sentences", long)
    assert ask("reader", {"question": "what is the cat ?", "context": long})
    ask("entities", long)


def test_an_error_of_another_kind_is_no_matter_of_length(ask: Asker) -> None:
    assert "must have less than" not in ask.refused("mask", "no mask here")
    assert "must have less than" not in ask.refused("mask", "the cat " * 100)


@pytest.mark.parametrize(
    ("files", "tokens"),
    [
        ({}, None),
        ({"tokenizer_config.json": {"model_max_length": 10**30}}, None),
        ({"tokenizer_config.json": {"model_max_length": 512}, "config.json": {"max_position_embeddings": 1024}}, 512),
        ({"config.json": {"model_type": "roberta", "max_position_embeddings": 514}}, 512),
        ({"config.json": {"model_type": "gpt2", "n_positions": 1024}}, 1024),
        ({"config.json": {"max_position_embeddings": -1}}, None),
        ({"config.json": [], "tokenizer_config.json": {"model_max_length": True}}, None),
    ],
)
def test_the_least_length_of_a_folder_counts(tmp_path: Path, files: dict[str, object], tokens: int | None) -> None:
    for name, content in files.items():
        (tmp_path / name).write_text(json.dumps(content))
    assert max_tokens(str(tmp_path), makes_vectors=False) == tokens


def test_the_file_of_sentence_transformers_counts_for_vectors_alone(tmp_path: Path) -> None:
    (tmp_path / "sentence_bert_config.json").write_text('{"max_seq_length": 256}')
    assert max_tokens(str(tmp_path), makes_vectors=True) == 256
    assert max_tokens(str(tmp_path), makes_vectors=False) is None
    (tmp_path / "sentence_bert_config.json").write_text("{")
    assert max_tokens(str(tmp_path), makes_vectors=True) is None
