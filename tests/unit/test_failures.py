"""Every failure is one of six kinds, and the person is told what to do."""

from __future__ import annotations

import email.utils
import json
import time
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from multidict import CIMultiDict

from huggingface_api_handler.failures import Kind, classify_exception, classify_response, error_in_answer

RECORDED = Path(__file__).parents[1] / "recorded"


def body_of(response: dict[str, Any]) -> bytes:
    return json.dumps(response["json"]).encode() if "json" in response else response["text"].encode()


def recorded_errors() -> list[dict[str, Any]]:
    return [json.loads(line) for line in (RECORDED / "errors.jsonl").read_text("utf-8").splitlines()]


def expected(exchange: dict[str, Any]) -> Kind:
    """What a person who knows the service says of a recorded refusal of a single input."""
    text = body_of(exchange["response"]).decode()
    if exchange["status"] in (401, 404):
        return Kind.STOP
    if exchange["status"] == 429:
        return Kind.STOP if "log in" in text else Kind.WAIT
    if exchange["status"] == 503:
        return Kind.WAIT
    return Kind.ROW


@pytest.mark.parametrize("exchange", recorded_errors(), ids=lambda exchange: f"{exchange['status']}-{exchange['id']}")
def test_recorded_refusals_land_in_the_right_class(exchange: dict[str, Any]) -> None:
    headers = CIMultiDict(exchange["response_headers"] or {})
    failure = classify_response(exchange["status"], headers, body_of(exchange["response"]))
    assert failure.kind is expected(exchange)
    assert failure.message
    assert "<html" not in failure.message


def test_the_list_of_recorded_refusals_covers_each_status() -> None:
    assert {exchange["status"] for exchange in recorded_errors()} == {400, 401, 404, 422, 429, 503}


@pytest.mark.parametrize(
    ("status", "batch", "kind"),
    [
        (400, 1, Kind.ROW), (400, 8, Kind.SMALLER), (413, 1, Kind.ROW), (413, 8, Kind.SMALLER),
        (422, 1, Kind.ROW), (422, 8, Kind.SMALLER), (424, 8, Kind.SMALLER), (401, 8, Kind.STOP), (402, 1, Kind.STOP),
        (403, 8, Kind.STOP), (404, 8, Kind.STOP), (405, 1, Kind.STOP), (410, 1, Kind.STOP), (408, 1, Kind.AGAIN),
        (429, 1, Kind.WAIT), (500, 8, Kind.AGAIN), (502, 1, Kind.AGAIN), (503, 1, Kind.AGAIN), (504, 1, Kind.AGAIN),
        (301, 1, Kind.STOP), (302, 1, Kind.STOP), (307, 8, Kind.STOP),
    ],
)  # fmt: skip
def test_statuses(status: int, batch: int, kind: Kind) -> None:
    assert classify_response(status, CIMultiDict(), b"{}", batch=batch).kind is kind


@pytest.mark.parametrize(
    "message",
    [
        '{"error":["Input should be a valid string: received `inputs`"]}',
        '{"detail":[{"loc":["body","inputs"],"msg":"str type expected"}]}',
        "Failed to deserialize the JSON body: inputs: invalid type: sequence, expected a string",
    ],
)
def test_a_route_that_takes_no_lists_is_told_from_a_bad_row(message: str) -> None:
    assert classify_response(400, CIMultiDict(), message.encode(), batch=8).kind is Kind.SINGLE
    assert classify_response(400, CIMultiDict(), message.encode(), batch=1).kind is Kind.ROW


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"Retry-After": "7"}, 7.0),
        ({"retry-after": "0"}, 0.0),
        ({"Retry-After": "-3"}, 0.0),
        ({"RateLimit": '"api";r=0;t=42'}, 42.0),
        ({"RateLimit": '"api";r=9;t=42'}, None),
        ({"Retry-After": "soon"}, None),
        ({}, None),
    ],
)
def test_announced_waits_are_read_in_every_form(headers: dict[str, str], seconds: float | None) -> None:
    assert classify_response(429, CIMultiDict(headers), b"").retry_after == seconds


def test_retry_after_as_a_date_is_seconds_from_now() -> None:
    date = email.utils.formatdate(time.time() + 30, usegmt=True)
    wait = classify_response(503, CIMultiDict({"Retry-After": date}), b"").retry_after
    assert wait is not None
    assert 27 <= wait <= 31


def test_a_loading_model_is_waited_for_unless_the_person_says_no() -> None:
    body = b'{"error":"Model x is currently loading","estimated_time":20.0}'
    wait = classify_response(503, CIMultiDict(), body)
    assert (wait.kind, wait.retry_after, wait.estimated) == (Kind.WAIT, 20.0, True)
    no_wait = classify_response(503, CIMultiDict(), body, wait_for_model=False)
    assert no_wait.kind is Kind.STOP
    assert "20 seconds" in no_wait.message


def test_a_web_page_is_named_as_one() -> None:
    failure = classify_response(502, CIMultiDict(), b"<html><head><title>Bad Gateway</title></head>...")
    assert failure.message == "a web page instead of an answer (Bad Gateway)"


def test_a_long_message_is_cut() -> None:
    assert len(classify_response(400, CIMultiDict(), json.dumps({"error": "x" * 10_000}).encode()).message) == 500


def test_deeply_nested_error_bodies_are_read_without_harm() -> None:
    assert classify_response(400, CIMultiDict(), b"[" * 100_000).kind is Kind.ROW


def test_an_error_with_status_200_is_an_error() -> None:
    assert error_in_answer({"error": "CUDA out of memory"}).kind is Kind.ROW  # type: ignore[union-attr]
    assert error_in_answer({"error": "x"}, batch=4).kind is Kind.SMALLER  # type: ignore[union-attr]
    assert error_in_answer({"answer": "42", "error": None, "score": 1}) is None
    assert error_in_answer([{"label": "error"}]) is None


def test_exceptions_are_told_without_their_text() -> None:
    leaky = aiohttp.ClientPayloadError("https://user:hf_secret@host/?token=hf_secret")
    failure = classify_exception(leaky, host="host:1")
    assert failure.kind is Kind.AGAIN
    assert "hf_secret" not in failure.message
    assert "host:1" in failure.message


def test_a_timeout_tells_which_argument_to_raise() -> None:
    assert "timeout" in classify_exception(TimeoutError(), host="h").message


def test_a_reason_holds_kind_status_words_and_attempts() -> None:
    from dataclasses import replace

    failure = classify_response(500, CIMultiDict(), b'{"error":"boom"}')
    assert replace(failure, attempts=5).reason == "again 500: boom (after 5 attempts)"
