"""A table, a service whose every third request goes wrong, and no row that is wrong, lost or out of place."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from huggingface_api_handler.errors import InferenceError
from huggingface_api_handler.inference import predict
from huggingface_api_handler.inference.flow_control.retry import RetryPolicy
from tests.faults import plan as plans
from tests.faults.conftest import ROOT, FaultyService
from tests.faults.plan import Plan, fraction
from tests.faults.run import Run, assert_right, figures, run_plan
from tests.support.results import record

ROWS = int(os.environ.get("FAULT_ROWS", "5000"))
MIN_ROWS_IN_BATCHES = 20_000
"""Rows: of some 200 requests that carry 5,000 chance alone makes between 1.0 and 1.9 times an oracle's, and 28 times
where faults met all inputs of the batch probe (one seed of sixteen)."""
SEED = int(os.environ.get("FAULT_SEED", "1"))
MAX_RATIO_TO_ORACLE = 1.3
# Two bodies of the size that is refused, 256 MB, and the rows. Without a bound, one endless body takes all there is.
MOST_MEGABYTES = 800
ATTEMPTS = 5
PLANS = {
    "single": Plan(seed=SEED, poison=0.0005),
    "lists": Plan(seed=SEED, poison=0.0002, takes_batches=True),
}


@pytest.fixture(scope="module", params=PLANS)
def run(request: pytest.FixtureRequest, faulty: FaultyService, tmp_path_factory: pytest.TempPathFactory) -> Run:
    plan = PLANS[request.param]
    rows = max(ROWS, MIN_ROWS_IN_BATCHES) if plan.takes_batches else ROWS
    run = run_plan(plan, rows, faulty, tmp_path_factory.mktemp("run"))
    record(f"faults {request.param}", figures(run))
    return run


def test_every_row_is_right_or_has_its_reason_and_none_is_misplaced(run: Run) -> None:
    assert_right(run)


def test_each_reason_was_deserved(run: Run) -> None:
    """A row has a reason only where it was asked alone, and refused for good or as often as is bearable."""
    for cell, reason in zip(run.cells, run.got["error"], strict=True):
        if reason is None:
            continue
        assert cell is not None
        kinds = run.state["outcomes"].get(cell, [])
        refused = kinds and kinds[-1] in (*plans.INPUT_REJECTED, "poisoned")
        worn_out = sum(kind in plans.TRANSIENT for kind in kinds) >= ATTEMPTS
        assert refused or worn_out, (cell, reason, kinds)
        assert reason.startswith(("rejected input", "temporary failure")), reason


def test_every_poisoned_row_has_the_services_reason(run: Run) -> None:
    poisoned = {cell for cell in run.cells if cell is not None and run.plan.refusal(cell)}
    for cell, reason in zip(run.cells, run.got["error"], strict=True):
        if cell in poisoned:
            assert reason is not None


def test_no_more_requests_than_the_bound_over_an_oracles(run: Run, faulty: FaultyService, tmp_path: Path) -> None:
    """Which inputs are together in a batch is chance, which alone takes one run in a hundred over the bound."""
    assert run.state["requests"] == run.got["usage"]["requests"]
    if run.ratio > MAX_RATIO_TO_ORACLE:
        run = run_plan(replace(run.plan, tag="again"), len(run.cells), faulty, tmp_path)
    assert run.ratio <= MAX_RATIO_TO_ORACLE, figures(run)


def test_what_was_answered_is_not_asked_for_again(run: Run) -> None:
    # Lists are tried with three inputs that were answered alone: that they are asked twice is how the route qualifies.
    assert sum(count - 1 for count in run.state["answered_again"].values()) <= (12 if run.plan.takes_batches else 0)


def test_three_requests_in_ten_went_wrong_in_every_way(run: Run) -> None:
    faults = {kind: count for kind, count in run.state["met"].items() if kind in plans._WEIGHTS}
    assert 0.25 <= sum(faults.values()) / run.state["requests"] <= 0.35
    expected = {kind for kind, weight in plans._WEIGHTS.items() if weight == 1.0}
    expected -= set() if run.plan.takes_batches else set(plans.OF_BATCHES)
    if run.state["requests"] > 1000:
        assert expected <= faults.keys()


def test_memory_is_bounded(run: Run) -> None:
    assert run.got["megabytes_peak"] <= MOST_MEGABYTES
    assert run.got["usage"]["rows"] == len(run.cells)


USING = {"task": "text-classification", "column": "text", "target": "y"}
PASSING = (*plans.RATE_LIMITED, *plans.TRANSIENT)
SHORT = 0.5
"""Seconds that a request may take where the service stalls."""


TEXTS = [f"text number {number}" for number in range(3 + 3 * 32)]


def ask(faulty: FaultyService, plan: Plan, texts: list[str], **engine: float) -> tuple[pd.DataFrame, dict[str, Any]]:
    engine_args = {"endpoint": faulty.url(plan), "timeout": SHORT, **engine}
    out = predict(pd.DataFrame({"text": texts}), USING, engine_args)
    return out, faulty.state(plan)


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Backoff and unannounced pauses of a hundredth of their length."""
    monkeypatch.setattr(RetryPolicy, "_backoff_s", lambda policy, attempt: 0.005 * 2.0 ** (attempt - 1))
    monkeypatch.setattr("huggingface_api_handler.inference.flow_control.route_limits._INITIAL_PAUSE_S", 0.01)
    monkeypatch.setattr("huggingface_api_handler.inference.flow_control.outage._FIRST_TRIAL_PAUSE_S", 0.005)


@pytest.mark.usefixtures("hasty")
@pytest.mark.parametrize("kind", PASSING)
def test_a_fault_in_passing_costs_one_more_request_and_no_row(kind: str, faulty: FaultyService) -> None:
    plan = Plan(share=1.0, kinds=(kind,), faults_each=1, tag="once")
    out, state = ask(faulty, plan, ["one", "two"])
    assert [explain["POSITIVE"] for explain in out["y_explain"]] == [fraction("one"), fraction("two")]
    assert state["requests"] == out.attrs["usage"]["requests"] == 4
    assert state["met"] == {kind: 2, "answered": 2}
    waits = out.attrs["usage"]["waits"]
    assert waits == (2 if kind in (*plans.RATE_LIMITED, *plans.STARTING) else 0)


@pytest.mark.usefixtures("hasty")
@pytest.mark.parametrize("kind", [kind for kind in plans.TRANSIENT if kind not in plans.STARTING])
def test_a_fault_that_does_not_pass_is_a_rows_reason_after_five_requests(kind: str, faulty: FaultyService) -> None:
    plan = Plan(share=1.0, kinds=(kind,), tag="always")
    with pytest.raises(InferenceError) as raised:
        ask(faulty, plan, ["one"])
    assert faulty.state(plan)["requests"] == ATTEMPTS
    assert len(str(raised.value)) > 10
    assert "<html" not in str(raised.value)


@pytest.mark.usefixtures("hasty")
@pytest.mark.parametrize("kind", plans.STARTING)
def test_a_model_that_never_starts_ends_the_query(kind: str, faulty: FaultyService) -> None:
    plan = Plan(share=1.0, kinds=(kind,), tag="never")
    with pytest.raises(InferenceError, match="The service is down, or this is not its address") as raised:
        ask(faulty, plan, TEXTS, max_wait=0.5)
    assert faulty.state(plan)["requests"] <= 12
    assert "<html" not in str(raised.value)


@pytest.mark.parametrize(
    "kind", [kind for kind in plans.INPUT_REJECTED if kind not in ("bomb", "endless at full speed")]
)
def test_what_is_no_answer_to_one_row_is_its_reason_and_is_not_paid_for_again(kind: str, faulty: FaultyService) -> None:
    plan = Plan(share=1.0, kinds=(kind,), quiet=1, tag="row")
    out, state = ask(faulty, plan, ["one", "two"])
    assert out["y_error"][0] is None
    assert out["y_error"][1].startswith("rejected input 200: ")
    assert state["requests"] == 2


ASKED_BEFORE_BATCHES = 4
"""One alone, this and two others together, to try batches with, and these two alone."""


@pytest.mark.usefixtures("hasty")
@pytest.mark.parametrize("kind", [*PASSING, *plans.OF_BATCHES, "wrong shape", "too few", "too many"])
def test_a_batch_that_meets_a_fault_loses_and_misplaces_no_row(kind: str, faulty: FaultyService) -> None:
    """Where batches get no answer in time, what was answered before shows that the service is there."""
    is_timeout = kind in ("stall", "endless")
    plan = Plan(share=1.0, kinds=(kind,), faults_each=1, spares_answered=is_timeout, quiet=ASKED_BEFORE_BATCHES, takes_batches=True, tag="lists")  # fmt: skip
    out, state = ask(faulty, plan, TEXTS)
    assert [explain["POSITIVE"] for explain in out["y_explain"]] == [fraction(text) for text in TEXTS]
    # A batch that got no answer in time is halved at once, and in this plan the other half meets the fault then.
    requests_of_batch = 2 * (1 + int(math.log2(32))) if is_timeout else 2
    answered_again = sum(count - 1 for count in state["answered_again"].values())
    checks = answered_again - 3  # beside those that batches were tried with
    assert (checks > 0) == is_timeout
    expected = ASKED_BEFORE_BATCHES + 3 * requests_of_batch + checks
    assert state["requests"] in (expected, expected + 1)  # on a busy machine a request more may be out by then
    assert state["answered_again"].keys() <= set(TEXTS)


def test_a_list_answered_with_an_error_is_halved_to_the_rows(faulty: FaultyService) -> None:
    plan = Plan(
        share=0.5, kinds=("error in 200",), faults_each=1, quiet=ASKED_BEFORE_BATCHES, takes_batches=True, tag="halved"
    )
    out, state = ask(faulty, plan, TEXTS)
    for text, explain, reason in zip(TEXTS, out["y_explain"], out["y_error"], strict=True):
        kinds = state["outcomes"].get(text, [])
        assert "CUDA out of memory" in reason if reason else explain["POSITIVE"] == fraction(text)
        assert (reason is not None) is (kinds[-1:] == ["error in 200"])


@pytest.mark.parametrize("number", range(5))
@pytest.mark.parametrize("answered_before", [0, 10])
def test_a_redirect_is_followed_nowhere_and_ends_the_query(
    number: int, answered_before: int, faulty: FaultyService
) -> None:
    plan = Plan(seed=number, share=1.0, kinds=("redirect",), quiet=answered_before, tag="redirect")
    if answered_before == 0:
        with pytest.raises(InferenceError, match="redirects"):
            ask(faulty, plan, TEXTS)
        assert faulty.state(plan)["requests"] == 1
    else:
        out, _ = ask(faulty, plan, TEXTS)
        reasons = Counter(out["y_error"].fillna("answered").str.partition(":")[0])
        assert reasons["answered"] >= 1
        assert sum(reasons.values()) == len(TEXTS)
        for text, explain, reason in zip(TEXTS, out["y_explain"], out["y_error"], strict=True):
            assert "redirects" in reason if reason else explain["POSITIVE"] == fraction(text)
    assert faulty.state(plan)["elsewhere"] == 0


@pytest.mark.parametrize("kind", ["bomb", "endless at full speed"])
def test_a_body_without_end_is_refused_within_the_memory_of_one(
    kind: str, faulty: FaultyService, tmp_path: Path
) -> None:
    plan = Plan(share=1.0, kinds=(kind,), quiet=1, faults_each=1, tag="bodies")
    out = tmp_path / "out.json"
    command = [sys.executable, "-m", "tests.faults.client", faulty.url(plan), "2", str(out)]
    subprocess.run(command, cwd=ROOT, check=True, timeout=60)
    got = json.loads(out.read_text())
    assert got["error"][0] is None
    assert "too large to read" in got["error"][1] or "in time" in got["error"][1]
    assert got["megabytes_peak"] - got["megabytes_before"] < 400
