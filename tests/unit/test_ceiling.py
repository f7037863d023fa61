"""The number of requests a service works on at once is found, whatever it is, and found again when it changes."""

from __future__ import annotations

import math

import pytest

from bench.ceiling import CASES
from bench.service import Plan
from huggingface_api_handler.inference.ceiling import Ceiling
from tests.simulation import ratios, simulate

pytestmark = pytest.mark.same_on_every_python
# Seconds and requests over the oracle's: what the present code reaches over several seeds, and a little more.
REACHED = {
    "2 s, 8 at once": (1.08, 1.07),  # by chance: twelve round trips of which each takes a tenth more or less
    "lists to 64, 10 a second": (
        1.08,
        1.1,
    ),  # five requests to find out about lists, of the 22 there are in two seconds
    "lists to 128, slow by item": (1.05, 1.3),
}


@pytest.mark.parametrize("name", CASES)
def test_a_case_of_the_benchmark_costs_little_more_than_the_oracle_needs(name: str) -> None:
    plan, seconds = CASES[name]
    came = ratios(plan, seconds, seed=1)
    most, most_requests = REACHED.get(name, (1.05 if seconds > 20 else 1.15, 1.1))
    assert (came.bad, came.early) == (0, 0)
    assert came.seconds <= most
    assert came.requests <= most_requests


OFTEN_REFUSED = pytest.mark.xfail(strict=True, reason="26 of 87 requests are refused: the pace is tried for a cause")


@pytest.mark.parametrize(
    ("places", "latency"),
    [
        (places, latency)
        for places in (1, 4, 16, 64, 256)
        for latency in (0.005, 0.1, 2.0)
        if (places, latency) != (1, 2)
    ]
    + [pytest.param(1, 2.0, marks=OFTEN_REFUSED)],
)
def test_the_places_are_found_where_latency_varies(places: int, latency: float) -> None:
    plan = Plan(latency=latency, capacity=places, queue=2 * places)
    rows = min(6000, 60 * places)
    came = simulate(plan, rows, seed=2, spread=0.5)
    assert came.bad == 0
    assert came.refused <= 0.1 * rows + 2
    last = [at for at in came.finished if at > came.finished[-1] / 2]
    assert len(last) / (last[-1] - last[0] + latency) >= 0.6 * places / (latency + 0.0015)


@pytest.mark.parametrize(
    ("before", "after", "share"),
    [
        ({"capacity": 8}, {"capacity": 64}, 0.8),
        ({"capacity": 64}, {"capacity": 8}, 0.9),
        ({"capacity": 16}, {"capacity": 16, "latency": 0.4}, 0.9),
    ],
    ids=["more places", "fewer places", "four times slower"],
)
def test_a_service_that_changes_is_followed(before: dict[str, int], after: dict[str, float], share: float) -> None:
    changed = Plan(**{"latency": 0.1, "queue": 64, **after})  # type: ignore[arg-type]
    best = changed.capacity / changed.latency
    plan = Plan(**{"latency": 0.1, "queue": 64, **before})  # type: ignore[arg-type]
    came = simulate(plan, int(10 * plan.capacity / 0.1 + 30 * best), seed=1, changes=[(10.0, after)])
    assert came.bad == 0
    assert came.rate(30.0, 40.0) >= share * best
    assert came.refused <= 0.05 * came.requests


@pytest.mark.parametrize("spread", [0.0, 0.5])
def test_a_queue_that_always_stands_is_not_taken_for_an_idle_service(spread: float) -> None:
    """Else the idle latency would creep up, and the number in flight with it, for as long as the query lasts."""
    came = simulate(Plan(latency=0.04, capacity=8), 60_000, seed=1, spread=spread)
    assert came.seconds > 290
    # The mean, since the largest of so many is chance: 40 to 75 of one and the same service.
    assert sum(came.in_flight[-2000:]) <= 1.2 * sum(came.in_flight[2000:4000])


def test_no_refusal_and_no_answer_makes_a_limit_that_is_no_number() -> None:
    ceiling = Ceiling(bound=64)
    ceiling.refused(0.0, 0, first=False)  # a late one, before any first
    for index in range(200):
        ceiling.answered(index * 0.0, 0.0, index % 3, inputs=index % 5 + 1)
        ceiling.refused(0.0, index % 2, first=index % 4 == 0)
        assert math.isfinite(ceiling.limit)
        assert 1.0 <= ceiling.limit <= 64.0


def _out_after(plan: Plan, seconds: float, rows: int = 600) -> list[int]:
    """Requests in flight over the first ``seconds``."""
    return simulate(plan, rows, seed=1).in_flight[: int(seconds / 0.05)]


def test_a_service_that_takes_its_time_is_not_waited_for() -> None:
    out = _out_after(Plan(latency=2.0, capacity=64, queue=64), 2.0)
    assert max(out[: int(0.3 / 0.05)]) == 1  # what dooms every row is told sooner
    assert max(out) >= 64


def test_a_model_that_loads_is_not_silent() -> None:
    assert max(_out_after(Plan(latency=0.05, capacity=64, loading=10.0), 9.0)) <= 1


def test_a_line_that_a_silent_service_lets_grow_is_bounded_and_not_added_to() -> None:
    """One place, no refusal: what stands in line while the first answer is awaited is worked off before more is sent."""
    came = simulate(Plan(latency=5.0, capacity=1), 150, seed=1)
    assert came.bad == 0
    assert max(came.in_flight) <= 80
    assert max(came.in_flight[int(600 / 0.05) :]) <= 20
    assert came.seconds <= 1.02 * 750


@pytest.mark.parametrize(("latency", "capacity", "most"), [(0.1, 1, 40), (0.1, 4, 90), (1.0, 4, 100), (0.04, 8, 180)])
def test_a_start_ends_before_its_line_is_long(latency: float, capacity: int, most: int) -> None:
    """A queue without an end refuses nobody, so only the time that answers take tells of the line."""
    came = simulate(Plan(latency=latency, capacity=capacity), 600, seed=1)
    assert came.bad == 0
    assert max(came.in_flight) <= most


def test_starting_is_smooth_enough_to_hear_the_first_refusal() -> None:
    came = simulate(Plan(latency=0.25, capacity=256, queue=128), 6000, seed=1)
    assert came.refused <= 60
