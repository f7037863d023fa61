"""Batches are judged by evidence: hostile servers, coarse answers, long rows and faults in passing."""

from __future__ import annotations

import random
import zlib
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from huggingface_api_handler.tasks import Prediction
from tests.unit.inference.runtime.test_executor import Run

Answer = list[dict[str, Any]]
Score = Callable[[str], float]


def share(text: str) -> float:
    return zlib.crc32(text.encode()) / 2**32


SCORES: dict[str, Score] = {
    "fine": share,
    "one decimal": lambda text: round(share(text), 1),
    "two labels": lambda text: float(share(text) > 0.5),
    "one in five": lambda text: float(share(text) > 0.8),
    "two saturated labels": lambda text: 0.999 + share(text) / 1000 if share(text + "x") > 0.5 else share(text) / 1000,
}
ALIKE = 0.04
"""Scores that differ by less may change places in a batch, since each is still near its own."""


def labels(score: float) -> Answer:
    both = [{"label": "POS", "score": score}, {"label": "NEG", "score": 1 - score}]
    return sorted(both, key=lambda label: -label["score"])


def positive(answer: Answer) -> float:
    return next(label["score"] for label in answer if label["label"] == "POS")


Misread = Callable[[Sequence[str], Callable[[str], Answer]], Any]
"""What a server makes of a list of texts, which it can answer alone."""


def in_order_of(key: Callable[[str], Any], *, down: bool = False) -> Misread:
    return lambda texts, ask: [ask(text) for text in sorted(texts, key=key, reverse=down)]


def by_answer(key: Callable[[Answer], Any], *, down: bool = False) -> Misread:
    return lambda texts, ask: sorted(map(ask, texts), key=key, reverse=down)


MISREAD: dict[str, Misread] = {
    "reversed": lambda texts, ask: [ask(text) for text in reversed(texts)],
    "shifted by one": lambda texts, ask: [ask(text) for text in [*texts[1:], texts[0]]],
    "shifted back": lambda texts, ask: [ask(text) for text in [texts[-1], *texts[:-1]]],
    "first repeated": lambda texts, ask: [ask(texts[0])] * len(texts),
    "last repeated": lambda texts, ask: [ask(texts[-1])] * len(texts),
    "shortest first": in_order_of(len),
    "longest first": in_order_of(len, down=True),
    "by text": in_order_of(str),
    "by score": by_answer(positive),
    "by score, down": by_answer(positive, down=True),
    "by best score": by_answer(lambda answer: answer[0]["score"], down=True),
    "by label": by_answer(lambda answer: str(answer[0]["label"])),
    "by JSON": by_answer(str),
    "best only": lambda texts, ask: [ask(text)[0] for text in texts],
    "flattened": lambda texts, ask: [label for text in texts for label in ask(text)],
    "flattened and cut": lambda texts, ask: [label for text in texts for label in ask(text)][: len(texts)],
    "padded": lambda texts, ask: [[*ask(text), {"label": "PAD", "score": 0.0}] for text in texts],
    "padded with one more": lambda texts, ask: [*map(ask, texts), ask("")],
    "a pair read as one": lambda texts, ask: [ask(" ".join(texts))] * len(texts),
    "neighbours read as one": lambda texts, ask: [ask(a + b) for a, b in zip(texts, [*texts[1:], ""], strict=True)],
}


class Server:
    """Answers texts alone rightly, and lists as it misreads them. Keeps how it answered before the first long list."""

    def __init__(self, score: Score, misread: Misread | None = None) -> None:
        self.score, self.misread = score, misread
        self.probed: set[float] = set()
        self.long_lists = 0

    def ask(self, text: str) -> Answer:
        return labels(self.score(text))

    def __call__(self, asked: Any) -> Any:
        texts = asked["inputs"]
        if isinstance(texts, str):
            if not self.long_lists:
                self.probed.add(self.score(texts))
            return [self.ask(texts)]
        self.long_lists += len(texts) > 5
        return self.misread(texts, self.ask) if self.misread is not None else [self.ask(text) for text in texts]


def wrong_rows(run: Run, texts: Sequence[str], score: Score) -> list[int]:
    return [
        index
        for index, (text, result) in enumerate(zip(texts, run.results, strict=True))
        if isinstance(result, Prediction) and abs(result.explain["POS"] - score(text)) > 1e-9
    ]


def texts_of(seed: int, count: int) -> list[str]:
    chance = random.Random(seed)
    return [f"{number} " + "word " * chance.randrange(12) for number in chance.sample(range(10_000), count)]


@settings(max_examples=1000, deadline=None)
@given(
    seed=st.integers(0, 1 << 32),
    count=st.integers(10, 150),
    scores=st.sampled_from(sorted(SCORES)),
    misread=st.sampled_from(sorted(MISREAD)),
)
def test_a_hostile_server_never_gives_a_wrong_row_where_what_it_was_probed_with_differs(
    seed: int, count: int, scores: str, misread: str
) -> None:
    assume(scores == "fine" or misread != "neighbours read as one")  # of two labels one is right by chance
    score, texts = SCORES[scores], texts_of(seed, count)
    server = Server(score, MISREAD[misread])
    run = Run(server, texts)
    assert all(isinstance(result, Prediction) for result in run.results)
    if max(server.probed) - min(server.probed) > ALIKE:
        assert wrong_rows(run, texts, score) == []
        if run.profile.accepts_batches:
            assert MISREAD[misread](texts, server.ask) == [server.ask(text) for text in texts]


@pytest.mark.parametrize("scores", SCORES)
@pytest.mark.parametrize("seed", range(20))
def test_coarse_answers_get_their_batches(scores: str, seed: int) -> None:
    score, texts = SCORES[scores], texts_of(seed, 1000)
    run = Run(Server(score), texts)
    assert wrong_rows(run, texts, score) == []
    assert run.profile.accepts_batches is True
    assert len(run.sent) <= 1000 / 32 + 30
