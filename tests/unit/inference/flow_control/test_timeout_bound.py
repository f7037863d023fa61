"""No more requests are in flight than are answered before their time is up. Time is virtual."""

from __future__ import annotations

import pytest

from bench.service import Plan
from huggingface_api_handler.inference.failures import Failure, FailureKind, classify_exception
from huggingface_api_handler.inference.flow_control.batch_size import BatchSizeTuner
from huggingface_api_handler.inference.flow_control.concurrency import AdaptiveConcurrencyLimit
from huggingface_api_handler.inference.flow_control.limiter import Limiter
from huggingface_api_handler.inference.flow_control.outcome import Outcome
from huggingface_api_handler.inference.flow_control.retry import Batch, RetryPolicy, Split, split
from huggingface_api_handler.inference.flow_control.route_profile import RouteProfile
from huggingface_api_handler.inference.flow_control.timeout_bound import TimeoutBound
from tests.support.simulation import VirtualLoop, run, simulate

TIMEOUT = Failure(FailureKind.TRANSIENT, "no answer in time", is_timeout=True)


@pytest.mark.parametrize(("seconds", "timeout_s", "rows"), [(1.0, 6.0, 40), (2.0, 12.0, 60), (0.5, 12.0, 100)])
def test_a_slow_server_with_one_place_is_not_asked_twice(seconds: float, timeout_s: float, rows: int) -> None:
    result = simulate(Plan(latency=seconds, capacity=1), rows, seed=1, timeout_s=timeout_s)
    assert result.unanswered == 0
    assert result.requests <= 1.05 * rows
    assert result.seconds <= 1.05 * rows * seconds
    settled = result.in_flight[int(2 * timeout_s / 0.05) :]
    assert max(settled) <= timeout_s / seconds, "never more than the timeout over the seconds an answer"


@pytest.mark.parametrize(("seconds", "timeout_s", "rows"), [(10.0, 120.0, 60), (20.0, 120.0, 60), (4.0, 6.0, 20)])
def test_no_row_is_lost_where_the_first_answers_come_too_late_to_warn(
    seconds: float, timeout_s: float, rows: int
) -> None:
    """What was given up is worked on all the same, so it is waited for before more is sent."""
    result = simulate(Plan(latency=seconds, capacity=1), rows, seed=1, timeout_s=timeout_s)
    assert result.unanswered == 0
    assert result.seconds <= 2.3 * rows * seconds


@pytest.mark.parametrize(("seconds", "timeout_s"), [(5.0, 120.0), (70.0, 120.0), (100.0, 120.0)])
def test_a_server_that_takes_its_time_but_many_at_once_is_still_given_many(seconds: float, timeout_s: float) -> None:
    result = simulate(Plan(latency=seconds, capacity=64), 200, seed=1, timeout_s=timeout_s)
    assert result.unanswered == 0
    assert result.seconds <= 5 * seconds


def test_before_the_first_answer_a_short_timeout_lets_few_out() -> None:
    assert [TimeoutBound(timeout_s).limit for timeout_s in (1.0, 6.0, 120.0)] == [1.0, 3.0, 64.0]
    assert TimeoutBound().limit == float("inf")


def _slots_after(outcomes: list[Outcome], timeout_s: float = 60.0) -> tuple[float, float]:
    """Slots before and after some outcomes of requests that were sent together."""

    async def scenario() -> tuple[float, float]:
        loop = VirtualLoop()
        now = 0.0
        limiter = Limiter(clock=lambda: now, concurrency=AdaptiveConcurrencyLimit(16.0, timeout_s=timeout_s))
        loop.close()
        for _ in outcomes:
            await limiter.acquire()
        before = limiter.slots
        for outcome in outcomes:
            now = outcome.seconds
            limiter.release(outcome)
        return before, limiter.slots

    return run(scenario())


def test_a_timeout_shrinks_the_requests_in_flight_at_once() -> None:
    answered = [Outcome(10.0 * (number + 1), answered=True) for number in range(6)]
    before, after = _slots_after([*answered, Outcome(60.0, answered=False, timed_out=True)])
    assert before == 16.0
    assert after <= 4.0, "of six answers in the timeout, three quarters, less the one that the server still works on"


def test_timeouts_with_no_answer_at_all_leave_as_many_as_show_that_the_service_is_down() -> None:
    assert _slots_after([Outcome(60.0, answered=False, timed_out=True)] * 12)[1] == 3.0


def test_timeouts_of_requests_that_were_out_together_count_once() -> None:
    once = _slots_after([Outcome(10.0, True), Outcome(60.0, answered=False, timed_out=True)])[1]
    often = _slots_after([Outcome(10.0, True), *[Outcome(60.0, answered=False, timed_out=True)] * 5])[1]
    assert once == often


def test_only_a_missing_answer_is_a_timeout() -> None:
    assert classify_exception(TimeoutError(), host="h").is_timeout
    unreachable = type("ConnectionTimeoutError", (TimeoutError,), {})()
    assert not classify_exception(unreachable, host="h").is_timeout
    assert not classify_exception(ConnectionResetError(), host="h").is_timeout


def test_a_list_that_timed_out_is_halved_at_its_first_timeout() -> None:
    profile = RouteProfile(True, True)
    assert isinstance(RetryPolicy().decide(TIMEOUT, 1, inputs=24), Split)
    parts = split(Batch(range(24), 1), TIMEOUT, profile)
    assert [len(part.indexes) for part in parts] == [12, 12]
    assert profile.batch_size.next_size(1000) == 12, "and no other list goes in its size"


@pytest.mark.parametrize(
    ("single_s", "batch_of_three_s", "size"),
    [(5.0, 15.0, 1), (1.0, 3.0, 4), (0.1, 0.3, 32), (1.0, 1.1, 32), (5.0, 5.05, 32), (0.01, None, 32), (1.0, None, 4)],
)
def test_the_first_list_is_bounded_by_the_seconds_that_one_input_took(
    single_s: float, batch_of_three_s: float | None, size: int
) -> None:
    tuner = BatchSizeTuner(timeout_s=120.0)
    tuner.on_single(single_s)
    if batch_of_three_s is not None:
        tuner.on_success(3, batch_of_three_s)
    assert tuner.next_size(100) == size


def test_thirty_slow_summaries_take_little_longer_than_one_by_one() -> None:
    result = simulate(Plan(per_item=5.0, capacity=1, largest_batch=None), 30, seed=1, timeout_s=120.0)
    assert result.unanswered == 0
    assert result.seconds <= 170.0


def test_a_small_first_list_grows_where_a_list_takes_as_long_as_one_input() -> None:
    plan = Plan(latency=5.0, per_item=0.05, capacity=4, largest_batch=None)
    result = simulate(plan, 2000, seed=1, timeout_s=120.0)
    assert result.unanswered == 0
    assert result.requests <= 120


def test_a_probe_that_times_out_is_repeated_once_in_a_turn() -> None:
    result = simulate(Plan(per_item=5.0, capacity=1, largest_batch=None), 20, seed=1, timeout_s=12.0)
    assert result.unanswered == 0
    assert result.stats["items"] <= 20 + 3 + 3 + 3, "three inputs together, twice, and what queued up behind them"
