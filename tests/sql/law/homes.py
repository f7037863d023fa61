"""The two homes that a query runs in: plain DuckDB, and this package with a service of its own."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Timer
from typing import Any

import duckdb

from tests.conftest import Service
from tests.sql.law.cases import Case
from tests.sql.law.predictions import MODELS, answer
from tests.sql.law.tables import Table


@dataclass(frozen=True)
class Rows:
    """The result of a query: the names of its columns, their types, its rows."""

    columns: list[str]
    types: list[str]
    rows: list[tuple[Any, ...]]


Home = Callable[[Case], Rows]
"""What is tested: it gives the rows of a case."""


_MAX_QUERY_S = 5.0


class Plain:
    """DuckDB itself."""

    def __init__(self, connection: duckdb.DuckDBPyConnection | None = None) -> None:
        self._connection = connection or duckdb.connect()
        self._connection.execute("SET threads = 1")  # faster, for tables of a few rows
        self._tables: Sequence[Table] = ()

    def use(self, tables: Sequence[Table]) -> None:
        """Have these tables, and no others."""
        if tables == self._tables:
            return
        for table in self._tables:
            self._connection.execute(f"DROP TABLE {table.name}")
        self._tables = ()
        for table in tables:
            self._connection.execute(table.create)
        self._tables = tables

    def run(self, text: str) -> Rows:
        """Run a query; one that takes too long, a product most often, is interrupted."""
        timer = Timer(_MAX_QUERY_S, self._connection.interrupt)
        timer.start()
        try:
            self._connection.execute(text)
            description = self._connection.description or []
            rows = self._connection.fetchall()
        except RuntimeError as error:
            raise duckdb.InterruptException(str(error)) from None
        finally:
            timer.cancel()
        return Rows([name for name, *_ in description], [str(kind) for _, kind, *_ in description], rows)


class Ours(Plain):
    """A connection of this package."""

    def __init__(self, connection: Any) -> None:
        super().__init__(connection.duckdb)
        self._ours = connection

    def __call__(self, case: Case) -> Rows:
        """Give the rows of a case."""
        self.use(case.tables)
        result = self._ours.sql(case.ours)
        return Rows(list(result.columns), [str(kind) for kind in result.types], result.fetchall())


@contextmanager
def ours() -> Iterator[Ours]:
    """A connection with the models of the law, whose service is stopped at the end."""
    from huggingface_api_handler.sql import connect

    service = Service()
    service.answer = answer
    with tempfile.TemporaryDirectory() as folder, connect() as connection:
        connection.sql(
            f"CREATE ML_ENGINE law FROM huggingface_api USING endpoint = '{service.url}/models', cache_dir = '{folder}'"
        )
        for model in MODELS:
            connection.sql(model.create)
        yield Ours(connection)
    service.close()
