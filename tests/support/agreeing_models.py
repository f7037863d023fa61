"""A large model that is right, and a small one that says how sure it is and is wrong where it is not."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Reply, Service

LABELS = ("neg", "pos")


class AgreeingModels:
    """Two models of one service, at paths that end with their names. Their texts are numbered: 'text 7'.

    Args:
        service: Answers with them.
        worst: How often the small model is wrong where it is least sure.

    Attributes:
        asked: How often each number was asked about, by model.
        refused: Numbers that a model refuses for good.
        failing: What a model answers to everybody instead.
        on_large: Is called before each answer of the large model.
    """

    def __init__(self, service: Service, worst: float = 0.5) -> None:
        self.asked: dict[str, Counter[int]] = {"large": Counter(), "small": Counter()}
        self.worst = worst
        self.refused: dict[str, set[int]] = {"large": set(), "small": set()}
        self.failing: dict[str, Reply] = {}
        self.on_large: Callable[[], None] = lambda: None
        service.answer = self.answer

    def forget(self) -> None:
        """Count from nothing again."""
        for each in self.asked.values():
            each.clear()

    @staticmethod
    def truth(number: int) -> str:
        """What the large model says."""
        return LABELS[number % 2]

    @classmethod
    def wrong(cls, number: int) -> str:
        """What it does not say."""
        return LABELS[1 - number % 2]

    def guess(self, number: int) -> tuple[str, float]:
        """What the small model says, and how sure it is."""
        draws = random.Random(number)
        score = draws.random()
        is_wrong = draws.random() < self.worst * (1 - score)
        return (self.wrong(number) if is_wrong else self.truth(number)), 0.5 + score / 2

    def answer(self, body: Any, _headers: dict[str, str], path: str) -> Any:
        """Answer a request."""
        if path.endswith("/info") or body is None:
            return Reply({"error": "not found"}, 404)
        model = "large" if path.endswith("/large") else "small"
        if model in self.failing:
            return self.failing[model]
        texts = body["inputs"] if isinstance(body["inputs"], list) else [body["inputs"]]
        numbers = [int(text.split()[1]) for text in texts]
        if model == "large":
            self.on_large()
        if self.refused[model] & set(numbers):
            return Reply({"error": "this text cannot be classified"}, 400)
        self.asked[model].update(numbers)
        answers = []
        for number in numbers:
            label, score = (self.truth(number), 0.9) if model == "large" else self.guess(number)
            others = LABELS[1 - LABELS.index(label)]
            answers.append([{"label": label, "score": score}, {"label": others, "score": 1 - score}])
        return answers if isinstance(body["inputs"], list) else answers[0]


@pytest.fixture
def models(service: Service) -> AgreeingModels:
    return AgreeingModels(service)


@pytest.fixture
def engine(service: Service, tmp_path: Path) -> dict[str, Any]:
    return {"endpoint": f"{service.url}/models", "cache_dir": str(tmp_path / "store")}
