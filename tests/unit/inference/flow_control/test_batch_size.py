"""The size of a batch is found by growing, and a size that is refused is not asked for again."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from multidict import CIMultiDict

from bench.service import Plan
from huggingface_api_handler.inference.failures import Failure, FailureKind
from huggingface_api_handler.inference.flow_control.batch_size import INITIAL_BATCH_SIZE, MAX_BATCH_SIZE, BatchSizeTuner
from huggingface_api_handler.inference.flow_control.retry import Batch, split
from huggingface_api_handler.inference.flow_control.route_profile import RouteProfile
from huggingface_api_handler.inference.transport.client import Response
from tests.support.simulation import simulate


def grow(
    max_size: int, announced: bool, fixed_s: float = 0.1, per_input_s: float = 0.001
) -> tuple[BatchSizeTuner, list[int]]:
    tuner, rejected = BatchSizeTuner(), []
    for _ in range(60):
        size = tuner.next_size(100_000)
        if size > max_size:
            rejected.append(size)
            tuner.on_reject(size, max_size if announced else None)
        else:
            tuner.on_success(size, fixed_s + per_input_s * size)
    return tuner, rejected


@pytest.mark.parametrize("max_size", [1, 2, 8, 31, 32, 33, 64, 100, 128, 512])
@pytest.mark.parametrize("announced", [True, False])
def test_the_largest_size_that_is_taken_is_found(max_size: int, announced: bool) -> None:
    tuner, rejected = grow(max_size, announced)
    assert tuner.best <= max_size
    assert tuner.best >= (max_size if announced and max_size <= INITIAL_BATCH_SIZE else max_size / 1.5)
    assert len(rejected) <= (1 if announced else 8)


def test_no_size_grows_that_makes_nothing_faster() -> None:
    tuner, _ = grow(MAX_BATCH_SIZE, announced=False, fixed_s=0.0, per_input_s=0.01)
    assert tuner.best == INITIAL_BATCH_SIZE


def test_one_batch_in_eight_tries_a_larger_size_until_it_is_heard_of() -> None:
    tuner = BatchSizeTuner()
    tuner.on_success(INITIAL_BATCH_SIZE, 0.1)
    assert [tuner.next_size(100_000) for _ in range(16)] == 2 * [4 * INITIAL_BATCH_SIZE, *[INITIAL_BATCH_SIZE] * 7]
    tuner.on_reject(4 * INITIAL_BATCH_SIZE)
    assert [tuner.next_size(100_000) for _ in range(8)] == [2 * INITIAL_BATCH_SIZE, *[INITIAL_BATCH_SIZE] * 7]


def test_no_larger_size_is_tried_for_fewer_inputs_than_would_repay_a_refusal() -> None:
    tuner = BatchSizeTuner()
    tuner.on_success(INITIAL_BATCH_SIZE, 0.1)
    assert {tuner.next_size(waiting) for waiting in range(1, 80)} == {INITIAL_BATCH_SIZE}
    assert tuner.next_size(90) == 4 * INITIAL_BATCH_SIZE
    tuner.on_reject(48)
    assert tuner.next_size(300) == INITIAL_BATCH_SIZE, "a size of 40 would spare not two requests of ten"
    assert tuner.next_size(330) == 40


def test_a_size_that_was_taken_is_given_up_only_when_it_is_refused_again_and_again() -> None:
    tuner = BatchSizeTuner()
    tuner.on_success(INITIAL_BATCH_SIZE, 0.1)
    assert [tuner.on_reject(INITIAL_BATCH_SIZE) for _ in range(3)] == [False] * 3, (
        "rows of three batches may be at fault"
    )
    tuner.on_success(INITIAL_BATCH_SIZE, 0.1)
    assert [tuner.on_reject(INITIAL_BATCH_SIZE) for _ in range(4)] == [False] * 3 + [True]
    assert tuner.best == INITIAL_BATCH_SIZE // 2
    tuner.on_success(INITIAL_BATCH_SIZE, 0.1)
    assert (tuner.best, tuner.smallest_rejected) == (INITIAL_BATCH_SIZE, MAX_BATCH_SIZE + 1), "it is taken after all"


def test_a_larger_size_is_compared_with_what_took_as_long_to_come_up() -> None:
    tuner = BatchSizeTuner()
    for size, seconds in ((INITIAL_BATCH_SIZE, 0.1), (2 * INITIAL_BATCH_SIZE, 0.15), (INITIAL_BATCH_SIZE, 0.5)):
        tuner.on_success(size, seconds)
    tuner.on_success(4 * INITIAL_BATCH_SIZE, 0.6)
    assert tuner.best == 4 * INITIAL_BATCH_SIZE, "four times as many, in a queue in which a quarter took nearly as long"


def test_a_larger_size_is_given_up_when_it_was_slower_twice() -> None:
    tuner = BatchSizeTuner()
    settled = []
    for size, seconds in (
        (INITIAL_BATCH_SIZE, 0.1),
        (4 * INITIAL_BATCH_SIZE, 0.6),
        (INITIAL_BATCH_SIZE, 0.1),
        (4 * INITIAL_BATCH_SIZE, 0.6),
    ):
        tuner.on_success(size, seconds)
        settled.append(tuner.settled)
    assert settled == [False, False, False, True]
    assert tuner.best == INITIAL_BATCH_SIZE


def test_one_rejected_input_in_many_batches_leaves_their_size_and_a_second_soon_halves_it() -> None:
    tuner = BatchSizeTuner(settled=True)
    for _ in range(8):
        tuner.on_success(INITIAL_BATCH_SIZE, 0.1)
    tuner.on_input_rejected(INITIAL_BATCH_SIZE)
    assert tuner.next_size(100_000) == INITIAL_BATCH_SIZE
    for _ in range(7):
        tuner.on_success(INITIAL_BATCH_SIZE, 0.1)
    tuner.on_input_rejected(INITIAL_BATCH_SIZE)
    assert tuner.next_size(100_000) == INITIAL_BATCH_SIZE // 2


def tuner_of(max_size: int, known_by: str) -> BatchSizeTuner:
    """A tuner that sends batches of ``max_size``, the most that the server takes."""
    if known_by == "its profile":
        return BatchSizeTuner(max_size, settled=True)
    tuner = BatchSizeTuner()
    tuner.on_success(INITIAL_BATCH_SIZE, 0.1)
    tuner.on_reject(tuner.next_size(100_000), max_size if known_by == "its refusal" else None)
    tuner.on_success(max_size, 0.1)
    return tuner


@pytest.mark.parametrize("known_by", ["its profile", "its refusal", "nothing that it says"])
@pytest.mark.parametrize("stalls", [1, 3])
def test_batches_are_as_large_as_before_once_a_service_that_stalled_answers_again(known_by: str, stalls: int) -> None:
    tuner = tuner_of(INITIAL_BATCH_SIZE, known_by)
    size = INITIAL_BATCH_SIZE
    for _ in range(stalls):
        tuner.timely.on_timeout(size)
        tuner.timely.on_timeout(size)  # another that was out
        size //= 2
        assert tuner.next_size(100_000) == size
    for _ in range(200):
        tuner.on_success(size := min(tuner.next_size(100_000), INITIAL_BATCH_SIZE), 0.1)
    assert size == INITIAL_BATCH_SIZE


@pytest.mark.parametrize("known_by", ["its profile", "its refusal", "nothing that it says"])
def test_a_size_that_never_comes_in_time_is_tried_less_and_less(known_by: str) -> None:
    tuner, timeouts = tuner_of(INITIAL_BATCH_SIZE, known_by), 0
    for _ in range(5000):
        size = tuner.next_size(100_000)
        if size >= 20:
            timeouts += 1
            tuner.timely.on_timeout(size)
        else:
            tuner.on_success(size, 0.1)
    assert 2 <= timeouts <= 10


def test_a_service_that_stalls_now_and_then_is_forgiven_as_soon_each_time() -> None:
    tuner = tuner_of(INITIAL_BATCH_SIZE, "its refusal")
    for _ in range(30):
        tuner.timely.on_timeout(INITIAL_BATCH_SIZE)
        sizes = [tuner.next_size(100_000)]
        for _ in range(100):
            tuner.on_success(sizes[-1], 0.1)
            sizes.append(tuner.next_size(100_000))
        assert sizes.index(INITIAL_BATCH_SIZE) == 8


def test_a_part_of_a_rejected_batch_that_stalls_says_nothing_of_whole_ones() -> None:
    profile = RouteProfile(True, True, tuner_of(INITIAL_BATCH_SIZE, "its profile"))
    stalled = Failure(FailureKind.TRANSIENT, "no answer in time", is_timeout=True)
    split(Batch(range(2), 1, is_part=True), stalled, profile)
    assert profile.batch_size.next_size(100_000) == INITIAL_BATCH_SIZE


def test_inputs_that_go_alone_since_batches_stalled_go_together_again() -> None:
    tuner = tuner_of(INITIAL_BATCH_SIZE, "its profile")
    for stalled in (32, 16, 8, 4, 2):
        tuner.timely.on_timeout(stalled)
    assert tuner.next_size(100_000) == 1
    for _ in range(1000):
        size = tuner.next_size(100_000)
        tuner.on_single(0.1) if size == 1 else tuner.on_success(size, 0.1)
    assert tuner.next_size(100_000) == INITIAL_BATCH_SIZE


def test_a_size_that_would_take_long_is_not_tried_again_after_a_timeout() -> None:
    tuner = BatchSizeTuner(timeout_s=40.0)
    tuner.on_single(1.0)
    tuner.timely.on_timeout(INITIAL_BATCH_SIZE)
    for _ in range(1000):
        size = tuner.next_size(100_000)
        tuner.on_success(size, 1.0 * size)
        assert size < INITIAL_BATCH_SIZE


def test_a_number_that_is_no_size_is_not_taken_for_one() -> None:
    tuner = BatchSizeTuner()
    tuner.on_success(INITIAL_BATCH_SIZE, 0.1)
    assert not tuner.on_reject(INITIAL_BATCH_SIZE, 512)
    assert (tuner.best, tuner.smallest_rejected) == (INITIAL_BATCH_SIZE, MAX_BATCH_SIZE + 1)


def rejecting(rejected: Callable[[list[str]], bool], status: int, message: bytes) -> Callable[[Any], Response | None]:
    def fault(inputs: Any) -> Response | None:
        batch = inputs if isinstance(inputs, list) else [inputs]
        return Response(status, CIMultiDict(), b'{"error":"%s"}' % message) if rejected(batch) else None

    return fault


def requests_of(
    plan: Plan, rows: int, fault: Callable[[Any], Response | None] = lambda inputs: None
) -> tuple[int, int]:
    """Rows that were not answered, and requests, those that ``fault`` answered among them."""
    requests = 0

    def counted(inputs: Any) -> Response | None:
        nonlocal requests
        requests += 1
        return fault(inputs)

    return simulate(plan, rows, 1, fault=counted).unanswered, requests


def contains_row(number: int) -> Callable[[list[str]], bool]:
    return lambda inputs: any(f"number {number} " in text for text in inputs)


PLAN = Plan(latency=0.05, per_item=0.001, capacity=4, largest_batch=None)


@pytest.mark.parametrize("largest", [32, 50, 100, 200])
def test_a_largest_size_that_is_told_costs_a_refusal_or_two(largest: int) -> None:
    result = simulate(replace(PLAN, largest_batch=largest), 5000, seed=1)
    assert result.unanswered == 0
    assert result.refused <= 2


@pytest.mark.parametrize("largest", [32, 50, 200])
def test_a_largest_size_that_is_not_told_costs_a_few_and_no_row(largest: int) -> None:
    _, announced = requests_of(replace(PLAN, largest_batch=largest), 5000)
    unanswered, requests = requests_of(
        PLAN, 5000, rejecting(lambda inputs: len(inputs) > largest, 413, b"payload too large")
    )
    assert unanswered == 0
    assert requests <= announced * 1.3


@pytest.mark.parametrize("row", [1234, 1700])
@pytest.mark.parametrize("message", [b"`inputs` must have less than 512 tokens. Given: 600", b"maximum length is 512"])
def test_a_row_that_is_too_long_does_not_cost_the_route_its_size(message: bytes, row: int) -> None:
    _, clean = requests_of(PLAN, 20_000)
    unanswered, requests = requests_of(PLAN, 20_000, rejecting(contains_row(row), 413, message))
    assert unanswered == 1
    assert requests <= clean * 1.35, "where it was in a list larger than any before, that size is not tried again"


@pytest.mark.parametrize("row", [8, 112, 392])
def test_a_row_that_is_too_long_among_the_first_leaves_the_route_no_small_size(row: int) -> None:
    """Larger sizes are then tried while many requests wait in the queue, and take longer than a small one did before."""
    _, clean = requests_of(PLAN, 20_000)
    unanswered, requests = requests_of(PLAN, 20_000, rejecting(contains_row(row), 413, b"maximum length is 512"))
    assert unanswered == 1
    assert requests <= clean * 2


def test_a_row_that_fails_as_if_in_passing_is_halved_with_no_further_attempt_of_each_half() -> None:
    plan = replace(PLAN, largest_batch=32)
    _, clean = requests_of(plan, 2000)
    unanswered, requests = requests_of(plan, 2000, rejecting(contains_row(1234), 500, b"boom"))
    assert unanswered == 1
    assert requests <= clean + 2 * math.log2(32) + 1 + 4, "once again as a batch, five times alone"


@pytest.mark.parametrize("size", [8, 32, 128])
def test_a_bad_row_costs_at_most_twice_the_logarithm_of_the_batch_in_further_requests(size: int) -> None:
    rows = 40 * size
    plan = replace(PLAN, largest_batch=size)
    _, clean = requests_of(plan, rows)
    unanswered, requests = requests_of(plan, rows, rejecting(contains_row(rows * 2 // 3), 400, b"out of range"))
    assert unanswered == 1
    assert requests <= clean + 2 * math.ceil(math.log2(max(size, INITIAL_BATCH_SIZE))), "of the batch as it was sent"


def test_the_first_batch_tries_a_larger_size_once_where_batches_are_quick() -> None:
    fast, slow, unmeasured = BatchSizeTuner(), BatchSizeTuner(), BatchSizeTuner()
    fast.on_success(3, 0.15)
    slow.on_success(3, 1.5)
    assert [fast.next_size(4096) for _ in range(3)] == [4 * INITIAL_BATCH_SIZE, INITIAL_BATCH_SIZE, INITIAL_BATCH_SIZE]
    assert slow.next_size(4096) == unmeasured.next_size(4096) == INITIAL_BATCH_SIZE


def test_a_size_that_is_refused_at_once_costs_one_request() -> None:
    """The first batch goes ahead of the others, which then go in the size that the refusal names."""
    result = simulate(Plan(latency=0.15, per_item=0.001, capacity=16, largest_batch=64), 6400, seed=1)
    assert result.unanswered == 0
    assert result.stats["refused"].get("413") == 1
