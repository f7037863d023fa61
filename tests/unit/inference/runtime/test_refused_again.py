"""A table of which all answers are stored but those to rows that the server refuses, asked about again."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from huggingface_api_handler.inference import predict
from tests.conftest import Reply, Service

ROWS = 300
USING = {"task": "text-classification", "column": "text", "target": "y"}
SCORES = [{"label": "POS", "score": 0.9}, {"label": "NEG", "score": 0.1}]
TEXTS = [f"{'odd' if row % 5 == 0 else 'plain'} text {row}" for row in range(ROWS)]
REFUSED = [text for text in TEXTS if text.startswith("odd")]
WORDS = {
    "of any kind": "this text is refused",
    "for its length": "Input validation error: `inputs` must have less than 512 tokens. Given: 700",
}


@pytest.fixture
def engine(service: Service, tmp_path: Path) -> dict[str, Any]:
    return {"endpoint": f"{service.url}/models", "cache_dir": str(tmp_path)}


def refuse(service: Service, beginning: str, words: str) -> None:
    """Let a service that takes one text at a time refuse those that begin so."""

    def answer(body: Any, *_: Any) -> Any:
        if isinstance(body["inputs"], list):
            return Reply({"error": "inputs must be a string, and not a list"}, 422)
        return Reply({"error": words}, 400) if body["inputs"].startswith(beginning) else [SCORES]

    service.answer = answer


def ask(engine: dict[str, Any], rows: slice = slice(None)) -> pd.DataFrame:
    return predict(pd.DataFrame({"text": TEXTS[rows]}), {**USING, "long_text": "error"}, engine)


@pytest.mark.parametrize("words", WORDS.values(), ids=WORDS)
def test_each_row_that_is_refused_again_has_the_reason_of_the_server(
    service: Service, engine: dict[str, Any], words: str
) -> None:
    refuse(service, "odd", words)
    first = ask(engine)
    service.asked.clear()
    again = ask(engine)
    assert again["y"].tolist() == first["y"].tolist()
    assert again["y_error"].dropna().str.contains(words, regex=False).sum() == len(REFUSED)
    assert not again["y_error"].dropna().str.contains("query stopped").any()
    plain = [body["inputs"] for body in service.asked if not str(body["inputs"]).startswith("odd")]
    assert len(plain) <= 1, "one shows that the request is not at fault"


def test_a_request_that_is_at_fault_now_is_sent_for_a_few_rows_only(service: Service, engine: dict[str, Any]) -> None:
    refuse(service, "nothing", "")
    ask(engine, slice(0, ROWS // 2))
    service.asked.clear()
    refuse(service, "", "unknown parameter")
    out = ask(engine)
    assert out["y"].notna().sum() == ROWS // 2
    assert out["y_error"].dropna().str.contains("the request is at fault").sum() > ROWS / 3
    assert len(service.asked) < 20


def test_nothing_else_is_sent_until_it_is_known_whether_the_request_is_at_fault(
    service: Service, engine: dict[str, Any]
) -> None:
    refuse(service, "nothing", "")
    ask(engine, slice(0, ROWS // 2))
    are_held: list[bool] = []

    async def answer(body: Any, *_: Any) -> Any:
        if body["inputs"] in TEXTS[: ROWS // 2]:  # whose answers are stored
            await asyncio.sleep(0.1)  # until those are here that were on their way
            sent = len(service.asked)
            await asyncio.sleep(0.2)
            are_held.append(len(service.asked) == sent)
        return Reply({"error": "unknown parameter"}, 400)

    service.answer = answer
    ask(engine)
    assert are_held == [True]
