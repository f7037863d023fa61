"""A model whose packages are missing says what to install."""

from __future__ import annotations

import dataclasses
import importlib
import importlib.util
from typing import Any

import pytest
from starlette.testclient import TestClient

from huggingface_api_handler.server import create_app, registry
from huggingface_api_handler.server.models import sentiment
from huggingface_api_handler.server.protocol.errors import HTTPError


def test_a_model_whose_packages_are_missing_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    card = dataclasses.replace(sentiment.CARD, required_modules=("no_such_module",), extra="local-ner")
    monkeypatch.setattr(registry, "CARDS", (card,))
    with pytest.raises(HTTPError) as refused:
        registry.select_card("local/sentiment", None, "x")
    assert refused.value.status == 404
    assert 'pip install "huggingface_api_handler[local-ner]"' in str(refused.value)
    assert "no_such_module" in str(registry.model_metadata("local/sentiment")["unavailable"])


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
