"""Tables in the situations that lost whole ones: a seeded plan each, and an oracle that is told of it."""

from __future__ import annotations

import os

import pytest

from bench.ideal_search import fewest_requests_in_search
from tests.faults.conftest import FaultyService
from tests.faults.plan import FORBIDDEN, TOO_LONG, Plan
from tests.faults.run import Run, assert_right, figures, run_plan
from tests.support.results import record

SEED = int(os.environ.get("FAULT_SEED", "1"))
ROWS = 5000
COLD_S = 5.0
"""Seconds of ours: a hundred of the client's clock."""
RESTART_S = 2.0
"""The same: forty."""
SHARE = 0.01
SITUATIONS = {
    "refused rows": Plan(SEED, share=0.0, forbidden=SHARE, too_long=SHARE),
    "refused rows in lists": Plan(SEED, share=0.0, takes_batches=True, forbidden=SHARE, too_long=SHARE),
    "refused rows and failures in passing": Plan(SEED, share=0.2, kinds=("500", "503", "reset before headers"), faults_each=2, forbidden=SHARE, too_long=SHARE),
    "refused rows in lists and failures in passing": Plan(SEED, share=0.1, kinds=("500", "503"), faults_each=2, takes_batches=True, forbidden=SHARE, too_long=SHARE),
    "a cold start": Plan(SEED, share=0.0, away_at=0, away_s=COLD_S),
    "a cold start behind a proxy, lists": Plan(SEED, share=0.0, away="502 page", away_at=0, away_s=COLD_S, takes_batches=True),
    "a restart": Plan(SEED, share=0.0, away="502 page", away_at=1500, away_s=RESTART_S),
    "a restart with 500s": Plan(SEED, share=0.0, away="500", away_at=1500, away_s=RESTART_S, forbidden=SHARE, too_long=SHARE),
    "a restart, lists": Plan(SEED, share=0.0, away="502 page", away_at=100, away_s=RESTART_S, takes_batches=True),
    "two answers only, lists": Plan(SEED, share=0.0, coarse=True, takes_batches=True),
}  # fmt: skip
MAX_RATIO_TO_ORACLE = 1.15
MAX_REQUESTS_TO_A_SERVICE_THAT_IS_AWAY = 30 + 64
"""Those that try it, and those that were out as it went."""
MAX_REQUESTS_TO_TRY_LISTS = 20


@pytest.fixture(scope="module", params=SITUATIONS)
def run(request: pytest.FixtureRequest, faulty: FaultyService, tmp_path_factory: pytest.TempPathFactory) -> Run:
    run = run_plan(SITUATIONS[request.param], ROWS, faulty, tmp_path_factory.mktemp("run"))
    record(f"situation {request.param}", figures(run))
    return run


def test_every_row_that_is_not_refused_is_answered_rightly(run: Run) -> None:
    assert_right(run)
    for cell, reason in zip(run.cells, run.got["error"], strict=True):
        refusal = run.plan.refusal(cell) if cell is not None else None
        if refusal is None:
            assert reason is None, (cell, reason)
        else:
            assert reason.startswith(f"rejected input {refusal.status}: "), (cell, reason)


def test_a_service_that_is_away_is_tried_by_one(run: Run) -> None:
    assert run.state["met"].get("away", 0) <= MAX_REQUESTS_TO_A_SERVICE_THAT_IS_AWAY
    assert (run.state["met"].get("away", 0) > 0) is (run.plan.away_at >= 0)


def test_no_more_requests_than_the_bound_over_an_oracles(run: Run) -> None:
    sent = run.state["requests"] - run.state["met"].get("away", 0)
    allowed = MAX_RATIO_TO_ORACLE * run.oracle
    if run.plan.takes_batches:  # whose oracle has to find refused inputs too
        is_refused = [run.plan.refusal(text) is not None for text in dict.fromkeys(filter(None, run.cells))]
        ideal = fewest_requests_in_search(is_refused, (8, 16, 32)) / (1 - run.plan.share)
        allowed = MAX_RATIO_TO_ORACLE * ideal + MAX_REQUESTS_TO_TRY_LISTS
    assert sent <= allowed, figures(run)


def test_the_plans_refuse_in_every_way() -> None:
    plan = SITUATIONS["refused rows"]
    met = {str(plan.refusal(f"row {number}")) for number in range(20_000)}
    assert met == {"None", *map(str, (*FORBIDDEN, *TOO_LONG))}
