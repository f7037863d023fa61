"""Which `inputs` each kind of task takes."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from starlette.testclient import TestClient

from huggingface_api_handler.server import create_app
from huggingface_api_handler.server.protocol import inputs as parsers
from huggingface_api_handler.server.protocol.errors import HTTPError

SENTIMENT = "/models/local/sentiment"


MINILM = "/models/local/minilm-l6-v2-int8"


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


def test_a_list_beyond_the_limit_is_413_in_the_words_of_text_embeddings_inference(client: TestClient) -> None:
    assert client.post(MINILM, json={"inputs": ["a"] * 128}).status_code == 200
    response = client.post(MINILM, json={"inputs": ["a"] * 129})
    assert response.status_code == 413
    assert response.json() == {
        "error": "batch size 129 > maximum allowed batch size 128",
        "error_type": "Validation",
    }


def test_bytes_base64_and_data_uris_are_one_file() -> None:
    coded = base64.b64encode(b"sound" * 99).decode()
    for inputs in (b"sound" * 99, coded, f"data:audio/wav;base64,{coded}", f"{coded[:76]}\n{coded[76:]}"):
        assert parsers.parse_audio(inputs).items == [b"sound" * 99]


@pytest.mark.parametrize("inputs", ["", "%%%", "data:", "a", b"", "\u00e9"])
def test_what_holds_no_file_is_refused_in_the_recorded_words(inputs: Any) -> None:
    with pytest.raises(HTTPError) as refused:
        parsers.parse_audio(inputs)
    assert refused.value.body == {"error": ["Error in `inputs`: Malformed soundfile"]}
    with pytest.raises(HTTPError) as refused:
        parsers.parse_image(inputs)
    assert refused.value.body == {"error": ["Error in `inputs`: Invalid image: {}"]}


@pytest.mark.parametrize("inputs", [None, 3, ["YQ=="], {"a": "YQ=="}])
def test_anything_but_one_file_is_refused(inputs: Any) -> None:
    with pytest.raises(HTTPError, match="expected one file"):
        parsers.parse_image(inputs)


def test_a_text_model_says_that_it_wants_text() -> None:
    with TestClient(create_app()) as client:
        response = client.post("/models/local/sentiment", content=b"x", headers={"content-type": "image/png"})
    assert response.status_code == 400
    assert response.json() == {
        "error": ["Error in `inputs`: expected a string or a list of strings, got raw media body"]
    }
