"""Error bodies in the shapes that servers send, as words, a code and a wait."""

from __future__ import annotations

import json
from typing import Any

import pytest

from huggingface_api_handler.inference.protocols.server_errors import read_error
from huggingface_api_handler.inference.transport.client import Response

PYDANTIC = {
    "detail": [
        {"type": "string_type", "loc": ["body", "inputs"], "msg": "Input should be a valid string", "input": ["row"], "ctx": {"row": 1}, "url": "https://errors.example"},
        {"type": "missing", "loc": ["body", "model"], "msg": "Field required"},
    ]
}  # fmt: skip


def read(body: Any, status: int = 400) -> tuple[str, str | None, float | None]:
    error = read_error(Response(status, {}, body if isinstance(body, bytes) else json.dumps(body).encode()))
    assert error is not None
    return error.message, error.code, error.estimated_wait_s


@pytest.mark.parametrize(
    ("body", "message", "code"),
    [
        ({"error": "boom"}, "boom", None),
        ({"error": ["one", "two"], "warnings": ["three"]}, "one; two", None),
        ({"error": "too long", "error_type": "validation"}, "too long", "validation"),
        ({"error": {"message": "no", "type": "invalid_request_error", "code": "model_not_found", "param": None}}, "no", "model_not_found invalid_request_error"),
        ({"error": {"message": "no", "type": None, "code": 400}}, "no", None),
        ({"object": "error", "message": "no", "type": "BadRequestError", "code": 400}, "no", "BadRequestError"),
        ({"message": "no", "code": "a sentence is no code"}, "no", None),
        ({"detail": "Not Found"}, "Not Found", None),
        (PYDANTIC, "body.inputs: Input should be a valid string; body.model: Field required", None),
        ({"detail": [{"msg": "bad"}]}, "bad", None),
        ({"reason": "secret row", "input": ["secret row"]}, "an error without a message, but with reason, input", None),
        ({}, "", None),
        ({"error": {}}, "an error without a message, but with error", None),
        (b"<html><head><title>Bad\n Gateway</title></head>", "a web page instead of an answer (Bad Gateway)", None),
        (b"<!doctype html>", "a web page instead of an answer (HTML)", None),
        (b"plain words", "plain words", None),
        (b"", "", None),
        (b'"quoted words"', "quoted words", None),
        (b"\xff\xfe", "\ufffd\ufffd", None),
    ],
)  # fmt: skip
def test_the_words_and_the_code_are_found(body: Any, message: str, code: str | None) -> None:
    assert read(body)[:2] == (message, code)


@pytest.mark.parametrize(
    ("estimate", "seconds"), [("20.5", 20.5), ("3", 3.0), ("true", 0.0), ('"soon"', 0.0), ("null", None), ("9" * 5000, float("inf"))]
)  # fmt: skip
def test_a_guess_of_the_wait_is_a_number_or_says_only_that_there_is_one(estimate: str, seconds: float | None) -> None:
    assert read(f'{{"error":"Model x is loading","estimated_time":{estimate}}}'.encode(), 503)[2] == seconds


@pytest.mark.parametrize("body", [{"error": "x"}, {"error": None}, {"error": ["x"], "warnings": [], "status": "error"}])
def test_an_object_with_an_error_alone_is_an_error_also_with_status_200(body: Any) -> None:
    assert read(body, 200)
    assert read(b"\n  " + json.dumps(body).encode(), 200)


@pytest.mark.parametrize(
    "body",
    [b"", b"[", b"null", b'{"label": "error"}', b'{"a": {"error": "x"}}', b'{"error": "cut of',
     b'{"error": null, "choices": [{}]}', b'{"error": "", "generated_text": "x"}', b'{"error": "careful", "generated_text": "x"}',
     b'{"error": 0.9, "ok": 0.1}', b'{"error": 0.9}', b'[{"error": "x"}, [0.1]]', b'["error"]', b'[{"error": null, "label": "x"}]',
     b'{"detail": "x", "label": "y"}', b'{"message": "x", "role": "assistant"}', b'{"detail": "", "message": null}'],
)  # fmt: skip
def test_anything_else_with_status_200_is_no_error(body: bytes) -> None:
    assert read_error(Response(200, {}, body)) is None


@pytest.mark.parametrize(
    ("body", "message", "status"),
    [
        ({"error": {"message": "Provider returned error", "code": 502}, "user_id": "u"}, "Provider returned error", 502),
        ({"object": "error", "message": "no", "code": "429"}, "no", 429),
        ({"object": "error", "message": "no", "type": "BadRequestError", "code": 400, "id": "x"}, "no", 400),
        ({"detail": "Not Found"}, "Not Found", None),
        ({"detail": {"message": "wait", "code": 429}}, "wait", 429),
        ({"message": "no", "status": 503}, "no", 503),
        ({"status": "error", "message": "no"}, "no", None),
        ({"error": "boom", "choices": []}, "boom", None),
        ({"error": {"message": "boom"}, "choices": [{"message": {"content": "The answ"}}]}, "boom", None),
        ({"error": True, "message": "boom", "request": "r1"}, "boom", None),
        ({"error": {"message": "slow", "type": "rate_limit_exceeded", "code": None}}, "slow", 429),
        ({"error": {"message": "slow", "type": "overloaded_error"}, "type": "error"}, "slow", 503),
        ({"error": "x", "code": 200}, "x", None),
        ({"error": "x", "code": 9 ** 99}, "x", None),
        ({"error": {"message": "x", "code": "9" * 99}}, "x", None),
        ([{"error": "boom", "code": 502}], "boom", 502),
        ([{"error": "one"}, {"error": {"message": "two"}, "i": 1}], "one; two", None),
    ],
)  # fmt: skip
def test_an_error_beside_no_answer_is_one_with_its_words_and_status(
    body: Any, message: str, status: int | None
) -> None:
    for code in (200, 201, 299):
        error = read_error(Response(code, {}, json.dumps(body).encode()))
        assert error is not None
        assert (error.message, error.status) == (message, status)
