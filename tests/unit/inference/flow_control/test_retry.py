"""A failure has one decision: the same again, smaller batches, or nothing more."""

from __future__ import annotations

import pytest

from huggingface_api_handler.config.settings import EngineSettings
from huggingface_api_handler.config.validation import engine_settings
from huggingface_api_handler.inference.failures import Failure, FailureKind
from huggingface_api_handler.inference.flow_control.retry import (
    Batch,
    Decision,
    GiveUp,
    Retry,
    RetryPolicy,
    Split,
    rest_of,
    split,
)
from huggingface_api_handler.inference.flow_control.route_profile import RouteProfile

PAUSE = Retry(0.0, counts=False)


def decide(kind: FailureKind, attempt: int, inputs: int, policy: RetryPolicy | None = None) -> Decision:
    return (policy or RetryPolicy()).decide(Failure(kind, "bad", 500), attempt, inputs)


@pytest.mark.parametrize(
    ("kind", "one", "several"),
    [
        (FailureKind.RATE_LIMITED, PAUSE, PAUSE),
        (FailureKind.FATAL, GiveUp(whole_query=True), GiveUp(whole_query=True)),
        (FailureKind.INPUT_REJECTED, GiveUp(), Split()),
        (FailureKind.BATCH_REJECTED, GiveUp(), Split()),
        (FailureKind.BATCH_UNSUPPORTED, GiveUp(), Split()),
    ],
)
@pytest.mark.parametrize("attempt", [1, 5, 100])
def test_what_is_no_passing_failure_is_decided_at_once(
    kind: FailureKind, one: Decision, several: Decision, attempt: int
) -> None:
    assert decide(kind, attempt, 1) == one
    assert decide(kind, attempt, 32) == several


@pytest.mark.parametrize(("inputs", "attempts", "end"), [(1, 5, GiveUp()), (2, 2, Split()), (32, 2, Split())])
def test_a_passing_failure_is_tried_again_a_bounded_number_of_times(inputs: int, attempts: int, end: Decision) -> None:
    for attempt in range(1, attempts):
        assert isinstance(decide(FailureKind.TRANSIENT, attempt, inputs), Retry)
    assert decide(FailureKind.TRANSIENT, attempts, inputs) == end


@pytest.mark.parametrize("max_attempts", [1, 2, 7])
def test_an_engine_says_how_often(max_attempts: int) -> None:
    policy = RetryPolicy(max_attempts)
    tried = [decide(FailureKind.TRANSIENT, attempt, 1, policy) for attempt in range(1, max_attempts + 1)]
    assert [isinstance(decision, Retry) for decision in tried] == [True] * (max_attempts - 1) + [False]
    if max_attempts == 1:
        assert decide(FailureKind.TRANSIENT, 1, 2, policy) == Split()


def test_waits_grow_with_jitter_up_to_a_bound() -> None:
    for attempt in range(1, 20):
        decision = decide(FailureKind.TRANSIENT, attempt, 1, RetryPolicy(100))
        assert isinstance(decision, Retry)
        longest = min(0.5 * 2 ** (attempt - 1), 20.0)
        assert longest / 2 <= decision.delay_s <= longest


def test_the_defaults_of_an_engine_are_those_of_the_policy() -> None:
    engine, policy = engine_settings({}), RetryPolicy()
    assert isinstance(engine, EngineSettings)
    assert (engine.max_attempts, engine.max_wait) == (policy.max_attempts, policy.max_wait_s)


def test_a_split_keeps_every_input_once_and_in_its_order() -> None:
    batch, profile = Batch(list(range(7)), attempts=2), RouteProfile(accepts_batches=True)
    parts = split(batch, Failure(FailureKind.TRANSIENT, "bad", 500), profile)
    assert [list(part.indexes) for part in parts] == [[0, 1, 2, 3], [4, 5, 6]]
    assert [part.attempts for part in parts] == [1, 1]
    alone = split(batch, Failure(FailureKind.BATCH_UNSUPPORTED, "no lists", 400), profile)
    assert [(list(part.indexes), part.attempts) for part in alone] == [([index], 0) for index in range(7)]
    assert profile.accepts_batches is False


def test_of_a_rejected_batch_the_first_half_is_asked_and_the_rest_only_halved_where_that_was_answered() -> None:
    profile = RouteProfile(accepts_batches=True)
    (first,) = split(Batch(list(range(7))), Failure(FailureKind.BATCH_REJECTED, "bad", 400), profile)
    assert (list(first.indexes), list(first.rest), first.is_part) == ([0, 1, 2, 3], [4, 5, 6], True)
    (second,) = rest_of(first)
    assert (list(second.indexes), list(second.rest)) == ([4, 5], [6])
    (third,) = rest_of(second)
    assert (list(third.indexes), list(third.rest)) == ([6], []), "alone, since its reason is the service's"
    assert rest_of(third) == []
