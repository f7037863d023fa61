"""A text that is too long for a task without parts: its row says why it has none, and what to do."""

from __future__ import annotations

import re
from typing import Any

import pandas as pd
import pytest

from huggingface_api_handler.errors import InferenceError
from huggingface_api_handler.inference import predict
from huggingface_api_handler.printable import MAX_MESSAGE_CHARS
from huggingface_api_handler.tasks import TASKS
from tests.conftest import Reply, Service

TOO_LONG = Reply({"error": {"message": "This model's maximum context length is 60 tokens. However, you requested 812 tokens"}}, 400)  # fmt: skip
TOO_MANY_BYTES = Reply(b"<html><title>413 Request Entity Too Large</title></html>", 413)
PIXEL = (
    "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5E"
    "rkJggg=="
)
TEXT = "a long text"
CELLS = {
    "text": TEXT,
    "masked": f"{TEXT} [MASK]",
    "image": PIXEL,
    "facts": '{"city": ["Paris"], "country": ["France"]}',
}
OF_TEXTS: list[dict[str, Any]] = [
    {"task": "fill-mask", "column": "masked"},
    {"task": "text-generation", "column": "text"},
    {"task": "chat-completion", "column": "text"},
    {"task": "chat-classification", "column": "text", "candidate_labels": ["a", "b"]},
    {"task": "table-question-answering", "column": "text", "table_column": "facts"},
    {"task": "text-to-image", "column": "text"},
    {"task": "text-to-speech", "column": "text"},
]
OF_IMAGES: list[dict[str, Any]] = [
    {"task": "image-text-to-text", "column": "image", "prompt_column": "text"},
    {"task": "visual-question-answering", "column": "image", "question_column": "text"},
    {"task": "image-to-image", "column": "image", "prompt_column": "text"},
]


def task_of(using: dict[str, Any]) -> str:
    return str(using["task"])


def answers(service: Service, using: dict[str, Any], rows: int = 1, **more: Any) -> pd.DataFrame:
    frame = pd.DataFrame([{**CELLS, "text": f"{TEXT} {row}"} for row in range(rows)])
    return predict(frame, {"model": "m", **using, **more}, {"endpoint": f"{service.url}/models"})


@pytest.mark.parametrize("using", OF_TEXTS + OF_IMAGES, ids=task_of)
def test_the_reason_of_a_row_ends_with_why_its_text_is_not_asked_in_parts(
    service: Service, using: dict[str, Any]
) -> None:
    service.answer = lambda body, *_: TOO_LONG if body is not None else Reply({"error": "not found"}, 404)
    (reason,) = answers(service, using, on_error="null")["prediction_error"]
    advice = TASKS[using["task"]].long_text_advice
    assert re.match(r"rejected input 400: .*maximum context length is 60 tokens.*812 tokens\. ", reason)
    assert reason.endswith(f". {advice}")
    with pytest.raises(InferenceError, match=re.escape(advice)):
        answers(service, using, rows=40)


def test_the_advice_is_whole_beside_many_words_of_the_server(service: Service) -> None:
    words = "the prompt is too long. " + "Let me tell you of it. " * 100
    service.answer = lambda *_: Reply({"error": words}, 400)
    (reason,) = answers(service, OF_TEXTS[1], on_error="null")["prediction_error"]
    assert reason.endswith(f". {TASKS['text-generation'].long_text_advice}")
    assert len(reason) <= MAX_MESSAGE_CHARS + len("rejected input 400: ")


@pytest.mark.parametrize("using", OF_IMAGES, ids=task_of)
def test_an_image_that_is_too_large_is_no_text_that_is_too_long(service: Service, using: dict[str, Any]) -> None:
    service.answer = lambda *_: TOO_MANY_BYTES
    (reason,) = answers(service, using, on_error="null")["prediction_error"]
    assert reason.startswith("rejected input 413")
    assert TASKS[using["task"]].long_text_advice not in reason


def test_a_task_without_a_text_has_no_such_advice(service: Service) -> None:
    service.answer = lambda *_: TOO_LONG
    using = {"task": "image-classification", "column": "image"}
    (reason,) = answers(service, using, on_error="null", long_text="error")["prediction_error"]
    assert reason.endswith("812 tokens")


@pytest.mark.parametrize(
    ("using", "becomes"),
    [
        ({"task": "text-classification", "column": "text"}, "asked in parts"),
        ({"task": "sentence-similarity", "column": "text", "column2": "masked"}, "cut to what the model reads"),
    ],
)
def test_a_text_that_must_not_be_cut_says_what_would_become_of_it(
    service: Service, using: dict[str, Any], becomes: str
) -> None:
    service.answer = lambda *_: TOO_LONG
    (reason,) = answers(service, using, on_error="null", long_text="error")["prediction_error"]
    assert reason.endswith(f"812 tokens. Leave long_text = 'error' out, and it is {becomes}")
