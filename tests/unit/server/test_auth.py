"""With a token, every path asks for it."""

from __future__ import annotations

import pytest
from starlette.testclient import TestClient

from huggingface_api_handler.server import create_app

EVERY_PATH = ["/health", "/metrics", "/info", "/models", "/models/local/sentiment", "/", "/nothing"]


@pytest.mark.parametrize("path", EVERY_PATH)
@pytest.mark.parametrize(
    "sent", [None, "", "Bearer wrong", "secret", "Basic secret", "bearer secret ", "Bearer sécret"]
)
def test_every_path_is_401_without_the_right_token(path: str, sent: str | None) -> None:
    headers = {} if sent is None else {b"authorization": sent.encode()}
    response = TestClient(create_app("secret")).get(path, headers=headers)
    assert response.status_code == 401
    assert response.json() == {"error": "Invalid credentials in Authorization header"}
    assert response.headers["www-authenticate"].startswith("Bearer")


def test_the_right_token_opens(client: TestClient) -> None:
    with_token = TestClient(create_app("secret"), headers={"authorization": "Bearer secret"})
    assert with_token.get("/health").status_code == 200
    with pytest.raises(ValueError, match="token is empty"):
        create_app(" ")
