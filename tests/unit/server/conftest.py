"""One server for the tests of this folder: models load once."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from starlette.testclient import TestClient

from huggingface_api_handler.server import create_app


@pytest.fixture(scope="session")
def client() -> Iterator[TestClient]:
    with TestClient(create_app(), headers={"x-wait-for-model": "true"}) as client:
        yield client


def ask(client: TestClient, path: str, inputs: object, **parameters: object) -> Any:
    response = client.post(path, json={"inputs": inputs, "parameters": parameters})
    assert response.status_code == 200, response.text
    return response.json()
