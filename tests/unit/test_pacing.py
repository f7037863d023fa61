"""A limit of rate is found, whatever it is and however it is announced, and nothing goes before an announced time."""

from __future__ import annotations

import json

import pytest
from multidict import CIMultiDict

from bench.service import Plan
from huggingface_api_handler.announced import Left, left
from huggingface_api_handler.inference.pacing import Pacer
from huggingface_api_handler.inference.transport import Response
from tests.simulation import oracle_seconds, simulate

pytestmark = pytest.mark.same_on_every_python


@pytest.mark.parametrize("announce", ["seconds", "date", "ratelimit", "x-ratelimit", "nothing"])
@pytest.mark.parametrize("rate", [5, 20, 100, 500])
def test_the_rate_is_found_however_it_is_announced(rate: int, announce: str) -> None:
    plan = Plan(latency=0.05, capacity=64, rate=rate, announce=announce)
    rows = 30 * rate
    came = simulate(plan, rows, seed=1)
    assert came.bad == 0
    assert came.stats["violations"] == 0
    assert came.seconds <= 1.12 * oracle_seconds(plan, rows)
    assert came.requests <= 1.12 * rows


@pytest.mark.parametrize(("before", "after", "share"), [(50, 10, 0.75), (10, 50, 0.7)], ids=["slower", "faster"])
def test_a_rate_that_changes_is_followed(before: int, after: int, share: float) -> None:
    plan = Plan(latency=0.05, capacity=64, rate=before)
    came = simulate(plan, 10 * before + 120 * after, seed=1, changes=[(10.0, {"rate": after, "burst": after})])
    assert came.bad == 0
    assert came.rate(90.0, 110.0) >= share * after
    assert came.refused <= 0.1 * came.requests


def test_refusals_by_chance_do_not_slow_a_service_to_a_crawl() -> None:
    seen: dict[str, int] = {}

    def by_chance(inputs: object) -> Response | None:
        text = json.dumps(inputs)
        seen[text] = seen.get(text, 0) + 1
        unlucky = seen[text] == 1 and sum(map(ord, text)) % 10 < 3
        return Response(429, CIMultiDict(), b'{"error":"slow down"}') if unlucky else None

    came = simulate(Plan(latency=0.02, capacity=64), 3000, seed=1, fault=by_chance)
    assert came.bad == 0
    assert came.seconds <= 300


def test_a_late_word_of_an_old_refusal_teaches_nothing() -> None:
    """A base later than the refusal would make a rate that is negative, or divide by nothing."""
    pacer = Pacer()
    for start in (0.0, 2.0):
        for index in range(30):
            pacer.sent(start + index / 100)
        pacer.emptied(start + 0.3, start + 1.5, refused=True)
        pacer.delay(start + 1.6)
    rate = pacer.rate
    assert rate is not None
    pacer.emptied(0.1, 3.0, refused=True)
    pacer.delay(10.0)
    assert pacer.rate == pytest.approx(rate, rel=0.2)


@pytest.mark.parametrize(
    ("headers", "told"),
    [
        ({"RateLimit": '"api";r=9;t=4', "RateLimit-Policy": '"fixed window";"api";q=500;w=300'}, Left(9, 4, 500, 300)),
        ({"RateLimit": '"b";r=9;t=4', "RateLimit-Policy": '"a";q=5;w=1, "b";q=70;w=60'}, Left(9, 4, 70, 60)),
        ({"RateLimit": '"api";r=9;t=4'}, Left(9, 4)),
        ({"RateLimit": '"api";r=9;t=4', "RateLimit-Policy": '"api";q=many'}, Left(9, 4)),
        ({"RateLimit-Limit": "100, 100;w=60", "RateLimit-Remaining": "9", "RateLimit-Reset": "4"}, Left(9, 4, 100)),
        (
            {"RateLimit-Policy": "100;w=60", "RateLimit-Remaining": "9", "RateLimit-Reset": "4"},
            Left(9, 4, 100, 60),
        ),
        ({"X-RateLimit-Limit": "100", "X-RateLimit-Remaining": "9", "X-RateLimit-Reset": "4"}, Left(9, 4, 100)),
        ({"X-RateLimit-Limit": "lots", "X-RateLimit-Remaining": "9", "X-RateLimit-Reset": "4"}, Left(9, 4)),
        ({"X-RateLimit-Limit": "100", "X-RateLimit-Remaining": "9"}, None),
    ],
)
def test_a_limit_and_its_window_are_read_in_every_form(headers: dict[str, str], told: Left | None) -> None:
    assert left(CIMultiDict(headers)) == told


@pytest.mark.parametrize("announce", ["ratelimit", "x-ratelimit"])
@pytest.mark.parametrize("rate", [5, 20, 500])
def test_a_limit_that_is_told_is_never_run_into(rate: int, announce: str) -> None:
    plan = Plan(latency=0.2, capacity=1000, rate=rate, announce=announce)
    came = simulate(plan, 20 * rate, seed=1, spread=0.3)
    assert came.stats["refused"] == {"400": 1}  # a list, which is tried once
    assert came.seconds <= 1.05 * oracle_seconds(plan, 20 * rate)


@pytest.mark.parametrize("seconds", [0.2, 10.0])
def test_a_limit_that_is_told_wrongly_is_not_believed_for_long(seconds: float) -> None:
    """X-RateLimit-Reset of whole seconds makes a bucket of a fifth of one look five times slower than it is."""
    rate = 50
    plan = Plan(latency=0.05, capacity=64, rate=rate, burst=seconds * rate, announce="x-ratelimit")
    rows = int(20 * rate + plan.bucket)
    came = simulate(plan, rows, seed=1)
    assert (came.bad, came.stats["violations"]) == (0, 0)
    assert came.seconds <= (1.1 if seconds > 1 else 2.2) * oracle_seconds(plan, rows)
    assert came.requests <= 1.25 * rows


def test_a_quota_of_a_day_is_not_spread_over_the_day() -> None:
    pacer = Pacer()
    pacer.sent(0.0)
    pacer.told(0.1, 0.0, Left(999, 80_000.0, 1000, 86_400.0), 0)
    assert pacer.rate is None


def test_a_window_may_be_used_up_at_once_and_then_paces_the_rest() -> None:
    pacer = Pacer()
    pacer.sent(0.0)
    pacer.told(0.1, 0.0, Left(499, 290.0, 500, 300.0), 0)
    burst = 0
    while pacer.delay(0.1) <= 0:
        pacer.sent(0.1)
        burst += 1
    assert burst == pytest.approx(497, abs=1)
    assert pacer.delay(0.1) == pytest.approx(300 / 500, rel=0.01)
