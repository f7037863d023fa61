"""Only a store of this package is used as one, with nothing defined in it but its own; one of 0.1.0 is taken over."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from huggingface_api_handler.inference import predict
from huggingface_api_handler.inference.storage import response_cache, response_table, schema
from huggingface_api_handler.inference.storage.open_stores import close_stores
from huggingface_api_handler.inference.storage.response_cache import ResponseCache
from huggingface_api_handler.inference.storage.secret import Seal
from huggingface_api_handler.inference.storage.sqlite import Store, open_store
from tests.conftest import Service
from tests.unit.inference.storage.test_response_cache import new_cache
from tests.unit.inference.storage.test_sqlite import ask, warnings
from tests.unit.inference.storage.test_trusted_file import contents, refused

FILE = "answers.sqlite"
SECRET_OF_0_1_0 = bytes(range(32))


def changed(file: Path, script: str) -> None:
    with closing(sqlite3.connect(file)) as connection:
        connection.executescript(script)


def other_database(file: Path, script: str) -> None:
    changed(file, script)
    file.chmod(0o600)


def other_file(file: Path, content: bytes) -> None:
    file.write_bytes(content)
    file.chmod(0o600)


OTHERS: dict[str, Callable[[Path], object]] = {
    "with tables, of no version": lambda f: other_database(f, "CREATE TABLE theirs(x)"),
    "of version 1": lambda f: other_database(f, "CREATE TABLE answers(x); PRAGMA user_version = 1"),
    "of our version": lambda f: other_database(f, "CREATE TABLE answers(x); PRAGMA user_version = 2"),
    "of another program": lambda f: other_database(f, "CREATE TABLE t(x); PRAGMA application_id = 7"),
    "in WAL mode": lambda f: other_database(f, "PRAGMA journal_mode = WAL; CREATE TABLE t(x)"),
    "without tables, in WAL mode": lambda f: other_database(f, "PRAGMA journal_mode = WAL"),
    "no database": lambda f: other_file(f, b"a text of somebody's"),
    "a damaged database": lambda f: other_file(f, b"SQLite format 3\0" + bytes(200)),
}


@pytest.mark.parametrize("what", OTHERS)
def test_a_file_of_another_program_is_left_as_it_is(
    what: str, tmp_path: Path, service: Service, caplog: pytest.LogCaptureFixture
) -> None:
    OTHERS[what](tmp_path / FILE)
    refused(tmp_path, service, caplog, "left as it is")


def test_a_store_that_another_process_has_only_begun_is_used(
    tmp_path: Path, service: Service, caplog: pytest.LogCaptureFixture
) -> None:
    """It sees the first page before the tables; a kill there must not leave a file that nobody uses again."""
    other_database(tmp_path / FILE, "PRAGMA auto_vacuum = INCREMENTAL")
    assert (tmp_path / FILE).stat().st_size > 0
    assert ask(service, tmp_path) == 2
    close_stores()
    assert ask(service, tmp_path) == 0
    assert warnings(caplog) == []


CHANGES = {
    "a trigger": "CREATE TRIGGER free AFTER UPDATE ON quotas BEGIN UPDATE quotas SET used = 0; END",
    "a view": "CREATE VIEW seen AS SELECT answer FROM answers",
    "an index": "CREATE INDEX more ON answers(length(answer))",
    "a table": "CREATE TABLE more(x)",
    "a column": "ALTER TABLE quotas ADD COLUMN free DEFAULT 1",
    "a table less": "DROP TABLE leases",
    "another version": "PRAGMA user_version = 1",
}


@pytest.mark.parametrize("what", CHANGES)
def test_a_store_in_which_anything_else_is_defined_is_not_used(
    what: str, tmp_path: Path, service: Service, caplog: pytest.LogCaptureFixture
) -> None:
    ask(service, tmp_path)
    close_stores()
    changed(tmp_path / FILE, CHANGES[what])
    refused(tmp_path, service, caplog, "left as it is")


def test_a_trigger_in_the_file_lifts_no_quota(tmp_path: Path, service: Service) -> None:
    ask(service, tmp_path)
    close_stores()
    changed(tmp_path / FILE, CHANGES["a trigger"])
    service.asked.clear()
    engine = {"endpoint": service.url, "cache_dir": str(tmp_path), "requests_per_month": 5, "name": "with a trigger"}
    using = {"task": "text-classification", "column": "text", "target": "y", "cache": False}
    out = predict(pd.DataFrame({"text": [f"{'x' * 40_000} {number}" for number in range(20)]}), using, engine)
    assert len(service.asked) == 5
    assert out["y_error"].str.contains("requests_per_month = 5").sum() > 0


FORGED = {
    "an answer": "answer = ?",
    "when it was stored": "answer = answer, kept = kept + 1",
    "when it expires": "expires = expires + 1",
    "whose it is": "owner = x'00'",
    "no MAC": "mac = NULL",
    "a MAC of no bytes": "mac = 7",
}


@pytest.mark.parametrize("what", FORGED)
def test_what_is_written_without_the_secret_is_not_believed(what: str, tmp_path: Path) -> None:
    """With a checksum that is right, as anybody can make one."""
    store = open_store(str(tmp_path))

    async def stored() -> dict[bytes, Any]:
        cache = new_cache(store)
        key = cache.key("a")
        cache.put(key, "right")
        await cache.flush()
        assert await new_cache(store).lookup([key]) == {key: "right"}
        poison = response_cache._to_bytes(key, "POISONED")
        values = (poison,) if "?" in FORGED[what] else ()
        statement = f"UPDATE answers SET {FORGED[what]}"
        assert store.run(lambda connection: connection.execute(statement, values).rowcount, 0).result() == 1
        return await new_cache(store).lookup([key])

    assert asyncio.run(stored()) == {}


def test_no_two_answers_are_sealed_alike() -> None:
    """Whichever bytes move from one part to the next."""
    seal = Seal(b"s" * 32)
    parts = [(b"kk", 1, 2, b"o", b"a"), (b"k", 1, 2, b"ok", b"a"), (b"k", 1, 2, b"o", b"ka"), (b"kk", 1, 2, b"", b"oa"), (b"kko", 1, 2, b"", b"a"), (b"kk", 2, 1, b"o", b"a")]  # fmt: skip
    assert len({seal.mac(*each) for each in parts}) == len(parts)
    (*_, mac) = Seal(b"s" * 32, b"o").sealed([bytearray(b"kk"), bytearray(b"a")], 1, 2)
    assert bytes(mac) == seal.mac(*parts[0])


def store_of_0_1_0(file: Path, rows: int = 0) -> None:
    """As that version made it, with a row for each number."""
    other_database(file, f"PRAGMA journal_mode = WAL; {schema._SCHEMA_0_1_0}; PRAGMA user_version = 2")
    with closing(sqlite3.connect(file)) as connection, connection:
        connection.execute("INSERT INTO meta VALUES ('secret', ?)", (SECRET_OF_0_1_0,))
        appended_by_0_1_0(connection, range(rows))


def appended_by_0_1_0(connection: sqlite3.Connection, numbers: range) -> None:
    statement = "INSERT INTO answers(key, kept, expires, answer) VALUES (?, 1, 99999999999, ?)"
    keys = [b"%016d" % number for number in numbers]
    connection.executemany(statement, [(key, bytes(response_cache._to_bytes(key, "old"))) for key in keys])


def found(store: Store, numbers: range) -> int:
    store.opened.result()
    keys, seal = [b"%016d" % number for number in numbers], Seal(store.secret)

    def select(connection: sqlite3.Connection) -> int:
        response_table.index(connection)
        return len(response_table.select(connection, keys, 0, seal))

    return store.run(select, -1).result()


def test_a_store_of_0_1_0_is_taken_over_and_its_secret_leaves_it(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    store_of_0_1_0(tmp_path / FILE, 100)
    store = open_store(str(tmp_path))
    assert found(store, range(100)) == 100
    assert caplog.text.count("taking over 100 answers that version 0.1.0 stored") == 1
    assert store.secret == SECRET_OF_0_1_0
    close_stores()
    assert (tmp_path / "answers.secret").read_bytes() == SECRET_OF_0_1_0
    assert (tmp_path / "answers.secret").stat().st_mode & 0o777 == 0o600
    held = b"".join(file.read_bytes() for file in tmp_path.glob(f"{FILE}*"))
    assert SECRET_OF_0_1_0 not in held
    assert found(open_store(str(tmp_path)), range(100)) == 100


def test_a_takeover_that_was_killed_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(schema, "_TAKEOVER_ROWS", 10)
    store_of_0_1_0(tmp_path / FILE, 95)
    real, sealed = Seal.mac, list[int]()

    def counted(self: Seal, *parts: Any) -> bytes | None:
        sealed.append(1)
        if len(sealed) == 55:
            raise ValueError
        return real(self, *parts)

    monkeypatch.setattr(Seal, "mac", counted)
    store = open_store(str(tmp_path))
    store.opened.result()
    with closing(sqlite3.connect(tmp_path / FILE)) as connection:
        assert connection.execute("SELECT count(mac) FROM answers").fetchone() == (50,)
    close_stores()
    monkeypatch.setattr(Seal, "mac", real)
    assert found(open_store(str(tmp_path)), range(95)) == 95
    assert found(store, range(95)) == -1, "it is closed"


def test_a_process_of_0_1_0_beside_goes_on_and_what_it_stores_is_neither_believed_nor_deleted(tmp_path: Path) -> None:
    store_of_0_1_0(tmp_path / FILE, 5)
    old = sqlite3.connect(tmp_path / FILE, isolation_level=None)
    old.execute("PRAGMA journal_mode = WAL")
    old.execute("SELECT count(*) FROM answers").fetchall()
    store = open_store(str(tmp_path))
    assert found(store, range(5)) == 5
    appended_by_0_1_0(old, range(5, 9))
    assert found(store, range(9)) == 5
    assert old.execute("SELECT count(*) FROM answers").fetchone() == (9,)
    assert old.execute("PRAGMA user_version").fetchone() == (2,)
    old.close()
    close_stores()
    again = open_store(str(tmp_path))
    assert found(again, range(9)) == 5
    query = "SELECT value FROM meta WHERE name = 'secret'"
    secret: Any = again.run(lambda connection: connection.execute(query).fetchone()[0], b"").result()
    assert len(secret) == 32, "or 0.1.0 would set the file aside"


def test_a_store_that_0_1_0_begins_anew_is_set_aside_and_the_secret_stays(
    tmp_path: Path, service: Service, caplog: pytest.LogCaptureFixture
) -> None:
    """What processes have derived from it stays right."""
    ask(service, tmp_path)
    secret = (tmp_path / "answers.secret").read_bytes()
    close_stores()
    (tmp_path / FILE).unlink()
    store_of_0_1_0(tmp_path / FILE)
    assert [ask(service, tmp_path) for _ in range(2)] == [2, 0]
    (warning,) = warnings(caplog)
    assert "set aside" in warning
    assert (tmp_path / "answers.secret").read_bytes() == secret


def test_a_file_says_whose_it_is(tmp_path: Path, service: Service) -> None:
    ask(service, tmp_path)
    close_stores()
    assert (tmp_path / FILE).read_bytes()[68:72] == b"HFah"
    assert set(contents(tmp_path)) <= {FILE, f"{FILE}-journal", "answers.secret"}


def test_a_cache_of_another_secret_stores_nothing(tmp_path: Path) -> None:
    store = open_store(str(tmp_path))

    async def stored() -> int:
        cache = new_cache(store)
        await asyncio.wrap_future(store.run_untransacted(lambda _: setattr(store, "secret", b"t" * 32), None))
        cache.put(cache.key("a"), 1)
        assert await cache.lookup([cache.key("a")]) == {}
        await cache.flush()
        count = "SELECT (SELECT count(*) FROM answers) + (SELECT count(*) FROM asked)"
        return int(store.run(lambda connection: connection.execute(count).fetchone()[0], -1).result())

    assert isinstance(new_cache(store), ResponseCache)
    assert asyncio.run(stored()) == 0
