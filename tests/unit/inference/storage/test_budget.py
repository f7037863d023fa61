"""Budgets in dollars: what requests in flight may cost is reserved, so that no budget is ever overspent."""

from __future__ import annotations

import asyncio
import calendar
import logging
import random
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import Future
from decimal import Decimal, localcontext
from pathlib import Path
from typing import Any

import pytest

from huggingface_api_handler.config.store_address import parse_store_address
from huggingface_api_handler.inference.failures import Failure
from huggingface_api_handler.inference.storage import quota as module
from huggingface_api_handler.inference.storage.quota import Quota, Reservation, Unit
from huggingface_api_handler.inference.storage.redis_store import RedisStore
from huggingface_api_handler.inference.storage.redis_tables import redis_tables
from huggingface_api_handler.inference.storage.sqlite import Store
from huggingface_api_handler.inference.storage.sqlite_tables import sqlite_tables
from huggingface_api_handler.inference.storage.tables import QuotaTable, reservable
from tests.support.redis_server import RedisServer, redis_server

__all__ = ["redis_server"]

ROOT = Path(__file__).parents[4]
MONTH_END = float(calendar.timegm((2026, 1, 31, 23, 59, 59)))


class Clock:
    now = MONTH_END

    def __call__(self) -> float:
        return self.now


@pytest.fixture(autouse=True)
def nothing_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_warned", set())
    monkeypatch.setattr(module, "_last_counts", {})


@pytest.fixture
def table(tmp_path: Path) -> Iterator[QuotaTable]:
    store = Store(tmp_path)
    yield sqlite_tables(store).quotas
    store.close()


def counted(table: QuotaTable, name: str, scope: bytes = b"e", now: Clock | None = None) -> int:
    """The units that a table has counted."""
    period = Quota(table, scope, {name: 1}, now)._current_periods()[name]
    found = table.reserve(scope, 0, {period: 2**50}, {}).result()
    assert found is not None
    return found[period]


async def reserved(quota: Quota, units: int) -> Reservation:
    found = await quota.reserve(units)
    assert isinstance(found, Reservation), found.message
    return found


async def refused(quota: Quota, units: int) -> str:
    found = await quota.reserve(units)
    assert isinstance(found, Failure)
    return found.message


class Spender:
    """One query of a process: random requests, each of which is reserved, sent and settled."""

    def __init__(self, quota: Quota, chance: random.Random) -> None:
        self.quota, self.chance = quota, chance
        self.in_flight: list[tuple[int, Reservation]] = []
        self.spent = Decimal(0)
        self.standing = 0

    async def step(self) -> None:
        if self.in_flight and self.chance.random() < 0.5:
            self.settle(*self.in_flight.pop(self.chance.randrange(len(self.in_flight))))
        else:
            units = self.chance.randint(0, 400)
            found = await self.quota.reserve(units)
            if isinstance(found, Reservation):
                self.in_flight.append((units, found))

    def settle(self, units: int, reservation: Reservation) -> None:
        fate = self.chance.random()
        if fate < 0.15:  # no usage, or cancelled
            reservation.settle(None)
            self.standing += units
        elif fate < 0.3:  # not billed
            reservation.settle(0)
        else:
            used = Decimal(self.chance.randint(0, units * 1000)) / 1000
            reservation.settle(used)
            self.spent += used
        reservation.settle(0)  # a second call counts for nothing

    @property
    def owed(self) -> Decimal:
        return self.spent + self.standing + sum(units for units, _ in self.in_flight)


@pytest.mark.parametrize("seed", range(8))
def test_whatever_becomes_of_requests_a_budget_is_not_exceeded_and_its_end_is_what_was_spent(
    seed: int, table: QuotaTable
) -> None:
    chance = random.Random(seed)
    limit, clock = chance.choice([300, 5_000, 20_000]), Clock()

    async def run() -> list[Spender]:
        spenders = [Spender(Quota(table, b"e", {"usd_per_month": limit}, clock), chance) for _ in range(3)]
        for _ in range(500):
            await chance.choice(spenders).step()
            assert sum(each.owed for each in spenders) <= limit
        assert sum(each.owed for each in spenders) <= counted(table, "usd_per_month", now=clock) <= limit
        for each in spenders:
            for flying in each.in_flight:
                each.settle(*flying)
            each.in_flight.clear()
            await each.quota.release()
        return spenders

    spenders = asyncio.run(run())
    rest = counted(table, "usd_per_month", now=clock) - sum(each.owed for each in spenders)
    assert 0 <= rest < len(spenders)
    assert sum(each.owed for each in spenders) > limit / 2


def test_a_charge_larger_than_any_number_of_a_table_is_counted(table: QuotaTable) -> None:
    async def spend() -> None:
        quota = Quota(table, b"e", {"usd_per_month": 1000}, Clock())
        (await reserved(quota, 10)).settle(Decimal(10) ** 24)
        await quota.release()
        assert "was reached" in await refused(Quota(table, b"e", {"usd_per_month": 1000}, Clock()), 10)
        other = Quota(table, b"other", {"usd_per_month": 1000}, Clock())
        assert "was reached" in await refused(other, 2**70)
        await other.release()

    asyncio.run(spend())
    assert counted(table, "usd_per_month", now=Clock()) > 1000
    assert counted(table, "usd_per_month", b"other", Clock()) == 0


def test_the_precision_of_the_persons_own_decimals_does_not_round_a_budget() -> None:
    async def spend() -> int:
        quota = Quota(None, b"", {"max_requests": 12_345})
        return sum([isinstance(await quota.reserve(), Reservation) for _ in range(12_400)])

    with localcontext() as context:
        context.prec = 2
        assert asyncio.run(spend()) == 12_345
        assert Unit.MICRO_DOLLARS.of(0.123456) == 123_456


def test_a_request_that_does_not_fit_waits_for_those_in_flight_and_ends_with_the_reason_where_none_is() -> None:
    async def run() -> str:
        quota = Quota(None, b"", {"max_usd": Unit.MICRO_DOLLARS.of(0.5)})
        first = await reserved(quota, 400_000)
        assert "0.4 are spent" in await refused(quota, 200_000)
        assert quota.is_settling
        waiting = asyncio.ensure_future(quota.wait_for_settlement())
        await asyncio.sleep(0)
        assert not waiting.done()
        first.settle(Decimal("250000.25"))
        await waiting
        (await reserved(quota, 249_999)).settle(Decimal("249299.75"))
        assert not quota.is_settling
        await asyncio.wait_for(quota.wait_for_settlement(), 1)
        return await refused(quota, 2000)

    assert asyncio.run(run()) == (
        "max_usd = 0.5 was reached before this row: 0.4993 are spent, the next request may cost 0.002"
    )


class SlowTable:
    """Grants nothing more, and says so late."""

    def __init__(self) -> None:
        self.answers: list[Future[dict[str, int] | None]] = []
        self.used = 0

    def now(self) -> float:
        return MONTH_END

    def reserve(self, _: bytes, size: int, limits: Any, last_counts: Any) -> Future[dict[str, int] | None]:
        (period,) = limits
        answer: Future[dict[str, int] | None] = Future()
        self.answers.append(answer)
        answer.set_running_or_notify_cancel()
        self.granted = {period: self.used}
        self.used += reservable(size, limits, self.granted)
        return answer

    def add(self, _: bytes, periods: Any, count: int) -> Future[None]:
        self.used += count
        return done()

    def answer(self) -> None:
        self.answers.pop().set_result(self.granted)


def done() -> Future[None]:
    future: Future[None] = Future()
    future.set_result(None)
    return future


async def asked(slow: SlowTable) -> None:
    for _ in range(20):
        if slow.answers:
            return
        await asyncio.sleep(0)
    raise AssertionError("the store is not asked")


def test_what_was_spent_while_the_store_was_away_is_counted_there_once_it_is_back(table: QuotaTable) -> None:
    class Flaky:
        """Is away for one reservation."""

        now, add = table.now, table.add
        is_away = True

        def reserve(self, *arguments: Any) -> Future[dict[str, int] | None]:
            if not self.is_away:
                return table.reserve(*arguments)
            self.is_away = False
            nothing: Future[dict[str, int] | None] = Future()
            nothing.set_result(None)
            return nothing

    async def run() -> None:
        quota = Quota(Flaky(), b"e", {"usd_per_month": 1000})
        for _ in range(3):
            (await reserved(quota, 100)).settle(90)
        await quota.release()

    asyncio.run(run())
    assert counted(table, "usd_per_month") == 270


def test_what_comes_back_while_the_store_is_asked_is_not_overlooked() -> None:
    async def run() -> None:
        slow = SlowTable()
        quota = Quota(slow, b"e", {"usd_per_month": 1000})
        flying = []
        for units in (500, 400):
            asking = asyncio.ensure_future(reserved(quota, units))
            await asked(slow)
            slow.answer()
            flying.append(await asking)
        asking = asyncio.ensure_future(reserved(quota, 700))
        await asked(slow)
        for each in flying:
            each.settle(0)
        slow.answer()
        await asked(slow)
        slow.answer()
        await asking

    asyncio.run(run())


def test_what_is_granted_to_a_request_that_was_cancelled_meanwhile_is_given_back() -> None:
    async def run() -> int:
        slow = SlowTable()
        quota = Quota(slow, b"e", {"usd_per_month": 1000})
        asking = asyncio.ensure_future(quota.reserve(900))
        await asked(slow)
        asking.cancel()
        await asyncio.sleep(0)
        slow.answer()
        await quota.release()
        return slow.used

    assert asyncio.run(run()) == 0


def test_fractions_of_micro_dollars_are_added_before_they_are_rounded(table: QuotaTable) -> None:
    async def run() -> None:
        quota = Quota(table, b"e", {"usd_per_month": 10_000})
        for _ in range(1000):
            (await reserved(quota, 5)).settle(Decimal("0.25"))
        await quota.release()

    asyncio.run(run())
    assert counted(table, "usd_per_month") == 250


def test_a_request_of_last_month_is_settled_in_last_month(table: QuotaTable) -> None:
    clock = Clock()

    async def run() -> None:
        quota = Quota(table, b"e", {"usd_per_month": 1000}, clock)
        late, lost = await reserved(quota, 600), await reserved(quota, 300)
        clock.now = MONTH_END + 1
        (await reserved(quota, 800)).settle(700)
        late.settle(100)
        lost.settle(None)
        await quota.release()

    asyncio.run(run())
    assert counted(table, "usd_per_month", now=clock) == 700


def test_what_costs_more_than_its_bound_is_counted_all_the_same(table: QuotaTable) -> None:
    async def run() -> str:
        quota = Quota(table, b"e", {"usd_per_month": 1000})
        (await reserved(quota, 100)).settle(5000)
        words = await refused(quota, 1)
        await quota.release()
        return words

    assert "0.005 are spent" in asyncio.run(run())
    assert counted(table, "usd_per_month") == 5000


def test_there_is_one_warning_at_four_fifths_of_what_is_spent(caplog: pytest.LogCaptureFixture) -> None:
    async def run() -> None:
        quota = Quota(None, b"", {"max_tokens_total": 1000})
        first, second = await reserved(quota, 100), await reserved(quota, 850)
        first.settle(50)
        assert not caplog.records, "what is only reserved may come back"
        second.settle(740)
        assert not caplog.records
        for _ in range(3):
            (await reserved(quota, 10)).settle(10)

    with caplog.at_level(logging.WARNING):
        asyncio.run(run())
    assert [record.getMessage() for record in caplog.records] == ["800 of max_tokens_total = 1000 are used"]


def test_a_job_and_a_month_are_counted_apart_and_neither_lets_go_of_the_other(table: QuotaTable) -> None:
    async def run() -> None:
        for scope, limits in (
            (b"e", {"usd_per_month": 1000}),
            (b"job 1", {"max_usd": 500}),
            (b"f", {"requests_per_hour": 9}),
        ):
            quota = Quota(table, scope, limits)
            (await reserved(quota, 5)).settle(5)
            await quota.release()

    asyncio.run(run())
    later = Clock()
    later.now = 4e9
    assert counted(table, "max_usd", b"job 1", later) == 5, "a new month ends no job"
    assert counted(table, "usd_per_month") == 5, "a new job ends no month"


CODE = """
import asyncio, sys
from pathlib import Path
from huggingface_api_handler.config.store_address import parse_store_address
from huggingface_api_handler.inference.storage.quota import Quota, Reservation
from huggingface_api_handler.inference.storage.redis_store import RedisStore
from huggingface_api_handler.inference.storage.redis_tables import redis_tables
from huggingface_api_handler.inference.storage.sqlite import Store
from huggingface_api_handler.inference.storage.sqlite_tables import sqlite_tables
held, folder, address = sys.argv[1:]
places = [sqlite_tables(Store(Path(folder))), redis_tables(RedisStore(parse_store_address(address)))]

async def spend(quota):
    spent = 0
    while True:
        found = await quota.reserve(100)
        if isinstance(found, Reservation):
            await asyncio.sleep(0.0001)
            found.settle(30)
            spent += 30
        elif quota.is_settling:
            await quota.wait_for_settlement()
        else:
            return spent

async def run(quota):
    spent = sum(await asyncio.gather(*(spend(quota) for _ in range(4))))
    if held == "0":
        await quota.release()
    else:
        [await quota.reserve(1) for _ in range(int(held))]
    return spent

async def run_all():
    for tables, job in zip(places, (b"one", b"two")):
        input()
        print(await run(Quota(tables.quotas, job, {"max_usd": 20_000})), flush=True)
    input()

print("ready", flush=True)
asyncio.run(run_all())
"""


def test_two_processes_share_a_budget_and_what_a_killed_one_has_in_flight_stays_reserved(
    tmp_path: Path, redis_server: RedisServer
) -> None:
    pipe = subprocess.PIPE
    both = [
        subprocess.Popen(
            [sys.executable, "-c", CODE, held, str(tmp_path), redis_server.url],
            cwd=ROOT, stdin=pipe, stdout=pipe, text=True,
        )
        for held in ("0", "7")
    ]  # fmt: skip

    def said() -> list[str]:
        return [process.stdout.readline().strip() for process in both if process.stdout is not None]

    assert said() == ["ready", "ready"]
    spent = []
    for _ in ("SQLite", "Redis"):
        for process in both:
            assert process.stdin is not None
            process.stdin.write("go\n")
            process.stdin.flush()
        spent.append([int(number) for number in said()])
    both[1].send_signal(signal.SIGKILL)
    for process in both:
        process.communicate("go\n" if process is both[0] else None, timeout=30)
    file, shared = Store(tmp_path), RedisStore(parse_store_address(redis_server.url))
    used = [
        counted(sqlite_tables(file).quotas, "max_usd", b"one"),
        counted(redis_tables(shared).quotas, "max_usd", b"two"),
    ]
    file.close()
    shared.close()
    for each, total in zip(spent, used, strict=True):
        assert min(each) > 0
        assert sum(each) + 7 <= total <= 20_000
        assert sum(each) > 19_000
