"""Pairs of texts of which one, or both, are longer than the model: they are cut, and the row says which side."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pytest

from huggingface_api_handler.inference import predict
from tests.conftest import Reply, Service
from tests.unit.inference.runtime.test_long_texts import LIMIT, NOT_STATED, STATED, document, tokens

SHORT, LONG, OTHER = "a short one", document(300), document(400, 1)


class Pairs:
    """A server of pairs, which refuses what is longer than ``LIMIT``: ranking models read both texts as one."""

    def __init__(self, service: Service, words: str) -> None:
        self.service, self.words = service, words
        self.answered: list[tuple[str, str]] = []
        service.answer = self.reply

    def reply(self, body: Any, _headers: Any, _path: str) -> Reply:
        inputs = body["inputs"]
        is_ranking = "query" in inputs
        names = ("query", "texts") if is_ranking else ("source_sentence", "sentences")
        first, others = (inputs[name] for name in names)
        for other in others:
            count = tokens(first) + tokens(other) if is_ranking else max(tokens(first), tokens(other))
            if count > LIMIT:
                return Reply({"error": self.words.format(limit=LIMIT, tokens=count)}, 413)
        self.answered += [(first, other) for other in others]
        return Reply(
            [{"index": index, "score": 0.5} for index in range(len(others))] if is_ranking else [0.5] * len(others)
        )

    def ask(self, task: str, first: str, other: str, **using: Any) -> dict[str, Any]:
        frame = pd.DataFrame({"asked": [first, SHORT], "found": [other, SHORT]})
        arguments = {"task": task, "model": "m", "column": "asked", "column2": "found", **using}
        out = predict(frame, arguments, {"endpoint": f"{self.service.url}/models"})
        assert out["prediction"][1] == 0.5 and out["prediction_explain"][1] is None
        return {str(name): value for name, value in out.iloc[0].items()}


@pytest.mark.parametrize("words", [STATED, NOT_STATED])
@pytest.mark.parametrize("task", ["sentence-similarity", "text-ranking"])
@pytest.mark.parametrize(
    ("first", "other", "cut"),
    [(LONG, SHORT, {"asked"}), (SHORT, LONG, {"found"}), (LONG, OTHER, {"asked", "found"})],
)
def test_a_pair_says_which_side_was_cut_and_where(
    service: Service, task: str, first: str, other: str, cut: set[str], words: str
) -> None:
    server = Pairs(service, words)
    row = server.ask(task, first, other)
    assert (row["prediction"], row["prediction_error"]) == (0.5, None)
    left_out = row["prediction_explain"]["left_out"]
    assert row["prediction_explain"].keys() == {"left_out"}
    assert left_out.keys() == cut
    asked = first[: left_out.get("asked")], other[: left_out.get("found")]
    assert asked in server.answered
    assert sum(map(tokens, asked)) > LIMIT / 4, "little was left out that could be read"


@pytest.mark.parametrize("task", ["sentence-similarity", "text-ranking"])
def test_a_pair_is_left_as_it_is_where_a_person_wants_that(service: Service, task: str) -> None:
    row = Pairs(service, STATED).ask(task, SHORT, LONG, long_text="error")
    assert "must have less than 60 tokens" in row["prediction_error"]
    assert row["prediction"] is None and row["prediction_explain"] is None
