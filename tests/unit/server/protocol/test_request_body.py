"""What a request's body must be."""

from __future__ import annotations

import pytest
from starlette.testclient import TestClient

from huggingface_api_handler.server.protocol import request_body
from huggingface_api_handler.server.protocol.errors import HTTPError

SENTIMENT = "/models/local/sentiment"


BAD_BODIES = [
    b"",
    b"not json",
    b"\xff\xfe\x00",
    b'{"inputs": "\xc3\x28"}',
    b'{"inputs": NaN}',
    b'{"inputs": "\\ud800"}',
    b'["x"]',
    b'"x"',
    b"null",
    b"{}",
    b'{"inputs": null}',
    b'{"inputs": 3}',
    b'{"inputs": true}',
    b'{"inputs": []}',
    b'{"inputs": [1]}',
    b'{"inputs": ["a", null]}',
    b'{"inputs": [["a", "b"]]}',
    b'{"inputs": {"text": "a"}}',
    b'{"inputs": "x", "parameters": []}',
    b'{"inputs": "x", "parameters": {"top_k": 0}}',
    b'{"inputs": "x", "parameters": {"top_k": true}}',
    b'{"inputs": "x", "parameters": {"top_k": "1"}}',
    b'{"inputs": "x", "parameters": {"topk": 1}}',
    b'{"inputs": "x", "parameters": {"function_to_apply": "cube"}}',
    b'{"inputs": "x", "options": 1}',
    b'{"inputs": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    b'{"inputs": ' + b'{"a":' * 100_000 + b"1" + b"}" * 100_001,
    b'{"inputs": "x", "parameters": {"top_k": ' + b"9" * 10_000 + b"}}",
]


@pytest.mark.parametrize("body", BAD_BODIES, ids=lambda body: repr(body[:40]))
def test_a_bad_body_is_400_with_a_reason(client: TestClient, body: bytes) -> None:
    response = client.post(SENTIMENT, content=body, headers={"content-type": "application/json"})
    assert response.status_code == 400, response.text
    assert response.json()["error"] and "Traceback" not in response.text


@pytest.mark.parametrize("content_type", ["image/png", "Audio/WAV; rate=8000", "video/mp4"])
def test_a_media_type_makes_the_body_the_input(content_type: str) -> None:
    assert request_body.parse_request_body(b'{"inputs": 1}', content_type) == request_body.RequestBody(
        b'{"inputs": 1}', {}
    )


UNKNOWN_TYPES = ["", "application/octet-stream", "application/x-www-form-urlencoded"]
SIGNATURES = [
    b"\x89PNG\r\n\x1a\n",
    b"\xff\xd8\xff\xe0",
    b"RIFF\0\0\0\0WAVE",
    b"fLaC",
    b"ID3\x04",
    b"\xff\xfb\x90",
    b"\0\0\0 ftyp",
]


@pytest.mark.parametrize("content_type", UNKNOWN_TYPES)
@pytest.mark.parametrize("content", SIGNATURES)
def test_without_a_telling_type_media_are_known_by_their_first_bytes(content_type: str, content: bytes) -> None:
    assert request_body.parse_request_body(content, content_type).inputs == content


@pytest.mark.parametrize("content_type", UNKNOWN_TYPES)
def test_without_a_telling_type_json_is_read_as_json(content_type: str) -> None:
    assert request_body.parse_request_body(b' {"inputs": "x"}', content_type).inputs == "x"


def test_bytes_of_no_known_kind_go_to_the_model_where_they_are_called_a_file() -> None:
    assert request_body.parse_request_body(b"\x01\x02", "application/octet-stream").inputs == b"\x01\x02"
    with pytest.raises(HTTPError, match="not valid JSON"):
        request_body.parse_request_body(b"\x01\x02", "")


@pytest.mark.parametrize("content_type", ["", "application/json", "text/plain", "application/x-www-form-urlencoded"])
def test_any_other_type_is_read_as_json(content_type: str) -> None:
    assert request_body.parse_request_body(b'{"inputs": 1}', content_type).inputs == 1


@pytest.mark.parametrize("path", [SENTIMENT, "/v1/chat/completions"])
@pytest.mark.parametrize("element", [b"[],", b"{},"], ids=["lists", "objects"])
def test_millions_of_lists_are_refused_before_they_are_made(path: str, element: bytes, client: TestClient) -> None:
    body = b'{"inputs": [' + element * 1_000_000 + b"0]}"
    response = client.post(path, content=body, headers={"content-type": "application/json"})
    assert response.status_code == 413 and "lists and objects" in response.json()["error"]


def test_a_text_of_many_brackets_is_read(client: TestClient) -> None:
    assert client.post(SENTIMENT, json={"inputs": "[{" * 100_000}).status_code == 200
