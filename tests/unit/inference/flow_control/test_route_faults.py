"""A shared route in virtual time while its record is lost, away or wrong: bounds hold, and no query stands still."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from huggingface_api_handler.config.store_address import parse_store_address
from huggingface_api_handler.inference.flow_control.concurrency import AdaptiveConcurrencyLimit
from huggingface_api_handler.inference.flow_control.coordination import RouteCoordinator
from huggingface_api_handler.inference.flow_control.limiter import Limiter
from huggingface_api_handler.inference.flow_control.outcome import Outcome
from huggingface_api_handler.inference.flow_control.record_clock import RecordClock
from huggingface_api_handler.inference.flow_control.redis_ledger import RedisLedger
from huggingface_api_handler.inference.flow_control.request_rate import RateEstimator
from huggingface_api_handler.inference.flow_control.route_events import Event, decode
from huggingface_api_handler.inference.flow_control.route_learner import RouteLearner
from huggingface_api_handler.inference.flow_control.route_ledger import MEMBER_TTL_S, Grant, Report, transact
from huggingface_api_handler.inference.flow_control.route_limits import RouteLimits
from huggingface_api_handler.inference.flow_control.route_record import Limits, RouteRecord, from_values, to_values
from huggingface_api_handler.inference.storage.redis_store import RedisStore
from huggingface_api_handler.inference.transport.rate_limit_headers import RateLimitStatus
from tests.support.cluster_simulation import VirtualLedger
from tests.support.redis_server import RedisServer
from tests.support.simulation import VirtualLoop

BOUND = 8
REQUESTS_AT_ONCE = 16
LATENCY_S = 0.2


class FaultyLedger(VirtualLedger):
    """One that cannot be reached while ``is_away``."""

    is_away = False

    async def sync(self, report: Report) -> Grant | None:
        """As of ``RouteLedger``."""
        if self.is_away:
            await asyncio.sleep(self.delay_s)
            return None
        return await super().sync(report)


@dataclass
class Processes:
    """What several processes send."""

    ledger: FaultyLedger = field(default_factory=FaultyLedger)
    in_flight: int = 0
    peak: int = 0
    sent: dict[str, int] = field(default_factory=dict)
    tasks: list[asyncio.Task[None]] = field(default_factory=list)

    async def join(self, name: str, rate: float | None = None) -> RouteCoordinator:
        """Begin one more process, which always has more to send."""
        clock = asyncio.get_running_loop().time
        coordinator = RouteCoordinator(self.ledger, BOUND, clock)
        limiter = Limiter(
            BOUND, clock, concurrency=AdaptiveConcurrencyLimit(BOUND, BOUND), rate_estimator=RateEstimator(rate),
            peers=coordinator,
        )  # fmt: skip
        coordinator.attach(limiter)
        self.sent[name] = 0
        await coordinator.refresh()
        self.tasks.append(asyncio.create_task(coordinator.watch()))
        self.tasks += [asyncio.create_task(self._send(name, limiter)) for _ in range(REQUESTS_AT_ONCE)]
        return coordinator

    async def _send(self, name: str, limiter: Limiter) -> None:
        while True:
            await limiter.acquire()
            self.in_flight += 1
            self.peak = max(self.peak, self.in_flight)
            self.sent[name] += 1
            await asyncio.sleep(LATENCY_S)
            self.in_flight -= 1
            limiter.release(Outcome(LATENCY_S, answered=True))

    async def end(self) -> None:
        """End all."""
        for task in self.tasks:
            task.cancel()
        await asyncio.wait(self.tasks, timeout=60)


def run(scenario: Callable[[Processes], Coroutine[Any, Any, None]]) -> None:
    """Run a scenario in virtual time."""

    async def whole() -> None:
        work = Processes()
        try:
            await scenario(work)
        finally:
            await work.end()

    loop = VirtualLoop()
    try:
        loop.run_until_complete(whole())
    finally:
        loop.close()


def test_max_concurrency_holds_while_processes_join() -> None:
    async def scenario(work: Processes) -> None:
        for index in range(12):
            await work.join(f"worker {index}")
            await asyncio.sleep(0.37)
        await asyncio.sleep(30)
        assert work.peak == BOUND
        assert min(work.sent.values()) > 10, "and everybody gets some"

    run(scenario)


def test_max_concurrency_holds_after_the_record_was_lost() -> None:
    async def scenario(work: Processes) -> None:
        for name in "abcd":
            await work.join(name)
        await asyncio.sleep(5)
        work.ledger.record = RouteRecord()
        await asyncio.sleep(5)
        before = dict(work.sent)
        await asyncio.sleep(5)
        assert work.peak == BOUND
        assert min(work.sent[name] - before[name] for name in "abcd") > 20, "and all go on"

    run(scenario)


def test_a_process_without_a_slot_goes_on_slowly_where_the_record_stays_away() -> None:
    async def scenario(work: Processes) -> None:
        await work.join("first")
        await asyncio.sleep(1)
        await work.join("last")
        assert work.sent["last"] == 0, "the first one has all slots"
        work.ledger.is_away = True
        await asyncio.sleep(MEMBER_TTL_S + 10)
        assert 40 < work.sent["last"] < 60, "one at a time"

    run(scenario)


@pytest.mark.parametrize("turns_of_the_loop", range(6))
def test_a_query_ends_though_it_is_told_to_report_at_that_moment(turns_of_the_loop: int) -> None:
    async def scenario(work: Processes) -> None:
        coordinator = await work.join("one")
        await asyncio.sleep(1)
        watching = work.tasks[0]
        coordinator._schedule.hurry(0.0)
        for _ in range(turns_of_the_loop):
            await asyncio.sleep(0)
        watching.cancel()
        done, _ = await asyncio.wait([watching], timeout=5)
        assert done

    run(scenario)


@pytest.mark.parametrize("seconds", [-3600.0, 3600.0])
def test_a_clock_that_was_set_is_followed_at_once(seconds: float) -> None:
    clock = RecordClock()
    clock.on_sync(10.0, 10.002, 1000.001)
    clock.on_sync(11.0, 11.02, 1001.0)
    assert clock.to_own(1000.0) == pytest.approx(9.0 + 1.0), "the shortest trip tells the time"
    clock.on_sync(12.0, 12.5, 1002.25 + seconds)
    assert clock.to_own(1002.25 + seconds) == pytest.approx(12.25)


ODD_OUTCOMES = [["much", True], [0.1, True, True, "long"], [0.1, True, False, None, False, [1]], [], [0.1, True, False,
    None, False, [1, "soon", 5, 6]], {"a": 1}, "text", 7, [0.1, True, False, None, False, None, "many"]]  # fmt: skip


@pytest.mark.parametrize("odd", ODD_OUTCOMES, ids=repr)
def test_events_of_another_form_are_left_out(odd: object) -> None:
    assert decode(orjson.dumps([[1.0, odd]]), 0.0) == []


def test_an_event_of_the_future_is_not_waited_for() -> None:
    learner = RouteLearner(RouteLimits())
    rejected = Outcome(0.1, answered=False, rate_limited=True, retry_after_s=1.0)
    learner.learn([Event(5000.0, rejected)], 10.0, 0, 10.0, is_short=False)
    assert not learner.is_behind
    assert learner.limits.resume_at < 20


def test_a_limit_of_a_billion_requests_a_second_does_not_damage_the_record() -> None:
    limits = RouteLimits()
    status = RateLimitStatus(10**9, 1.0, limit=10**9, window_s=1.0)
    limits.record(1.0, Outcome(0.1, answered=True, rate_limit=status), 1)
    record = RouteRecord()
    transact(record, Report("one", 1, wants_more=True, limits=RouteLearner(limits).found()), 1.0)
    assert from_values(orjson.loads(orjson.dumps(to_values(record)))).members == record.members


@given(st.data())
def test_a_damaged_record_is_left_out_or_can_be_written_again(data: st.DataObject) -> None:
    record = RouteRecord()
    for number in (1, 2):
        for name in "ab":
            transact(record, Report(name, number, wants_more=True, limits=Limits(8.0, 20.0)), 1.0 + number)
    values = orjson.loads(orjson.dumps(to_values(record)))
    odd = data.draw(st.one_of(st.none(), st.booleans(), st.floats(allow_nan=False, allow_infinity=False), st.text()))
    part = data.draw(st.sampled_from(sorted(values)))
    if part == "members" and data.draw(st.booleans()):
        values["members"]["a"][data.draw(st.integers(0, len(values["members"]["a"]) - 1))] = odd
    elif isinstance(values[part], list) and values[part] and data.draw(st.booleans()):
        values[part][data.draw(st.integers(0, len(values[part]) - 1))] = odd
    else:
        values[part] = odd
    try:
        damaged = from_values(orjson.loads(orjson.dumps(values)))
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError):
        return
    for name in "ab":
        transact(damaged, Report(name, 3, wants_more=True, turns=5, horizon_s=1.0, limits=Limits(8.0, 20.0)), 3.5)
    orjson.dumps(to_values(damaged))


@pytest.fixture(scope="module")
def redis_url() -> Iterator[str]:
    with RedisServer() as server:
        yield server.url


@pytest.mark.parametrize("odd", ["nan", "inf", "1e308", "-1e308", "words", ""])
def test_odd_values_in_redis_hold_nobody_up(odd: str, redis_url: str) -> None:
    store = RedisStore(parse_store_address(redis_url))
    store.wait_until_open()
    ledger = RedisLedger(store, "a route")
    route, _, _ = ledger.keys

    def sync(name: str, number: int) -> Grant:
        report = Report(name, number, wants_more=True, turns=5, horizon_s=1.0, limits=Limits(8.0, 20.0, 1.0))
        grant = store.run(partial(ledger.transact, report=report), None).result()
        assert grant is not None
        return grant

    parts = ("resume_at", "next_at", "slots", "rate", "burst", "unlearned", "leader_until", "leader", "partial_until")
    for part in parts:
        store.run(lambda client: bool(client.delete(*ledger.keys)), False).result()
        sync("a", 1)
        sync("b", 1)
        store.run(lambda client, part=part: client.hset(route, part, odd), 0).result()  # type: ignore[misc]
        grants = [sync(name, number) for number in range(2, 5) for name in "ab"]
        assert sum(grant.slots for grant in grants[-2:]) == 8, part
        assert any(grant.turns and grant.turns[0] < grant.now + 2 for grant in grants), part
    store.close()
