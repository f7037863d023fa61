"""A classifier of texts at a service in this process, which counts what workers ask about. It takes one in a request."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd

from tests.conftest import Reply, Service

USING = {"task": "text-classification", "column": "text", "target": "mood", "model": "owner/name"}


def label_of(text: str) -> str:
    """What the classifier says of a text."""
    return "POSITIVE" if "good" in text else "NEGATIVE"


class Sentiment:
    """The classifier.

    Args:
        service: Answers its requests.
        store: The folder of the answers that workers share.

    Attributes:
        asked: How often each text was asked about.
        service: Remembers the requests.
        status: What it answers instead, where it is none of 200.
        refused: Texts that it answers with status 400.
        on_input: Is called with the number of inputs so far, and may be awaited, before the answer.
    """

    def __init__(self, service: Service, store: Path) -> None:
        self.service, self.store = service, store
        self.asked: Counter[str] = Counter()
        self.status = 200
        self.refused: set[str] = set()
        self.on_input: Callable[[int], Any] = lambda count: None
        service.answer = self._answer

    @property
    def engine(self) -> dict[str, Any]:
        """Arguments of the engine, without a key."""
        return {"endpoint": f"{self.service.url}/models", "cache_dir": str(self.store)}

    @property
    def requests(self) -> int:
        """How many requests came."""
        return len(self.service.asked)

    async def _answer(self, body: Any, headers: dict[str, str], path: str) -> Any:
        text = body["inputs"]
        if isinstance(text, list):  # so that no text is asked about together with others, to see whether that works
            return Reply({"error": "inputs must be a string, and not a list"}, 422)
        self.asked[text] += 1
        waiting = self.on_input(self.asked.total())
        if waiting is not None:
            await waiting
        if self.status != 200:
            return Reply({"error": f"status {self.status}"}, self.status)
        if text in self.refused:
            return Reply({"error": "this text is refused"}, 400)
        return [{"label": label_of(text), "score": 0.9}]


def reviews(rows: int, *, null_every: int = 10) -> pd.DataFrame:
    """A table of different texts, some of them NULL, with an index that is no count from 0."""
    texts = [None if row % null_every == 3 else f"{'good' if row % 2 else 'bad'} film {row}" for row in range(rows)]
    return pd.DataFrame({"stars": range(rows), "text": texts, "note": "unread"}, index=range(1000, 1000 + rows))


def check_predictions(frame: pd.DataFrame, predictions: pd.DataFrame) -> None:
    """Each row has the prediction of its own text, in the order of the table."""
    assert predictions.index.tolist() == frame.index.tolist()
    expected = [None if pd.isna(text) else label_of(text) for text in frame["text"]]
    assert [None if pd.isna(label) else label for label in predictions["mood"]] == expected
    assert predictions["mood_error"].isna().all()
