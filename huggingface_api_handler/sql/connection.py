"""A connection: statements in, results out."""

from __future__ import annotations

import re
import weakref
from collections.abc import Callable
from difflib import get_close_matches
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from ..errors import InputError
from ..redaction import preview
from . import commands
from .catalog import Catalog
from .database import Parameters
from .names import MIN_LIKENESS, PROJECTS, misspelt, with_as, without_projects
from .opening import open_database
from .result import Result
from .tokens import Statement, explained_statement, statements_of
from .trust import Trust
from .usage_table import with_usage
from .views import refuse_model_name

if TYPE_CHECKING:
    from pydantic import SecretStr

    from ..inference.runtime.progress import ModelProgress
    from ..inference.runtime.session import Session
    from .local_server import LocalServer

Confirm = Callable[[Any], bool]

_NO_TABLE = re.compile(r"Table with name (.+?) does not exist")
_CHANGES_CATALOG = re.compile(r"huggingface", re.IGNORECASE)
_ONLY_READ = ("SELECT", "FROM", "VALUES", "TABLE", "SHOW", "DESCRIBE", "SUMMARIZE", "EXPLAIN")


class Connection:
    """A DuckDB connection on which models can be made and asked.

    Attributes:
        duckdb: DuckDB's connection.
        catalog: the engines, models and views of the file.
        trust: which of them this user made.
        progress: see ``connect``.
        confirm: is asked with an estimate before a model is; False ends the statement.
        keys: the keys that were given with engines, by the id of the engine. They are nowhere else.
    """

    def __init__(
        self,
        path: str | Path = ":memory:",
        *,
        trust: bool = False,
        read_only: bool = False,
        progress: ModelProgress | None = None,
        confirm: Confirm | None = None,
        session: Session | None = None,
    ) -> None:
        """Open a database.

        Args:
            path: a DuckDB file, made where it is missing; ":memory:" for none.
            trust: whether engines that somebody else made may use keys and folders of this machine from now on.
            read_only: whether nothing may be written to it.
            progress: see ``connect``.
            confirm: see ``connect``.
            session: see ``connect``.

        Raises:
            InputError: the file cannot be opened, or was written by a newer version.
        """
        self.duckdb = open_database(str(path), read_only)
        self._session = session
        self.trust = Trust(str(path), lambda: self.session)
        self.catalog = Catalog(self.duckdb, self.trust.mark)
        self.progress = progress
        self.confirm = confirm
        self.keys: dict[str, SecretStr] = {}
        self._local: LocalServer | None = None
        self._at_end: Callable[[], None] | None = None
        self._last: weakref.ref[Result] | None = None
        self._last_only_reads = False
        if trust:
            self.trust.accept(self.catalog)

    @property
    def session(self) -> Session:
        """The connections, stores and routes that are used."""
        if self._session is None:
            from ..inference.runtime.session import default_session  # takes a second, in which one may type

            self._session = default_session()
        return self._session

    def sql(self, text: str, params: Parameters | None = None) -> Result:
        """Run every statement of a text.

        Args:
            text: SQL.
            params: the values of ``?``, ``$1`` or ``$name`` in its last statement.

        Returns:
            The result of the last statement.

        Raises:
            InputError: a statement cannot be run as it is. No request was sent for it.
            InferenceError: no prediction could be made.
            duckdb.Error: DuckDB's own errors, as they are.
        """
        statements = statements_of(text)
        result = Result((), ())
        for index, statement in enumerate(statements, 1):
            del result  # so that one which nobody can read any more is given up
            result = self.run(statement, params if index == len(statements) else None)
        return result

    def run(self, statement: Statement, params: Parameters | None = None) -> Result:
        """Run one statement.

        Args:
            statement: of ``statements_of``.
            params: the values of its parameters.

        Returns:
            Its result.

        Raises:
            InputError: see ``sql``.
            InferenceError: see ``sql``.
            duckdb.Error: see ``sql``.
        """
        try:
            return self._run(statement, params)
        except RuntimeError as error:
            if "interrupted" in str(error).lower():  # as DuckDB tells Ctrl-C
                raise KeyboardInterrupt from None
            raise

    def _run(self, statement: Statement, params: Parameters | None) -> Result:
        self._settle()
        result = commands.run_command(statement, self)
        if result is None and (explained := explained_statement(statement)) is not None and self.uses_models(explained):
            from .running import explain_with_models

            result = explain_with_models(self, self.renamed(explained), params)
        if result is None:
            refuse_model_name(statement, self.catalog)
            meant = with_usage(self.renamed(statement), self)
            needs_models = self.uses_models(meant)
            try:
                result = self.plan_and_run(meant, params) if needs_models else self.plain(meant.source, params)
            except Exception as error:
                self._refuse_misspelt(meant, error)
                raise
            if _CHANGES_CATALOG.search(statement.source):
                self.catalog.invalidate()
        self._last = weakref.ref(result)
        self._last_only_reads = bool(statement.words) and statement.words[0] in _ONLY_READ
        return result

    def uses_models(self, statement: Statement) -> bool:
        """Whether a token of a statement is the name of a model or of a view over one.

        Args:
            statement: one statement.

        Returns:
            False also where a name is only part of a text or of a longer name.
        """
        names = self.catalog.names()
        return statement.may_name(names) and not names.isdisjoint(statement.names)

    def plain(self, text: str, params: Parameters | None = None) -> Result:
        """Hand a statement to DuckDB as it is.

        Args:
            text: SQL.
            params: the values of its parameters.

        Returns:
            Its open result.
        """
        if params is None:
            self.duckdb.execute(text)
        else:
            self.duckdb.execute(text, params)
        return Result.of_open(self.duckdb)

    def register(self, name: str, frame: object) -> None:
        """Make a frame a table of this connection.

        Args:
            name: of the table.
            frame: a DataFrame of pandas or Polars, or a table of pyarrow.

        Raises:
            InputError: a model has the name.
        """
        self._settle()
        self.catalog.refuse_model_name(name)
        self.duckdb.register(name, frame)

    def local_endpoint(self) -> str:
        """The address of the local server, which is started where an engine first wants it."""
        if self._local is None:
            from .local_server import LocalServer

            self._local = LocalServer(self.session)
        return self._local.url

    def explain(self, text: str) -> Result:
        """What EXPLAIN gives of a statement. Sends nothing.

        Args:
            text: one statement.

        Returns:
            The rows of EXPLAIN.
        """
        return self.sql(f"EXPLAIN {text}")

    def close(self) -> None:
        """Close the database. May be called twice."""
        if self._at_end is not None:
            self.duckdb.abort()
            self._at_end()
        self.keys.clear()
        if self._local is not None:
            self._local.close()
        self.catalog.close()
        self.duckdb.close()

    def __enter__(self) -> Connection:
        """Return the connection itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close it."""
        self.close()

    def plan_and_run(self, statement: Statement, params: Parameters | None) -> Result:
        """Run a statement that uses models.

        Args:
            statement: the statement.
            params: the values of its parameters.

        Returns:
            Its result.

        Raises:
            InputError: it cannot be run as it is.
            InferenceError: no prediction could be made.
        """
        from .running import run_with_models

        return run_with_models(self, statement, params)

    def renamed(self, statement: Statement) -> Statement:
        """A statement without MindsDB's names and form of CREATE TABLE.

        Args:
            statement: as the person wrote it.

        Returns:
            The same for DuckDB.
        """

        def has_schema(name: str) -> bool:
            """Whether there is a schema or a database of a name."""
            found = "SELECT 1 FROM duckdb_schemas() WHERE lower($1) IN (lower(schema_name), lower(database_name))"
            return bool(self.duckdb.execute(found, [name]).fetchall())

        if statement.may_name(PROJECTS) and statement.is_readable:
            statement = without_projects(statement, has_schema)
        return with_as(statement)

    def _refuse_misspelt(self, statement: Statement, error: Exception) -> None:
        """Say which model may be meant where DuckDB finds no table, or no ON."""
        names, found = self.catalog.names(), None
        if missing := _NO_TABLE.search(str(error)):
            name = missing[1].strip('"').rpartition(".")[2]
            if name.lower() in names:
                sentence = f"{preview(name)} is a model, or a view over one, and has no rows to change"
                raise InputError(sentence) from error
            near = get_close_matches(name.lower(), names, n=1, cutoff=MIN_LIKENESS)
            found = (name, near[0]) if near else None
        elif type(error).__name__ == "ParserException":
            found = misspelt(statement, names)
        if found is not None:
            written, meant = found
            sentence = f"there is no table or model {preview(written)}; did you mean the model {meant!r}?"
            raise InputError(sentence) from error

    def _settle(self) -> None:
        """See to the result of the statement before, since DuckDB has one at a time."""
        last = self._last() if self._last is not None else None
        if last is not None:
            last.detach()
        elif self._last_only_reads:
            self.duckdb.abort()
        else:  # what is given up halfway would fail the person's transaction
            self.duckdb.complete()
        self._last = None
        if self._at_end is not None:
            self._at_end()

    def at_end(self, end: Callable[[], None]) -> Callable[[], None]:
        """See to it that something is done once, when the result of the statement is read or given up.

        Args:
            end: What is done.

        Returns:
            What does it.
        """

        def end_once() -> None:
            """Do it where it was not done."""
            if self._at_end is end_once:
                self._at_end = None
                end()

        self._at_end = end_once
        return end_once


def connect(
    path: str | Path = ":memory:",
    *,
    trust: bool = False,
    read_only: bool = False,
    progress: ModelProgress | None = None,
    confirm: Confirm | None = None,
    session: Session | None = None,
) -> Connection:
    """Open a DuckDB database in which models can be made and asked.

    Args:
        path: a DuckDB file, made where it is missing; ":memory:" for none.
        trust: whether engines that somebody else made in this file may use the keys and folders of this machine from
            now on. Look at them first: SELECT * FROM huggingface.engines.
        read_only: whether nothing may be written to the file.
        progress: is called with (model, inputs done, inputs in all) about ten times a second, and with ``phase`` as for
            ``inference.predict``.
        confirm: is asked with an estimate before a model is; False ends the statement.
        session: the connections, stores and routes to use; None for those of the process.

    Returns:
        The connection, which is closed at the end of a ``with`` block.

    Raises:
        InputError: the file cannot be opened, or was written by a newer version.
    """
    return Connection(path, trust=trust, read_only=read_only, progress=progress, confirm=confirm, session=session)
