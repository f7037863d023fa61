"""A task from MindsDB's queue takes as long as MindsDB needs to listen for its result, and no other does."""

from __future__ import annotations

import pytest

from huggingface_api_handler import task_queue
from huggingface_api_handler.errors import InputError
from huggingface_api_handler.task_queue import SHORTEST_TASK_S, refuse_lost_rows, result_awaited


class Clock:
    """Time that passes only where it is let pass."""

    def __init__(self) -> None:
        self.now = 100.0

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        assert seconds > 0
        self.now += seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(task_queue, "time", clock)
    return clock


def with_queue(monkeypatch: pytest.MonkeyPatch, *, has_queue: bool) -> None:
    monkeypatch.setattr(task_queue, "has_queue", lambda: has_queue)


@pytest.mark.parametrize(
    ("has_queue", "takes_s", "ends_after_s"),
    [(True, 0.0, SHORTEST_TASK_S), (True, 0.03, SHORTEST_TASK_S), (True, 2.0, 2.0), (False, 0.03, 0.03)],
)
def test_a_task_ends_once_it_is_awaited(
    monkeypatch: pytest.MonkeyPatch, clock: Clock, has_queue: bool, takes_s: float, ends_after_s: float
) -> None:
    with_queue(monkeypatch, has_queue=has_queue)
    with result_awaited():
        clock.now += takes_s
    assert clock.now - 100.0 == pytest.approx(ends_after_s)


def test_an_error_is_awaited_too(monkeypatch: pytest.MonkeyPatch, clock: Clock) -> None:
    with_queue(monkeypatch, has_queue=True)
    with pytest.raises(ValueError, match="wrong"), result_awaited():
        raise ValueError("wrong")
    assert clock.now - 100.0 == pytest.approx(SHORTEST_TASK_S)


def test_a_task_without_its_rows_is_refused() -> None:
    refuse_lost_rows([])
    with pytest.raises(InputError, match="lost the rows of this statement"):
        refuse_lost_rows(None)
