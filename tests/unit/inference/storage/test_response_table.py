"""The table of answers: what is found in it, whatever is indexed by then, and what leaves it."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from huggingface_api_handler.inference.storage import response_table as table
from huggingface_api_handler.inference.storage.schema import SCHEMA
from huggingface_api_handler.inference.storage.secret import Seal
from huggingface_api_handler.inference.storage.tables import MAX_APPENDED_ROWS, PendingRows

NOW = 1_000_000
QUERY = b"query"
SECRET = b"s" * 32
SEAL = Seal(SECRET, b"somebody")


def empty() -> sqlite3.Connection:
    connection = sqlite3.connect(":memory:", isolation_level=None)
    connection.executescript(SCHEMA)
    return connection


@pytest.fixture
def connection(monkeypatch: pytest.MonkeyPatch) -> Iterator[sqlite3.Connection]:
    monkeypatch.setattr(time, "time", lambda: float(NOW))
    opened = empty()
    table.record_query(opened, QUERY)
    yield opened
    opened.close()


def new_rows(first: int, after: int, answer: str = "answer") -> PendingRows:
    both = ((f"key {number:04}", f"{answer} {number}") for number in range(first, after))
    return [bytearray(each.encode()) for pair in both for each in pair]


def append(
    connection: sqlite3.Connection,
    rows: PendingRows,
    stored_at: int = NOW,
    expires_at: int = NOW + 100,
    seal: Seal = SEAL,
) -> list[tuple[bytes, bytes]]:
    table.append(connection, rows, stored_at, expires_at, seal)
    return [(bytes(key), bytes(answer)) for key, answer in zip(rows[::2], rows[1::2], strict=True)]


def selected(connection: sqlite3.Connection, first: int, after: int, since: int = 0) -> dict[bytes, bytes]:
    return dict(table.select(connection, [b"key %04d" % number for number in range(first, after)], since, SEAL))


def count(connection: sqlite3.Connection, name: str) -> int:
    number: int = connection.execute(f"SELECT count(*) FROM {name}").fetchone()[0]
    return number


def test_a_query_finds_what_had_landed_when_it_began(connection: sqlite3.Connection) -> None:
    assert not table.open_query(connection, b"another")
    appended = append(connection, new_rows(0, 1300))
    assert selected(connection, 0, 1300) == {}, "what a query itself was answered costs no index"
    assert table.open_query(connection, QUERY)
    assert selected(connection, 0, 1400) == dict(appended)


def test_of_two_answers_under_one_key_the_later_is_found(connection: sqlite3.Connection) -> None:
    for answer in ("first", "second"):
        append(connection, new_rows(0, 10, answer=answer))
    append(connection, new_rows(5, 10, answer="third"))
    assert table.open_query(connection, QUERY)
    assert set(selected(connection, 0, 10).values()) == {
        f"{'third' if n >= 5 else 'second'} {n}".encode() for n in range(10)
    }


def test_answers_are_stored_in_their_order_all_or_none(connection: sqlite3.Connection) -> None:
    many = 2 * MAX_APPENDED_ROWS + 5
    append(connection, new_rows(0, many))
    assert [key for (key,) in connection.execute("SELECT key FROM answers ORDER BY id")] == [
        b"key %04d" % number for number in range(many)
    ]
    with pytest.raises(sqlite3.IntegrityError):
        connection.execute(
            "CREATE TEMP TRIGGER refuse BEFORE INSERT ON answers WHEN new.key = CAST('key 0516' AS BLOB) BEGIN SELECT raise(FAIL, 'no'); END"
        )
        append(connection, new_rows(0, many), stored_at=NOW + 1)
    connection.execute("ROLLBACK")  # as the store does after any error
    assert count(connection, "answers") == many


def test_answers_older_than_asked_for_are_not_found(connection: sqlite3.Connection) -> None:
    append(connection, new_rows(0, 5), stored_at=NOW - 60)
    append(connection, new_rows(5, 10))
    table.open_query(connection, QUERY)
    assert len(selected(connection, 0, 10, since=NOW - 60)) == 10
    assert len(selected(connection, 0, 10, since=NOW - 59)) == 5


def test_many_are_indexed_while_a_query_goes_on(
    connection: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(table, "_MAX_UNINDEXED_ROWS", 100)
    for start in range(0, 950, 50):
        append(connection, new_rows(start, start + 50))
        table.vacuum(connection, QUERY)
        assert count(connection, "answers") - count(connection, "answers_by_key") < 100
    assert count(connection, "answers_by_key") == 900


def test_what_expired_leaves_a_part_at_a_time(connection: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(table, "_EXPIRY_SCAN_ROWS", 100)
    append(connection, new_rows(0, 250), expires_at=NOW + 10)
    table.open_query(connection, QUERY)
    monkeypatch.setattr(time, "time", lambda: float(NOW + 11))
    remaining = []
    for number in range(1000, 1004):
        append(connection, new_rows(number, number + 1))
        table.vacuum(connection, QUERY)
        remaining.append(count(connection, "answers") - (number - 999))
    assert remaining == [150, 50, 0, 0]
    assert count(connection, "answers_by_key") == 0


def test_numbers_that_begin_again_after_all_expired_are_indexed(
    connection: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    append(connection, new_rows(0, 50), expires_at=NOW + 10)
    table.open_query(connection, QUERY)
    table._delete(connection, "id <= ?1", 50)
    assert count(connection, "answers") == 0
    append(connection, new_rows(60, 63))
    table.open_query(connection, QUERY)
    assert len(selected(connection, 0, 100)) == 3


def test_a_place_that_is_another_answers_by_now_is_not_believed(connection: sqlite3.Connection) -> None:
    append(connection, new_rows(0, 2))
    table.open_query(connection, QUERY)
    connection.execute("UPDATE answers_by_key SET id = 3 - id")
    assert selected(connection, 0, 2) == {}


def owned(connection: sqlite3.Connection, owner: bytes | None) -> list[int]:
    """Numbers of the answers that an owner has, in the order in which they came."""
    rows = connection.execute("SELECT key FROM answers WHERE owner IS ? ORDER BY id", (owner,)).fetchall()
    return [int(key[4:]) for (key,) in rows]


def filled(connection: sqlite3.Connection, numbers: range, owner: bytes) -> None:
    append(connection, new_rows(numbers.start, numbers.stop, answer="x" * 4000), seal=Seal(SECRET, owner))


def test_whoever_has_most_loses_the_oldest_and_a_neighbour_nothing(connection: sqlite3.Connection) -> None:
    filled(connection, range(100), b"small")
    filled(connection, range(100, 1000), b"large")
    filled(connection, range(1000, 1100), b"newer")
    append(connection, new_rows(1100, 1110))
    connection.execute("UPDATE answers SET owner = NULL WHERE owner = ?", (SEAL.owner,))  # of 0.1.0
    table.open_query(connection, QUERY)
    table._evict_over(connection, 3_000_000)
    assert owned(connection, b"small") == list(range(100))
    assert owned(connection, b"newer") == list(range(1000, 1100))
    assert owned(connection, None) == list(range(1100, 1110))
    large = owned(connection, b"large")
    assert 300 < len(large) < 700
    assert large == list(range(1000 - len(large), 1000)), "the newest are kept"
    assert len(table.select(connection, [b"key %04d" % n for n in range(1100)], 0, SEAL)) == 200 + len(large)


def test_two_that_are_over_their_share_are_left_with_as_much(connection: sqlite3.Connection) -> None:
    filled(connection, range(400), b"one")
    filled(connection, range(400, 1200), b"two")
    filled(connection, range(1200, 1210), b"three")
    table._evict_over(connection, 2_000_000)
    one, two = len(owned(connection, b"one")), len(owned(connection, b"two"))
    assert one == pytest.approx(two, abs=2)
    assert one + two > 200
    assert len(owned(connection, b"three")) == 10


@given(st.lists(st.integers(0, 1000), min_size=1, max_size=9), st.floats(0, 1))
def test_an_equal_share_is_all_that_may_be_kept_and_takes_from_the_largest_alone(used: list[int], part: float) -> None:
    total = int(sum(used) * part)
    share = table.equal_share(used, total)
    kept = [min(each, share) for each in used]
    assert total - len(used) < sum(kept) <= total


STEP = st.one_of(
    st.tuples(st.just("append"), st.lists(st.integers(0, 30), max_size=12)),
    st.tuples(st.just("begin"), st.none()),
    st.tuples(st.just("let go"), st.integers(0, 12)),
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.lists(STEP, max_size=30))
def test_whatever_happened_before_a_query_finds_exactly_what_is_kept(
    monkeypatch: pytest.MonkeyPatch, steps: list[tuple[str, Any]]
) -> None:
    monkeypatch.setattr(table, "_MAX_UNINDEXED_ROWS", 8)
    connection = empty()
    table.record_query(connection, QUERY)
    stored: list[tuple[bytes, bytes]] = []
    for turn, (action, argument) in enumerate([*steps, ("begin", None)]):
        if action == "append":
            both = ((b"%02d" % key, b"%d in %d" % (key, turn)) for key in argument)
            stored += append(connection, [bytearray(each) for pair in both for each in pair], expires_at=10**12)
            table.vacuum(connection, QUERY)
        elif action == "begin":
            table.open_query(connection, QUERY)
        elif stored:
            first = connection.execute("SELECT min(id) FROM answers").fetchone()[0]
            table._delete(connection, "id <= ?1", first + argument - 1)
            stored = stored[argument:]
    rows = table.select(connection, [b"%02d" % key for key in range(31)], 0, SEAL)
    assert dict(rows) == dict(stored)
    connection.close()
