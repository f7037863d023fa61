"""A statement with a model leaves nothing behind, whatever becomes of it, and nothing of the person's is lost."""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Callable, Iterator
from pathlib import Path

import duckdb
import pytest

from huggingface_api_handler.errors import InferenceError, InputError
from huggingface_api_handler.sql.database import Database
from huggingface_api_handler.sql.result import Result
from tests.sql.home import Home, running_home

BOTH = "SELECT id, sentiment FROM t JOIN sentiment m"


@pytest.fixture(scope="module")
def shared() -> Iterator[Home]:
    with running_home() as running:
        yield running


@pytest.fixture
def home(shared: Home) -> Iterator[Home]:
    yield shared
    shared.status = 200
    with contextlib.suppress(duckdb.TransactionException):  # no transaction is open
        shared.con.sql("ROLLBACK")
    shared.con.sql("DELETE FROM t WHERE id > 6")
    shared.forget()


UNSENT = {
    "a column that is not there": f"SELECT nope FROM ({BOTH})",
    "a table that is not there": f"INSERT INTO nope {BOTH}",
    "a table that is there": f"CREATE TABLE t AS {BOTH}",
    "a temporary table that is there": f"CREATE TEMP TABLE passing AS {BOTH}",
    "a table in a schema that is there": f"CREATE TABLE main.t AS {BOTH}",
    "a view that is there": f"CREATE VIEW t AS {BOTH}",
    "a folder that is not there": f"COPY ({BOTH}) TO '/no/such/folder/rows.csv'",
    "a format that is not there": f"COPY ({BOTH}) TO 'rows.x' (FORMAT nope)",
    "fewer columns": f"INSERT INTO t {BOTH}",
    "no GROUP BY": "SELECT id, sentiment FROM t JOIN sentiment m GROUP BY id",
    "a wrong type": "SELECT sum(sentiment) FROM t JOIN sentiment m",
    "a negative LIMIT": f"{BOTH} LIMIT -1",
    "no parameter": f"{BOTH} WHERE id = ?",
    "text that is no number, before the model": f"{BOTH} WHERE text::INTEGER = 3",
    "two rows for one": f"{BOTH} WHERE id = (SELECT id FROM t)",
    "a macro": f"CREATE MACRO judged() AS TABLE {BOTH}",
    "EXPLAIN ANALYZE": f"EXPLAIN ANALYZE {BOTH}",
    "rows of a model": "DELETE FROM sentiment WHERE text = 'a'",
}


ENDS_A_TRANSACTION = {"text that is no number, before the model", "two rows for one", "rows of a model"}
"""DuckDB itself ends a transaction in which a statement fails so."""


@pytest.mark.parametrize("failure", UNSENT)
@pytest.mark.parametrize("is_inside", [False, True], ids=["alone", "inside BEGIN"])
def test_a_statement_that_cannot_run_sends_nothing_and_leaves_nothing(
    home: Home, failure: str, *, is_inside: bool
) -> None:
    home.con.sql("CREATE TEMP TABLE IF NOT EXISTS passing (id INTEGER)")
    if is_inside:
        home.con.sql("BEGIN; INSERT INTO t VALUES (9, 'good', 1)")
    with pytest.raises((InputError, duckdb.Error)):
        home.rows(UNSENT[failure])
    assert home.requests == 0
    if is_inside and failure in ENDS_A_TRANSACTION:
        return
    assert not home.leftovers()
    assert home.is_in_transaction() == is_inside
    if is_inside:
        home.con.sql("COMMIT")
        assert home.rows("SELECT count(*) FROM t WHERE id = 9") == [(1,)]


def test_a_table_that_is_there_already_needs_no_prediction(home: Home) -> None:
    home.con.sql(f"CREATE TABLE IF NOT EXISTS t AS {BOTH}")
    assert home.requests == 0
    home.con.sql(f"CREATE TABLE IF NOT EXISTS made AS {BOTH}")
    home.con.sql(f"CREATE TEMP TABLE t2 AS {BOTH}; CREATE TABLE t2 AS {BOTH}")
    assert home.rows("SELECT count(*) FROM made") == [(6,)]


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT sentiment::INTEGER FROM t JOIN sentiment m",
        "CREATE TABLE never AS SELECT error(sentiment) FROM t JOIN sentiment m",
    ],
)
def test_a_statement_that_fails_as_it_runs_leaves_nothing(home: Home, statement: str) -> None:
    with pytest.raises(duckdb.Error):
        home.rows(statement)
    assert not home.leftovers()
    assert not home.is_in_transaction()
    assert home.rows(BOTH)[0] == (1, "POSITIVE")


def test_a_transaction_survives_a_model_that_cannot_be_asked(home: Home) -> None:
    home.con.sql("BEGIN; INSERT INTO t VALUES (9, 'good', 1)")
    home.status = 401
    with pytest.raises(InferenceError):
        home.rows(BOTH)
    assert not home.leftovers()
    assert home.is_in_transaction()
    home.status = 200
    assert len(home.rows(BOTH)) == 7
    home.con.sql("COMMIT")
    assert home.rows("SELECT count(*) FROM t") == [(7,)]


def give_up(result: Result) -> None:
    """Leave the rest of it unread."""
    rows = iter(result)
    next(rows)
    del rows, result
    gc.collect()


ENDS: dict[str, Callable[[Result], object]] = {
    "read": lambda result: result.fetchall(),
    "a frame": lambda result: result.df(),
    "closed": lambda result: result.close(),
    "given up": give_up,
    "not looked at": lambda result: None,
    "partly read": lambda result: result.fetchone(),
}


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("is_inside", [False, True], ids=["alone", "inside BEGIN"])
def test_a_result_leaves_nothing_however_it_ends(home: Home, end: str, *, is_inside: bool) -> None:
    if is_inside:
        home.con.sql("BEGIN; INSERT INTO t VALUES (9, 'good', 1)")
    ENDS[end](home.con.sql(BOTH))
    home.con.sql("SELECT 1").fetchall()
    assert not home.leftovers()
    assert home.is_in_transaction() == is_inside
    if is_inside:
        home.con.sql("ROLLBACK")
    assert home.rows("SELECT count(*) FROM t") == [(6,)]


def test_what_was_not_read_can_be_read_after_another_statement(home: Home) -> None:
    result = home.con.sql(BOTH)
    assert result.fetchone() == (1, "POSITIVE")
    assert home.rows("SELECT count(sentiment) FROM t JOIN sentiment m") == [(5,)]
    assert len(result.fetchall()) == 5


def test_a_file_that_is_written_to_is_whole_after_an_unread_result(tmp_path: Path) -> None:
    with running_home(str(tmp_path / "a.duckdb")) as home:
        home.con.sql("INSERT INTO t VALUES (9, 'good', 1)")
        home.con.sql(BOTH).fetchone()
    with duckdb.connect(str(tmp_path / "a.duckdb")) as plain:
        assert plain.execute("SELECT count(*) FROM t").fetchone() == (7,)


def test_a_change_that_cannot_be_committed_is_an_error(home: Home) -> None:
    """Another connection has inserted the same key meanwhile, which DuckDB finds at COMMIT alone."""
    home.con.sql("CREATE TABLE keyed (id INTEGER PRIMARY KEY)").fetchall()
    database, other = Database(home.con.duckdb, {}), home.con.duckdb.cursor()
    with database.transaction():
        database.run("INSERT INTO keyed VALUES (1)")
        other.execute("BEGIN")
        other.execute("INSERT INTO keyed VALUES (1)").fetchall()
        other.execute("COMMIT")
        with pytest.raises(duckdb.TransactionException, match="Failed to commit"):
            database.end(lambda: None)
    assert not home.is_in_transaction()
    home.con.sql("DROP TABLE keyed")
