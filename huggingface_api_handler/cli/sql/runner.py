"""Statements run one after another, and what is said of each."""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple, TextIO

from ...errors import HuggingFaceAPIError
from .cost_question import CostQuestion, duration
from .output import write_result
from .watch import Watch

if TYPE_CHECKING:
    from ...inference.runtime.context import Query
    from ...sql import Connection, Result


_COUNT = "Count"
"""The column that DuckDB gives where a statement changes something."""

_QUERIES = [(word,) for word in ("SELECT", "FROM", "WITH", "VALUES", "TABLE", "PIVOT", "UNPIVOT", "EXECUTE")]
"""First words of statements that may give a column of that name themselves."""


_MAKERS = [("CREATE",), ("RETRAIN",)]

_COMMENTS = re.compile(r"(?:\s+|--[^\r\n]*|/\*.*?\*/)+", re.DOTALL)


class Place(NamedTuple):
    """A statement of a script, and where it is.

    Attributes:
        text: The statement.
        number: From 1.
        line: That it begins in, from 1.
        is_change: Whether it changes something, so that DuckDB gives a count and no rows of a table.
        is_made: Whether it makes something, so that a row says what: for a person, and no program that reads rows.
    """

    text: str
    number: int
    line: int
    is_change: bool
    is_made: bool


class Runner:
    """Runs statements on a connection.

    Args:
        connection: Whose ``progress`` and ``confirm`` are the other two's.
        watch: What is seen of the models.
        question: Whether they may be asked.
        kind: How rows are written, one of ``output.FORMATS``.

    Attributes:
        connection: As above.
        kind: As above.
    """

    def __init__(self, connection: Connection, watch: Watch, question: CostQuestion, kind: str) -> None:
        self.connection, self.kind = connection, kind
        self._watch, self._question = watch, question

    def run(self, place: Place, *, is_timed: bool = False) -> bool:
        """Run one statement and write its rows. Says on stderr what was asked of models, and what went wrong.

        Args:
            place: The statement.
            is_timed: Whether to say how many rows it gave, and in what time.

        Returns:
            Whether it ran.

        Raises:
            KeyboardInterrupt: It was interrupted, after it was said what is kept.
        """
        began = time.monotonic()
        self._watch.begin()
        self._question.begin()
        try:
            written = self._write(place, sys.stdout)
        except KeyboardInterrupt:
            self._watch.clear()
            say(self._watch.interrupted_line())
            raise
        except BrokenPipeError:
            raise
        except Exception as error:
            self._watch.clear()
            say(*self._watch.lines(), message_of(error))
            return False
        say(*self._watch.lines(written.queries))
        if is_timed:
            say(f"  ({written.words}, {duration(time.monotonic() - began)})")
        return True

    def run_script(self, script: str) -> bool:
        """Run the statements of a script until one fails.

        Args:
            script: The text.

        Returns:
            Whether all ran.

        Raises:
            KeyboardInterrupt: One was interrupted.
        """
        statements = list(places_of(script))
        for place in statements:
            if not self.run(place):
                if len(statements) > 1:
                    say(f"  in statement {place.number}, line {place.line}")
                return False
        return True

    def _write(self, place: Place, out: TextIO) -> _Written:
        """Run a statement and write its rows."""
        try:
            result = self.connection.sql(place.text)
        finally:
            self._watch.clear()
        try:
            return _Written(self._write_rows(place, result, out), result.queries)
        finally:
            result.close()

    def _write_rows(self, place: Place, result: Result, out: TextIO) -> str:
        """Write the rows of a statement. Returns what to say of them."""
        if not result.columns:
            return "done"
        if place.is_change and result.columns == [_COUNT]:
            changed = result.fetchall()
            return f"{_rows(changed[0][0])} changed" if changed else "done"
        if place.is_made and self.kind != "table":
            return "done"
        return _rows(write_result(result, self.kind, out))


class _Written(NamedTuple):
    """What to say of the rows of a statement, and the queries of its models by their names."""

    words: str
    queries: Sequence[tuple[str, Query]]


def _rows(count: int) -> str:
    return f"{count:,} {'row' if count == 1 else 'rows'}"


def places_of(script: str) -> Iterator[Place]:
    """Find the statements of a script.

    Args:
        script: The text.

    Yields:
        Each, in order.
    """
    from ...sql.tokens import statements_of

    position, line = 0, 1
    for number, statement in enumerate(statements_of(script), 1):
        start = script.index(statement.source, position)
        if comments := _COMMENTS.match(script, start):
            start = comments.end()
        line += script.count("\n", position, start)
        position = start
        first = statement.words[:1]
        yield Place(statement.source, number, line, first not in _QUERIES, first in _MAKERS)


def say(*lines: str) -> None:
    """Write lines for the person, apart from the rows.

    Args:
        lines: The lines.
    """
    for line in lines:
        print(line, file=sys.stderr, flush=True)


def message_of(error: Exception) -> str:
    """What a person is told of an error.

    Args:
        error: That a statement raised.

    Returns:
        Our own sentence or DuckDB's message as it is; the kind of any other error too, since its message was written
        for others.
    """
    is_ours = isinstance(error, HuggingFaceAPIError) or type(error).__module__.partition(".")[0] in (
        "duckdb",
        "_duckdb",
    )
    text = str(error).strip()
    return text if is_ours and text else f"{type(error).__name__}: {text}".rstrip(": ")
