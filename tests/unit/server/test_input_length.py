"""The server tells how many tokens of a text each model reads, wherever clients look for that."""

from __future__ import annotations

from typing import Any

import pytest
from starlette.testclient import TestClient

from huggingface_api_handler.server import registry
from huggingface_api_handler.server.models import smollm2
from huggingface_api_handler.server.protocol.errors import HTTPError

LENGTHS: dict[str, int | None] = {
    "local/minilm-l6-v2-int8": 256,
    "sentence-transformers/all-MiniLM-L6-v2": 256,
    "local/sentiment": 256,
    "local/zero-shot-minilm": 256,
    "local/entities-spacy-sm": None,
    "local/smollm2-135m-instruct": 4096,
    "local/translation-en-pt": 80,
    "local/translation-pt-en": 80,
    "local/piper-joe": None,
    "local/whisper-base": None,
}


@pytest.mark.parametrize("model", LENGTHS)
def test_a_model_tells_how_long_a_text_may_be(client: TestClient, model: str) -> None:
    length = LENGTHS[model]
    assert client.get(f"/models/{model}").json()["max_input_length"] == length
    assert client.get(f"/hf-inference/models/{model}").json()["max_input_length"] == length
    described = client.get(f"/v1/models/{model}").json()
    assert described["max_input_length"] == length
    assert described.get("max_model_len") == (length if model == "local/smollm2-135m-instruct" else None)
    [listed] = [each for each in client.get("/info").json()["models"] if each["id"] == model]
    assert listed["max_input_length"] == length
    alone = client.get(f"/models/{model}/info").json()
    assert alone["max_input_length"] == length and alone["max_client_batch_size"] == 128


def test_every_list_of_models_has_the_lengths(client: TestClient) -> None:
    assert {model["id"]: model["max_input_length"] for model in client.get("/models").json()}.items() >= LENGTHS.items()
    listed = {model["id"]: model["max_input_length"] for model in client.get("/v1/models").json()["data"]}
    assert listed.items() <= {id_: registry.find_cards(id_)[0].max_input_length() for id_ in listed}.items()
    assert client.get("/models/no/such/info").status_code == 404


def test_vectors_are_refused_with_limit_and_tokens_where_nothing_may_be_cut(client: TestClient) -> None:
    body = {"inputs": "word " * 810, "parameters": {"truncate": False}}
    refused = client.post("/models/local/minilm-l6-v2-int8", json=body)
    assert refused.status_code == 413
    told = "Input validation error: `inputs` must have less than 256 tokens. Given: 812"
    assert refused.json() == {"error": told, "error_type": "Validation"}


@pytest.mark.parametrize(
    ("prompt", "answer", "given"),
    [
        (
            "a prompt",
            {"error": {"type": "exceed_context_size_error", "message": "m", "n_prompt_tokens": 5001}},
            "5001",
        ),
        ("x" * 1_000_001, None, "1000001 characters"),
    ],
)
def test_the_language_model_refuses_with_limit_and_tokens(prompt: str, answer: Any, given: str) -> None:
    class Llama:
        def handle_completions(self, request: object, on_chunk: object = None) -> Any:
            return answer

        handle_chat_completions = handle_completions

    model = smollm2.LanguageModel(Llama())
    for ask in (lambda: model.complete(prompt, {}), lambda: model.chat([{"role": "user", "content": prompt}], {})):
        with pytest.raises(HTTPError) as refused:
            ask()
        assert refused.value.status == 422
        told = f"Input validation error: `inputs` must have less than 4096 tokens. Given: {given}"
        assert refused.value.body == {"error": told, "error_type": "validation"}
