"""Raw bodies, base64 and files as answers, without any model; and what an absent model's package is called."""

from __future__ import annotations

import base64
import importlib.util
from typing import Any

import pytest
from starlette.testclient import TestClient

from huggingface_api_handler.server import create_app
from huggingface_api_handler.server.protocol import media_inputs
from huggingface_api_handler.server.protocol.errors import Refusal
from huggingface_api_handler.server.responses import answer_response


@pytest.mark.parametrize("content_type", ["image/png", "Audio/WAV; rate=8000", "application/octet-stream", "video/mp4"])
def test_a_media_type_makes_the_body_the_input(content_type: str) -> None:
    assert media_inputs.body(b'{"inputs": 1}', content_type) == media_inputs.Body(b'{"inputs": 1}', {}, False)


@pytest.mark.parametrize("content_type", ["", "application/json", "text/plain", "application/x-www-form-urlencoded"])
def test_any_other_type_is_read_as_json(content_type: str) -> None:
    assert media_inputs.body(b'{"inputs": 1}', content_type).inputs == 1


def test_bytes_base64_and_data_uris_are_one_file() -> None:
    coded = base64.b64encode(b"sound" * 99).decode()
    for inputs in (b"sound" * 99, coded, f"data:audio/wav;base64,{coded}", f"{coded[:76]}\n{coded[76:]}"):
        assert media_inputs.sound(inputs).items == [b"sound" * 99]


@pytest.mark.parametrize("inputs", ["", "%%%", "data:", "a", b"", "\u00e9"])
def test_what_holds_no_file_is_refused_in_the_recorded_words(inputs: Any) -> None:
    with pytest.raises(Refusal) as refused:
        media_inputs.sound(inputs)
    assert refused.value.body == {"error": ["Error in `inputs`: Malformed soundfile"]}
    with pytest.raises(Refusal) as refused:
        media_inputs.image(inputs)
    assert refused.value.body == {"error": ["Error in `inputs`: Invalid image: {}"]}


@pytest.mark.parametrize("inputs", [None, 3, ["YQ=="], {"a": "YQ=="}])
def test_anything_but_one_file_is_refused(inputs: Any) -> None:
    with pytest.raises(Refusal, match="expected one file"):
        media_inputs.image(inputs)


def test_a_file_is_answered_as_it_is_with_its_type() -> None:
    response = answer_response(media_inputs.File(b"RIFF", "audio/wav"), {"x-sha": "a"})
    assert response.body == b"RIFF" and response.headers["content-type"] == "audio/wav"
    assert response.headers["x-sha"] == "a" and response.headers["x-request-id"]


def test_a_text_model_says_that_it_wants_text() -> None:
    with TestClient(create_app()) as client:
        response = client.post("/models/local/sentiment", content=b"x", headers={"content-type": "image/png"})
    assert response.status_code == 400
    assert response.json() == {
        "error": ["Error in `inputs`: expected a string or a list of strings, got raw media body"]
    }


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/models/openai/whisper-large-v3", {"inputs": "YQ=="}),
        ("/models/local/piper-joe", {"inputs": "Hello"}),
        ("/models/local/ocr-rapid", {"inputs": "YQ=="}),
        ("/models/local/translation-en-pt", {"inputs": "Hello"}),
        ("/models/local/smollm2-135m-instruct", {"inputs": "Hello"}),
        (
            "/v1/chat/completions",
            {"model": "local/smollm2-135m-instruct", "messages": [{"role": "user", "content": "Hello"}]},
        ),
    ],
)
def test_without_its_package_a_model_is_404_with_the_command(
    monkeypatch: pytest.MonkeyPatch, path: str, body: dict[str, Any]
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, package=None: None)
    with TestClient(create_app()) as client:
        response = client.post(path, json=body)
    assert response.status_code == 404
    assert 'pip install "huggingface_api_handler[local-all]"' in response.json()["error"]
