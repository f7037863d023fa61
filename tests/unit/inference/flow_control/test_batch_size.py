"""The size of a batch is found by growing, and a size that is refused is not asked for again."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from multidict import CIMultiDict

from bench.service import Plan
from huggingface_api_handler.inference.flow_control.batch_size import FIRST, GREATEST, BatchSizeTuner
from huggingface_api_handler.inference.transport.client import Response
from tests.support.simulation import simulate


def grown(most: int, told: bool, fixed: float = 0.1, each: float = 0.001) -> tuple[BatchSizeTuner, list[int]]:
    sizes, refused = BatchSizeTuner(), []
    for _ in range(60):
        size = sizes.next_size(100_000)
        if size > most:
            refused.append(size)
            sizes.on_reject(size, most if told else None)
        else:
            sizes.on_success(size, fixed + each * size)
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


def test_one_batch_in_eight_tries_a_larger_size_until_it_is_heard_of() -> None:
    sizes = BatchSizeTuner()
    sizes.on_success(FIRST, 0.1)
    assert [sizes.next_size(100_000) for _ in range(16)] == 2 * [4 * FIRST, *[FIRST] * 7]
    sizes.on_reject(4 * FIRST)
    assert [sizes.next_size(100_000) for _ in range(8)] == [2 * FIRST, *[FIRST] * 7]


def test_no_larger_size_is_tried_for_fewer_inputs_than_would_repay_a_refusal() -> None:
    sizes = BatchSizeTuner()
    sizes.on_success(FIRST, 0.1)
    assert {sizes.next_size(waiting) for waiting in range(1, 80)} == {FIRST}
    assert sizes.next_size(90) == 4 * FIRST
    sizes.on_reject(48)
    assert sizes.next_size(300) == FIRST, "a size of 40 would spare not two requests of ten"
    assert sizes.next_size(330) == 40


def test_a_size_that_was_taken_is_given_up_only_when_it_is_refused_again_and_again() -> None:
    sizes = BatchSizeTuner()
    sizes.on_success(FIRST, 0.1)
    assert [sizes.on_reject(FIRST) for _ in range(3)] == [False] * 3, "rows of three batches may be at fault"
    sizes.on_success(FIRST, 0.1)
    assert [sizes.on_reject(FIRST) for _ in range(4)] == [False] * 3 + [True]
    assert sizes.best == FIRST // 2
    sizes.on_success(FIRST, 0.1)
    assert (sizes.best, sizes.refused) == (FIRST, GREATEST + 1), "it is taken after all"


def test_a_larger_size_is_compared_with_what_took_as_long_to_come_up() -> None:
    sizes = BatchSizeTuner()
    for size, seconds in ((FIRST, 0.1), (2 * FIRST, 0.15), (FIRST, 0.5)):
        sizes.on_success(size, seconds)
    sizes.on_success(4 * FIRST, 0.6)
    assert sizes.best == 4 * FIRST, "four times as many, in a line in which a quarter took nearly as long"


def test_a_larger_size_is_given_up_when_it_was_slower_twice() -> None:
    sizes = BatchSizeTuner()
    settled = []
    for size, seconds in ((FIRST, 0.1), (4 * FIRST, 0.6), (FIRST, 0.1), (4 * FIRST, 0.6)):
        sizes.on_success(size, seconds)
        settled.append(sizes.settled)
    assert settled == [False, False, False, True]
    assert sizes.best == FIRST


def test_a_number_that_is_no_size_is_not_taken_for_one() -> None:
    sizes = BatchSizeTuner()
    sizes.on_success(FIRST, 0.1)
    assert not sizes.on_reject(FIRST, 512)
    assert (sizes.best, sizes.refused) == (FIRST, GREATEST + 1)


def refusing(refused: Callable[[list[str]], bool], status: int, message: bytes) -> Callable[[Any], Response | None]:
    def fault(inputs: Any) -> Response | None:
        together = inputs if isinstance(inputs, list) else [inputs]
        return Response(status, CIMultiDict(), b'{"error":"%s"}' % message) if refused(together) else None

    return fault


def asked(plan: Plan, rows: int, fault: Callable[[Any], Response | None] = lambda inputs: None) -> tuple[int, int]:
    """Rows that were not answered, and requests, those that ``fault`` answered among them."""
    requests = 0

    def counted(inputs: Any) -> Response | None:
        nonlocal requests
        requests += 1
        return fault(inputs)

    return simulate(plan, rows, 1, fault=counted).bad, requests


def holding(number: int) -> Callable[[list[str]], bool]:
    return lambda inputs: any(f"number {number} " in text for text in inputs)


PLAN = Plan(latency=0.05, per_item=0.001, capacity=4, largest_batch=None)


@pytest.mark.parametrize("largest", [32, 50, 100, 200])
def test_a_largest_size_that_is_told_costs_a_refusal_or_two(largest: int) -> None:
    came = simulate(replace(PLAN, largest_batch=largest), 5000, seed=1)
    assert came.bad == 0
    assert came.refused <= 2


@pytest.mark.parametrize("largest", [32, 50, 200])
def test_a_largest_size_that_is_not_told_costs_a_few_and_no_row(largest: int) -> None:
    _, told = asked(replace(PLAN, largest_batch=largest), 5000)
    bad, requests = asked(PLAN, 5000, refusing(lambda inputs: len(inputs) > largest, 413, b"payload too large"))
    assert bad == 0
    assert requests <= told * 1.3


@pytest.mark.parametrize("row", [1234, 1700])
@pytest.mark.parametrize("message", [b"`inputs` must have less than 512 tokens. Given: 600", b"maximum length is 512"])
def test_a_row_that_is_too_long_does_not_cost_the_route_its_size(message: bytes, row: int) -> None:
    _, clean = asked(PLAN, 20_000)
    bad, requests = asked(PLAN, 20_000, refusing(holding(row), 413, message))
    assert bad == 1
    assert requests <= clean * 1.3, "where it was in a list larger than any before, that size is not tried again"


@pytest.mark.parametrize("row", [8, 112, 392])
def test_a_row_that_is_too_long_among_the_first_leaves_the_route_no_small_size(row: int) -> None:
    """Larger sizes are then tried while many requests stand in line, and take longer than a small one did before."""
    _, clean = asked(PLAN, 20_000)
    bad, requests = asked(PLAN, 20_000, refusing(holding(row), 413, b"maximum length is 512"))
    assert bad == 1
    assert requests <= clean * 2


def test_a_row_that_fails_as_if_in_passing_is_halved_with_no_further_attempt_of_each_half() -> None:
    plan = replace(PLAN, largest_batch=32)
    _, clean = asked(plan, 2000)
    bad, requests = asked(plan, 2000, refusing(holding(1234), 500, b"boom"))
    assert bad == 1
    assert requests <= clean + 2 * math.log2(32) + 1 + 4, "once again as a batch, five times alone"


@pytest.mark.parametrize("size", [8, 32, 128])
def test_a_bad_row_costs_at_most_twice_the_logarithm_of_the_batch_in_further_requests(size: int) -> None:
    rows = 40 * size
    plan = replace(PLAN, largest_batch=size)
    _, clean = asked(plan, rows)
    bad, requests = asked(plan, rows, refusing(holding(rows * 2 // 3), 400, b"out of range"))
    assert bad == 1
    assert requests <= clean + 2 * math.ceil(math.log2(max(size, FIRST))), "of the batch as it was sent"


def test_the_first_batch_tries_a_larger_size_once_where_lists_are_quick() -> None:
    quick, slow, unknown = BatchSizeTuner(), BatchSizeTuner(), BatchSizeTuner()
    quick.on_success(3, 0.15)
    slow.on_success(3, 1.5)
    assert [quick.next_size(4096) for _ in range(3)] == [4 * FIRST, FIRST, FIRST]
    assert slow.next_size(4096) == unknown.next_size(4096) == FIRST


def test_a_size_that_is_refused_at_once_costs_one_request() -> None:
    """The first batch goes ahead of the others, which then go in the size that the refusal names."""
    came = simulate(Plan(latency=0.15, per_item=0.001, capacity=16, largest_batch=64), 6400, seed=1)
    assert came.bad == 0
    assert came.stats["refused"].get("413") == 1
