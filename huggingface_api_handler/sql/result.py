"""Rows that a statement gave: read from DuckDB as they are asked for, or at hand."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any

from ..console import text_table
from ..errors import InputError

if TYPE_CHECKING:
    import duckdb
    import pandas as pd

    from ..inference.runtime.context import Query

MAX_HELD_ROWS = 10_000
"""Rows of a result that was not read to its end which are kept when another statement runs on its connection."""

_SHOWN_ROWS = 15

_SQL_TYPES = {"b": "BOOLEAN", "i": "BIGINT", "f": "DOUBLE"}
"""SQL's names of NumPy's kinds of types. All else is text."""

Row = tuple[Any, ...]


class Result:
    """What a statement gave.

    Rows are read once, as a cursor's are. A result that nobody refers to any more is given up when the next statement
    runs; one that somebody may still read is read ahead then, as far as ``MAX_HELD_ROWS``.

    Attributes:
        columns: the columns' names.
        types: the SQL type of each.
        queries: the queries of the models that were asked, by the models' names. Their ``usage`` says what was taken.
    """

    def __init__(
        self,
        columns: Sequence[str],
        types: Sequence[str],
        rows: Sequence[Row] = (),
        connection: duckdb.DuckDBPyConnection | None = None,
        on_end: Callable[[], None] | None = None,
    ) -> None:
        """Hold rows, or where they come from.

        Args:
            columns: the columns' names.
            types: the SQL type of each.
            rows: those that are at hand.
            connection: of which the rest is read; None where all are at hand.
            on_end: is called once nothing more is read of the connection.
        """
        self.columns = list(columns)
        self.types = list(types)
        self._rows = deque(rows)
        self._connection = connection
        self._on_end = on_end
        self.queries: Sequence[tuple[str, Query]] = ()
        if connection is None:
            self._end()

    @classmethod
    def of_open(cls, connection: duckdb.DuckDBPyConnection, on_end: Callable[[], None] | None = None) -> Result:
        """The result of what a connection has just executed.

        Args:
            connection: with an open result. A statement without rows has none.
            on_end: is called once the result was read or given up.

        Returns:
            The result.
        """
        description = connection.description or []
        columns, types = [str(column[0]) for column in description], [str(column[1]) for column in description]
        return cls(columns, types, (), connection, on_end)

    @classmethod
    def of_frame(cls, frame: pd.DataFrame, types: Sequence[str] | None = None) -> Result:
        """The rows of a frame.

        Args:
            frame: its columns have names that are texts.
            types: the SQL types of its columns; None to take them from its own.

        Returns:
            The result, NaN as None.
        """
        whole = frame.astype(object).where(frame.notna(), None)
        columns = [str(name) for name in frame.columns]
        own = [_SQL_TYPES.get(kind.kind, "VARCHAR") for kind in frame.dtypes]
        return cls(columns, types or own, list(whole.itertuples(index=False, name=None)))

    @property
    def is_open(self) -> bool:
        """Whether rows are still with the connection."""
        return self._connection is not None

    def fetchone(self) -> Row | None:
        """The next row; None behind the last one."""
        rows = self.fetchmany(1)
        return rows[0] if rows else None

    def fetchmany(self, size: int = 1) -> list[Row]:
        """The next rows.

        Args:
            size: how many at most.

        Returns:
            As many, fewer at the end.
        """
        self._read_ahead(size)
        return [self._rows.popleft() for _ in range(min(size, len(self._rows)))]

    def fetchall(self) -> list[Row]:
        """All rows that were not read yet."""
        if self._connection is not None:
            self._rows += self._read(None)
            self._end()
        rows = list(self._rows)
        self._rows.clear()
        return rows

    def df(self) -> pd.DataFrame:
        """The rows that were not read yet, as a pandas DataFrame with DuckDB's types."""
        frame: pd.DataFrame = self._converted("df")
        return frame

    def arrow(self) -> Any:
        """The rows that were not read yet, as a pyarrow Table. Needs pyarrow."""
        return self._converted("to_arrow_table")

    def pl(self) -> Any:
        """The rows that were not read yet, as a Polars DataFrame. Needs polars and pyarrow.

        Returns:
            A ``polars.DataFrame``.

        Raises:
            InputError: polars is not installed.
        """
        try:
            import polars
        except ModuleNotFoundError:
            raise InputError("polars is not installed: pip install polars pyarrow") from None
        return polars.from_arrow(self.arrow())

    def complete(self) -> Result:
        """Have all rows at hand, and the result itself."""
        if self._connection is not None:
            self._rows += self._read(None)
            self._end()
        return self

    def close(self) -> None:
        """Give up the rows that were not read yet."""
        self._rows.clear()
        if self._connection is not None:
            self._connection.abort()
            self._end()

    def detach(self) -> None:
        """Read what is left, since the connection is wanted for another statement.

        Raises:
            InputError: more than ``MAX_HELD_ROWS`` rows are left. Nothing is lost: they can still be read.
        """
        if self._connection is not None:
            self._read_ahead(MAX_HELD_ROWS + 1)
        if self._connection is not None:
            raise InputError(
                f"a result with more than {MAX_HELD_ROWS:,} rows is still open. Read it to its end, or close() it, "
                "before the next statement; or use another connection: connect() the same file once more"
            )

    def __iter__(self) -> Iterator[Row]:
        """Iterate over the rows that were not read yet."""
        while rows := self.fetchmany(1024):
            yield from rows

    def __repr__(self) -> str:
        """The first rows as a table. They can be read afterwards all the same."""
        self._read_ahead(_SHOWN_ROWS + 1)
        if not self.columns:
            return "no rows"
        shown = text_table(self.columns, list(islice(self._rows, _SHOWN_ROWS)))
        return f"{shown}\n  ..." if len(self._rows) > _SHOWN_ROWS else shown

    def _read_ahead(self, count: int) -> None:
        """Have so many rows at hand, where there are as many."""
        missing = count - len(self._rows)
        if self._connection is not None and missing > 0:
            rows = self._read(missing)
            if len(rows) < missing:
                self._end()
            self._rows += rows

    def _read(self, count: int | None) -> list[Row]:
        """So many rows of the connection, or all. What fails is read no further."""
        connection = self._connection
        if connection is None:
            return []
        try:
            found: list[Row] = connection.fetchall() if count is None else connection.fetchmany(count)
        except BaseException:
            self._end()
            raise
        return found

    def _end(self) -> None:
        self._connection = None
        if self._on_end is not None:
            on_end, self._on_end = self._on_end, None
            on_end()

    def _converted(self, method: str) -> Any:
        """What a method of DuckDB's makes of the rows."""
        try:
            if self._connection is not None and not self._rows:
                converted = getattr(self._connection, method)()
                self._end()
                return converted
            return getattr(table_of(self.columns, self.types, self.fetchall()).execute("FROM shown"), method)()
        except ModuleNotFoundError as error:
            raise InputError(f"{error.name} is not installed: pip install {error.name}") from None


def table_of(columns: Sequence[str], types: Sequence[str], rows: Sequence[Row]) -> duckdb.DuckDBPyConnection:
    """Rows in a DuckDB of their own, to be read in its other forms or filtered.

    Args:
        columns: their names.
        types: the SQL type of each.
        rows: the values.

    Returns:
        A connection with a view ``shown``.
    """
    import duckdb

    connection = duckdb.connect()
    if not columns:
        connection.execute("CREATE VIEW shown AS SELECT NULL::VARCHAR AS nothing WHERE false")
        return connection
    names = [f"c{index}" for index in range(len(columns))]
    declared = ", ".join(f"{name} {kind}" for name, kind in zip(names, types, strict=True))
    connection.execute(f"CREATE TABLE held ({declared})")
    appender = connection.appender("held")
    appender.append_rows(rows)
    appender.flush()
    named = ", ".join(f"{name} AS {quoted(column)}" for name, column in zip(names, columns, strict=True))
    connection.execute(f"CREATE VIEW shown AS SELECT {named} FROM held")
    return connection


def quoted(name: str) -> str:
    """A name as an identifier in SQL.

    Args:
        name: any text.

    Returns:
        The name in double quotes, those in it doubled.

    >>> quoted('my "model"')
    '"my ""model\"""'
    """
    return '"' + name.replace('"', '""') + '"'
