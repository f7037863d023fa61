"""A refusal of one input is that input's, and what refuses all ends the query."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pytest
from multidict import CIMultiDict

from huggingface_api_handler.inference.failures import Failure, FailureKind
from huggingface_api_handler.inference.flow_control.batch_size import BatchSizeTuner
from huggingface_api_handler.inference.flow_control.route_profile import RouteProfile
from huggingface_api_handler.inference.transport.client import Response
from huggingface_api_handler.tasks import Prediction
from tests.unit.inference.runtime.test_executor import Run, can_batch, error, right

ORDINARY = [f"an ordinary text with number {index} {'x' * (index % 40)}" for index in range(1000)]
JUNK = ("n/a", "-", "none")


def warm(takes_batches: bool | None = None) -> RouteProfile:
    """A route that answered earlier queries."""
    return RouteProfile(True, takes_batches, BatchSizeTuner(settled=True))


ROUTES = [RouteProfile, warm, lambda: warm(True), lambda: warm(False)]
ROUTE_IDS = ["new", "known", "with batches", "without batches"]


def texts_of(asked: Any) -> list[str]:
    return asked["inputs"] if isinstance(asked["inputs"], list) else [asked["inputs"]]


def assert_only(run: Run, texts: Sequence[str], refused: Sequence[str]) -> None:
    """All rows but those that were refused have their answer."""
    assert run.executor.stopped is None
    for text, result in zip(texts, run.results, strict=True):
        if text in refused:
            assert isinstance(result, Failure), text
            assert result.kind is FailureKind.INPUT_REJECTED
        else:
            assert isinstance(result, Prediction), (text, result)
            assert result.explain == pytest.approx(right(text))


@pytest.mark.parametrize("route", ROUTES, ids=ROUTE_IDS)
@pytest.mark.parametrize("status", [400, 403, 404, 405, 410, 422])
def test_one_refused_row_costs_one_row(status: int, route: Any) -> None:
    texts = [*ORDINARY[:700], "flagme please", *ORDINARY[700:]]
    refuse = error(status, "Your input was flagged")
    run = Run(lambda asked: refuse if any("flagme" in text for text in texts_of(asked)) else can_batch(asked), texts, route())  # fmt: skip
    assert_only(run, texts, ["flagme please"])
    (failure,) = run.results.failures.values()
    assert failure.reason == f"rejected input {status}: Your input was flagged"
    assert failure.error is None, "the request is not kept"


@pytest.mark.parametrize("route", ROUTES, ids=ROUTE_IDS)
def test_a_firewalls_page_for_one_row_costs_one_row(route: Any) -> None:
    page = error(403, "")
    page = page._replace(body=b"<html><head><title>Request blocked</title></head></html>")
    texts = [*ORDINARY, "DROP TABLE flagme"]
    run = Run(lambda asked: page if any("flagme" in text for text in texts_of(asked)) else can_batch(asked), texts, route())  # fmt: skip
    assert_only(run, texts, ["DROP TABLE flagme"])


@pytest.mark.parametrize("route", ROUTES, ids=ROUTE_IDS)
@pytest.mark.parametrize("task", ["text-classification", "question-answering"])
def test_odd_rows_do_not_decide(task: str, route: Any) -> None:
    texts = list(ORDINARY)
    for place, junk in zip((1, 400, 800), JUNK, strict=True):
        texts[place] = junk
    refuse = error(400, "this is not a text for this model")
    run = Run(lambda asked: refuse if any(text in JUNK for text in texts_of(asked)) else can_batch(asked), texts, route())  # fmt: skip
    assert_only(run, texts, JUNK)


@pytest.mark.parametrize("route", ROUTES, ids=ROUTE_IDS)
@pytest.mark.parametrize("echoes", [False, True], ids=["the same words", "with the row in them"])
def test_what_refuses_every_row_ends_the_query_soon(echoes: bool, route: Any) -> None:
    def refuse(asked: Any) -> Any:
        return error(400, "no such parameter" + (f" in {texts_of(asked)[0]!r}" if echoes else ""))

    run = Run(refuse, ORDINARY, route())
    assert run.executor.stopped is not None
    assert "no such parameter" in run.executor.stopped.message
    assert len(run.sent) <= 40


def test_a_table_whose_every_row_is_too_long_ends_too() -> None:
    run = Run(lambda asked: error(413, "the input is too long for this model"), ORDINARY)
    assert run.executor.stopped is not None
    assert len(run.sent) <= 80


def test_thirty_rows_that_are_too_long_end_nothing() -> None:
    long = [f"{'long ' * 50}{index}" for index in range(29)]
    texts = [*long, *ORDINARY]
    refuse = error(400, "this input is too long")
    run = Run(lambda asked: refuse if any("long long" in text for text in texts_of(asked)) else can_batch(asked), texts)
    assert_only(run, texts, long)


@pytest.mark.parametrize("status", [403, 404, 410])
def test_a_key_that_is_taken_back_ends_the_query(status: int) -> None:
    answered = 0

    def reply(asked: Any) -> Any:
        nonlocal answered
        answered += 1
        return can_batch(asked) if answered <= 100 else error(status, "gone")

    run = Run(reply, ORDINARY, warm(False))
    assert run.executor.stopped is not None
    assert run.executor.stopped.kind is FailureKind.FATAL
    assert len(run.sent) <= 100 + 60


def test_many_refused_rows_beside_one_another_end_nothing() -> None:
    flagged = [f"flagme {index:04d}" for index in range(200)]
    texts = [*ORDINARY[:300], *flagged, *ORDINARY[300:]]
    refuse = error(403, "flagged")
    run = Run(lambda asked: refuse if any("flagme" in text for text in texts_of(asked)) else can_batch(asked), texts, warm(False))  # fmt: skip
    assert_only(run, texts, flagged)
    assert len(run.sent) <= len(texts) + 20, "an answered input is asked again for each twenty refusals in a row"


@pytest.mark.parametrize("answer", [{"text": None}, [], "words", {"label": None}])
def test_unreadable_answers_are_not_bought_by_the_thousand(answer: Any) -> None:
    run = Run(lambda asked: answer if not isinstance(asked["inputs"], list) else error(400, "valid string"), ORDINARY)
    assert run.executor.stopped is not None
    assert len(run.sent) <= 40


@pytest.mark.parametrize("part", [None, [], [1.5]], ids=str)
def test_a_list_of_which_no_part_can_be_read_is_asked_again_and_not_input_by_input(part: Any) -> None:
    lists, spoilt = 0, 0

    def reply(asked: Any) -> Any:
        nonlocal lists, spoilt
        if not isinstance(asked["inputs"], list) or len(asked["inputs"]) < 16:
            return can_batch(asked)
        lists += 1
        if lists % 8:
            return can_batch(asked)
        spoilt += 1
        return [part] * len(asked["inputs"])

    run = Run(reply, ORDINARY, warm(True))
    assert_only(run, ORDINARY, [])
    assert spoilt >= 3
    assert all(isinstance(each, list) for each in run.sent), "none was asked alone"


@pytest.mark.parametrize("part", [None, []], ids=str)
def test_inputs_whose_answers_can_be_read_alone_only_are_not_asked_in_lists_for_long(part: Any) -> None:
    lists = 0

    def reply(asked: Any) -> Any:
        nonlocal lists
        if not isinstance(asked["inputs"], list):
            return can_batch(asked)
        lists += 1
        return can_batch(asked) if lists <= 3 else [part] * len(asked["inputs"])

    run = Run(reply, ORDINARY, warm(True))
    assert_only(run, ORDINARY, [])
    assert len(run.sent) <= len(ORDINARY) + 100


def test_a_used_up_limit_with_a_far_reset_is_told_at_once() -> None:
    def reply(asked: Any) -> Any:
        headers = CIMultiDict({"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "3000"})
        return Response(200, headers, json.dumps(can_batch(asked)).encode())

    run = Run(reply, ORDINARY)
    assert run.executor.stopped is not None
    assert "no more requests for 3000 s" in run.executor.stopped.message
    assert len(run.sent) == sum(isinstance(result, Prediction) for result in run.results) == 1


def test_a_limit_that_is_used_up_by_the_last_row_stops_nothing() -> None:
    headers = CIMultiDict({"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "3000"})
    run = Run(lambda asked: Response(200, headers, json.dumps(can_batch(asked)).encode()), ORDINARY[:1], on_error="raise")  # fmt: skip
    assert run.executor.stopped is None


@pytest.mark.parametrize(
    "body",
    [
        {"error": {"message": "You exceeded your current quota, please check your plan and billing details.", "code": "insufficient_quota"}},
        {"error": {"message": "no", "code": "insufficient_quota"}},
    ],
)  # fmt: skip
def test_a_spent_quota_is_no_rate_limit(body: Any) -> None:
    run = Run(lambda asked: Response(429, CIMultiDict(), json.dumps(body).encode()), ORDINARY)
    assert len(run.sent) == 1
    assert run.executor.stopped is not None
    assert "credits" in run.executor.stopped.message


def test_a_rate_limit_that_names_the_billing_page_is_waited_for() -> None:
    words = "Rate limit reached for x. Try again in 6ms. Visit example.com/account/billing to raise it."
    replies = iter([error(429, words)] * 3)
    run = Run(lambda asked: next(replies, None) or can_batch(asked), ORDINARY[:3])
    assert_only(run, ORDINARY[:3], [])


def web_page(title: str) -> Response:
    return Response(200, CIMultiDict(), f"<!doctype html><html><head><title>{title}</title></head></html>".encode())


class ClientConnectorError(Exception):
    """As aiohttp names it."""


@pytest.mark.parametrize("route", [RouteProfile, warm], ids=["new", "known"])
@pytest.mark.parametrize(
    ("reply", "said"),
    [
        (lambda number: error(500, "boom"), "boom"),
        (lambda number: error(501, "not implemented"), "not implemented"),
        (lambda number: error(500, f"internal error, request id 7f3a-{number:04x}-99"), "internal error"),
        (lambda number: web_page("Log in to the corporate network"), "Log in to the corporate network"),
        (lambda number: Response(200, CIMultiDict(), b"data: {}\n\ndata: [DONE]"), "not JSON"),
        (lambda number: Response(200, CIMultiDict(), b'{"status": "ok"}'), "got an object with"),
        (lambda number: ClientConnectorError(), "cannot reach"),
    ],
    ids=["500", "501", "500 with an id", "a login page", "a stream", "JSON of no known shape", "refused connections"],
)
def test_a_service_that_fails_for_everybody_ends_the_query(reply: Any, said: str, route: Any) -> None:
    sent = 0

    def fail(asked: Any) -> Any:
        nonlocal sent
        sent += 1
        return reply(sent)

    run = Run(fail, ORDINARY, route())
    assert run.executor.stopped is not None
    assert run.executor.stopped.kind is FailureKind.FATAL
    assert said in run.executor.stopped.message
    assert len(run.sent) <= 100


@pytest.mark.parametrize("failing", [3, 8, 12, 30])
def test_a_service_that_comes_back_answers_every_row(failing: int) -> None:
    replies = iter([error(500, "boom")] * failing)
    run = Run(lambda asked: next(replies, None) or can_batch(asked), ORDINARY[:100], warm(False))
    if failing < 30:
        assert_only(run, ORDINARY[:100], [])
    assert run.executor.stopped is None or failing == 30


def test_most_rows_wait_while_nothing_is_answered() -> None:
    run = Run(lambda asked: error(500, f"boom {texts_of(asked)[0]}"), ORDINARY, warm(False))
    tried = {text for asked in run.sent for text in texts_of({"inputs": asked})}
    assert len(tried) <= 30


def test_lists_that_are_lost_while_a_refused_row_is_looked_for_ask_no_row_twice() -> None:
    lists = iter([error(400, "refused"), *[error(400, "Input should be a valid string")] * 32])
    run = Run(lambda asked: next(lists) if isinstance(asked["inputs"], list) else can_batch(asked), ORDINARY[:32], warm(True))  # fmt: skip
    assert_only(run, ORDINARY[:32], [])
    assert sorted(sent for sent in run.sent if isinstance(sent, str)) == sorted(ORDINARY[:32])


def test_dense_texts_that_are_too_long_keep_no_others_out_of_lists_for_good() -> None:
    route = RouteProfile(True, True, BatchSizeTuner(best=256, settled=True))
    dense = [f"dense {number} {'x' * 500}" for number in range(3)]
    too_long = error(413, "the input is too long")
    reply = lambda asked: too_long if "dense" in str(asked["inputs"]) else can_batch(asked)  # noqa: E731
    for texts in ([*dense, *ORDINARY[:29]], [f"{number}" for number in range(3000)], [f"{number} {'y' * 600}" for number in range(1000)]):  # fmt: skip
        run = Run(reply, texts, route)
    assert len(run.sent) <= 20
