"""A model that starts and a server that restarts are waited for, and cost no row."""

from __future__ import annotations

import itertools
import random
from collections.abc import Sequence
from typing import Any

import pytest
from multidict import CIMultiDict

from huggingface_api_handler.inference.failures import Failure, FailureKind
from huggingface_api_handler.inference.flow_control.route_profile import RouteProfile
from huggingface_api_handler.inference.transport.client import Response
from huggingface_api_handler.tasks import Prediction
from tests.unit.inference.runtime.test_executor import Clock, Run, can_batch, error, right
from tests.unit.inference.runtime.test_one_row import ORDINARY, ROUTE_IDS, ROUTES, ClientConnectorError, texts_of, warm

PAGE = b"<html><head><title>502 Bad Gateway</title></head><body>nginx</body></html>"
STARTS = {
    "503 in JSON": lambda: error(503, "503 Service Unavailable"),
    "503 without a body": lambda: Response(503, CIMultiDict(), b""),
    "502 page": lambda: Response(502, CIMultiDict({"Content-Type": "text/html"}), PAGE),
    "504": lambda: error(504, "upstream timed out"),
}
DOWN = {**STARTS, "500": lambda: error(500, "boom"), "refused": ClientConnectorError}
MAX_REQUESTS = 30


class Service:
    """Away from some seconds to others, or after some answers."""

    def __init__(self, away: Any, start: float = 0.0, seconds: float = 0.0, after: int | None = None) -> None:
        self.clock = Clock()
        self.away, self.start, self.seconds, self.after = away, start, seconds, after
        self.answered = self.refused = 0

    def __call__(self, asked: Any) -> Any:
        if self.after is not None and self.answered >= self.after:
            self.start, self.after = self.clock.now, None
        if self.after is None and self.start <= self.clock.now < self.start + self.seconds:
            self.refused += 1
            return self.away()
        self.answered += 1
        return can_batch(asked)

    def run(self, texts: Sequence[str], route: RouteProfile | None = None, **using: Any) -> Run:
        return Run(self, texts, route, clock=self.clock, **using)


def assert_all_right(run: Run, texts: Sequence[str]) -> None:
    assert run.executor.stopped is None, run.executor.stopped
    for text, result in zip(texts, run.results, strict=True):
        assert isinstance(result, Prediction), (text, result)
        assert result.explain == pytest.approx(right(text))


@pytest.mark.parametrize("route", ROUTES, ids=ROUTE_IDS)
@pytest.mark.parametrize("rows", [1, 4, 60])
@pytest.mark.parametrize("away", STARTS)
def test_a_model_that_starts_is_waited_for(away: str, rows: int, route: Any) -> None:
    service = Service(STARTS[away], seconds=250)
    run = service.run(ORDINARY[:rows], route())
    assert_all_right(run, ORDINARY[:rows])
    assert service.refused <= MAX_REQUESTS
    assert run.usage.retries == 0, "waiting is no attempt of a row"
    assert run.usage.rate_limit_waits == service.refused


@pytest.mark.parametrize("route", ROUTES, ids=ROUTE_IDS)
@pytest.mark.parametrize(("wait", "seconds"), [(True, 300), (False, 30)])
@pytest.mark.parametrize("away", STARTS)
def test_a_model_that_never_starts_ends_the_query(away: str, wait: bool, seconds: float, route: Any) -> None:
    service = Service(STARTS[away], seconds=1e9)
    run = service.run(ORDINARY, route(), options={"wait_for_model": wait})
    assert run.executor.stopped is not None
    assert run.executor.stopped.kind is FailureKind.FATAL
    assert "the service is down" in run.executor.stopped.message.lower()
    assert "502 Bad Gateway" in run.executor.stopped.message or away != "502 page"
    assert seconds <= service.clock.now <= seconds + 20
    assert len(run.sent) <= MAX_REQUESTS


@pytest.mark.parametrize("route", ROUTES, ids=ROUTE_IDS)
def test_a_row_that_a_proxy_fails_for_dooms_no_other(route: Any) -> None:
    texts = ["crash the worker", *ORDINARY[:50]]
    run = Run(lambda asked: STARTS["502 page"]() if "crash the worker" in texts_of(asked) else can_batch(asked), texts, route())  # fmt: skip
    assert run.executor.stopped is None
    assert_all_right_but(run, texts, {"crash the worker"})
    assert run.results[0].attempts == 5


def assert_all_right_but(run: Run, texts: Sequence[str], failed: set[str]) -> None:
    for text, result in zip(texts, run.results, strict=True):
        assert isinstance(result, Failure if text in failed else Prediction), (text, result)


@pytest.mark.parametrize("takes_batches", [True, False])
@pytest.mark.parametrize("after", [1, 40])
@pytest.mark.parametrize("away", DOWN)
def test_a_server_that_restarts_costs_no_row(away: str, after: int, takes_batches: bool) -> None:
    texts = ORDINARY if takes_batches else ORDINARY[:200]
    service = Service(DOWN[away], seconds=40, after=min(after, 3) if takes_batches else after)
    run = service.run(texts, warm(takes_batches))
    assert_all_right(run, texts)
    assert service.refused <= MAX_REQUESTS, "8 in flight, 8 that show it, and one at a time"
    assert run.usage.retries <= 16, "two for each of eight slots until it shows, and none while it is away"


@pytest.mark.parametrize("away", DOWN)
def test_a_server_that_is_gone_for_good_ends_the_query(away: str) -> None:
    service = Service(DOWN[away], seconds=1e9, after=40)
    run = service.run(ORDINARY, warm(False))
    assert run.executor.stopped is not None
    assert run.executor.stopped.kind is FailureKind.FATAL
    assert "what is answered is not asked again" in run.executor.stopped.message
    assert sum(isinstance(result, Prediction) for result in run.results) == 40
    assert service.clock.now <= 60 + 20 + 20, "a minute, the last pause, and the backoff before"
    assert service.refused <= 40


def test_a_server_that_worked_yesterday_and_is_down_is_told_with_few_connections() -> None:
    service = Service(ClientConnectorError, seconds=1e9)
    run = service.run(ORDINARY, warm())
    assert run.executor.stopped is not None
    assert "cannot reach" in run.executor.stopped.message
    assert service.clock.now <= 30 + 20
    assert len(run.sent) <= 12


@pytest.mark.parametrize("takes_batches", [True, False])
def test_rows_that_fail_at_the_end_are_no_outage(takes_batches: bool) -> None:
    crashing = [f"crash the worker {index:02d} {'x' * 60}" for index in range(30)]
    texts = [*ORDINARY[:300], *crashing]
    run = Run(lambda asked: error(500, "boom") if any("crash" in text for text in texts_of(asked)) else can_batch(asked), texts, warm(takes_batches))  # fmt: skip
    assert run.executor.stopped is None
    assert_all_right_but(run, texts, set(crashing))
    assert {failure.attempts for failure in run.results.failures.values()} == {5}


@pytest.mark.parametrize("seed", range(8))
def test_many_failures_in_passing_are_no_outage(seed: int) -> None:
    chance = random.Random(seed)
    run = Run(lambda asked: error(500, "boom") if chance.random() < 0.4 else can_batch(asked), ORDINARY, warm(False))
    assert run.executor.stopped is None
    failed = list(run.results.failures.values())
    assert len(failed) <= 30, "four in ten to the fifth power are one in a hundred"
    assert all(failure.attempts == 5 for failure in failed)


def test_a_busy_route_is_asked_by_one_until_it_answers() -> None:
    replies = iter([error(429, "slow down", Retry_After="1")] * 24)
    run = Run(lambda asked: next(replies, None) or can_batch(asked), ORDINARY[:60], warm(False))
    assert_all_right(run, ORDINARY[:60])
    assert len(run.sent) == 60 + 24


@pytest.mark.parametrize("first", [error(429, "slow down", Retry_After="1"), error(500, "boom"), STARTS["502 page"]()])
@pytest.mark.parametrize("then", [b'{"junk": 1}', error(400, "no"), error(422, "x"), STARTS["504"](), error(413, "no")])
def test_a_request_that_is_tried_again_and_refused_then_holds_nobody_back(first: Any, then: Any) -> None:
    for count in (1, 2, 3, 4, 9):
        replies = iter([first] * count + [then] * 20)
        run = Run(lambda asked: next(replies, None) or can_batch(asked), ORDINARY[:12], warm(False))  # noqa: B023
        assert all(result is not None for result in run.results) or run.executor.stopped is not None


@pytest.mark.parametrize("rows", [1, 19])
def test_a_row_that_a_proxy_fails_for_dooms_no_other_of_the_only_list(rows: int) -> None:
    texts = ["crash the worker", *ORDINARY[:rows]]
    run = Run(lambda asked: STARTS["502 page"]() if "crash the worker" in texts_of(asked) else can_batch(asked), texts, warm(True))  # fmt: skip
    assert run.executor.stopped is None
    assert_all_right_but(run, texts, {"crash the worker"})
    assert len(run.sent) <= 30


@pytest.mark.parametrize("route", ROUTES, ids=ROUTE_IDS)
@pytest.mark.parametrize("other", [error(500, "boom"), error(429, "slow down"), error(503, "Model is loading")])
def test_a_model_that_never_starts_ends_the_query_where_it_fails_in_several_ways(other: Response, route: Any) -> None:
    replies = itertools.cycle([STARTS["502 page"](), other])
    service = Service(lambda: next(replies), seconds=1e9)
    run = service.run(ORDINARY, route())
    assert run.executor.stopped is not None
    assert service.clock.now <= 300 + 60
    assert len(run.sent) <= 80


@pytest.mark.parametrize("again", [STARTS["502 page"], lambda: b'{"no": "answer"}'], ids=["502", "unreadable"])
def test_a_request_that_was_told_to_wait_and_then_fails_holds_nobody_back(again: Any) -> None:
    replies = iter([*[error(429, "slow down", Retry_After="1")] * 4, *[again()] * 4])
    run = Run(lambda asked: next(replies, None) or can_batch(asked), ORDINARY[:60], warm(False))
    assert run.executor.stopped is None
    assert run.executor.done == 60


def test_a_start_in_which_the_host_is_out_of_reach_for_a_while_is_waited_for() -> None:
    clock = Clock()

    def reply(asked: Any) -> Any:
        if clock.now < 100:
            return STARTS["503 in JSON"]()
        return ClientConnectorError() if clock.now < 118 else can_batch(asked)

    run = Run(reply, ORDINARY[:40], warm(False), clock=clock)
    assert_all_right(run, ORDINARY[:40])


@pytest.mark.parametrize("rows", [3, 5, 9])
@pytest.mark.parametrize("away", [name for name in DOWN if name != "refused"])
def test_a_restart_costs_no_row_of_a_small_table_either(away: str, rows: int) -> None:
    service = Service(DOWN[away], seconds=40, after=1)
    run = service.run(ORDINARY[:rows], warm(False))
    assert_all_right(run, ORDINARY[:rows])


@pytest.mark.parametrize("route", [None, *ROUTES], ids=["takes no batches", *ROUTE_IDS])
@pytest.mark.parametrize("answered", [1, 5])
def test_a_server_that_answers_and_then_drips_is_given_up(answered: int, route: Any) -> None:
    timeout_s = 120.0
    clock = Clock()
    left = answered

    def reply(asked: Any) -> Any:
        nonlocal left
        left -= 1
        if left >= 0:
            return can_batch(asked)
        clock.now += timeout_s / 8  # of each of eight at once
        return TimeoutError()

    run = Run(reply, ORDINARY[:400], warm(False) if route is None else route(), clock=clock)
    assert run.executor.stopped is not None
    assert run.executor.stopped.kind is FailureKind.FATAL
    assert len(run.sent) <= answered + 60, "however many rows there are"
    assert clock.now <= 10 * timeout_s


def test_a_slow_server_that_answers_in_between_is_not_given_up() -> None:
    turns = itertools.count(1)
    run = Run(lambda asked: TimeoutError() if next(turns) % 3 else can_batch(asked), ORDINARY[:100], warm(False))
    assert run.executor.stopped is None
    assert sum(isinstance(result, Prediction) for result in run.results) >= 80
