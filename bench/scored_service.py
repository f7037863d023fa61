"""A labelled service whose texts say how each of two models answers them.

A text is ``number score wrong``: the large model answers 'right'; the small one 'wrong' where the last word is 1, and
that with the score.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

from .labelled_service import LabelledService

RIGHT, WRONG = "right", "wrong"
LARGE, SMALL = "large", "small"


class ScoredService(LabelledService):
    """What a running service counts.

    Args:
        url: Where it is; a model is at the path of its name.
    """

    def __init__(self, url: str) -> None:
        names = {"first": RIGHT, "second": WRONG}
        super().__init__({LARGE: names, SMALL: names}, url)

    def predict(self, model: str, inputs: str | list[list[str]]) -> Any:
        """Answer a request: for one text its label, for several a list of labels each."""
        texts = [inputs] if isinstance(inputs, str) else [text for (text,) in inputs]
        with self._lock:
            self.requests[model] += 1
            self.inputs[model] += Counter(texts)
        answers = [[_answer(model, text)] for text in texts]
        return answers[0] if isinstance(inputs, str) else answers


def _answer(model: str, text: str) -> dict[str, Any]:
    _, score, wrong = text.split()
    if model == LARGE:
        return {"label": RIGHT, "score": 1.0}
    return {"label": WRONG if wrong == "1" else RIGHT, "score": float(score)}
