"""The simulated service of the benchmarks behaves as its plan says, in the shapes that were recorded."""

from __future__ import annotations

import email.utils
import heapq
import json
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from multidict import CIMultiDict

from bench.ceiling import rows_for
from bench.ideal_client import best_batch, best_seconds, tokens_due
from bench.measure import running_service
from bench.service import DIMENSIONS, IN_TRANSIT_S, Plan, Service, score
from huggingface_api_handler.inference.failures import Failure, FailureKind
from huggingface_api_handler.inference.protocols.openai_embeddings import OpenAIEmbeddings
from huggingface_api_handler.inference.transport.client import Response
from huggingface_api_handler.tasks import TASKS
from tests.support.refusals import classify

RECORDED = [
    json.loads(line)
    for line in (Path(__file__).parents[2] / "recorded" / "errors.jsonl").read_text(encoding="utf-8").splitlines()
]


class Run:
    """A service whose time passes only when a test says so, and what it replied: (time, name, status, JSON, headers)."""

    def __init__(self, plan: Plan) -> None:
        self.now = 1000.0
        self.timers: list[tuple[float, int, Callable[..., Any], tuple[Any, ...]]] = []
        self.replies: list[tuple[float, str, int, Any, CIMultiDict[str]]] = []
        self.service = Service(plan, self.call_later, lambda: self.now, lambda: self.now + 1.7e9 + 0.3)

    def call_later(self, seconds: float, call: Callable[..., Any], *arguments: Any) -> None:
        heapq.heappush(self.timers, (self.now + seconds, len(self.timers), call, arguments))

    def ask(self, inputs: Any, name: str = "", account: bytes = b"a") -> None:
        run = self

        class Connection:
            def reply(self, status: int, body: bytes, headers: bytes = b"") -> None:
                lines = [line.partition(": ") for line in headers.decode().splitlines()]
                fields = CIMultiDict((key, value) for key, _, value in lines)
                run.replies.append((run.now - 1000.0, name, status, json.loads(body), fields))

        is_json = not isinstance(inputs, bytes)
        self.service.request(
            Connection(), account, json.dumps({"inputs": inputs}).encode() if is_json else inputs, is_json=is_json
        )

    def pass_to(self, seconds: float) -> None:
        while self.timers and self.timers[0][0] <= 1000.0 + seconds + 1e-9:
            self.now, _, call, arguments = heapq.heappop(self.timers)
            call(*arguments)
        self.now = 1000.0 + seconds

    def failure(self, batch: int = 1) -> Failure:
        """What our own classification makes of the last reply."""
        _, _, status, body, headers = self.replies[-1]
        return classify(status, headers, json.dumps(body).encode(), batch_size=batch)


def shape(value: Any) -> Any:
    """Keys and types of an error, as deep as they go."""
    if isinstance(value, dict):
        return {key: shape(inner) for key, inner in value.items()}
    return [shape(value[0])] if isinstance(value, list) else type(value)


def recorded(status: int) -> list[Any]:
    return [shape(each["response"].get("json")) for each in RECORDED if each["status"] == status]


def test_slots_are_taken_then_the_queue_then_requests_are_refused() -> None:
    run = Run(Plan(latency=1.0, capacity=2, queue=1, refusal=503))
    for name in "abcd":
        run.ask(name, name)
    assert [(name, status) for _, name, status, *_ in run.replies] == [("d", 503)]
    assert run.failure().kind is FailureKind.RATE_LIMITED
    run.pass_to(5)
    assert [(at, name) for at, name, *_ in run.replies[1:]] == [(1.0, "a"), (1.0, "b"), (2.0, "c")]
    stats = run.service.stats()
    assert (stats["requests"], stats["answered"], stats["peak_active"], stats["refused"]) == (4, 3, 2, {"503": 1})


def test_answers_are_functions_of_the_input_alone() -> None:
    run = Run(Plan(latency=0.1, per_item=0.1, largest_batch=3))
    run.ask(["x", "y", "z"])
    run.ask("y")
    run.pass_to(1)
    (alone_at, _, _, alone, _), (at, _, _, together, _) = run.replies
    assert (alone_at, at) == pytest.approx((0.2, 0.4))
    assert [{part["label"]: part["score"] for part in each}["POSITIVE"] for each in together] == [
        pytest.approx(score(text), abs=1e-6) for text in "xyz"
    ]
    assert alone == [together[1]]
    assert all(best["score"] >= other["score"] for best, other in together)


def test_batches_are_refused_in_the_words_that_were_recorded_for_it() -> None:
    run = Run(Plan())
    run.ask(["a", "b"])
    assert run.replies[-1][2] == 400
    assert shape(run.replies[-1][3]) in recorded(400)
    assert run.failure(batch=2).kind is FailureKind.BATCH_UNSUPPORTED


@pytest.mark.parametrize("status", [413, 422])
def test_a_list_too_long_is_refused_and_a_shorter_one_answered(status: int) -> None:
    run = Run(Plan(largest_batch=4, too_large=status))
    run.ask(["a"] * 5)
    assert run.replies[-1][2] == status
    assert run.failure(batch=5).kind is FailureKind.BATCH_REJECTED
    assert status == 413 or shape(run.replies[-1][3]) in recorded(422)
    run.ask(["a"] * 4)
    assert run.replies[-1][2] == 200


def test_a_poisoned_input_fails_its_whole_request() -> None:
    run = Run(Plan(largest_batch=4, poison="POISON"))
    run.ask(["a", "POISON"])
    assert run.failure(batch=2).kind is FailureKind.BATCH_REJECTED
    run.ask("a POISON")
    assert run.failure().kind is FailureKind.INPUT_REJECTED
    run.ask("a")
    assert run.replies[-1][2] == 200


def test_it_loads_from_the_first_request_on() -> None:
    run = Run(Plan(loading=20.0))
    run.pass_to(7)
    run.ask("a")
    assert shape(run.replies[-1][3]) in recorded(503)
    assert run.failure() == Failure(
        FailureKind.RATE_LIMITED, "Model bench/model is currently loading", 503, retry_after_s=20.0, is_estimated=True
    )
    run.pass_to(26.9)
    run.ask("b")
    run.pass_to(27)
    run.ask("c")
    assert [status for _, _, status, *_ in run.replies] == [503, 503, 200]
    assert run.service.stats()["violations"] == 0  # an estimate is no announcement


@pytest.mark.parametrize(
    ("announce", "seconds"), [("seconds", 1.0), ("date", 1.5), ("ratelimit", 1.0), ("x-ratelimit", 1.0), ("nothing", 0)]
)
def test_what_comes_before_an_announced_time_is_counted(announce: str, seconds: float) -> None:
    run = Run(Plan(rate=2.0, announce=announce))
    for _ in range(3):
        run.ask("a")
    assert [status for _, _, status, *_ in run.replies] == [200, 200, 429]
    headers = run.replies[-1][4]
    if announce == "date":
        at = email.utils.parsedate_to_datetime(headers["Retry-After"]).timestamp() - 1.7e9 - 0.3 - 1000.0
        seconds = at
        assert 0.5 <= at < 1.5
    elif announce == "x-ratelimit":
        assert (headers["X-RateLimit-Remaining"], headers["X-RateLimit-Reset"]) == ("0", "1")
    else:
        assert run.failure().retry_after_s == (seconds or None)
    run.pass_to(IN_TRANSIT_S * 0.9)
    run.ask("a")  # was under way
    assert run.service.stats()["violations"] == 0
    run.pass_to(0.45)
    run.ask("a", account=b"another")
    assert run.service.stats()["violations"] == 0
    run.ask("a")
    early = run.service.stats()
    assert (early["violations"], early["in_transit"]) == ((1, 1) if announce != "nothing" else (0, 0))
    run.pass_to(3)
    run.ask("a")
    assert run.replies[-1][2] == 200
    assert run.service.stats()["violations"] == early["violations"]


def test_a_rate_lets_its_bucket_in_at_once_and_then_so_many_a_second() -> None:
    run = Run(Plan(rate=10.0))
    for step in range(300):
        run.pass_to(step / 100)
        run.ask("a")
    assert 38 <= run.service.stats()["answered"] <= 40


def test_a_plan_changes_at_its_seconds_after_the_first_request() -> None:
    run = Run(Plan(latency=0.1, rate=10.0, changes=((10.0, {"rate": 2.0, "latency": 1.0}), (20.0, {"rate": 10.0}))))
    for step in range(3000):
        run.pass_to(step / 100)
        run.ask("a")
    run.pass_to(40.0)
    answered = [at for at, _, status, _, _ in run.replies if status == 200]
    assert sum(at < 10.0 for at in answered) == pytest.approx(10 + 100, abs=2)
    assert sum(11.0 < at < 20.0 for at in answered) == pytest.approx(2 * 9, abs=2)
    assert sum(21.0 < at < 30.0 for at in answered) == pytest.approx(10 * 9, abs=2)


def test_the_ideal_client_knows_what_changes() -> None:
    slower = Plan(latency=0.1, capacity=2, changes=((10.0, {"latency": 1.0}), (20.0, {"latency": 0.1})))
    assert best_seconds(slower, 200 + 20 + 200, 1) == pytest.approx(30.0)
    falling = Plan(latency=0.5, rate=10.0, changes=((10.0, {"rate": 1.0}), (20.0, {"rate": 10.0})))
    assert tokens_due(falling, 50) == pytest.approx(5.0)
    assert tokens_due(falling, 105) == pytest.approx(15.0)
    assert best_seconds(falling, 10 + 100 + 10 + 100, 1) == pytest.approx(30.5)
    assert rows_for(falling, 30.0) == 10 + 100 + 10 + 100
    assert rows_for(slower, 30.0) == 420


def test_media_is_answered_bare_and_by_its_bytes() -> None:
    run = Run(Plan())
    run.ask(b"\x89PNG 1")
    assert {part["label"]: part["score"] for part in run.replies[-1][3]}["POSITIVE"] == score(b"\x89PNG 1")


def test_the_ideal_client_takes_the_batch_with_which_the_last_row_lands_first() -> None:
    plan = Plan(latency=1.0, per_item=0.1, capacity=2, largest_batch=8)
    assert best_batch(plan, 16) == 8
    assert best_batch(plan, 4) == 2
    assert best_seconds(plan, 16, 8) == pytest.approx(1.8)
    assert best_seconds(Plan(latency=0.5, rate=10.0), 110, 1) == pytest.approx(10.5)


def test_as_a_process_it_follows_plans_over_http_and_counts_anew() -> None:
    with running_service() as service:
        service.set_plan(Plan(largest_batch=2))
        for _ in range(2):
            request = urllib.request.Request(service.url, b'{"inputs":["a","b"]}', {"Content-Type": "application/json"})
            with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=10) as answer:
                assert len(json.loads(answer.read())) == 2
        assert (service.stats()["requests"], service.stats()["items"]) == (2, 4)
        service.set_plan(Plan())
        assert service.stats()["requests"] == 0


def test_vectors_begin_with_the_score_in_either_form() -> None:
    texts = ["one", "two", "three"]
    for form in ("lists", "base64"):
        run = Run(Plan(embeddings=form, largest_batch=None))
        run.ask(texts)
        answer = run.replies[-1][3]
        if form == "base64":
            decoded = OpenAIEmbeddings().decode(
                TASKS["feature-extraction"], Response(200, CIMultiDict(), json.dumps(answer).encode()), 3
            )
            answer = decoded.parts
            assert decoded.usage is not None and decoded.usage.tokens == 60
        assert [vector[0] for vector in answer] == pytest.approx([score(text) for text in texts], abs=1e-7)
        assert [len(vector) for vector in answer] == [DIMENSIONS] * 3
        assert answer[0][1:] == pytest.approx(answer[1][1:])
