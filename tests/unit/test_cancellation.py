"""When a query of MindsDB's counts as cancelled, and when it must not."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from huggingface_api_handler.cancellation import QueryState, watch_query

RUNNING, FINISHED, DELETED = QueryState.RUNNING, QueryState.FINISHED, QueryState.DELETED


def database(*states: QueryState | Exception) -> tuple[Callable[[], QueryState], threading.Event]:
    """Returns ``states`` one after another, the last without end; and an event set once the last is reached."""
    remaining, is_last = list(states), threading.Event()

    def fetch_state() -> QueryState:
        state = remaining.pop(0) if len(remaining) > 1 else remaining[0]
        if len(remaining) == 1:
            is_last.set()
        if isinstance(state, Exception):
            raise state
        return state

    return fetch_state, is_last


def poll_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "huggingface-api-query"]


def test_a_query_that_was_there_and_is_gone_is_cancelled() -> None:
    fetch_state, _ = database(RUNNING, RUNNING, DELETED)
    with watch_query(fetch_state, in_threads=False, interval_s=0.001) as cancelled:
        assert cancelled.wait(10)


@pytest.mark.parametrize("states", [(DELETED,), (FINISHED,), (FINISHED, DELETED), (RUNNING, FINISHED, DELETED)])
def test_the_id_of_a_query_before_this_one_cancels_nothing(states: tuple[QueryState, ...]) -> None:
    with watch_query(database(*states)[0], in_threads=False, interval_s=0.001) as cancelled:
        for thread in poll_threads():
            thread.join(10)
        assert not poll_threads()
        assert not cancelled.is_set()


def test_a_part_that_begins_after_the_cancellation_is_cancelled_too() -> None:
    fetch_state, _ = database(DELETED)
    with watch_query(fetch_state, in_threads=True, interval_s=0.001) as cancelled:
        assert cancelled.wait(10)


def test_a_database_that_cannot_be_asked_cancels_nothing() -> None:
    fetch_state, _ = database(OSError("gone fishing"), RUNNING, OSError("locked"), OSError("locked"), DELETED)
    with watch_query(fetch_state, in_threads=False, interval_s=0.001) as cancelled:
        assert cancelled.wait(10)
    fetch_state, is_last = database(RUNNING, OSError("gone for good"))
    with watch_query(fetch_state, in_threads=False, interval_s=0.001) as cancelled:
        assert is_last.wait(10)
        assert not cancelled.is_set()


def test_no_thread_stays_behind() -> None:
    for earlier in poll_threads():  # of the tests before, which may take a moment to end
        earlier.join(10)
    with watch_query(database(RUNNING)[0], in_threads=False):
        (thread,) = poll_threads()
    thread.join(10)
    assert not thread.is_alive()
