"""The size of a batch is found by growing, and a size that is refused is not asked for again."""

from __future__ import annotations

import math

import pytest
from multidict import CIMultiDict

from bench.service import Plan
from huggingface_api_handler.inference.batch_sizes import FIRST, GREATEST, BatchSizes
from huggingface_api_handler.inference.transport import Response
from tests.simulation import simulate


def grown(most: int, told: bool, fixed: float = 0.1, each: float = 0.001) -> tuple[BatchSizes, list[int]]:
    sizes, refused = BatchSizes(), []
    for _ in range(60):
        size = sizes.next()
        if size > most:
            refused.append(size)
            sizes.refuse(size, most if told else None)
        else:
            sizes.took(size, fixed + each * size)
    return sizes, refused


@pytest.mark.parametrize("most", [1, 2, 8, 31, 32, 33, 64, 100, 128, 512])
@pytest.mark.parametrize("told", [True, False])
def test_the_largest_size_that_is_taken_is_found(most: int, told: bool) -> None:
    sizes, refused = grown(most, told)
    assert sizes.best <= most
    assert sizes.best >= (most if told and most <= FIRST else most / 1.5)
    assert len(refused) <= (1 if told else 8)


def test_no_size_grows_that_makes_nothing_faster() -> None:
    sizes, _ = grown(GREATEST, told=False, fixed=0.0, each=0.01)
    assert sizes.best == FIRST


@pytest.mark.parametrize("size", [8, 32, 128])
def test_a_bad_row_costs_at_most_twice_the_logarithm_of_the_batch_in_further_requests(size: int) -> None:
    rows = 40 * size

    def poisoned(inputs: object) -> Response | None:
        together = inputs if isinstance(inputs, list) else [inputs]
        bad = any(f"number {rows // 2} " in text for text in together)
        return Response(400, CIMultiDict(), b'{"error":"index out of range"}') if bad else None

    plan = Plan(latency=0.05, per_item=0.001, capacity=4, largest_batch=size)
    clean = simulate(plan, rows, seed=1)
    came = simulate(plan, rows, seed=1, fault=poisoned)
    assert (clean.bad, came.bad) == (0, 1)
    halved = 2 * math.ceil(math.log2(2 * size))
    assert came.requests <= clean.requests + halved


def test_the_first_batch_tries_a_larger_size_once_where_lists_are_quick() -> None:
    quick, slow, unknown = BatchSizes(), BatchSizes(), BatchSizes()
    quick.took(3, 0.15)
    slow.took(3, 1.5)
    assert [quick.next() for _ in range(3)] == [4 * FIRST, FIRST, FIRST]
    assert slow.next() == unknown.next() == FIRST


def test_a_size_that_is_refused_at_once_costs_one_request() -> None:
    """The first batch goes ahead of the others, which then go in the size that the refusal names."""
    came = simulate(Plan(latency=0.15, per_item=0.001, capacity=16, largest_batch=64), 6400, seed=1)
    assert came.bad == 0
    assert came.stats["refused"].get("413") == 1
