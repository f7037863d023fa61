"""Rows of Parquet files come out in the order in which DuckDB reads the files, which need not be that of their names."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.sql.home import running_home


@pytest.mark.parametrize("limit", ["", " LIMIT 3"])
def test_files_that_are_listed_in_another_order_than_their_names_keep_it(tmp_path: Path, limit: str) -> None:
    with running_home() as home:
        for name, first in (("b", 0), ("a", 2)):
            rows = f"SELECT i AS id, 'good ' || i AS text FROM range({first}, {first + 2}) AS r(i)"
            home.con.duckdb.execute(f"COPY ({rows}) TO '{tmp_path / name}.parquet'")
        files = f"read_parquet(['{tmp_path}/b.parquet', '{tmp_path}/a.parquet'])"
        plain = home.con.duckdb.execute(f"SELECT id FROM {files}{limit}").fetchall()
        assert plain == [(0,), (1,), (2,), (3,)][: len(plain)]
        assert home.rows(f"SELECT t.id FROM {files} AS t JOIN sentiment AS m{limit}") == plain
        where = "WHERE m.sentiment = 'POSITIVE'"
        assert home.rows(f"SELECT t.id FROM {files} AS t JOIN sentiment AS m {where}{limit}") == plain
