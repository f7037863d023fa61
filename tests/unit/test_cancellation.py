"""When a query of MindsDB's counts as cancelled, and when it must not."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from huggingface_api_handler.cancellation import State, watched

RUNNING, OVER, GONE = State.RUNNING, State.OVER, State.GONE


def looks(*states: State | Exception) -> tuple[Callable[[], State], threading.Event]:
    """A look that finds ``states`` one after another, the last without end; and an event set once they are used up."""
    left, used = list(states), threading.Event()

    def look() -> State:
        state = left.pop(0) if len(left) > 1 else left[0]
        if len(left) == 1:
            used.set()
        if isinstance(state, Exception):
            raise state
        return state

    return look, used


def watches() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "huggingface-api-query"]


def test_a_query_that_was_there_and_is_gone_is_cancelled() -> None:
    look, _ = looks(RUNNING, RUNNING, GONE)
    with watched(look, in_threads=False, every=0.001) as cancelled:
        assert cancelled.wait(10)


@pytest.mark.parametrize("states", [(GONE,), (OVER,), (OVER, GONE), (RUNNING, OVER, GONE)])
def test_the_id_of_a_query_before_this_one_cancels_nothing(states: tuple[State, ...]) -> None:
    with watched(looks(*states)[0], in_threads=False, every=0.001) as cancelled:
        for watch in watches():
            watch.join(10)
        assert not watches()
        assert not cancelled.is_set()


def test_a_part_that_begins_after_the_cancellation_is_cancelled_too() -> None:
    look, _ = looks(GONE)
    with watched(look, in_threads=True, every=0.001) as cancelled:
        assert cancelled.wait(10)


def test_a_database_that_cannot_be_asked_cancels_nothing() -> None:
    look, _ = looks(OSError("gone fishing"), RUNNING, OSError("locked"), OSError("locked"), GONE)
    with watched(look, in_threads=False, every=0.001) as cancelled:
        assert cancelled.wait(10)
    look, used = looks(RUNNING, OSError("gone for good"))
    with watched(look, in_threads=False, every=0.001) as cancelled:
        assert used.wait(10)
        assert not cancelled.is_set()


def test_no_thread_stays_behind() -> None:
    with watched(looks(RUNNING)[0], in_threads=False):
        (watch,) = watches()
    watch.join(10)
    assert not watch.is_alive()
