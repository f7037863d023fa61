"""Odd answers to many inputs at once cost the rows that they are of, and few requests."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pandas as pd
import pytest

from huggingface_api_handler.errors import InferenceError
from huggingface_api_handler.inference import predict
from tests.conftest import Reply, Service

ROWS = [f"an ordinary row {number:03}" for number in range(100)]
VECTORS = {"task": "feature-extraction", "column": "text"}
RANKS = {"task": "text-ranking", "column": "query", "column2": "text"}
SIMILAR = {"task": "sentence-similarity", "column": "query", "column2": "text"}


def ask(service: Service, rows: list[str], using: dict[str, Any], protocol: str = "openai") -> pd.DataFrame:
    frame = pd.DataFrame({"text": rows, "query": ["a query"] * len(rows)})
    return predict(frame, {"target": "y", "model": "m", **using}, {"endpoint": service.url, "protocol": protocol})


def vectors(vector: Callable[[str], Any]) -> Callable[..., Any]:
    def answer(body: Any, *_: Any) -> Any:
        return {"data": [{"index": at, "embedding": vector(text)} for at, text in enumerate(body["input"])]}

    return answer


@pytest.mark.parametrize("index", [[], {}, True, 1.0, "1", None, -1])
def test_an_index_that_is_none_is_no_broken_connection(service: Service, index: Any) -> None:
    def answer(body: Any, *_: Any) -> Any:
        items = [{"index": at, "score": 0.5} for at, _ in enumerate(body["texts"])]
        return [{**items[0], "index": index}, *items[1:]]

    service.answer = answer
    with pytest.raises(InferenceError, match="answered with items"):
        ask(service, ROWS[:3], RANKS, "tei")
    assert len(service.asked) <= 6


def test_many_parts_that_cannot_be_read_are_not_all_asked_for_alone(service: Service) -> None:
    service.answer = vectors(lambda _text: None)
    with pytest.raises(InferenceError, match="null values"):
        ask(service, ROWS, VECTORS)
    assert len(service.asked) <= 20


def test_parts_that_can_be_read_only_alone_are_answered_all_the_same(service: Service) -> None:
    service.answer = lambda body, *_: vectors(lambda text: [len(body["input"]), len(text)])(body) if len(body["input"]) == 1 else vectors(lambda _text: None)(body)  # fmt: skip
    out = ask(service, ROWS, VECTORS)
    assert out["y_error"].isna().all()


@pytest.mark.parametrize("status", [403, 404, 405, 410])
def test_a_row_in_the_first_list_that_is_refused_is_that_rows(service: Service, status: int) -> None:
    def answer(body: Any, *_: Any) -> Any:
        if any("flag" in text for text in body["input"]):
            return Reply({"error": {"message": "Your input was flagged"}}, status)
        return vectors(lambda text: [float(text[-3:]), 1.0])(body)

    service.answer = answer
    rows = [f"flagged row no. {number:03}" if number % 50 == 25 else row for number, row in enumerate(ROWS * 3)]
    rows = [f"{row} {number:03}" for number, row in enumerate(rows)]
    out = ask(service, rows, VECTORS)
    good = [number for number in range(300) if number % 50 != 25]
    assert out["y_error"][good].isna().all()
    assert [value[0] for value in out["y"][good]] == good
    assert all("flagged" in reason for reason in out["y_error"].drop(good))


@pytest.mark.parametrize("status", [404, 405, 410])
def test_an_address_where_nothing_is_costs_one_request_more(service: Service, status: int) -> None:
    service.answer = lambda *_: Reply({"detail": "Not Found"}, status)
    with pytest.raises(InferenceError):
        ask(service, ROWS, VECTORS)
    assert len(service.asked) <= 2


@pytest.mark.parametrize("scale", [1e-160, 1e-320 * 1e3, 1e155, 1e300])
def test_the_likeness_of_very_short_and_very_long_vectors(service: Service, scale: float) -> None:
    service.answer = vectors(lambda text: [scale, scale] if text == "a query" else [scale, 0.0])
    assert ask(service, ROWS[:1], SIMILAR)["y"][0] == pytest.approx(2**-0.5, rel=1e-3)
