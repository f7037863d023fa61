"""When requests may go: slots handed over in turn, one pause for all, and no slot lost. Time is virtual."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from itertools import pairwise

import pytest

from huggingface_api_handler.inference.flow_control.limiter import Limiter
from huggingface_api_handler.inference.flow_control.outcome import Outcome
from huggingface_api_handler.inference.transport.rate_limit_headers import RateLimitStatus
from tests.support.simulation import VirtualLoop, run

ANSWERED = Outcome(0.1, answered=True)


def virtual(max_concurrency: int | None = None) -> Limiter:
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualLoop)
    return Limiter(max_concurrency, clock=loop.time)


def rejected(retry_after_s: float | None = None, *, estimated: bool = False) -> Outcome:
    return Outcome(0.1, answered=False, rate_limited=True, retry_after_s=retry_after_s, estimated=estimated)


async def turns(times: int = 5) -> None:
    for _ in range(times):
        await asyncio.sleep(0)


def test_no_more_are_in_flight_than_the_bound_says() -> None:
    async def scenario() -> int:
        limiter, peak = virtual(3), 0

        async def one() -> None:
            nonlocal peak
            await limiter.acquire()
            peak = max(peak, limiter.in_flight)
            await asyncio.sleep(0.1)
            limiter.release(ANSWERED)

        await asyncio.gather(*(one() for _ in range(200)))
        assert limiter.in_flight == 0
        return peak

    assert run(scenario()) == 3


def test_slots_are_handed_over_in_the_order_of_asking_so_that_what_is_asked_again_is_not_starved() -> None:
    async def scenario() -> list[str]:
        limiter, order = virtual(1), []
        await limiter.acquire()

        async def one(name: str) -> None:
            await limiter.acquire()
            order.append(name)
            limiter.release(ANSWERED)

        waiting = [asyncio.ensure_future(one(name)) for name in ("again", "new", "newer")]
        await turns()
        limiter.release(ANSWERED)
        late = asyncio.ensure_future(one("who asks at the moment of release"))
        await asyncio.gather(*waiting, late)
        return order

    assert run(scenario()) == ["again", "new", "newer", "who asks at the moment of release"]


@pytest.mark.parametrize(
    "when", ["while waiting", "as the slot is handed over", "holding the lock", "waiting for the lock"]
)
def test_who_is_cancelled_loses_no_slot(when: str) -> None:
    async def scenario() -> None:
        limiter = virtual(1)
        if when in ("holding the lock", "waiting for the lock"):
            await limiter.acquire()
            limiter.release(rejected(retry_after_s=5.0))
            limiter.concurrency._max_concurrency = 2
            limiter.concurrency.limit = 2.0
            first = asyncio.ensure_future(limiter.acquire())
            second = asyncio.ensure_future(limiter.acquire())
            await turns()
            cancelled, other = (first, second) if when == "holding the lock" else (second, first)
            cancelled.cancel()
            await asyncio.wait_for(other, 10)
            assert limiter.in_flight == 1
            limiter.release(ANSWERED)
        else:
            await limiter.acquire()
            cancelled = asyncio.ensure_future(limiter.acquire())
            await turns()
            if when == "while waiting":
                cancelled.cancel()
                limiter.release(ANSWERED)
            else:
                limiter.release(ANSWERED)
                cancelled.cancel()
        await turns()
        assert cancelled.cancelled()
        assert limiter.in_flight == 0
        assert limiter._slots_used == 0
        await asyncio.wait_for(limiter.acquire(), 1)

    run(scenario())


async def _first_after(outcomes: list[Outcome]) -> float:
    """Seconds after the last of ``outcomes`` until the next request may go."""
    limiter = virtual(len(outcomes) + 4)
    for _ in outcomes:
        await limiter.acquire()
    for outcome in outcomes:
        limiter.release(outcome)
    began = asyncio.get_running_loop().time()
    await limiter.acquire()
    return asyncio.get_running_loop().time() - began


@pytest.mark.parametrize("wait", [0.5, 1.0, 30.0, 299.0])
def test_an_announced_wait_is_kept_in_full_with_jitter_only_upwards(wait: float) -> None:
    waits = [run(_first_after([rejected(wait)])) for _ in range(30)]
    assert min(waits) >= wait
    assert max(waits) <= wait * 1.05 + 0.02
    assert max(waits) > min(waits)


def test_one_pause_is_for_all_and_a_shorter_word_does_not_shorten_it() -> None:
    assert run(_first_after([rejected(30.0), rejected(1.0), rejected()])) >= 30.0


def test_of_a_guessed_wait_half_is_slept_at_most() -> None:
    assert run(_first_after([rejected(20.0, estimated=True)])) <= 10.5


def test_nothing_goes_before_the_window_ends_that_is_said_to_be_used_up() -> None:
    assert run(_first_after([Outcome(0.1, answered=True, rate_limit=RateLimitStatus(0, 7.0))])) >= 7.0
    assert run(_first_after([Outcome(0.1, answered=True, rate_limit=RateLimitStatus(1, 7.0))])) == 0.0


def test_an_unannounced_pause_grows_only_while_nothing_is_answered() -> None:
    async def pauses(outcomes: list[Callable[[], Outcome]]) -> list[float]:
        limiter, waited = virtual(1), []
        for outcome in outcomes:
            waited.append(await limiter.acquire())
            limiter.release(outcome())
        waited.append(await limiter.acquire())
        return waited

    growing = run(pauses([rejected] * 12))[1:]
    assert all(later >= 1.8 * sooner for sooner, later in pairwise(growing[:9]))
    assert max(growing) <= 60 * 1.05
    interrupted = run(pauses([rejected, rejected, rejected, lambda: ANSWERED, rejected]))
    assert interrupted[-1] <= 0.11


def test_refusals_that_come_back_together_count_as_one() -> None:
    assert run(_first_after([rejected() for _ in range(8)])) <= 0.11


def test_a_slot_that_is_given_back_unused_uses_up_no_turn_of_the_pace() -> None:
    async def scenario() -> float:
        limiter = virtual(8)
        limiter.rate_estimator.rate = 1.0
        limiter.rate_estimator._bucket.next_at = 0.0
        for _ in range(100):  # as workers do that find all the work taken
            await limiter.acquire()
            limiter.release(None)
        await limiter.acquire()
        return asyncio.get_running_loop().time()

    assert run(scenario()) <= 1.0


def test_a_clock_that_jumped_ahead_ends_the_pause_and_does_no_harm() -> None:
    """A monotonic clock that counts while the machine sleeps."""

    async def scenario() -> list[float]:
        now, slept = 0.0, []

        async def sleep(seconds: float) -> None:
            nonlocal now
            slept.append(seconds)
            now += seconds if len(slept) > 1 else 8 * 3600.0

        waiting: Callable[[float], Awaitable[None]] = sleep
        limiter = Limiter(4, clock=lambda: now, sleep=waiting)
        await limiter.acquire()
        limiter.release(rejected(30.0))
        for _ in range(50):
            await limiter.acquire()
            limiter.release(ANSWERED)
        return slept

    assert len(run(scenario())) == 1
