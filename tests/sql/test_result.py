"""Rows come as DuckDB has them, are read once, and are not lost to the next statement."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pytest

from huggingface_api_handler.errors import InputError
from huggingface_api_handler.sql.result import MAX_HELD_ROWS, Result

KINDS = (
    "SELECT 1 AS a, [1.5]::FLOAT[] AS b, {'x': 1} AS c, '{\"k\":1}'::JSON AS d, 1::HUGEINT AS e, DATE '2020-01-02' AS f, "
    "'x'::ENUM('x', 'y') AS g, MAP {'a': 1} AS h, 1.5::DECIMAL(10, 3) AS i, NULL AS j, 'b'::BLOB AS k, [1, 2]::INT[2] AS l, "
    "true AS m, 0.5::DOUBLE AS n, 'text' AS o"
)


def test_columns_and_types(con: Any) -> None:
    result = con.sql("SELECT 1 AS a, 'x' AS b, [0.5]::FLOAT[] AS c, '{}'::JSON AS d")
    assert result.columns == ["a", "b", "c", "d"]
    assert result.types == ["INTEGER", "VARCHAR", "FLOAT[]", "JSON"]
    assert result.fetchall() == [(1, "x", [0.5], "{}")]


def test_rows_are_read_once(con: Any) -> None:
    result = con.sql("FROM range(5)")
    assert result.fetchone() == (0,)
    assert result.fetchmany(2) == [(1,), (2,)]
    assert list(result) == [(3,), (4,)]
    assert result.fetchone() is None
    assert result.fetchall() == []


def test_the_last_statement_gives_the_result_and_the_parameters_are_its(con: Any) -> None:
    assert con.sql("SELECT 1; SELECT ? + $2 AS a;".replace("$2", "?"), [2, 3]).fetchall() == [(5,)]
    assert con.sql("CREATE TABLE t (a INT); SELECT $x AS a", {"x": 7}).fetchall() == [(7,)]


def test_a_statement_without_rows(con: Any) -> None:
    assert con.sql("CREATE TABLE t (a INT)").fetchall() == []
    assert con.sql("").fetchall() == []
    assert repr(con.sql("-- nothing")) == "no rows"


def test_a_result_outlives_the_next_statement(con: Any) -> None:
    first = con.sql("FROM range(1000)")
    assert first.fetchone() == (0,)
    assert con.sql("SELECT 5").fetchall() == [(5,)]
    assert len(first.fetchall()) == 999


def test_a_large_open_result_is_refused_and_not_lost(con: Any) -> None:
    rows = MAX_HELD_ROWS + 50_000
    first = con.sql(f"FROM range({rows})")
    for _ in range(2):
        with pytest.raises(InputError, match="still open"):
            con.sql("SELECT 5")
    assert len(first.fetchall()) == rows
    assert con.sql("SELECT 5").fetchall() == [(5,)]


def test_a_large_result_that_nobody_has_is_given_up(con: Any) -> None:
    con.sql("FROM range(1000000)")
    assert con.sql("FROM range(1000000); SELECT 5").fetchall() == [(5,)]


def test_a_closed_result_gives_no_rows(con: Any) -> None:
    first = con.sql("FROM range(1000000)")
    first.close()
    assert first.fetchall() == []
    assert con.sql("SELECT 5").fetchall() == [(5,)]


def test_a_statement_that_writes_is_not_given_up_halfway(con: Any) -> None:
    con.sql("CREATE TABLE t (a INT); BEGIN")
    con.sql("INSERT INTO t SELECT * FROM range(200000) RETURNING a").fetchone()
    con.sql("COMMIT")
    assert con.sql("SELECT count(*) FROM t").fetchall() == [(200000,)]


def test_a_frame_has_duckdbs_types_whether_rows_were_at_hand_or_not(con: Any) -> None:
    first_frame = con.sql(KINDS).df()
    kept = con.sql(KINDS)
    assert con.sql("SELECT 1").fetchall() == [(1,)]
    later = kept.df()
    pd.testing.assert_frame_equal(first_frame, later)
    assert len(kept.df()) == 0


def test_a_frame_of_a_result_that_was_read_in_part_has_the_rest(con: Any) -> None:
    result = con.sql("FROM range(100000)")
    assert "..." in repr(result)
    assert result.df().iloc[:, 0].tolist() == list(range(100000))


def test_two_columns_of_one_name(con: Any) -> None:
    result = con.sql("SELECT 1 AS a, 2 AS a")
    repr(result)
    assert result.fetchall() == [(1, 2)]


def test_what_is_not_installed_is_named(con: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "polars", None)
    with pytest.raises(InputError, match="pip install polars"):
        con.sql("SELECT 1").pl()
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    with pytest.raises(InputError, match="pip install pyarrow"):
        con.sql("SELECT 1").arrow()


def test_a_frame_becomes_a_result() -> None:
    frame = pd.DataFrame({"a": [1, 2], "b": [0.5, None], "c": ["x", None], "d": [True, False]})
    result = Result.of_frame(frame)
    assert result.types == ["BIGINT", "DOUBLE", "VARCHAR", "BOOLEAN"]
    assert result.fetchall() == [(1, 0.5, "x", True), (2, None, None, False)]


def test_a_result_is_shown_as_a_table_and_read_afterwards(con: Any) -> None:
    result = con.sql("SELECT 'good' AS text, 0.98 AS score")
    assert "good" in repr(result)
    assert len(result.fetchall()) == 1
