"""A limit of rate is found, whatever it is and however it is announced, and nothing goes before an announced time."""

from __future__ import annotations

import json

import pytest
from multidict import CIMultiDict

from bench.service import Plan
from huggingface_api_handler.inference.pacing import Pacer
from huggingface_api_handler.inference.transport import Response
from tests.simulation import oracle_seconds, simulate


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
