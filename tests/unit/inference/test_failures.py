"""Every failure gets one kind, and the message tells you what to do."""

from __future__ import annotations

import email.utils
import json
import time
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from multidict import CIMultiDict

from huggingface_api_handler.inference.advice import advice_for
from huggingface_api_handler.inference.echoes import ServerError
from huggingface_api_handler.inference.failures import FailureKind, classify_exception, classify_response
from tests.support.refusals import classify, error_in

RECORDED = Path(__file__).parents[2] / "recorded"


def body_of(response: dict[str, Any]) -> bytes:
    return json.dumps(response["json"]).encode() if "json" in response else response["text"].encode()


def recorded_errors() -> list[dict[str, Any]]:
    return [json.loads(line) for line in (RECORDED / "errors.jsonl").read_text("utf-8").splitlines()]


def expected(exchange: dict[str, Any]) -> FailureKind:
    """What a person who knows the service says of a recorded refusal of a single input."""
    text = body_of(exchange["response"]).decode()
    if exchange["status"] in (401, 404):
        return FailureKind.FATAL
    if exchange["status"] == 429:
        return FailureKind.FATAL if "log in" in text else FailureKind.RATE_LIMITED
    if exchange["status"] == 503:
        return FailureKind.RATE_LIMITED
    return FailureKind.INPUT_REJECTED


@pytest.mark.parametrize("exchange", recorded_errors(), ids=lambda exchange: f"{exchange['status']}-{exchange['id']}")
def test_recorded_refusals_land_in_the_right_class(exchange: dict[str, Any]) -> None:
    headers = CIMultiDict(exchange["response_headers"] or {})
    failure = classify(exchange["status"], headers, body_of(exchange["response"]))
    assert failure.kind is expected(exchange)
    assert failure.message
    assert "<html" not in failure.message


def test_the_list_of_recorded_refusals_covers_each_status() -> None:
    assert {exchange["status"] for exchange in recorded_errors()} == {400, 401, 404, 422, 429, 503}


@pytest.mark.parametrize(
    ("status", "batch_size", "kind"),
    [
        (400, 1, FailureKind.INPUT_REJECTED), (400, 8, FailureKind.BATCH_REJECTED), (413, 1, FailureKind.INPUT_REJECTED), (413, 8, FailureKind.BATCH_REJECTED),
        (422, 1, FailureKind.INPUT_REJECTED), (422, 8, FailureKind.BATCH_REJECTED), (424, 8, FailureKind.TRANSIENT), (401, 8, FailureKind.FATAL), (402, 1, FailureKind.FATAL),
        (403, 8, FailureKind.FATAL), (404, 8, FailureKind.FATAL), (405, 1, FailureKind.FATAL), (410, 1, FailureKind.FATAL), (408, 1, FailureKind.TRANSIENT),
        (429, 1, FailureKind.RATE_LIMITED), (500, 8, FailureKind.TRANSIENT), (502, 1, FailureKind.TRANSIENT), (503, 1, FailureKind.TRANSIENT), (504, 1, FailureKind.TRANSIENT),
        (301, 1, FailureKind.FATAL), (302, 1, FailureKind.FATAL), (307, 8, FailureKind.FATAL),
    ],
)  # fmt: skip
def test_statuses(status: int, batch_size: int, kind: FailureKind) -> None:
    assert classify(status, CIMultiDict(), b"{}", batch_size=batch_size).kind is kind


@pytest.mark.parametrize(
    "message",
    [
        '{"error":["Input should be a valid string: received `inputs`"]}',
        '{"detail":[{"loc":["body","inputs"],"msg":"str type expected"}]}',
        "Failed to deserialize the JSON body: inputs: invalid type: sequence, expected a string",
    ],
)
def test_a_route_that_takes_no_batches_is_told_from_a_bad_row(message: str) -> None:
    assert classify(400, CIMultiDict(), message.encode(), batch_size=8).kind is FailureKind.BATCH_UNSUPPORTED
    assert classify(400, CIMultiDict(), message.encode(), batch_size=1).kind is FailureKind.INPUT_REJECTED


def of_both(item: str, number: str = "list[constrained-str]", place: int = 1) -> bytes:
    """What pydantic says of a list where a server takes a text or a list."""
    return json.dumps({"detail": [
        {"type": "x", "loc": ["body", "input", number, place], "msg": item, "ctx": {"max_length": 122880}},
        {"type": "string_type", "loc": ["body", "input", "constrained-str"], "msg": "Input should be a valid string", "input": []},
    ]}).encode()  # fmt: skip


@pytest.mark.parametrize(
    "body",
    [
        of_both("String should have at most 122880 characters"),  # infinity
        of_both("String should have at least 1 character"),
        of_both("Value error, there is a tag in it"),
        of_both("ensure this value has at most 122880 characters"),
        b'{"detail": "String should have at most 9 characters; Input should be a valid string"}',
        b'{"error": "inputs[3]: too many words; inputs: expected a string"}',
    ],
)
def test_a_bad_item_of_a_list_does_not_say_that_lists_are_not_taken(body: bytes) -> None:
    assert classify(422, CIMultiDict(), body, batch_size=8).kind is FailureKind.BATCH_REJECTED


def test_a_list_that_is_too_long_is_made_shorter() -> None:
    body = of_both("List should have at most 32 items after validation, not 40").replace(b", 1]", b"]")
    failure = classify(422, CIMultiDict(), body, batch_size=40)
    assert (failure.kind, failure.stated_max_batch_size) == (FailureKind.BATCH_REJECTED, 32)


@pytest.mark.parametrize(
    "words", ["Input should be a valid integer", "value is not a valid integer", "int type expected"]
)
def test_a_list_that_is_to_hold_numbers_takes_no_texts(words: str) -> None:
    body = of_both(words, "list[int]", 0)
    assert classify(422, CIMultiDict(), body, batch_size=8).kind is FailureKind.BATCH_UNSUPPORTED


@pytest.mark.parametrize("row", ["no more than at most 5 characters", "inputs[3]: too many words"])
def test_a_row_that_a_server_repeats_does_not_hide_that_it_takes_no_lists(row: str) -> None:
    body = json.dumps({"error": f"Input should be a valid string, not {row}"}).encode()
    sent = json.dumps({"inputs": [row, "another"]}).encode()
    assert classify(422, CIMultiDict(), body, sent=sent, batch_size=2).kind is FailureKind.BATCH_UNSUPPORTED


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
        ({"Retry-After": " 7 "}, 7.0),
        ({"Retry-After": "0.25"}, 0.25),
        ({"Retry-After": ""}, None),
        ({"Retry-After": "1,5"}, None),
        ({"Retry-After": "nan"}, None),
        ({"Retry-After": "-inf"}, None),
        ({"Retry-After": "2592000"}, 2_592_000.0),  # 30 days: a month's quota
        ({"Retry-After": "2592001"}, None),
        ({"Retry-After": "1e12"}, None),
        ({"Retry-After": "inf"}, None),
        ({"Retry-After": "9" * 400}, None),
        ({"Retry-After": "Thu, 01 Jan 1970 00:00:00 GMT"}, 0.0),
        ({"Retry-After": "Thu, 01 Jan 2970 00:00:00 GMT"}, None),
        ({"Retry-After": "Mon, 99 Foo 99999 99:99:99 GMT"}, None),
        ({"Retry-After": "Mon, 31 Feb 99999 00:00:00 GMT"}, None),
        ({"RateLimit": '"api";t=42'}, 42.0),
        ({"RateLimit": '"api";r=01;t=42'}, None),
        ({"RateLimit": '"api"; r=0; t=' + "9" * 400}, None),
        ({"RateLimit": "r=0;t=-5"}, None),
        ({"Retry-After": "3", "RateLimit": '"api";r=0;t=42'}, 3.0),
        ({"Retry-After": "soon", "RateLimit": '"api";r=0;t=42'}, 42.0),
        ({"Retry-After": "1e12", "RateLimit": '"api";r=0;t=42'}, 42.0),
    ],
)
def test_announced_waits_are_read_in_every_form(headers: dict[str, str], seconds: float | None) -> None:
    assert classify(429, CIMultiDict(headers), b"").retry_after_s == seconds


def test_retry_after_as_a_date_is_seconds_from_now() -> None:
    date = email.utils.formatdate(time.time() + 30, usegmt=True)
    wait = classify(503, CIMultiDict({"Retry-After": date}), b"").retry_after_s
    assert wait is not None
    assert 27 <= wait <= 31


def test_a_loading_model_is_waited_for_unless_the_person_says_no() -> None:
    body = b'{"error":"Model x is currently loading","estimated_time":20.0}'
    wait = classify(503, CIMultiDict(), body)
    assert (wait.kind, wait.retry_after_s, wait.is_estimated) == (FailureKind.RATE_LIMITED, 20.0, True)
    no_wait = classify(503, CIMultiDict(), body, wait_for_model=False)
    assert no_wait.kind is FailureKind.FATAL
    assert "20 seconds" in no_wait.message


@pytest.mark.parametrize(
    "estimate",
    ["null", '"soon"', "0", "-5", "true", "1e9", "1e400", "NaN", "Infinity", "9" * 400, "9" * 5000, "[]", "{}"],
)
@pytest.mark.parametrize("wait_for_model", [True, False])
def test_an_absurd_estimate_is_none(estimate: str, wait_for_model: bool) -> None:
    body = f'{{"error":"Model x is currently loading","estimated_time":{estimate}}}'.encode()
    failure = classify(503, CIMultiDict(), body, wait_for_model=wait_for_model)
    assert failure.kind is (FailureKind.RATE_LIMITED if wait_for_model else FailureKind.FATAL)
    assert failure.retry_after_s is None
    assert "expects to need" not in failure.message


def test_an_announced_wait_comes_before_an_estimate() -> None:
    body = b'{"error":"Model x is currently loading","estimated_time":600}'
    failure = classify(503, CIMultiDict({"Retry-After": "2"}), body)
    assert (failure.kind, failure.retry_after_s, failure.is_estimated) == (FailureKind.RATE_LIMITED, 2.0, False)


@pytest.mark.parametrize("status", [500, 502, 503, 504, 408, 425])
def test_an_announced_wait_makes_a_passing_fault_one_to_wait_for(status: int) -> None:
    assert classify(status, CIMultiDict(), b"").kind is FailureKind.TRANSIENT
    assert classify(status, CIMultiDict({"Retry-After": "soon"}), b"").kind is FailureKind.TRANSIENT
    assert classify(status, CIMultiDict({"Retry-After": "1e12"}), b"").kind is FailureKind.TRANSIENT
    assert classify(status, CIMultiDict({"Retry-After": "0"}), b"").kind is FailureKind.RATE_LIMITED


@pytest.mark.parametrize("status", [400, 401, 402, 403, 404, 413, 422, 307])
def test_an_announced_wait_changes_nothing_where_waiting_helps_nothing(status: int) -> None:
    with_header = classify(status, CIMultiDict({"Retry-After": "1"}), b"{}", batch_size=2)
    assert with_header.kind is classify(status, CIMultiDict(), b"{}", batch_size=2).kind


def test_too_many_requests_that_ask_to_log_in_stop_unless_they_announce_a_wait() -> None:
    body = b'{"error":"Rate limit reached. Please log in or use a HF access token"}'
    assert classify(429, CIMultiDict(), body).kind is FailureKind.FATAL
    assert classify(429, CIMultiDict({"Retry-After": "5"}), body).kind is FailureKind.RATE_LIMITED


def test_a_batch_of_two_is_a_batch() -> None:
    assert classify(400, CIMultiDict(), b"{}", batch_size=2).kind is FailureKind.BATCH_REJECTED
    assert error_in(b'{"error": "x"}', batch_size=2).kind is FailureKind.BATCH_REJECTED  # type: ignore[union-attr]


@pytest.mark.parametrize("status", [300, 301, 302, 303, 304, 307, 308, 399])
@pytest.mark.parametrize("location", ["", "https://elsewhere.example/a?token=hf_secret", "//elsewhere.example", "\x00"])
def test_no_redirect_is_more_than_its_host(status: int, location: str) -> None:
    failure = classify(status, CIMultiDict({"Location": location}), b"")
    assert failure.kind is FailureKind.FATAL
    assert "hf_secret" not in failure.message


def test_a_web_page_is_named_as_one() -> None:
    failure = classify(502, CIMultiDict(), b"<html><head><title>Bad Gateway</title></head>...")
    assert failure.message == "a web page instead of an answer (Bad Gateway)"


def test_a_long_message_is_cut() -> None:
    assert len(classify(400, CIMultiDict(), json.dumps({"error": "x" * 10_000}).encode()).message) == 500


def test_deeply_nested_error_bodies_are_read_without_harm() -> None:
    assert classify(400, CIMultiDict(), b"[" * 100_000).kind is FailureKind.INPUT_REJECTED


def test_an_error_with_status_200_is_an_error() -> None:
    assert error_in(b'{"error": "CUDA out of memory"}').kind is FailureKind.INPUT_REJECTED  # type: ignore[union-attr]
    assert error_in(b'{"error": "x"}', batch_size=4).kind is FailureKind.BATCH_REJECTED  # type: ignore[union-attr]
    assert error_in(b'{"answer": "42", "error": null, "score": 1}') is None
    assert error_in(b'[{"label": "error"}]') is None


def test_exceptions_are_told_without_their_text() -> None:
    leaky = aiohttp.ClientPayloadError("https://user:hf_secret@host/?token=hf_secret")
    failure = classify_exception(leaky, host="host:1")
    assert failure.kind is FailureKind.TRANSIENT
    assert "hf_secret" not in failure.message
    assert "host:1" in failure.message


def test_a_timeout_tells_which_argument_to_raise() -> None:
    assert "timeout" in classify_exception(TimeoutError(), host="h").message


def test_a_reason_holds_kind_status_words_and_attempts() -> None:
    from dataclasses import replace

    failure = classify(500, CIMultiDict(), b'{"error":"boom"}')
    assert replace(failure, attempts=5).reason == "temporary failure 500: boom (after 5 attempts)"


@pytest.mark.parametrize("status", [402, 403, 429])
@pytest.mark.parametrize(
    "words",
    [
        "You have exceeded your monthly included credits for Inference Providers.",
        "Resource group spend limit reached",
        "NOT_ENOUGH_BALANCE",
        "You exceeded your current quota, please check your plan and billing details",
    ],
)
def test_spent_credits_end_the_query_and_say_who_pays(status: int, words: str) -> None:
    for bill_to, payer in ((None, "the owner of the key"), ("acme", "the organisation 'acme' (bill_to)")):
        advice = advice_for("https://router.huggingface.co/v1/x", has_key=True, bill_to=bill_to)
        failure = classify_response(status, {}, ServerError(words), advice=advice)
        assert failure.kind is FailureKind.FATAL
        assert failure.message.startswith(words.rstrip("."))
        assert f"billed to {payer}" in failure.message
        assert failure.input_message is None
