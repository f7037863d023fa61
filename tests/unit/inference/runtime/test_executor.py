"""Batches, retries and stops, without network or sleep: the service is a function, time is a number."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from multidict import CIMultiDict

from huggingface_api_handler.config.validation import engine_settings, model_settings
from huggingface_api_handler.inference.failures import Failure, FailureKind
from huggingface_api_handler.inference.flow_control.batch_probe import answers_match, choose_probes
from huggingface_api_handler.inference.flow_control.batch_size import BatchSizeTuner
from huggingface_api_handler.inference.flow_control.circuit_breaker import MAX_STALL_S
from huggingface_api_handler.inference.flow_control.concurrency import AdaptiveConcurrencyLimit
from huggingface_api_handler.inference.flow_control.limiter import Limiter
from huggingface_api_handler.inference.flow_control.outcome import Outcome
from huggingface_api_handler.inference.flow_control.retry import MAX_ATTEMPTS
from huggingface_api_handler.inference.flow_control.route_profile import RouteProfile
from huggingface_api_handler.inference.protocols.routing import Route, resolve_route
from huggingface_api_handler.inference.runtime.context import Dependencies
from huggingface_api_handler.inference.runtime.executor import QueryExecutor
from huggingface_api_handler.inference.runtime.input_stream import InputStream
from huggingface_api_handler.inference.storage.response_cache import NoResponseCache
from huggingface_api_handler.inference.telemetry.hooks import Hooks
from huggingface_api_handler.inference.telemetry.usage import Usage
from huggingface_api_handler.inference.transport.client import Response
from huggingface_api_handler.tasks import Prediction

ENDPOINT = engine_settings({"endpoint": "http://127.0.0.1:1"})


class Clock:
    """Time that passes only when somebody sleeps."""

    def __init__(self) -> None:
        self.now = 0.0

    async def sleep(self, seconds: float) -> None:
        self.now += seconds
        await asyncio.sleep(0)


class OpenLimiter:
    """Eight slots; waiting for the announced time passes the clock."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.resume_at = 0.0
        self.outcomes: list[Outcome | None] = []
        self.slots = asyncio.Semaphore(8)

    async def acquire(self) -> float:
        await self.slots.acquire()
        waited = max(0.0, self.resume_at - self.clock.now)
        self.clock.now += waited
        return waited

    def release(self, outcome: Outcome | None) -> None:
        self.slots.release()
        self.outcomes.append(outcome)
        if outcome is not None and outcome.rate_limited:
            self.resume_at = self.clock.now + (outcome.retry_after_s or 1.0)


def score(text: str) -> list[dict[str, Any]]:
    share = (sum(map(ord, text)) % 97) / 97
    return [{"label": "POS", "score": share}, {"label": "NEG", "score": 1 - share}]


def right(text: str) -> dict[str, float]:
    return {item["label"]: item["score"] for item in score(text)}


Service = Callable[[Any], Any]


class Run:
    """A finished query with all that was sent."""

    def __init__(
        self,
        service: Service,
        inputs: Sequence[Any],
        profile: RouteProfile | None = None,
        limiter: Any = None,
        turns: int = 1,
        clock: Clock | None = None,
        hooks: Hooks | None = None,
        answers: Any = None,
        **using: Any,
    ) -> None:
        self.clock = clock or Clock()
        self.sent: list[Any] = []
        self.limiter = limiter or OpenLimiter(self.clock)
        settings = model_settings({"task": "text-classification", "column": "t", "target": "y", **using}, ENDPOINT)
        self.usage = Usage("", "", "")
        self.profile = profile or RouteProfile()

        async def post(url: str, body: bytes, headers: dict[str, str], timeout: float) -> Response:
            asked = json.loads(body)
            self.sent.append(asked.get("inputs"))
            for _ in range(turns):
                await asyncio.sleep(0)
            reply = service(asked)
            if isinstance(reply, Exception):
                raise reply
            if isinstance(reply, Response):
                return reply
            return Response(200, CIMultiDict(), reply if isinstance(reply, bytes) else json.dumps(reply).encode())

        async def no_media(_: Any) -> Any:
            raise AssertionError("no media here")

        dependencies = Dependencies(
            post,
            self.limiter,
            self.profile,
            no_media,
            no_media,
            self.clock.sleep,
            lambda: self.clock.now,
            answers or NoResponseCache(),
            hooks=hooks,
        )
        route = Route("http://h", "m", {}, has_key=False, protocol=resolve_route(ENDPOINT, settings).protocol)

        async def query() -> QueryExecutor:
            executor = QueryExecutor(settings, route, 10, self.usage, dependencies, InputStream.of(inputs))
            await asyncio.wait_for(executor.run(), 30)
            return executor

        self.executor = asyncio.run(query())
        self.results = self.executor.results
        assert all(failure.kind.in_rows for failure in self.results.failures.values())

    @property
    def request_sizes(self) -> list[int]:
        return [len(sent) if isinstance(sent, list) else 1 for sent in self.sent]


def error(status: int, message: str = "bad", **headers: str) -> Response:
    named = CIMultiDict({name.replace("_", "-"): value for name, value in headers.items()})
    return Response(status, named, json.dumps({"error": message}).encode())


def can_batch(asked: Any) -> Any:
    inputs = asked["inputs"]
    return [score(text) for text in inputs] if isinstance(inputs, list) else [score(inputs)]


def refuses_batches(asked: Any) -> Any:
    inputs = asked["inputs"]
    return error(400, "Input should be a valid string") if isinstance(inputs, list) else [score(inputs)]


TEXTS = [f"text number {index}" for index in range(100)]


def assert_right(run: Run, texts: Sequence[str] = TEXTS) -> None:
    for text, result in zip(texts, run.results, strict=True):
        assert isinstance(result, Prediction)
        assert result.explain == pytest.approx(right(text))


def test_a_route_that_takes_batches_gets_them() -> None:
    run = Run(can_batch, TEXTS)
    assert_right(run)
    assert run.profile.accepts_batches is True
    # one alone, three of the probe, the same three together, and 96 in batches of 32
    assert sorted(run.request_sizes) == [1, 1, 1, 1, 3, 32, 32, 32]


def test_what_was_learned_is_used_by_the_next_query() -> None:
    run = Run(
        can_batch, TEXTS, RouteProfile(has_answered=True, accepts_batches=True, batch_size=BatchSizeTuner(settled=True))
    )
    assert_right(run)
    assert run.request_sizes == [32, 32, 32, 4]


def test_few_inputs_are_not_worth_a_probe() -> None:
    assert Run(can_batch, TEXTS[:8]).request_sizes == [1] * 8


@pytest.mark.parametrize(
    ("service", "tried"),
    [
        (refuses_batches, 1),
        (lambda asked: [score(asked["inputs"][0])] if isinstance(asked["inputs"], list) else [score(asked["inputs"])], 4),
        (lambda asked: [score(" ".join(asked["inputs"]))] if isinstance(asked["inputs"], list) else [score(asked["inputs"])], 4),
        (lambda asked: [score(text) for text in reversed(asked["inputs"])] if isinstance(asked["inputs"], list) else [score(asked["inputs"])], 1),
        (lambda asked: [score(asked["inputs"][0])] * len(asked["inputs"]) if isinstance(asked["inputs"], list) else [score(asked["inputs"])], 1),
        (lambda asked: [score(text)[0] for text in asked["inputs"]] if isinstance(asked["inputs"], list) else [score(asked["inputs"])], 1),
        (lambda asked: sum((score(text) for text in asked["inputs"]), []) if isinstance(asked["inputs"], list) else [score(asked["inputs"])], 4),
        (lambda asked: {"error": "list"} if isinstance(asked["inputs"], list) else [score(asked["inputs"])], 4),
    ],
    ids=["refuses", "first row only", "one sentence pair", "reversed", "first row repeated", "best only", "flattened", "200 with error"],
)  # fmt: skip
def test_a_list_that_is_misread_never_gives_a_wrong_row(service: Service, tried: int) -> None:
    run = Run(service, TEXTS)
    assert_right(run)
    assert run.profile.accepts_batches is False
    assert (
        sorted(run.request_sizes) == [1] * 100 + [3] * tried
    )  # what may be a fault in passing is tried more than once


def test_answers_too_much_alike_prove_no_order() -> None:
    same = [Prediction("POS", 0.9, {"POS": 0.9})] * 3
    assert answers_match(same, same) is None
    other = [Prediction("POS", value, {"POS": value}) for value in (0.1, 0.5, 0.9)]
    assert answers_match(other, other) is True
    assert answers_match(other, other[::-1]) is False


def only_batches(fault: Any, times: int) -> Service:
    """A service that takes batches, and answers its first ``times`` batches with ``fault``, which may be made of the right answer."""
    left = times

    def answer(asked: Any) -> Any:
        nonlocal left
        if isinstance(asked["inputs"], list) and left > 0:
            left -= 1
            return fault(can_batch(asked)) if callable(fault) else fault
        return can_batch(asked)

    return answer


LIST_FAULTS = {
    "too few": lambda right: right[:-1],
    "too many": lambda right: [*right, right[0]],
    "flattened": lambda right: sum(right, []),
    "no list": {"result": "ok"},
    "200 with error": {"error": "CUDA out of memory"},
    "500": error(500),
    "429": error(429, Retry_After="1"),
    "cut off": b"[[{",
    "timeout": TimeoutError(),
}


@pytest.mark.parametrize("fault", LIST_FAULTS.values(), ids=LIST_FAULTS)
def test_one_fault_in_passing_does_not_cost_a_route_its_batches(fault: Any) -> None:
    run = Run(only_batches(fault, times=1), TEXTS)
    assert_right(run)
    assert run.profile.accepts_batches is True
    assert sum(size > 3 for size in run.request_sizes) == 3


def test_a_bad_row_among_those_that_batches_are_tried_with_does_not_cost_a_route_its_batches() -> None:
    shortest = min(TEXTS[1:], key=len)
    run = Run(lambda asked: error(400, "index out of range") if shortest in asked["inputs"] else can_batch(asked), TEXTS)  # fmt: skip
    assert run.profile.accepts_batches is True
    assert [isinstance(result, Failure) for result in run.results].count(True) == 1


def test_what_was_asked_before_batches_are_tried_is_not_asked_alone_again() -> None:
    run = Run(can_batch, TEXTS)
    assert_right(run)
    first, tried, *alone = run.sent[:4]
    assert first in tried
    assert sorted([first, *alone]) == sorted(tried)
    later = [text for sent in run.sent[4:] for text in (sent if isinstance(sent, list) else [sent])]
    assert not set(tried) & set(later)


@pytest.mark.parametrize("budget", [1, 2, 3])
def test_a_budget_that_ends_where_batches_are_tried_proves_nothing_of_them(budget: int) -> None:
    run = Run(can_batch, TEXTS, max_requests=budget)
    assert len(run.sent) == budget
    assert run.profile.accepts_batches is None


@pytest.mark.parametrize("fault", [LIST_FAULTS[name] for name in ("too few", "too many", "flattened", "no list")])
def test_a_list_answered_badly_is_asked_again_whole_and_then_in_halves(fault: Any) -> None:
    once = Run(only_batches(fault, times=1), TEXTS[:4], RouteProfile(has_answered=True, accepts_batches=True))
    twice = Run(only_batches(fault, times=2), TEXTS[:4], RouteProfile(has_answered=True, accepts_batches=True))
    for run, sizes in ((once, [4, 4]), (twice, [4, 4, 2, 2])):
        assert_right(run, TEXTS[:4])
        assert run.request_sizes == sizes
        assert run.profile.accepts_batches is True


def test_one_batch_in_ten_answered_badly_keeps_the_batches() -> None:
    texts = [f"text number {index}" for index in range(3200)]
    count = 0

    def forgetful_at_times(asked: Any) -> Any:
        nonlocal count
        count += 1
        return can_batch(asked)[:-1] if count % 10 == 0 else can_batch(asked)

    run = Run(forgetful_at_times, texts, RouteProfile(has_answered=True, accepts_batches=True))
    assert_right(run, texts)
    assert run.profile.accepts_batches is True
    assert len(run.sent) <= 1.3 * 100


def test_batches_lost_are_not_sent_once_more_for_each_batch_that_was_packed() -> None:
    texts = [f"text number {index}" for index in range(3200)]
    run = Run(lambda asked: [score("x")] if isinstance(asked["inputs"], list) else [score(asked["inputs"])], texts,
              RouteProfile(has_answered=True, accepts_batches=True))  # fmt: skip
    assert_right(run, texts)
    assert run.profile.accepts_batches is False
    assert sum(size > 1 for size in run.request_sizes) <= 8 + 5  # those in flight when the fifth bad answer came


def test_a_route_loses_batches_after_repeated_ambiguity() -> None:
    def forgetful(asked: Any) -> Any:
        inputs = asked["inputs"]
        if isinstance(inputs, list):
            return [score(text) for text in inputs[:-1]] if len(inputs) > 3 else [score(text) for text in inputs]
        return [score(inputs)]

    run = Run(forgetful, TEXTS)
    assert_right(run)
    assert run.profile.accepts_batches is False


def test_a_poisoned_row_is_found_by_halving_and_fails_alone() -> None:
    def poisoned(asked: Any) -> Any:
        inputs = asked["inputs"] if isinstance(asked["inputs"], list) else [asked["inputs"]]
        return error(400, "index out of range") if TEXTS[70] in inputs else can_batch(asked)

    run = Run(
        poisoned, TEXTS, RouteProfile(has_answered=True, accepts_batches=True, batch_size=BatchSizeTuner(settled=True))
    )
    failed = [index for index, result in enumerate(run.results) if isinstance(result, Failure)]
    assert failed == [70]
    assert isinstance(run.results[70], Failure)
    assert run.results[70].reason == "rejected input 400: index out of range"
    assert len(run.sent) <= 4 + 2 * 5  # four batches, and 2*log2(32) to find it


def test_a_list_too_long_is_halved_and_the_size_remembered() -> None:
    def small(asked: Any) -> Any:
        inputs = asked["inputs"]
        if isinstance(inputs, list) and len(inputs) > 8:
            return error(422, f"batch size {len(inputs)} > maximum allowed batch size 8")
        return can_batch(asked)

    run = Run(
        small, TEXTS, RouteProfile(has_answered=True, accepts_batches=True, batch_size=BatchSizeTuner(settled=True))
    )
    assert_right(run)
    assert run.profile.batch_size.best == 8


def test_rate_limited_is_no_attempt_and_keeps_the_batch() -> None:
    refusals = 20

    def busy(asked: Any) -> Any:
        nonlocal refusals
        refusals -= 1
        return error(429, "slow down", Retry_After="3") if refusals >= 0 else can_batch(asked)

    run = Run(
        busy, TEXTS, RouteProfile(has_answered=True, accepts_batches=True, batch_size=BatchSizeTuner(settled=True))
    )
    assert_right(run)
    assert set(run.request_sizes) <= {32, 4}
    assert run.usage.rate_limit_waits == 20
    assert run.usage.retries == 0


def test_a_fault_in_passing_is_tried_again_a_bounded_number_of_times() -> None:
    faults = {TEXTS[3]: 2, TEXTS[5]: 10**9}

    def flaky(asked: Any) -> Any:
        text = asked["inputs"]
        if faults.get(text, 0) > 0:
            faults[text] -= 1
            return error(500, "boom")
        return [score(text)]

    run = Run(flaky, TEXTS[:8])
    assert isinstance(run.results[3], Prediction)
    assert isinstance(run.results[5], Failure)
    assert run.results[5].reason == f"temporary failure 500: boom (after {MAX_ATTEMPTS} attempts)"
    # Where all that are left fail, an input that was answered is asked once more, and their last attempts do not count.
    assert len(run.sent) <= 8 + 2 + MAX_ATTEMPTS - 1 + 2


@pytest.mark.parametrize("body", [b"", b"[[{", b'[[{"label": "PO', b'[[{"label": "POS", "score": 0.9}'])
def test_an_answer_that_is_cut_off_is_asked_for_again(body: bytes) -> None:
    replies = iter([body])
    run = Run(lambda asked: next(replies, None) or can_batch(asked) if body else can_batch(asked), TEXTS[:3])
    assert_right(run, TEXTS[:3])


@pytest.mark.parametrize(
    ("status", "message"),
    [
        (401, "Invalid credentials"),
        (402, "credits"),
        (404, "Model m does not exist"),
        (307, ""),
    ],
)
def test_what_dooms_every_row_is_asked_once(status: int, message: str) -> None:
    run = Run(lambda asked: error(status, message), TEXTS)
    assert len(run.sent) == 1
    assert run.executor.stopped is not None
    assert run.executor.stopped.kind is FailureKind.FATAL


def test_a_key_without_permission_is_told_from_a_forbidden_row_by_three_inputs() -> None:
    run = Run(lambda asked: error(403, "no permission"), TEXTS)
    assert len(run.sent) == 3
    assert run.executor.stopped is not None
    assert run.executor.stopped.kind is FailureKind.FATAL
    assert "This server refuses, and no key was sent" in run.executor.stopped.message


def test_an_unreachable_host_is_asked_once() -> None:
    class ClientConnectorError(Exception):
        pass

    run = Run(lambda asked: ClientConnectorError(), TEXTS)
    assert len(run.sent) == 1
    assert run.executor.stopped is not None
    assert "cannot reach" in run.executor.stopped.message


def test_rows_answered_before_a_stop_are_kept() -> None:
    left = 10

    def runs_out(asked: Any) -> Any:
        nonlocal left
        left -= 1
        return refuses_batches(asked) if left >= 0 else error(402, "no credits left")

    run = Run(runs_out, TEXTS, RouteProfile(has_answered=True, accepts_batches=False))
    answered = [result for result in run.results if isinstance(result, Prediction)]
    assert len(answered) == 10
    assert run.executor.stopped is not None
    assert len(run.sent) <= 10 + 8  # those in flight when the first refusal came


def test_the_same_refusal_for_several_rows_is_the_requests_fault() -> None:
    run = Run(lambda asked: error(400, "`stop` is not used by the model"), TEXTS, top_k=3)
    assert len(run.sent) == 3
    assert run.executor.stopped is not None
    assert "top_k" in run.executor.stopped.message


@pytest.mark.parametrize(("refused", "stops"), [(2, False), (3, True)])
def test_exactly_three_same_refusals_before_any_answer_are_the_requests_fault(refused: int, stops: bool) -> None:
    replies = iter([error(422, "bad")] * refused)
    run = Run(lambda asked: next(replies, None) or refuses_batches(asked), TEXTS)
    assert (run.executor.stopped is not None) is stops
    assert (len(run.sent) == 3) is stops


def test_a_few_rows_are_all_asked_whatever_was_refused() -> None:
    replies = iter([error(422, "bad")] * 3)
    run = Run(lambda asked: next(replies, None) or refuses_batches(asked), TEXTS[:8])
    assert run.executor.stopped is None
    assert sum(isinstance(result, Prediction) for result in run.results) == 5


def test_the_same_refusals_after_an_answer_are_the_rows_own() -> None:
    run = Run(lambda asked: refuses_batches(asked) if asked["inputs"] == TEXTS[0] else error(422, "bad"), TEXTS[:8])
    assert run.executor.stopped is None
    assert [isinstance(result, Failure) for result in run.results] == [False] + [True] * 7


@pytest.mark.parametrize("size", [2, 3])
def test_the_smallest_batches_are_halved_to_the_row(size: int) -> None:
    texts = TEXTS[:size]
    refuse = error(400, "index out of range")
    run = Run(lambda asked: refuse if texts[0] in asked["inputs"] else can_batch(asked), texts, RouteProfile(has_answered=True, accepts_batches=True))  # fmt: skip
    assert [isinstance(result, Failure) for result in run.results] == [True] + [False] * (size - 1)
    assert run.request_sizes == ([2, 1, 1] if size == 2 else [3, 2, 1, 1, 1])


def test_a_batch_that_fails_in_passing_is_halved_after_two_attempts_and_a_row_of_it_has_five_of_its_own() -> None:
    bad = TEXTS[0]
    run = Run(lambda asked: error(500) if bad in asked["inputs"] else can_batch(asked), TEXTS[:2], RouteProfile(has_answered=True, accepts_batches=True))  # fmt: skip
    assert run.request_sizes == [2, 2] + [1] * (MAX_ATTEMPTS + 1)
    assert run.results[0].attempts == MAX_ATTEMPTS
    assert isinstance(run.results[1], Prediction)


def test_a_host_that_cannot_be_reached_for_a_moment_after_an_answer_is_tried_again() -> None:
    class ClientConnectorError(Exception):
        pass

    replies: Any = iter([None, ClientConnectorError()])
    run = Run(lambda asked: next(replies, None) or can_batch(asked), TEXTS[:3])
    assert_right(run, TEXTS[:3])


@pytest.mark.parametrize(("budget", "answered"), [(1, 1), (7, 7), (8, 8), (9, 8)])
def test_a_budget_is_used_to_its_last_request_and_no_further(budget: int, answered: int) -> None:
    run = Run(refuses_batches, TEXTS[:8], max_requests=budget)
    assert len(run.sent) == answered
    assert sum(isinstance(result, Prediction) for result in run.results) == answered
    assert (run.executor.stopped is None) is (budget >= 8)


def test_different_refusals_are_the_rows_own() -> None:
    run = Run(lambda asked: error(400, f"cannot read {asked['inputs']}"), TEXTS[:5])
    assert run.executor.stopped is None
    assert all(isinstance(result, Failure) for result in run.results)


def test_waiting_ends_with_patience() -> None:
    run = Run(lambda asked: error(429, "slow down", Retry_After="60"), TEXTS)
    assert run.executor.stopped is not None
    assert "60 s" in run.executor.stopped.message
    assert run.clock.now <= MAX_STALL_S
    assert len(run.sent) == 1 + MAX_STALL_S // 60


def test_a_wait_longer_than_patience_is_not_waited_for() -> None:
    run = Run(lambda asked: error(429, "slow down", Retry_After="86400"), TEXTS)
    assert len(run.sent) == 1
    assert run.clock.now == 0


@pytest.mark.parametrize(
    "absurd",
    ["99999999", "1e12", "-5", "soon", "nan", "inf", "Mon, 31 Feb 99999 00:00:00 GMT", "Thu, 01 Jan 1970 00:00:00 GMT"],
)
def test_an_absurd_announcement_is_not_heeded(absurd: str) -> None:
    replies = iter([error(429, "slow down", Retry_After=absurd)])
    run = Run(lambda asked: next(replies, None) or can_batch(asked), TEXTS[:3])
    assert_right(run, TEXTS[:3])


@pytest.mark.parametrize(("announced", "requests"), [("299.5", 2), ("300", 2), ("300.001", 1), ("150", 3)])
def test_patience_ends_exactly_at_its_bound(announced: str, requests: int) -> None:
    run = Run(lambda asked: error(429, "slow down", Retry_After=announced), TEXTS)
    assert len(run.sent) == requests
    assert run.executor.stopped is not None
    assert run.executor.stopped.kind is FailureKind.FATAL


def test_any_answer_renews_patience() -> None:
    count = 0

    def slow(asked: Any) -> Any:
        nonlocal count
        count += 1
        return can_batch(asked) if count % 3 == 0 else error(429, "slow down", Retry_After="140")

    run = Run(slow, TEXTS[:8])
    assert_right(run, TEXTS[:8])
    assert run.clock.now > 2 * MAX_STALL_S


def test_an_estimate_uses_up_no_patience_before_it_was_sat_out() -> None:
    loading = Response(503, CIMultiDict(), b'{"error": "Model m is currently loading", "estimated_time": 600}')
    replies = iter([loading])
    run = Run(lambda asked: next(replies, None) or can_batch(asked), TEXTS[:1])
    assert_right(run, TEXTS[:1])


def test_max_requests_is_a_budget() -> None:
    run = Run(refuses_batches, TEXTS, max_requests=10)
    assert len(run.sent) == 10
    assert run.executor.stopped is not None
    assert run.executor.stopped.kind is FailureKind.NOT_SENT


def test_the_usage_adds_up() -> None:
    run = Run(can_batch, TEXTS)
    usage = run.usage.as_dict()
    assert usage["requests"] == len(run.sent)
    assert usage["batches"] == 4
    assert usage["p50_seconds"] is not None


def test_a_service_that_hangs_ends_the_query_after_three_rows() -> None:
    answered = 0

    def service(_: Any) -> Any:
        nonlocal answered
        answered += 1
        return [[{"label": "A", "score": 0.75}]] if answered <= 5 else TimeoutError()

    run = Run(service, [f"row {number}" for number in range(40)], RouteProfile(True, False), limiter=Limiter(1))
    assert run.executor.stopped is not None
    assert "hangs" in run.executor.stopped.message
    assert 5 + 3 * 5 <= len(run.sent) <= 45, "each of three rows has its five attempts, others go between them"


def test_slow_rows_beside_one_another_do_not_end_the_query() -> None:
    texts = [f"row {number}" for number in range(60)]
    slow = set(texts[20:26])
    run = Run(lambda asked: TimeoutError() if asked["inputs"] in slow else [score(asked["inputs"])], texts, RouteProfile(True, False), limiter=Limiter(1))  # fmt: skip
    assert run.executor.stopped is None
    assert {text for text, result in zip(texts, run.results, strict=True) if isinstance(result, Failure)} == slow


def test_rows_that_hang_one_now_and_then_do_not_end_the_query() -> None:
    def service(asked: Any) -> Any:
        return TimeoutError() if asked["inputs"].endswith("7") else [[{"label": "A", "score": 0.75}]]

    run = Run(service, [f"row {number}" for number in range(60)], RouteProfile(True, False), limiter=Limiter(1))
    assert run.executor.stopped is None
    assert sum(isinstance(result, Prediction) for result in run.executor.results) == 54


class GivenCeiling(AdaptiveConcurrencyLimit):
    """So many slots, whatever is answered."""

    is_ramping_up = False

    def on_response(self, now: float, seconds: float, in_flight: int, inputs: int = 1) -> None:
        pass


@pytest.mark.no_cover  # coverage makes it four times as slow, and then a second place may be on its way
def test_every_place_stays_taken_when_there_are_fewer_and_many_requests_end_at_once() -> None:
    limiter = Limiter(concurrency=GivenCeiling(60))
    out: list[int] = []

    def service(asked: Any) -> Any:
        if len(out) == 1000:
            limiter.concurrency.limit = 40
        out.append(limiter.in_flight)
        return refuses_batches(asked)

    profile = RouteProfile()
    profile.accepts_batches, profile.has_answered = False, True
    texts = [f"text number {number}" for number in range(3000)]
    assert_right(Run(service, texts, profile, limiter, turns=12), texts)
    # One slot may be on its way to another, and a few more in one moment in a hundred, where the machine is busy.
    assert sorted(out[200:1000])[8] >= 60 - 1
    assert sorted(out[1200:2900])[17] >= 40 - 1
    assert max(out[1200:2900]) == 40


def test_the_limiter_shares_one_pause_and_never_shortens_it() -> None:
    async def scenario() -> tuple[float, float]:
        now = 100.0
        limiter = Limiter(4, clock=lambda: now)
        for _ in range(2):
            await limiter.acquire()
        limiter.release(Outcome(0.1, answered=False, rate_limited=True, retry_after_s=30.0))
        first = limiter.limits.resume_at
        limiter.release(Outcome(0.1, answered=False, rate_limited=True, retry_after_s=1.0))
        return first - now, limiter.limits.resume_at - now

    first, second = asyncio.run(scenario())
    assert 30.0 <= first <= 33.1
    assert second == first


def test_the_limiter_gives_no_more_slots_than_it_has() -> None:
    async def scenario() -> bool:
        limiter = Limiter(2)
        await limiter.acquire()
        await limiter.acquire()
        third = asyncio.ensure_future(limiter.acquire())
        await asyncio.sleep(0)
        full = not third.done()
        limiter.release(Outcome(0.1, answered=True))
        await asyncio.wait_for(third, 1)
        return full

    assert asyncio.run(scenario())


def test_who_gives_up_waiting_leaves_the_line() -> None:
    async def scenario() -> int:
        limiter = Limiter(1)
        await limiter.acquire()
        lines = [asyncio.ensure_future(limiter.acquire()) for _ in range(3)]
        await asyncio.sleep(0)
        lines[0].cancel()
        lines[2].cancel()
        await asyncio.sleep(0)
        waiting = len(limiter._waiters)
        limiter.release(Outcome(0.1, answered=True))
        await asyncio.wait_for(lines[1], 1)
        return waiting

    assert asyncio.run(scenario()) == 1


def spoken(text: str) -> dict[str, Any]:
    return {"choices": [{"message": {"content": text}, "finish_reason": "stop"}]}


TYPED: dict[str, Any] = {"task": "chat-completion", "output_schema": {"topic": "str", "urgency": "int"}}


def test_typed_answers_come_as_fields() -> None:
    run = Run(lambda asked: spoken('```json\n{"topic": "refund", "urgency": 3, "more": 1}\n```'), ["a"], **TYPED)
    assert run.results[0].value == {"topic": "refund", "urgency": 3}


def test_an_answer_that_does_not_fit_is_repaired_once_and_is_then_the_rows_error() -> None:
    bodies = []

    def stubborn(asked: Any) -> Any:
        bodies.append(asked["messages"])
        assert asked["response_format"]["json_schema"]["schema"]["required"] == ["topic", "urgency"]
        fits = len(asked["messages"]) == 3 and asked["messages"][0]["content"] == "first"
        return spoken('{"topic": "x", "urgency": 1}' if fits else '{"topic": "x", "urgency": "high"}')

    run = Run(stubborn, ["first", "second"], **TYPED)
    assert run.results[0].value == {"topic": "x", "urgency": 1}
    assert isinstance(run.results[1], Failure)
    assert "'urgency' of the model's answer is not of type int" in run.results[1].message
    assert len(bodies) == 4
    assert bodies[1][1] == {"role": "assistant", "content": '{"topic": "x", "urgency": "high"}'}
    assert run.usage.repairs == 2


def test_waits_use_up_no_attempts() -> None:
    replies = iter([error(429, "slow down", Retry_After="1")] * 10 + [error(500)] * (MAX_ATTEMPTS - 1))
    run = Run(lambda asked: next(replies, None) or can_batch(asked), TEXTS[:1])
    assert_right(run, TEXTS[:1])


@pytest.mark.parametrize("waiting", range(3, 40))
def test_batches_are_tried_with_inputs_that_differ(waiting: int) -> None:
    task = model_settings({"task": "text-classification", "column": "t", "target": "y"}, ENDPOINT).definition
    for trial in range(4):
        probed = choose_probes(task, dict(enumerate(TEXTS)), range(waiting), trial)
        assert len(set(probed)) == len(probed)
    assert len(choose_probes(task, dict(enumerate(TEXTS)), range(waiting), 0)) == 3
