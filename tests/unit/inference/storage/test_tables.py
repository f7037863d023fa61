"""What is stored of queries: the same promises in the file of a machine and in a Redis that several machines share.

Each test makes several tables over one place, as several machines have them.
"""

from __future__ import annotations

import asyncio
import calendar
import json
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

from huggingface_api_handler.config.store_address import parse_store_address
from huggingface_api_handler.config.validation import model_settings
from huggingface_api_handler.inference.storage import quota as quota_module
from huggingface_api_handler.inference.storage import redis_tables as redis_tables_module
from huggingface_api_handler.inference.storage import sqlite_tables as sqlite_tables_module
from huggingface_api_handler.inference.storage.quota import Quota, Reservation
from huggingface_api_handler.inference.storage.redis_store import RedisStore
from huggingface_api_handler.inference.storage.redis_tables import redis_tables
from huggingface_api_handler.inference.storage.redis_upkeep import open_redis
from huggingface_api_handler.inference.storage.response_cache import ResponseCache
from huggingface_api_handler.inference.storage.scope import Scope
from huggingface_api_handler.inference.storage.secret import owner_of
from huggingface_api_handler.inference.storage.sqlite import Store
from huggingface_api_handler.inference.storage.sqlite_tables import sqlite_tables
from huggingface_api_handler.inference.storage.sqlite_upkeep import open_file
from huggingface_api_handler.inference.storage.tables import Tables, day_of
from huggingface_api_handler.inference.storage.upkeep import Limits, Upkeep, sums_by_owner, total_of
from huggingface_api_handler.inference.telemetry import usage_log
from huggingface_api_handler.inference.telemetry.usage import Usage
from huggingface_api_handler.tasks import Media
from tests.support.redis_server import RedisServer

SENTIMENT = {"task": "text-classification", "model": "m", "column": "text"}
NOON = float(calendar.timegm((2026, 1, 31, 12, 0, 0)))
HOUR_S = 3600.0
MAX_CLUSTER_PORT = 55_535
"""The nodes of a cluster speak to each other at a port that is 10,000 higher."""

NewTables = Callable[[], Tables]
OpenUpkeep = Callable[[], AbstractContextManager[Upkeep]]


@pytest.fixture(scope="module", params=["SQLite", "Redis", "Redis Cluster"])
def server(request: pytest.FixtureRequest) -> Iterator[RedisServer | None]:
    """What the stores are in, None for files."""
    if request.param == "SQLite":
        yield None
        return
    with RedisServer() if request.param == "Redis" else new_cluster() as running:
        yield running


@pytest.fixture
def new_tables(server: RedisServer | None, tmp_path: Path) -> Iterator[NewTables]:
    """Makes the tables of one more process or machine, each over a store of its own."""
    stores: list[Store | RedisStore] = []

    def make() -> Tables:
        if server is None:
            stores.append(store := Store(tmp_path))
            return sqlite_tables(store)
        stores.append(shared := RedisStore(parse_store_address(server.url)))
        return redis_tables(shared)

    if server is not None:
        server.cli("FLUSHALL")
    yield make
    for store in stores:
        store.close()


@pytest.fixture
def upkeep(server: RedisServer | None, tmp_path: Path) -> OpenUpkeep:
    """Opens the store as a person's command does."""
    if server is None:
        return lambda: open_file(str(tmp_path))
    address = parse_store_address(server.url)
    return lambda: open_redis(address)


def new_cluster() -> RedisServer:
    """A Redis Cluster of one node: commands with keys of several slots fail there."""
    while (server := RedisServer()).port > MAX_CLUSTER_PORT:
        server.stop()
    server.kill()
    with (server.folder / "redis.conf").open("a") as configuration:
        configuration.write("cluster-enabled yes\n")
    server.start()
    server.cli("CLUSTER", "ADDSLOTS", *map(str, range(16384)))
    while "cluster_state:ok" not in server.cli("CLUSTER", "INFO"):
        pass
    return server


def new_cache(tables: Tables, scope: str = "scope", *, read: bool = True, ttl: float = 100.0) -> ResponseCache:
    return ResponseCache(tables.answers, scope, "http://here", model_settings(SENTIMENT), ttl, read=read)


def stored(cache: ResponseCache, answers: dict[str, Any]) -> None:
    async def put() -> None:
        for item, answer in answers.items():
            cache.put(cache.key(item), answer)
        await cache.flush()

    asyncio.run(put())


def found(cache: ResponseCache, items: list[str]) -> dict[str, Any]:
    keys = {cache.key(item): item for item in items}
    return {keys[key]: answer for key, answer in asyncio.run(cache.lookup(list(keys))).items()}


# Answers.


def test_answers_are_looked_at_read_and_deleted_by_age(
    new_tables: NewTables, upkeep: OpenUpkeep, server: RedisServer | None
) -> None:
    tables = new_tables()
    kept = {f"text {number}": [{"label": "A", "score": number}] for number in range(600)}
    cache = new_cache(tables)
    stored(cache, kept)
    stored(new_cache(tables, "another"), {"image": Media(b"\x89PNG", "image/png")})
    with upkeep() as store:
        now = store.now
        sums, is_whole = sums_by_owner(store)
        total = total_of(sums.values())
        assert is_whole and (total.answers, total.expired) == (601, 0)
        assert now - 60 <= (total.oldest or 0) <= (total.newest or 0) <= now + 1
        if server is None:
            secret = tables.answers.secret()
            counts = {owner: each.answers for owner, each in sums.items()}
            assert counts == {owner_of(secret, "scope"): 600, owner_of(secret, "another"): 1}
        assert total_of(some for _, some in store.sums(Limits(now - 60, now))).answers == 0
        assert total_of(some for _, some in store.sums(Limits(None, now + 200))).answers == 601
        answers = [answer for answer in store.answers() if answer is not None]
        assert len(answers) == 601
        assert sum(len(answer.content) for answer in answers) < total.size
        assert all(95 <= each.times.expires_at - each.times.stored_at <= 105 for each in answers)
        contents = {answer.key: (answer.content_type, answer.content) for answer in answers}
        for item, answer in kept.items():
            content_type, content = contents[cache.key(item)]
            assert content_type is None and json.loads(content) == answer
        assert ("image/png", b"\x89PNG") in contents.values()
        assert list(store.delete(Limits(now - 60, None))) == [] and list(store.delete(Limits(None, now))) == []
        assert found(new_cache(tables), ["text 7"]) == {"text 7": kept["text 7"]}
        assert sum(deleted.answers for deleted in store.delete(Limits(now + 60, None))) == 601
        assert list(store.sums()) == []
    stored(new_cache(tables), {"text 7": 8})
    assert found(new_cache(tables), list(kept)) == {"text 7": 8}, "what is stored after it is found"


def test_what_one_stores_another_finds_and_nothing_else(new_tables: NewTables) -> None:
    answers = {f"text {number}": [{"label": "A", "score": number}] for number in range(5000)}
    stored(new_cache(new_tables()), answers)
    assert found(new_cache(new_tables()), [*answers, "another"]) == answers


def test_another_scope_finds_nothing(new_tables: NewTables) -> None:
    stored(new_cache(new_tables()), {"a": 1})
    assert found(new_cache(new_tables(), "another"), ["a"]) == {}


def test_an_answer_is_found_again_in_the_query_that_stored_it_and_the_last_one_counts(new_tables: NewTables) -> None:
    tables = new_tables()
    stored(new_cache(tables), {"a": 1})
    stored(new_cache(tables, read=False), {"a": 2})
    assert found(new_cache(tables), ["a"]) == {"a": 2}


def test_a_query_that_nobody_asked_is_known_to_be_empty(new_tables: NewTables) -> None:
    fresh = new_cache(new_tables())
    assert not fresh.is_known_empty
    assert found(fresh, ["a"]) == {}
    assert fresh.is_known_empty
    stored(new_cache(new_tables()), {"b": 1})
    asked = new_cache(new_tables())
    assert found(asked, ["a"]) == {}
    assert not asked.is_known_empty


def test_media_and_large_answers_come_back_as_they_were(new_tables: NewTables) -> None:
    answers = {"a cat": Media(bytes(range(256)) * 10_000, "image/png"), "a list": ["x" * 3_000_000] * 5}

    async def put() -> None:
        cache = new_cache(new_tables())
        for item, answer in answers.items():
            await cache.put_large(cache.key(item), answer)
        await cache.flush()

    asyncio.run(put())
    assert found(new_cache(new_tables()), list(answers)) == answers


def test_an_answer_older_than_the_reader_wants_is_not_found(
    new_tables: NewTables, monkeypatch: pytest.MonkeyPatch
) -> None:
    tables = new_tables()
    stored(new_cache(tables, ttl=1e6), {"a": 1})
    assert found(new_cache(tables, ttl=50.0), ["a"]) == {"a": 1}
    pass_time(tables, 60.0, monkeypatch)
    assert found(new_cache(tables, ttl=50.0), ["a"]) == {}
    assert found(new_cache(tables, ttl=70.0), ["a"]) == {"a": 1}


def pass_time(tables: Tables, seconds: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the clock that stored answers go by be later."""
    store = tables.answers._store  # type: ignore[attr-defined]
    if isinstance(store, RedisStore):
        monkeypatch.setattr(store, "now", lambda now=store.now: now() + seconds)
    else:
        monkeypatch.setattr(time, "time", lambda now=time.time: now() + seconds)


# Quotas.


class Clock:
    now = NOON

    def __call__(self) -> float:
        return self.now


def granted(quota: Quota, asked: int) -> int:
    """How many of so many requests at once may go, in one query."""

    async def ask() -> int:
        taken = await asyncio.gather(*(quota.reserve() for _ in range(asked)))
        await quota.release()
        return sum(isinstance(each, Reservation) for each in taken)

    return asyncio.run(ask())


@pytest.fixture(autouse=True)
def counts_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quota_module, "_last_counts", {})


@pytest.mark.parametrize("limit", [1, 7, 100, 3000])
def test_all_of_a_limit_may_be_used_by_all_together_and_no_more(limit: int, new_tables: NewTables) -> None:
    limits, clock = {"requests_per_hour": limit}, Clock()
    quotas = [Quota(new_tables().quotas, b"e", limits, clock) for _ in range(3)]

    async def ask() -> int:
        taken = await asyncio.gather(*(quota.reserve() for _ in range(limit) for quota in quotas))
        for quota in quotas:
            await quota.release()
        return sum(isinstance(each, Reservation) for each in taken)

    assert asyncio.run(ask()) == limit
    assert granted(Quota(new_tables().quotas, b"e", limits, clock), 5) == 0
    assert granted(Quota(new_tables().quotas, b"another engine", limits, clock), 1) == 1


def test_what_a_query_does_not_use_is_given_back(new_tables: NewTables) -> None:
    limits, clock, tables = {"requests_per_hour": 1000}, Clock(), [new_tables(), new_tables()]
    for turn in range(50):
        assert granted(Quota(tables[turn % 2].quotas, b"e", limits, clock), 1) == 1
    assert granted(Quota(tables[0].quotas, b"e", limits, clock), 2000) == 950


def test_periods_begin_anew_in_utc_and_an_hour_does_not_free_a_month(new_tables: NewTables) -> None:
    limits, clock, tables = {"requests_per_hour": 10, "requests_per_month": 25}, Clock(), new_tables()
    grants = []
    for now in (NOON - 1, NOON, NOON + HOUR_S, NOON + 12 * HOUR_S, NOON + 13 * HOUR_S):
        clock.now = now
        grants.append(granted(Quota(tables.quotas, b"e", limits, clock), 99))
    assert grants == [10, 10, 5, 10, 10]


# Usage.


def test_the_sum_is_of_all_machines_and_the_newest_queries_come_first(new_tables: NewTables) -> None:
    tables = [new_tables() for _ in range(3)]
    for number in range(60):
        usage_log.record(tables[number % 3].usage, Scope("e", "model 1"), Usage("t", "m", "h", rows=number, requests=2))
        tables[number % 3].usage.select("model 1", 0)  # in this order
    usage_log.record(tables[0].usage, Scope("e", "model 2"), Usage("t", "m", "h", rows=7))
    for each in tables:
        table = usage_log.usage_table(each.usage, "model 1")
        assert (table["query"][0], table["queries"][0], table["rows"][0]) == ("all", 60, sum(range(60)))
        assert list(table["rows"][1:]) == list(range(59, 39, -1))
        assert table["query"].str.match(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC")[1:].all()


def test_queries_that_end_at_once_are_all_counted(new_tables: NewTables) -> None:
    tables = [new_tables() for _ in range(4)]
    for _ in range(50):
        for each in tables:
            usage_log.record(each.usage, Scope("e", "model 1"), Usage("t", "m", "h", rows=3))
    for each in tables:  # what each handed over is written before it reads
        each.usage.select("model 1", 0)
    total = usage_log.usage_table(tables[0].usage, "model 1").iloc[0]
    assert (total["queries"], total["rows"]) == (200, 600)


def test_usage_is_summed_by_day_for_a_year(
    new_tables: NewTables, upkeep: OpenUpkeep, monkeypatch: pytest.MonkeyPatch
) -> None:
    tables = [new_tables(), new_tables()]

    def record(day: str, model: str, rows: int) -> dict[str, dict[str, list[int]]]:
        """Queries and rows that are stored of each day once one more query has ended on a day, by the model's name."""
        shift = calendar.timegm(time.strptime(day, "%Y-%m-%d")) - time.time() + 60
        for module in (sqlite_tables_module, redis_tables_module):
            monkeypatch.setattr(module, "day_of", lambda at: day_of(at + shift))
        for each in tables:
            usage_log.record(each.usage, Scope("e", f"e {model}"), Usage("t", model, "h", rows=rows))
            each.usage.select(f"e {model}", 0)  # in this order
        sums = {}
        with upkeep() as store:
            for stored in store.usage():
                by_day = {at: json.loads(data) for at, data in stored.days.items()}
                counts = {at: [found["queries"], found["rows"]] for at, found in sorted(by_day.items())}
                sums[json.loads(stored.total)["model"]] = counts
        return sums

    record("2020-10-01", "1", 5)
    record("2020-10-01", "1", 1)
    record("2020-10-01", "1 2", 10)
    assert record("2020-10-02", "1", 7) == {
        "1": {"2020-10-01": [4, 12], "2020-10-02": [2, 14]},
        "1 2": {"2020-10-01": [2, 20]},
    }
    assert record("2021-11-06", "1", 1)["1"] == {"2020-10-02": [2, 14], "2021-11-06": [2, 2]}, "after 400 days"
    with upkeep() as store:
        assert sorted(found.total.queries for found in usage_log.usage_by_day(store)) == [2, 8]


def test_a_model_without_queries_has_no_usage(new_tables: NewTables) -> None:
    assert usage_log.recent_usage(new_tables().usage, "model 1") == []
    assert len(usage_log.usage_table(new_tables().usage, "model 1")) == 0
