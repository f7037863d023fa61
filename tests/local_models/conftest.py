"""Tests with the real models of the extra `local-all`, which must be installed."""

from __future__ import annotations

import base64
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from starlette.testclient import TestClient

from huggingface_api_handler.server import create_app, registry


@pytest.fixture(scope="session")
def client() -> Iterator[TestClient]:
    with TestClient(create_app(), headers={"x-wait-for-model": "true"}) as client:
        yield client


@pytest.fixture(autouse=True)
def only_installed_models(request: pytest.FixtureRequest) -> None:
    for model_id in getattr(request.module, "MODELS", ()):
        for card in registry.find_cards(model_id):
            if missing := card.missing_requirements():
                if sys.version_info >= (3, 13) and "rapidocr_onnxruntime" in card.required_modules:
                    pytest.skip("NOT TESTED: rapidocr-onnxruntime has no wheel for Python 3.13")
                pytest.fail(missing)


def ask(client: TestClient, model_id: str, inputs: object, **parameters: object) -> Any:
    """The answer to a JSON request; bytes go as base64."""
    sent = base64.b64encode(inputs).decode() if isinstance(inputs, bytes) else inputs
    response = client.post(f"/models/{model_id}", json={"inputs": sent, "parameters": parameters})
    assert response.status_code == 200, response.text
    return response.json()
