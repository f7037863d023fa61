"""Time limits that many requests share."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from contextvars import Context
from typing import Any

import pytest
from typing_extensions import TypeVarTuple, Unpack

from huggingface_api_handler.inference.transport.timeouts import Deadlines

Ts = TypeVarTuple("Ts")


class Clock(asyncio.SelectorEventLoop):
    """An event loop whose time jumps to its next timer instead of waiting for it."""

    now = 1000.25
    timers = 0

    def time(self) -> float:
        return self.now

    def call_at(
        self, when: float, callback: Callable[[Unpack[Ts]], object], *args: Unpack[Ts], context: Context | None = None
    ) -> asyncio.TimerHandle:
        self.timers += 1
        return super().call_at(when, callback, *args, context=context)

    def _run_once(self) -> None:
        if not self._ready and self._scheduled:  # type: ignore[attr-defined]
            self.now = max(self.now, self._scheduled[0].when())  # type: ignore[attr-defined]
        super()._run_once()  # type: ignore[misc]


@pytest.fixture
def clock() -> Any:
    loop = Clock()
    yield loop
    loop.close()


def run(clock: Clock, work: Callable[[Deadlines], Coroutine[Any, Any, Any]]) -> Any:
    return clock.run_until_complete(work(Deadlines()))


@pytest.mark.parametrize("seconds", [0.5, 1, 7.9, 60])
def test_time_is_up_after_the_limit_and_at_most_a_second_later(clock: Clock, seconds: float) -> None:
    async def work(deadlines: Deadlines) -> None:
        with pytest.raises(asyncio.TimeoutError):
            await deadlines.within(seconds, asyncio.sleep(1e6))
        assert seconds <= clock.now - 1000.25 <= seconds + 1

    run(clock, work)


def test_what_is_done_in_time_is_given_back_and_its_task_lives_on(clock: Clock) -> None:
    async def work(deadlines: Deadlines) -> None:
        assert await deadlines.within(5, asyncio.sleep(4.9, "done")) == "done"
        await asyncio.sleep(10)

    run(clock, work)


def test_an_error_comes_through(clock: Clock) -> None:
    async def fails() -> None:
        raise OSError("no route")

    async def work(deadlines: Deadlines) -> None:
        with pytest.raises(OSError, match="no route"):
            await deadlines.within(5, fails())

    run(clock, work)


def test_a_task_cancelled_by_others_stays_cancelled(clock: Clock) -> None:
    async def work(deadlines: Deadlines) -> None:
        task = asyncio.create_task(deadlines.within(5, asyncio.sleep(100)))
        await asyncio.sleep(1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await asyncio.sleep(10)

    run(clock, work)


def test_a_task_goes_on_after_its_time_was_up(clock: Clock) -> None:
    async def work(deadlines: Deadlines) -> None:
        for _ in range(3):
            with pytest.raises(asyncio.TimeoutError):
                await deadlines.within(1, asyncio.sleep(100))
        task = asyncio.current_task()
        assert task is not None
        assert not getattr(task, "cancelling", int)()
        async with asyncio.Lock():
            await asyncio.sleep(5)

    run(clock, work)


def test_a_thousand_limits_of_one_second_take_one_timer(clock: Clock) -> None:
    async def work(deadlines: Deadlines) -> list[Any]:
        before = clock.timers
        late = asyncio.gather(
            *(deadlines.within(5, asyncio.Event().wait()) for _ in range(1000)), return_exceptions=True
        )
        await asyncio.sleep(0)
        assert clock.timers == before + 1
        return list(await late)

    assert {type(outcome) for outcome in run(clock, work)} == {asyncio.TimeoutError}
