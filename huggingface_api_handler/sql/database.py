"""The person's own DuckDB connection, with the parameters of one statement and a transaction around it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from sqlglot.tokens import TokenType

from ..errors import InputError
from .tokens import Dialect, Statement, statements_of

if TYPE_CHECKING:
    import duckdb
    import pandas as pd

_POLICY = "SET current_transaction_invalidation_policy"

Parameters = Sequence[object] | Mapping[str, object]


class Database:
    """Runs SQL on a connection. Each text is given those of the statement's parameters that it names."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, parameters: Mapping[str, object]) -> None:
        """Use a connection.

        Args:
            connection: The person's.
            parameters: By name, without the dollar.
        """
        self._connection, self._parameters = connection, parameters
        self._has_begun = False
        self._described: dict[str, list[tuple[str, str]] | Exception] = {}

    def execute(self, sql: str, *, before: str = "") -> None:
        """Run one statement, of which the result stays open.

        Args:
            sql: The statement.
            before: What stands before it, such as EXPLAIN.
        """
        used = self._used(sql)
        if used:
            self._connection.execute(before + sql, used)
        else:
            self._connection.execute(before + sql)

    def run(self, sql: str) -> None:
        """Run one statement.

        Args:
            sql: The statement.
        """
        self.execute(sql)
        self._connection.fetchall()

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        """Run one query.

        Args:
            sql: The query.

        Returns:
            All of its rows.
        """
        self.execute(sql)
        found: list[tuple[Any, ...]] = self._connection.fetchall()
        return found

    def frame(self, sql: str) -> pd.DataFrame:
        """Run one query.

        Args:
            sql: The query.

        Returns:
            All of its rows.
        """
        self.execute(sql)
        found: pd.DataFrame = self._connection.df()
        return found

    def describe(self, sql: str) -> list[tuple[str, str]]:
        """The columns of a query, of which nothing is run. Each is asked for once: planning asks for many twice.

        Args:
            sql: The query.

        Returns:
            The name and the SQL type of each.

        Raises:
            duckdb.Error: It does not bind.
        """
        import duckdb

        if sql not in self._described:
            try:
                self.execute(sql, before="DESCRIBE ")
                self._described[sql] = [(str(row[0]), str(row[1])) for row in self._connection.fetchall()]
            except duckdb.Error as error:
                self._described[sql] = error
        found = self._described[sql]
        if isinstance(found, Exception):
            raise found
        return found

    def check(self, sql: str, explained: Callable[[str], Exception | None]) -> None:
        """Bind a statement that is to be run later.

        Args:
            sql: The statement.
            explained: Puts what DuckDB says into other words; None where there are no better ones.

        Raises:
            InputError: It does not bind, in other words.
            duckdb.Error: It does not bind, with what DuckDB says without the text that we wrote.
        """
        import duckdb

        try:
            self.execute(sql, before="EXPLAIN ")
            self._connection.fetchall()
        except duckdb.Error as error:
            message = str(error).partition("\n\nLINE ")[0]
            raise explained(message) or type(error)(message) from None

    def insert(self, sql: str, name: str, frame: pd.DataFrame) -> None:
        """Run a statement that reads a frame.

        Args:
            sql: The statement.
            name: What it calls the frame.
            frame: The frame.
        """
        self._connection.register(name, frame)
        try:
            self.run(sql)
        finally:
            self._connection.unregister(name)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Have one state of the tables until ``end``: in the person's transaction where one is open, else in a new one.

        A query that does not bind does not end it, so that it may be tried whether one binds.

        Yields:
            Nothing. An error inside undoes what was begun here.
        """
        first, second = (self._connection.execute("SELECT txid_current()").fetchone() for _ in range(2))
        if first != second:  # no transaction is open. To try it would end one
            self._connection.execute("BEGIN")
            self._has_begun = True
        self._connection.execute(f"{_POLICY} = 'SYNTACTIC_ERRORS_DO_NOT_INVALIDATE'")
        try:
            yield
        except BaseException:
            self._give_up()
            raise

    def end(self, clear: Callable[[], None]) -> None:
        """End what ``transaction`` began, and keep what the statement changed.

        Args:
            clear: Drops what the statement made for itself.

        Raises:
            duckdb.Error: The changes cannot be kept, such as where another connection has inserted the same key.
        """
        import duckdb

        try:
            clear()
        except duckdb.TransactionException:  # an error while rows were read has ended it
            self._give_up()
            return
        self._connection.execute("COMMIT" if self._has_begun else f"{_POLICY} = 'STANDARD_POLICY'")

    def _give_up(self) -> None:
        import duckdb

        try:
            self._connection.execute("ROLLBACK" if self._has_begun else f"{_POLICY} = 'STANDARD_POLICY'")
        except duckdb.TransactionException:  # the person's was ended by the error, as DuckDB does with any
            return

    def _used(self, sql: str) -> dict[str, object]:
        if not self._parameters:
            return {}
        tokens = Dialect().tokenize(sql)
        pairs = pairwise(tokens)
        names = {name.text for dollar, name in pairs if dollar.token_type is TokenType.PARAMETER}
        return {name: value for name, value in self._parameters.items() if name in names}


def with_named_parameters(statement: Statement, given: Parameters | None) -> tuple[Statement, dict[str, object]]:
    """A statement whose parameters have names, so that parts of it can be run.

    Args:
        statement: With ``?``, ``$1`` or ``$name``.
        given: The values.

    Returns:
        The statement with a name for each ``?``, and the values by name.

    Raises:
        InputError: There are more or fewer values than parameters.
    """
    marks = [token for token in statement.tokens if token.token_type is TokenType.PLACEHOLDER]
    pairs = pairwise(statement.tokens)
    names = {name.text for dollar, name in pairs if dollar.token_type is TokenType.PARAMETER}
    if isinstance(given, Mapping):
        values = {str(name): value for name, value in given.items()}
    else:
        values = {str(number): value for number, value in enumerate(given or [], 1)}
    expected = {str(number) for number in range(1, len(marks) + 1)} if marks else names
    if expected != set(values):
        raise InputError(
            f"the statement has {len(expected)} parameters{_named(expected)}, and {len(values)} values were given"
            f"{_named(set(values))}"
        )
    if not marks:
        return statement, values
    text = statement.source
    for number, mark in reversed(list(enumerate(marks, 1))):
        text = f"{text[: mark.start]}${number}{text[mark.end + 1 :]}"
    (numbered,) = statements_of(text)
    return numbered, values


def _named(names: set[str]) -> str:
    return f" ({', '.join(sorted(names))})" if names else ""
