"""What every place of a route's record promises: the memory of one process, the file of one machine, and a Redis."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from huggingface_api_handler.config.store_address import parse_store_address
from huggingface_api_handler.inference.flow_control import report_schedule
from huggingface_api_handler.inference.flow_control.coordination import RouteCoordinator
from huggingface_api_handler.inference.flow_control.limiter import Limiter
from huggingface_api_handler.inference.flow_control.outcome import Outcome
from huggingface_api_handler.inference.flow_control.redis_ledger import RedisLedger
from huggingface_api_handler.inference.flow_control.route_ledger import Grant, Report, RouteLedger
from huggingface_api_handler.inference.flow_control.route_record import Limits
from huggingface_api_handler.inference.flow_control.sqlite_ledger import SqliteLedger
from huggingface_api_handler.inference.storage.redis_store import RedisStore
from huggingface_api_handler.inference.storage.sqlite import Store
from tests.support.cluster_simulation import VirtualLedger
from tests.support.redis_server import RedisServer

Ledgers = Callable[[], RouteLedger]
"""Makes what one process has of the record."""

LOOKS = 4000
LOOK_INTERVAL_S = 0.005


@pytest.fixture(params=["memory", "SQLite", "Redis"])
def ledgers(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Ledgers]:
    if request.param == "memory":
        ledger = VirtualLedger()
        yield lambda: ledger
    elif request.param == "SQLite":
        store = Store(tmp_path)
        store.wait_until_open()
        yield lambda: SqliteLedger(store, "a route")
        store.close()
    else:
        with RedisServer() as server:
            stores = [RedisStore(parse_store_address(server.url)) for _ in range(2)]
            for each in stores:
                each.wait_until_open()
            unused = iter(stores)
            yield lambda: RedisLedger(next(unused), "a route")
            for each in stores:
                each.close()


async def until(is_so: Callable[[], bool]) -> None:
    """Wait for something that is promised to happen."""
    for _ in range(LOOKS):
        if is_so():
            return
        await asyncio.sleep(LOOK_INTERVAL_S)
    pytest.fail("it did not happen")


def test_slots_are_given_once_and_come_back_with_who_leaves(ledgers: Ledgers) -> None:
    async def scenario() -> None:
        one, two = ledgers(), ledgers()
        alone = await one.sync(Report("one", 1, wants_more=True, limits=Limits(8.0)))
        assert alone is not None
        assert (alone.slots, alone.is_elected, alone.members) == (8, True, 1)
        first = await two.sync(Report("two", 1, wants_more=True))
        assert first is not None
        assert (first.slots, first.is_elected, first.members) == (0, False, 2)
        left = await one.sync(Report("one", 2, used=2, wants_more=True, limits=Limits(8.0)))
        assert left is not None
        second = await two.sync(Report("two", 2, wants_more=True))
        assert second is not None
        assert left.slots + second.slots == 8
        one.leave(Report("one", 3, is_leaving=True))
        for number in range(3, LOOKS):  # nobody waits for who leaves
            last = await two.sync(Report("two", number, wants_more=True))
            if last is not None and last.members == 1:
                assert (last.slots, last.is_elected) == (8, True)
                return
        pytest.fail("it did not leave")

    asyncio.run(scenario())


def test_the_elected_process_gets_the_reports_of_all_others_once(ledgers: Ledgers) -> None:
    async def scenario() -> None:
        one, two = ledgers(), ledgers()
        await one.sync(Report("one", 1))
        await two.sync(Report("two", 1, events=b"[[1.0, false]]", sent=1, in_flight=1))
        await two.sync(Report("two", 2, events=b"[[2.0, true]]"))
        heard = await one.sync(Report("one", 2))
        again = await one.sync(Report("one", 3))
        assert heard is not None
        assert again is not None
        assert heard.reports == [b"[[1.0, false]]", b"[[2.0, true]]"]
        assert again.reports == []

    asyncio.run(scenario())


def test_turns_are_given_once_and_follow_at_the_rate(ledgers: Ledgers) -> None:
    async def scenario() -> None:
        one, two = ledgers(), ledgers()
        limits, turns = Limits(8.0, 50.0, 0.0, 0.0), []
        for number in range(4):
            for name, ledger in (("one", one), ("two", two)):
                grant = await ledger.sync(
                    Report(
                        name, number + 1, wants_more=True, turns=20, horizon_s=0.4, limits=limits._replace(next_at=None)
                    )
                )
                assert grant is not None
                turns += grant.turns
        turns.sort()
        assert len(turns) >= 20
        assert min(later - earlier for earlier, later in pairwise(turns)) > 0.019

    asyncio.run(scenario())


def test_a_pause_that_one_is_told_is_kept_by_the_other(ledgers: Ledgers) -> None:
    async def scenario() -> None:
        coordinators = []
        for _ in range(2):
            coordinator = RouteCoordinator(ledgers(), 8, asyncio.get_running_loop().time)
            limiter = Limiter(8, asyncio.get_running_loop().time, peers=coordinator)
            coordinator.attach(limiter)
            coordinators.append((coordinator, limiter, asyncio.ensure_future(coordinator.watch())))
        (one, limiter, _), (two, _, _) = coordinators
        await until(lambda: one.is_shared and two.is_shared)
        await asyncio.sleep(0.2)  # until both listen
        await limiter.acquire()
        limiter.release(Outcome(0.1, answered=False, rate_limited=True, retry_after_s=30.0))
        now = asyncio.get_running_loop().time()
        await until(lambda: two.resume_at > now + 29)
        for _, _, watching in coordinators:
            watching.cancel()
        await asyncio.gather(*(watching for _, _, watching in coordinators), return_exceptions=True)

    asyncio.run(scenario())


def test_who_waits_long_between_reports_reports_at_once_when_another_process_comes(
    ledgers: Ledgers, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("SYNC_INTERVAL_S", "_STEADY_INTERVAL_S", "MAX_CROWDED_INTERVAL_S"):
        monkeypatch.setattr(report_schedule, name, 3600.0)

    async def scenario() -> None:
        one, two = (RouteCoordinator(ledgers(), 8, asyncio.get_running_loop().time) for _ in range(2))
        for each in (one, two):
            each.attach(Limiter(8, asyncio.get_running_loop().time, peers=each))
        await one.refresh()
        watching = asyncio.ensure_future(one.watch())
        await asyncio.sleep(0.2)  # until it listens
        assert not one.is_shared
        await two.refresh()
        await until(lambda: one.resume_at <= 0 and one.is_shared)  # it looks as it would before a request
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)

    asyncio.run(scenario())


def test_a_request_that_was_not_sent_after_all_is_not_reported_as_one_that_went() -> None:
    class Reported(VirtualLedger):
        sent = 0

        async def sync(self, report: Report) -> Grant | None:
            self.sent += report.sent
            return await super().sync(report)

    async def scenario() -> int:
        ledger = Reported()
        await ledger.sync(Report("another", limits=Limits(8.0)))
        coordinator = RouteCoordinator(ledger, 8, asyncio.get_running_loop().time)
        limiter = Limiter(8, asyncio.get_running_loop().time, peers=coordinator)
        coordinator.attach(limiter)
        await coordinator.refresh()
        for _ in range(2):
            coordinator.on_send(0.0)
        coordinator.on_send_cancelled()
        await coordinator.refresh()
        return ledger.sent

    assert asyncio.run(scenario()) == 2
