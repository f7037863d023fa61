"""Batches are judged by evidence: hostile servers, coarse answers, long rows and faults in passing."""

from __future__ import annotations

import random
import zlib
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from huggingface_api_handler.inference.flow_control.batch_size import BatchSizeTuner
from huggingface_api_handler.inference.flow_control.route_profile import RouteProfile
from huggingface_api_handler.tasks import Prediction
from tests.unit.inference.runtime.test_executor import Run, error

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
    return float(next(label["score"] for label in answer if label["label"] == "POS"))


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


@pytest.mark.same_on_every_python
@settings(max_examples=400, deadline=None)
@given(
    seed=st.integers(0, 1 << 32),
    count=st.integers(10, 150),
    scores=st.sampled_from(sorted(SCORES)),
    misread=st.sampled_from(sorted(MISREAD)),
)
@example(149, 14, "one in five", "by JSON")  # sorted probes, and a list that is all alike
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


@pytest.mark.same_on_every_python
@pytest.mark.parametrize("scores", SCORES)
@pytest.mark.parametrize("seed", range(8))
def test_coarse_answers_get_their_batches(scores: str, seed: int) -> None:
    score, texts = SCORES[scores], texts_of(seed, 1000)
    run = Run(Server(score), texts)
    assert wrong_rows(run, texts, score) == []
    assert run.profile.accepts_batches is True
    assert len(run.sent) <= 1000 / 32 + 30


LONG = 200


def refusing_long(status: int, *, alone: bool = False) -> Callable[[Any], Any]:
    """A server that refuses any list with a text of more than 200 characters, and perhaps such a text alone."""
    server = Server(share)

    def reply(asked: Any) -> Any:
        texts = asked["inputs"]
        is_list = isinstance(texts, list)
        if (is_list or alone) and max(map(len, texts if is_list else [texts])) > LONG:
            return error(status, "payload too large" if status == 413 else "bad request")
        return server(asked)

    return reply


def with_long_rows(count: int, long: int) -> list[str]:
    texts = texts_of(7, count)
    for number in range(long):
        place = number * count // long + count // (2 * long)
        texts[place] += " and more" * (30 + 9 * number)
    return texts


@pytest.mark.parametrize("status", [400, 413])
@pytest.mark.parametrize("alone", [False, True], ids=["in lists", "alone too"])
@pytest.mark.parametrize("long", [0, 1, 3, 4, 8, 40])
def test_long_rows_never_cost_a_route_its_batches(status: int, alone: bool, long: int) -> None:
    service = refusing_long(status, alone=alone)
    run = Run(service, with_long_rows(640, long))
    assert run.profile.accepts_batches is True
    failed = long if alone and status == 400 else 0  # with 413 it is their length, so they are asked in parts
    assert sum(not isinstance(result, Prediction) for result in run.results) == failed
    assert long > 8 or len(run.sent) <= 120
    again = Run(service, texts_of(8, 640), run.profile)
    assert wrong_rows(again, texts_of(8, 640), share) == []
    assert len(again.sent) <= 20 if long <= 8 else len(again.sent) <= 60


def test_a_table_of_long_rows_does_not_say_what_the_route_does_with_others() -> None:
    service = refusing_long(400)
    run = Run(service, with_long_rows(100, 100))
    assert run.profile.accepts_batches is None
    assert len(run.sent) <= 100 + 4
    assert Run(service, texts_of(8, 640), run.profile).profile.accepts_batches is True


def test_a_route_that_refuses_short_lists_in_words_of_its_own_gets_no_more() -> None:
    server = Server(share)
    run = Run(lambda asked: error(400, "no") if isinstance(asked["inputs"], list) else server(asked), texts_of(1, 300))
    assert run.profile.accepts_batches is False
    assert len(run.sent) == 300 + 4


@pytest.mark.parametrize("fault", [error(500), error(429, Retry_After="1"), TimeoutError(), b"[[{"])
@pytest.mark.parametrize("times", [3, 4, 6])
def test_faults_in_passing_that_meet_every_probe_delay_batches_and_do_not_cost_them(fault: Any, times: int) -> None:
    server, left = Server(share), times

    def reply(asked: Any) -> Any:
        nonlocal left
        if isinstance(asked["inputs"], list) and left:
            left -= 1
            return fault
        return server(asked)

    run = Run(reply, texts_of(3, 2000))
    assert run.profile.accepts_batches is True
    assert len(run.sent) <= 2000 / 32 + (130 if isinstance(fault, TimeoutError) else 60)


def alike_until(first: int, share_of_others: float = 0.3) -> tuple[list[str], Score]:
    """Texts of one length, all answered alike but for some of those after the first so many."""
    texts = [f"text number {number:06d}" for number in range(3000)]
    return texts, lambda text: float(int(text[-6:]) > first and share(text) < share_of_others)


@pytest.mark.parametrize("misread", ["reversed", "shifted by one", "shifted back", "by score", "by label", "by JSON"])
@pytest.mark.parametrize("first", [1100, 1850, 2600])
def test_where_all_answers_were_alike_a_wrong_order_is_found_within_three_lists_of_one_that_differs(
    misread: str, first: int
) -> None:
    texts, score = alike_until(first)
    lists_since = 0

    class Counting(Server):
        def __call__(self, asked: Any) -> Any:
            nonlocal lists_since
            if isinstance(asked["inputs"], list) and len(asked["inputs"]) > 8:
                lists_since += lists_since > 0 or any(map(score, asked["inputs"]))
            return super().__call__(asked)

    run = Run(Counting(score, MISREAD[misread]), texts, RouteProfile(batch_size=BatchSizeTuner(settled=True)))
    assert wrong_rows(run, texts, score) == []
    assert run.profile.accepts_batches is False
    assert 1 <= lists_since <= 3


@pytest.mark.parametrize("first", [40, 1100, 2600])
def test_where_all_answers_were_alike_the_first_that_differs_earns_the_route_its_batches(first: int) -> None:
    texts, score = alike_until(first)
    run = Run(Server(score), texts)
    assert wrong_rows(run, texts, score) == []
    assert run.profile.accepts_batches is True
    assert len(run.sent) <= 3000 / 32 * 1.3


def test_answers_that_are_all_alike_go_in_batches_and_prove_nothing_for_the_next_query() -> None:
    texts = texts_of(5, 3000)
    run = Run(Server(lambda text: 0.999), texts)
    assert wrong_rows(run, texts, lambda text: 0.999) == []
    assert run.profile.accepts_batches is None
    assert len(run.sent) <= 3000 / 32 * 1.3


@pytest.mark.parametrize("fault", [error(503, "no healthy upstream"), error(500), ConnectionResetError()])
@pytest.mark.parametrize("after", [3, 6, 9, 14])
def test_a_service_that_goes_away_while_batches_are_in_doubt_loses_no_batch_and_ends_no_query(
    fault: Any, after: int
) -> None:
    server, sent = Server(lambda text: 0.999), 0

    def reply(asked: Any) -> Any:
        nonlocal sent
        sent += 1
        return fault if after < sent <= after + 25 else server(asked)

    texts = texts_of(5, 1500)
    run = Run(reply, texts, RouteProfile(batch_size=BatchSizeTuner(settled=True)))
    assert wrong_rows(run, texts, lambda text: 0.999) == []
    assert run.executor.stopped is None
    assert sum(isinstance(result, Prediction) for result in run.results) >= 1500 - 4, "those that were asked alone"
    assert len(run.sent) <= 150


class Stored:
    """Keeps what is stored, and finds nothing."""

    is_backlogged = False
    claims = None
    is_known_empty = True

    def __init__(self) -> None:
        self.stored: dict[bytes, Any] = {}

    async def wait_for_backlog(self) -> None:
        pass

    async def lookup(self, keys: Sequence[bytes]) -> dict[bytes, Any]:
        return {}

    def key(self, item: Any) -> bytes:
        return str(item).encode()

    def put(self, key: bytes, answer: Any) -> None:
        self.stored[key] = answer


@pytest.mark.parametrize("misread", ["reversed", "shifted by one", "by score"])
def test_no_answer_of_a_misread_list_is_stored(misread: str) -> None:
    texts, score = alike_until(1700)
    answers = Stored()
    run = Run(Server(score, MISREAD[misread]), texts, answers=answers)
    assert wrong_rows(run, texts, score) == []
    assert answers.stored.keys() == {text.encode() for text in texts}
    stored = {text: answers.stored[text.encode()] for text in texts}
    assert all(part in ([labels(score(text))], labels(score(text))) for text, part in stored.items())


@pytest.mark.parametrize("budget", range(1, 40))
def test_a_budget_that_ends_in_doubt_shows_no_wrong_row(budget: int) -> None:
    texts, score = alike_until(200)
    run = Run(Server(score, MISREAD["reversed"]), texts, max_requests=budget)
    assert len(run.sent) == budget
    assert wrong_rows(run, texts, score) == []
