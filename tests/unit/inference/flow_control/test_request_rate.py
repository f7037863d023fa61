"""A limit of rate is found, whatever it is and however it is announced, and nothing goes before an announced time."""

from __future__ import annotations

import json
import random
from statistics import median

import pytest
from multidict import CIMultiDict

from bench.service import Plan
from huggingface_api_handler.inference.flow_control.rate_increase import RateIncrease
from huggingface_api_handler.inference.flow_control.request_rate import RateEstimator
from huggingface_api_handler.inference.transport.client import Response
from huggingface_api_handler.inference.transport.rate_limit_headers import RateLimitStatus, parse_rate_limit
from tests.support.simulation import ideal_seconds, simulate

pytestmark = pytest.mark.same_on_every_python


@pytest.mark.parametrize("announce", ["seconds", "date", "ratelimit", "x-ratelimit", "nothing"])
@pytest.mark.parametrize("rate", [5, 20, 100, 500])
def test_the_rate_is_found_however_it_is_announced(rate: int, announce: str) -> None:
    plan = Plan(latency=0.05, capacity=64, rate=rate, announce=announce)
    rows = 30 * rate
    result = simulate(plan, rows, seed=1)
    assert result.unanswered == 0
    assert result.stats["violations"] == 0
    assert result.seconds <= 1.12 * ideal_seconds(plan, rows)
    assert result.requests <= 1.12 * rows


@pytest.mark.parametrize(("before", "after", "share"), [(50, 10, 0.75), (10, 50, 0.7)], ids=["slower", "faster"])
def test_a_rate_that_changes_is_followed(before: int, after: int, share: float) -> None:
    plan = Plan(latency=0.05, capacity=64, rate=before)
    result = simulate(plan, 10 * before + 120 * after, seed=1, changes=[(10.0, {"rate": after, "burst": after})])
    assert result.unanswered == 0
    assert result.rate(90.0, 110.0) >= share * after
    assert result.refused <= 0.1 * result.requests


@pytest.mark.parametrize("burst_s", [0.25, 1.0, 10.0])
def test_a_rate_that_falls_and_comes_back_is_used_again_within_a_minute(burst_s: float) -> None:
    def limit(rate: float) -> dict[str, float]:
        return {"rate": rate, "burst": burst_s * rate}

    plan = Plan(latency=0.05, capacity=64, **limit(40.0))  # type: ignore[arg-type]
    result = simulate(plan, 5600, seed=1, changes=[(20.0, limit(15.0)), (80.0, limit(40.0))])
    assert result.unanswered == 0
    assert result.rate(30.0, 80.0) >= 0.93 * 15
    assert result.rate(130.0, 140.0) >= 38
    assert result.refused <= 0.05 * result.requests


def rejected_at_each_rise(pause_s: float, interval_s: float) -> RateIncrease:
    """A rate of 40 a second that is rejected 20 times, from 0 s on, each time after a rise."""
    increase = RateIncrease()
    for resume_at in (interval_s * number for number in range(20)):
        if resume_at:
            assert increase.raised(40.0, resume_at - 0.1 * interval_s, is_certain=True) > 40.0
        increase.on_rejected(resume_at, pause_s, 40.0, None)
    return increase


def test_a_rate_that_is_rejected_again_and_again_is_held_for_no_more_than_half_a_minute() -> None:
    """Else a limit that rises, or a neighbour that leaves, is not noticed for minutes."""
    increase = rejected_at_each_rise(pause_s=0.1, interval_s=100.0)
    assert increase.raised(40.0, 1900.0 + 31.0, is_certain=True) == 40.0
    assert increase.raised(40.0, 1900.0 + 33.0, is_certain=True) > 40.0


def test_a_service_that_makes_one_wait_for_long_is_tried_less_often() -> None:
    increase = rejected_at_each_rise(pause_s=5.0, interval_s=1000.0)
    assert increase.raised(40.0, 19_000.0 + 300.0, is_certain=True) == 40.0


def test_a_rate_that_falls_is_not_held_longer_with_each_rejection() -> None:
    increase = RateIncrease()
    for step in range(12):
        increase.on_rejected(float(step), 0.1, 40.0 * 0.95**step, None)
    assert increase.raised(22.0, 11.0 + 5.0, is_certain=True) > 22.0


def test_refusals_by_chance_do_not_slow_a_service_to_a_crawl() -> None:
    attempts: dict[str, int] = {}

    def by_chance(inputs: object) -> Response | None:
        text = json.dumps(inputs)
        attempts[text] = attempts.get(text, 0) + 1
        unlucky = attempts[text] == 1 and sum(map(ord, text)) % 10 < 3
        return Response(429, CIMultiDict(), b'{"error":"slow down"}') if unlucky else None

    result = simulate(Plan(latency=0.02, capacity=64), 3000, seed=1, fault=by_chance)
    assert result.unanswered == 0
    assert result.seconds <= 300


@pytest.mark.parametrize("share", [0.02, 0.05, 0.1])
def test_a_few_rejections_by_chance_leave_a_rate_at_which_a_table_ends(share: float) -> None:
    """What comes late by chance says nothing of the rate either."""
    seconds = []
    for seed in range(8):
        drawn = random.Random(seed)

        def by_chance(inputs: object, drawn: random.Random = drawn) -> Response | None:
            waits = drawn.choice(({}, {"Retry-After": "1"}))
            return Response(429, CIMultiDict(waits), b"{}") if drawn.random() < share else None

        result = simulate(Plan(latency=0.05, capacity=64, largest_batch=1), 3000, seed, fault=by_chance)
        assert result.unanswered == 0
        seconds.append(result.seconds)
    assert median(seconds) <= 200
    assert max(seconds) <= 900


def test_a_late_response_about_an_old_rejection_changes_nothing() -> None:
    """A base later than the refusal would make a rate that is negative, or divide by nothing."""
    rate_estimator = RateEstimator()
    for start in (0.0, 2.0):
        for index in range(30):
            rate_estimator.on_send(start + index / 100)
        rate_estimator.on_exhausted(start + 0.3, start + 1.5, rejected=True)
        rate_estimator.delay(start + 1.6)
    rate = rate_estimator.rate
    assert rate is not None
    rate_estimator.on_exhausted(0.1, 3.0, rejected=True)
    rate_estimator.delay(10.0)
    assert rate_estimator.rate == pytest.approx(rate, rel=0.2)


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        (
            {"RateLimit": '"api";r=9;t=4', "RateLimit-Policy": '"fixed window";"api";q=500;w=300'},
            RateLimitStatus(9, 4, 500, 300),
        ),
        ({"RateLimit": '"b";r=9;t=4', "RateLimit-Policy": '"a";q=5;w=1, "b";q=70;w=60'}, RateLimitStatus(9, 4, 70, 60)),
        ({"RateLimit": '"api";r=9;t=4'}, RateLimitStatus(9, 4)),
        ({"RateLimit": '"api";r=9;t=4', "RateLimit-Policy": '"api";q=many'}, RateLimitStatus(9, 4)),
        (
            {"RateLimit-Limit": "100, 100;w=60", "RateLimit-Remaining": "9", "RateLimit-Reset": "4"},
            RateLimitStatus(9, 4, 100),
        ),
        (
            {"RateLimit-Policy": "100;w=60", "RateLimit-Remaining": "9", "RateLimit-Reset": "4"},
            RateLimitStatus(9, 4, 100, 60),
        ),
        (
            {"X-RateLimit-Limit": "100", "X-RateLimit-Remaining": "9", "X-RateLimit-Reset": "4"},
            RateLimitStatus(9, 4, 100),
        ),
        ({"X-RateLimit-Limit": "lots", "X-RateLimit-Remaining": "9", "X-RateLimit-Reset": "4"}, RateLimitStatus(9, 4)),
        ({"X-RateLimit-Limit": "100", "X-RateLimit-Remaining": "9"}, None),
    ],
)
def test_a_limit_and_its_window_are_read_in_every_form(
    headers: dict[str, str], expected: RateLimitStatus | None
) -> None:
    assert parse_rate_limit(CIMultiDict(headers)) == expected


@pytest.mark.parametrize("announce", ["ratelimit", "x-ratelimit"])
@pytest.mark.parametrize("rate", [5, 20, 500])
def test_a_limit_that_is_announced_is_never_run_into(rate: int, announce: str) -> None:
    plan = Plan(latency=0.2, capacity=1000, rate=rate, announce=announce)
    result = simulate(plan, 20 * rate, seed=1, spread=0.3)
    assert result.stats["refused"] == {"400": 1}  # a list, which is tried once
    assert result.seconds <= 1.05 * ideal_seconds(plan, 20 * rate)


@pytest.mark.parametrize("seconds", [0.2, 10.0])
def test_a_limit_that_is_announced_wrongly_is_not_trusted_for_long(seconds: float) -> None:
    """X-RateLimit-Reset of whole seconds makes a bucket of a fifth of one look five times slower than it is."""
    rate = 50
    plan = Plan(latency=0.05, capacity=64, rate=rate, burst=seconds * rate, announce="x-ratelimit")
    rows = int(20 * rate + plan.bucket)
    result = simulate(plan, rows, seed=1)
    assert (result.unanswered, result.stats["violations"]) == (0, 0)
    assert result.seconds <= (1.1 if seconds > 1 else 2.2) * ideal_seconds(plan, rows)
    assert result.requests <= 1.25 * rows


def test_a_quota_of_a_day_is_not_spread_over_the_day() -> None:
    rate_estimator = RateEstimator()
    rate_estimator.on_send(0.0)
    rate_estimator.on_quota_headers(0.1, 0.0, RateLimitStatus(999, 80_000.0, 1000, 86_400.0), 0)
    assert rate_estimator.rate is None


def test_a_window_may_be_used_up_at_once_and_then_paces_the_rest() -> None:
    rate_estimator = RateEstimator()
    rate_estimator.on_send(0.0)
    rate_estimator.on_quota_headers(0.1, 0.0, RateLimitStatus(499, 290.0, 500, 300.0), 0)
    burst = 0
    while rate_estimator.delay(0.1) <= 0:
        rate_estimator.on_send(0.1)
        burst += 1
    assert burst == pytest.approx(497, abs=1)
    assert rate_estimator.delay(0.1) == pytest.approx(300 / 500, rel=0.01)
