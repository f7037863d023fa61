"""Claims on answers: the same promises in memory, in the file of a machine, and in a Redis that several machines share."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from huggingface_api_handler.config.store_address import parse_store_address
from huggingface_api_handler.inference.storage import claim_table
from huggingface_api_handler.inference.storage.redis_store import RedisStore
from huggingface_api_handler.inference.storage.redis_tables import redis_tables
from huggingface_api_handler.inference.storage.secret import Seal
from huggingface_api_handler.inference.storage.sqlite import Store
from huggingface_api_handler.inference.storage.sqlite_tables import SqliteAnswers, sqlite_tables
from huggingface_api_handler.inference.storage.tables import NOTHING_CLAIMED, AnswerTable
from tests.support.memory_answers import MemoryAnswers
from tests.support.redis_server import RedisServer
from tests.unit.inference.storage.test_tables import new_cluster

KEYS = [random.Random(number).randbytes(16) for number in range(3000)]
QUERY = b"q" * 16
LONG_S = 50.0
SHORT_S = 0.001

NewTable = Callable[[], AnswerTable]


@pytest.fixture(scope="module", params=["memory", "SQLite", "Redis", "Redis Cluster"])
def place(request: pytest.FixtureRequest) -> Iterator[RedisServer | str]:
    """Where the claims are."""
    if request.param in ("memory", "SQLite"):
        yield request.param
        return
    with RedisServer() if request.param == "Redis" else new_cluster() as running:
        yield running


@pytest.fixture
def new_table(place: RedisServer | str, tmp_path: Path) -> Iterator[NewTable]:
    """Makes the table of one more process or machine."""
    stores: list[Store | RedisStore] = []
    memory = MemoryAnswers()

    def make() -> AnswerTable:
        if isinstance(place, RedisServer):
            stores.append(shared := RedisStore(parse_store_address(place.url)))
            return redis_tables(shared).answers
        if place == "memory":
            return memory
        stores.append(store := Store(tmp_path))
        return sqlite_tables(store).answers

    if isinstance(place, RedisServer):
        place.cli("FLUSHALL")
    yield make
    for store in stores:
        store.close()


class Query:
    """A query that claims."""

    def __init__(self, table: AnswerTable, query: bytes = QUERY) -> None:
        self.table, self.query = table, query
        self.seal = Seal(table.secret())
        self.token = random.randbytes(8)

    def taken(self, keys: list[bytes], lease_s: float = LONG_S) -> set[bytes]:
        """Claim keys, and say which others have."""
        return set(self.table.claim(self.seal, self.query, keys, self.token, lease_s).result().by_others)

    def is_alone(self) -> bool:
        return self.table.claim(self.seal, self.query, [], self.token, LONG_S).result().is_alone

    def release(self, keys: list[bytes]) -> None:
        self.table.release(self.seal, self.query, keys, self.token, LONG_S)


def test_a_key_is_one_querys_and_it_keeps_it(new_table: NewTable) -> None:
    first, second = Query(new_table()), Query(new_table())
    assert first.taken(KEYS[:2000]) == set()
    assert second.taken(KEYS[1000:]) == set(KEYS[1000:2000])
    assert first.taken(KEYS) == set(KEYS[2000:])


def test_queries_that_claim_at_once_divide_the_keys(new_table: NewTable) -> None:
    queries = [Query(new_table()) for _ in range(4)]
    claims = []
    for start in range(0, len(KEYS), 500):
        some = KEYS[start : start + 500]
        claims += [each.table.claim(each.seal, QUERY, some, each.token, LONG_S) for each in queries]
    refused = sum(len(claim.result().by_others) for claim in claims)
    assert refused == (len(queries) - 1) * len(KEYS)


def test_a_claim_ends_by_itself(new_table: NewTable) -> None:
    first, second = Query(new_table()), Query(new_table())
    assert first.taken(KEYS[:10], SHORT_S) == set()
    while second.taken(KEYS[:10]):
        pass
    assert first.taken(KEYS[:10]) == set(KEYS[:10])


def test_a_claim_that_is_renewed_lasts(new_table: NewTable) -> None:
    first, second, other = Query(new_table()), Query(new_table()), Query(new_table())
    first.taken(KEYS[:10], SHORT_S)
    assert first.taken(KEYS[:5]) == set()
    other.taken(KEYS[10:20], SHORT_S)
    while second.taken([KEYS[9], KEYS[19]]):
        pass
    assert second.taken(KEYS[:5]) == set(KEYS[:5])


def test_what_is_released_is_free_and_nobody_releases_anothers(new_table: NewTable) -> None:
    first, second = Query(new_table()), Query(new_table())
    first.taken(KEYS[:600])
    second.release(KEYS[:600])
    second.taken([])  # what was released is released by now
    first.release(KEYS[:300])
    first.taken([])
    assert second.taken(KEYS[:600]) == set(KEYS[300:600])


def test_a_query_knows_that_others_ask_the_same(new_table: NewTable) -> None:
    first, other = Query(new_table()), Query(new_table(), b"another query...")
    other.is_alone()
    never_knows = not first.is_alone()
    second = Query(new_table())
    assert not second.is_alone()
    assert not first.is_alone()
    assert other.is_alone() or never_knows


def test_under_another_secret_nothing_is_claimed(new_table: NewTable) -> None:
    query, stranger = Query(new_table()), Query(new_table())
    stranger.seal = Seal(b"another secret of thirty-two by.")
    query.taken(KEYS[:1])
    if not isinstance(query.table, MemoryAnswers):
        assert stranger.taken(KEYS[:1]) == set()


def test_a_store_that_cannot_be_used_claims_nothing(tmp_path: Path) -> None:
    (tmp_path / "answers.sqlite").write_text("not a store")
    with_file = Store(tmp_path)
    tables = [sqlite_tables(with_file).answers]
    server = RedisServer()
    away = RedisStore(parse_store_address(server.url))
    away.wait_until_open()
    tables.append(redis_tables(away).answers)
    server.stop()
    for table in tables:
        seal = Seal(table.secret())
        assert table.claim(seal, QUERY, KEYS[:1], b"12345678", LONG_S).result() == NOTHING_CLAIMED
    with_file.close()
    away.close()


def test_claims_that_have_ended_leave_the_file_and_a_clock_that_was_ahead_holds_nothing_up(tmp_path: Path) -> None:
    store = Store(tmp_path)
    table = SqliteAnswers(store)
    for token, now in ((b"ahead...", 4e9), (b"of 1970.", 1.0)):
        claiming = partial(
            claim_table.claim, query=QUERY, keys=KEYS[:9], token=token, number=0, lease_s=LONG_S, now=now
        )
        store.run(claiming, None).result()
    assert Query(table).taken(KEYS[:1]) == set()
    left = store.run(lambda connection: connection.execute("SELECT count(*) FROM leases").fetchone()[0], 0)
    assert left.result() == 1
    store.close()
