"""What is asked again of the next provider, of a query's inputs."""

from __future__ import annotations

import asyncio

from huggingface_api_handler.inference.failures import Failure, FailureKind
from huggingface_api_handler.inference.runtime.failover import is_undone
from huggingface_api_handler.inference.runtime.input_stream import InputStream
from huggingface_api_handler.tasks import Prediction

NOT_THERE = Failure(FailureKind.INPUT_REJECTED, "no such model", 404)
REFUSED = Failure(FailureKind.INPUT_REJECTED, "too long", 422)


def test_what_failed_for_the_provider_is_asked_again_and_nothing_else() -> None:
    stream = InputStream.of(["answered", "gone", "refused", "open", "not taken"])
    results = stream.results
    stream.take(4)
    results.put(0, Prediction("yes", None, None))
    results.fail(1, NOT_THERE)
    results.fail(2, REFUSED)
    results.reopen(is_undone)
    stream.begin_again()
    assert stream.take(100) == [1, 3]
    assert stream.take(100) == [4]
    assert results.done == 2
    assert results[2] is REFUSED


def test_a_frame_that_was_given_back_stays_as_it_is() -> None:
    stream = InputStream.of(["gone", "gone too"])
    results = stream.results
    stream.take(2)
    told: list[int] = []
    results.fail(0, NOT_THERE)
    results.when_done(1, lambda: told.append(1))
    results.fail(1, NOT_THERE)
    results.reopen(is_undone)
    stream.begin_again()
    assert told == [1]
    assert results[0] is NOT_THERE
    assert stream.take(2) == [1]


def test_a_frame_that_is_waited_for_is_done_once_all_was_asked_again() -> None:
    stream = InputStream.of(["gone", "gone too"])
    results = stream.results
    stream.take(2)
    told: list[int] = []
    results.fail(0, NOT_THERE)
    results.when_done(2, lambda: told.append(2))
    results.reopen(is_undone)
    results.put(1, Prediction("yes", None, None))
    results.notify()
    assert told == []
    results.put(0, Prediction("yes", None, None))
    results.notify()
    assert told == [2]


def test_inputs_that_are_asked_again_are_waited_for_by_nobody() -> None:
    stream = InputStream.of(["a"])
    stream.take(1)
    stream.begin_again()
    asyncio.run(stream.wait(lambda: None))
    assert stream.peek() == "a"
