"""A refusal of one input is that input's, and what refuses all ends the query."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from huggingface_api_handler.inference.failures import Failure, FailureKind
from huggingface_api_handler.inference.flow_control.batch_size import BatchSizeTuner
from huggingface_api_handler.inference.flow_control.route_profile import RouteProfile
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


@pytest.mark.parametrize("answer", [{"text": None}, [], "words", {"label": 1}])
def test_unreadable_answers_are_not_bought_by_the_thousand(answer: Any) -> None:
    run = Run(lambda asked: answer if not isinstance(asked["inputs"], list) else error(400, "valid string"), ORDINARY)
    assert run.executor.stopped is not None
    assert len(run.sent) <= 40
