"""Words of a row that a server repeats in its error decide nothing."""

from __future__ import annotations

import html
import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from multidict import CIMultiDict

from huggingface_api_handler.inference.echoes import without_echoes
from huggingface_api_handler.inference.failures import Failure, FailureKind
from tests.support.refusals import classify, error_in

pytestmark = pytest.mark.same_on_every_python

NEUTRAL = "a row of plain words, and nothing else that anybody could take for more than that"

ROWS = {
    "loading": "The model is currently loading, it is initializing and currently starting, wait a minute please",
    "scaled to zero": "My flat was scaled to zero",
    "overloaded": "Model is overloaded, too many requests, too busy, at capacity, rate limit exceeded, throttled",
    "model not found": "Model owner/m not found; it does not exist and is no longer supported",
    "lists unsupported": "Input should be a valid string, lists are not supported: invalid type: sequence, expected a string",
    "login required": "Please log in or use an access token to authenticate",
    "batch size": "batch size 9 > maximum allowed batch size 2",
    "in two lines": "It said:\n\tModel is overloaded,\n  currently loading; batch size 9 > maximum 2, does not exist",
    "in quotes": "He said \"don't\" and 'the model is loading' and `batch size 9 > maximum 2`, then log in, it's overloaded",
    "in other letters": "Das Mödell läuft \N{EM DASH} model is overloaded \N{SNOWMAN} & <currently loading> does not exist, batch size",
    "with apostrophes": "It's the dogs' model that isn't found, doesn't load, and does not exist at maximum batch size 3",
    "in capitals": "MODEL IS OVERLOADED, CURRENTLY LOADING, DOES NOT EXIST, LOG IN, BATCH SIZE 9 > MAXIMUM 2",
    "short": "busy",
}  # fmt: skip

SHAPES: dict[str, Callable[[str], Any]] = {
    "error": lambda row: {"error": f"Cannot process the input: {row}"},
    "error alone": lambda row: {"error": row},
    "list of errors": lambda row: {"error": ["Cannot process", f"the input {row}"], "warnings": [row]},
    "OpenAI's": lambda row: {
        "error": {"message": f"Bad value: {row}", "type": "invalid_request_error", "code": None, "param": row}
    },
    "error_type": lambda row: {"error": f"Input validation error: `inputs` was {row}", "error_type": "validation"},
    "code that is a row": lambda row: {"error": {"message": "bad", "code": row, "type": row}},
    "detail": lambda row: {"detail": f"Cannot process {row}"},
    "pydantic's": lambda row: {
        "detail": [
            {"loc": ["body", "inputs", 0], "msg": "Bad value", "type": "value_error", "input": row, "ctx": {"is": row}}
        ]
    },
    "pydantic's words": lambda row: {
        "detail": [{"loc": ["body", "inputs"], "msg": f"Value error, cannot read {row}", "type": "value_error"}]
    },
    "unknown keys": lambda row: {"reason": row, "input": [row]},
    "JSON in a text": lambda row: {"error": f"upstream said {json.dumps({'inputs': row})}"},
    "JSON in a text, Unicode": lambda row: {"error": f"upstream said {json.dumps({'text': row}, ensure_ascii=False)}"},
    "repr": lambda row: {"error": f"bad row {row!r} at 1"},
    "cut off": lambda row: {"error": f"bad row {row[:60]}" + ("..." if len(row) > 60 else "")},
    "cut off, quoted": lambda row: {"error": f"got [type=string_type, input_value='{row[:25]}...', input_type=list]"},
    "title": lambda row: f"<html><head><title>Bad: {html.escape(row)}</title></head></html>".encode(),
    "text": lambda row: f"Bad input: {row}".encode(),
    "in small letters": lambda row: {"error": f"unknown words in {row.lower()}"},
}

BODIES: dict[str, Callable[[str], Any]] = {
    "texts": lambda row: {"inputs": [row, "another text", row + " twice"], "parameters": {"top_k": 1}},
    "chat": lambda row: {"model": "m", "messages": [{"role": "user", "content": [{"type": "text", "text": row}]}]},
    "lists": lambda row: {"inputs": [[row], ["another text"]]},
}


def verdict(failure: Failure) -> tuple[Any, ...]:
    return (
        failure.kind,
        failure.status,
        failure.retry_after_s,
        failure.is_batch_too_large,
        failure.stated_max_batch_size,
    )


def encoded(reply: Any) -> bytes:
    return reply if isinstance(reply, bytes) else json.dumps(reply).encode()


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
@pytest.mark.parametrize("row", ROWS.values(), ids=ROWS)
def test_a_row_that_a_server_repeats_never_decides_what_becomes_of_the_query(
    row: str, shape: Callable[[str], Any]
) -> None:
    for body in BODIES.values():
        for status in (400, 413, 429, 503):
            for batch_size in (1, 3):
                found, neutral = (
                    classify(status, CIMultiDict(), encoded(shape(text)), sent=json.dumps(body(text)).encode(), batch_size=batch_size)
                    for text in (row, NEUTRAL)
                )  # fmt: skip
                assert verdict(found) == verdict(neutral), (status, batch_size, found.message)


@pytest.mark.parametrize(
    ("status", "message", "kind"),
    [
        (503, "Model owner/m is currently loading", FailureKind.RATE_LIMITED),
        (503, "Model is overloaded", FailureKind.RATE_LIMITED),
        (400, "Model owner/m does not exist", FailureKind.FATAL),
        (422, "Input should be a valid string", FailureKind.BATCH_UNSUPPORTED),
        (429, "Please log in or use a HF access token", FailureKind.FATAL),
    ],
)
def test_the_servers_own_words_still_decide_beside_a_row(status: int, message: str, kind: FailureKind) -> None:
    for row in ("a cat", "a load of books", "an existing model, listed", "too long to say"):
        sent = json.dumps({"inputs": [row, "another"]}).encode()
        for text in (message, f"{message}: {row}", f"{message} ('{row}')", f"'{row}': {message}"):
            body = json.dumps({"error": text}).encode()
            assert classify(status, CIMultiDict(), body, sent=sent, batch_size=2).kind is kind


def test_an_answer_of_200_that_is_an_error_says_how_large_a_batch_may_be() -> None:
    failure = error_in(b'{"error": "batch size 9 > maximum allowed batch size 4"}', batch_size=9)
    assert failure is not None
    assert (failure.is_batch_too_large, failure.stated_max_batch_size) == (True, 4)


def test_a_code_decides_too() -> None:
    body = json.dumps({"error": {"message": "No.", "code": "model_not_found", "type": "invalid_request_error"}})
    assert classify(400, CIMultiDict(), body.encode()).kind is FailureKind.FATAL
    body = json.dumps({"error": "No.", "error_type": "overloaded"})
    assert classify(503, CIMultiDict(), body.encode()).kind is FailureKind.RATE_LIMITED


def test_json_within_a_message_is_what_was_said() -> None:
    upstream = json.dumps({"error": "upstream: " + json.dumps({"message": "Model is overloaded"})}).encode()
    assert classify(503, CIMultiDict(), upstream).kind is FailureKind.RATE_LIMITED


def test_a_part_of_a_word_is_no_echo() -> None:
    sent = json.dumps({"inputs": "load"}).encode()
    assert without_echoes("currently loading", sent) == "currently loading"
    assert "load" not in without_echoes("cannot load this", sent)


def test_apostrophes_quote_nothing() -> None:
    assert without_echoes("the model's weights aren't loaded, it's busy", b"") == (
        "the model's weights aren't loaded, it's busy"
    )


@settings(max_examples=300, deadline=None)
@given(st.text(max_size=200), st.text(max_size=100), st.binary(max_size=100))
def test_any_message_and_any_request_are_read_without_harm(message: str, row: str, junk: bytes) -> None:
    without_echoes(message, junk)
    text = " ".join(f"{message} {row}".split())
    assert len(without_echoes(text, json.dumps({"inputs": [row, 1, None, {"a": row}]}).encode())) < 2000
