"""Engines, models and views over models, kept in the schema ``huggingface`` of the DuckDB file.

They are read and written on a connection of their own, so what the person's transaction does neither hides nor undoes
them: an engine made between BEGIN and ROLLBACK stays. No key is among them. Each row has a mark that says who wrote it
(see ``trust``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

from ..config.normalize import suggest
from ..errors import InputError
from ..redaction import preview
from .catalog_items import CHANGED_BY_HAND, Engine, Item, Model, View, engine_of, model_of, view_of
from .catalog_tables import FORMAT, SCHEMA, TABLES, refuse_newer, refuse_other_schema
from .result import quoted

if TYPE_CHECKING:
    import duckdb

_open_catalogs: WeakSet[Catalog] = WeakSet()
"""Of this process, which reads what it holds again after each change: two connections may have one file open."""


Sign = Callable[[Item], str]
"""Makes the mark of a row that this user writes."""


class Catalog:
    """The engines, models and views of one DuckDB file. Names ignore case."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, sign: Sign = lambda _item: "") -> None:
        """Read what is in the file.

        Args:
            connection: the person's, whose current database it is.
            sign: makes the marks of what is written.

        Raises:
            InputError: the file was written in a newer format.
        """
        self._person = connection
        self._own = connection.cursor()
        self._sign = sign
        self._database, self.is_read_only = self._own.execute(
            "SELECT database_name, readonly FROM duckdb_databases() WHERE database_name = current_database()"
        ).fetchall()[0]
        self._is_stale = True
        self._engines: dict[str, Engine] = {}
        self._models: dict[str, list[Model]] = {}
        self._views: dict[str, View] = {}
        self._refresh()
        _open_catalogs.add(self)

    def engine(self, name: str) -> Engine | None:
        """The engine of a name.

        Args:
            name: in any case.

        Returns:
            The engine; None where there is none.
        """
        self._refresh()
        return self._engines.get(name.lower())

    def engines(self) -> list[Engine]:
        """All engines, by name."""
        self._refresh()
        return [self._engines[name] for name in sorted(self._engines)]

    def model(self, name: str, version: int | None = None) -> Model | None:
        """A model.

        Args:
            name: its name, without a schema.
            version: its number; None for the active one.

        Returns:
            The model; None where there is none of that name and version.
        """
        self._refresh()
        for model in self._models.get(name.lower(), []):
            if model.active if version is None else model.version == version:
                return model
        return None

    def models(self) -> list[Model]:
        """All models in all versions, by name."""
        self._refresh()
        return [model for name in sorted(self._models) for model in self._models[name]]

    def view(self, name: str) -> View | None:
        """The view over a model of a name.

        Args:
            name: in any case.

        Returns:
            The view; None where there is none.
        """
        self._refresh()
        return self._views.get(name.lower())

    def views(self) -> list[View]:
        """All views over models, by name."""
        self._refresh()
        return [self._views[name] for name in sorted(self._views)]

    def items(self) -> list[Item]:
        """All engines, models and views."""
        return [*self.engines(), *self.models(), *self.views()]

    def names(self) -> frozenset[str]:
        """The names of all models and views, in lower case: what a statement that needs more than DuckDB names."""
        self._refresh()
        return frozenset({*self._models, *self._views})

    def named_model(self, name: str, version: int | None = None) -> Model:
        """As ``model``, for a statement that names one.

        Args:
            name: its name, without a schema.
            version: its number; None for the active one.

        Returns:
            The model.

        Raises:
            InputError: there is none. The message has the nearest name.
        """
        if (model := self.model(name, version)) is not None:
            return model
        if version is not None and (versions := self._models.get(name.lower())):
            held = ", ".join(str(model.version) for model in versions)
            raise InputError(f"the model {preview(name)} has no version {version}. It has: {held}")
        raise InputError(f"there is no model {preview(name)}{_nearest(name, [m.name for m in self.models()])}")

    def named_engine(self, name: str) -> Engine:
        """As ``engine``, for a statement that names one.

        Args:
            name: in any case.

        Returns:
            The engine.

        Raises:
            InputError: there is none. The message has the nearest name.
        """
        if (engine := self.engine(name)) is not None:
            return engine
        raise InputError(f"there is no engine {preview(name)}{_nearest(name, [e.name for e in self.engines()])}")

    def engine_of(self, model: Model) -> Engine:
        """The engine of a model.

        Args:
            model: of this catalog.

        Returns:
            The engine.

        Raises:
            InputError: it was dropped.
        """
        if (engine := self.engine(model.engine)) is not None:
            return engine
        raise InputError(
            f"the engine {preview(model.engine)} of the model {preview(model.name)} was dropped. Create it again "
            f"(CREATE ML_ENGINE {model.engine} ...), or drop the model"
        )

    def add(self, *items: Item) -> None:
        """Write engines, models and views in one transaction, in place of those of their name (and version).

        Args:
            items: each gets this user's mark. A model that is active takes the place of the version that was.

        Raises:
            InputError: the database is read-only.
        """
        with self._writing() as own:
            for item in items:
                self._delete(own, item)
                if isinstance(item, Model) and item.active:
                    own.execute(
                        f"UPDATE {self._table('models')} SET active = false WHERE lower(name) = ?",
                        [item.name.lower()],
                    )
                self._insert(own, replace(item, mark=self._sign(item)))

    def sign(self, *items: Item) -> None:
        """Give rows this user's mark, which is then responsible for them.

        Args:
            items: as they were read.

        Raises:
            InputError: the database is read-only.
        """
        with self._writing() as own:
            for item in items:
                version = " AND version = ?" if isinstance(item, Model) else ""
                values = [self._sign(item), item.name.lower(), *([item.version] if isinstance(item, Model) else [])]
                own.execute(
                    f"UPDATE {self._table(item.kind)} SET mark = ? WHERE lower(name) = ?{version}",
                    values,
                )

    def drop(self, *items: Item) -> None:
        """Delete engines, models and views in one transaction.

        Args:
            items: of a model the version that it is.

        Raises:
            InputError: the database is read-only.
        """
        with self._writing() as own:
            for item in items:
                self._delete(own, item)

    def refuse_taken(self, name: str, what: str) -> None:
        """Refuse a name of a model or view that a table has, also one of the person's open transaction.

        Args:
            name: of what is to be made.
            what: it is, such as 'model'.

        Raises:
            InputError: a table or view has the name.
        """
        found = self._person.execute(
            "SELECT 'table' FROM duckdb_tables() WHERE lower(table_name) = $name AND schema_name <> $own "
            "AND database_name IN (current_database(), $database, 'temp') "
            "UNION ALL SELECT 'view' FROM duckdb_views() WHERE lower(view_name) = $name AND NOT internal "
            "AND database_name IN (current_database(), $database, 'temp')",
            {"name": name.lower(), "own": SCHEMA, "database": self._database},
        ).fetchall()
        if found:
            raise InputError(f"there is a {found[0][0]} {preview(name)}. Give the {what} another name")

    def is_own_schema(self, parts: Sequence[str]) -> bool:
        """Whether a table in a schema is found without naming that.

        Args:
            parts: what stands before the table's name: none, a schema, or a database and a schema.

        Returns:
            True for the main schema of this file, and for temporary tables.
        """
        return {part.lower() for part in parts} <= {"main", "temp", self._database.lower()}

    def refuse_model_name(self, name: str) -> None:
        """Refuse the name of a table or view that a model or a view over a model has.

        Args:
            name: of the table that is to be made.

        Raises:
            InputError: a model or view has the name.
        """
        what = "model" if self.model(name) else "view over a model" if self.view(name) else None
        if what is not None:
            raise InputError(f"there is a {what} {preview(name)}. Give the table another name")

    def invalidate(self) -> None:
        """Read the tables again before the next answer: a statement of the person's may have changed them."""
        self._is_stale = True

    def close(self) -> None:
        """Close the connection of its own."""
        self._own.close()

    def _refresh(self) -> None:
        if not self._is_stale:
            return
        held = self._tables()
        if "format" not in held:  # another schema of this name, which is the person's
            held = set()
        else:
            refuse_newer(self._select("format", "max(format) AS format"))
        self._engines = {engine.name.lower(): engine for engine in map(engine_of, self._rows("engines", held))}
        self._views = {view.name.lower(): view for view in map(view_of, self._rows("views", held))}
        self._models = {}
        for model in map(model_of, self._rows("models", held)):
            self._models.setdefault(model.name.lower(), []).append(model)
        self._is_stale = False

    def _tables(self) -> set[str]:
        """Which tables of ours there are. Views of these names are somebody's, and not read."""
        found = self._own.execute(
            "SELECT table_name FROM duckdb_tables() WHERE database_name = ? AND schema_name = ?",
            [self._database, SCHEMA],
        )
        return {name for (name,) in found.fetchall()}

    def _rows(self, table: str, held: set[str]) -> list[dict[str, Any]]:
        if table not in held:
            return []
        columns = [column.split()[0] for column in TABLES[table].split(", ") if not column.startswith("created_at")]
        return self._select(table, ", ".join(columns) + " ORDER BY ALL")

    def _select(self, table: str, columns: str) -> list[dict[str, Any]]:
        selected, order, by = columns.partition(" ORDER")
        try:
            found = self._own.execute(f"SELECT {selected} FROM {self._table(table)}{order}{by}")
        except Exception as error:
            if type(error).__name__ != "BinderException":
                raise
            raise InputError(CHANGED_BY_HAND) from error
        names = [column[0] for column in found.description or []]
        return [dict(zip(names, row, strict=True)) for row in found.fetchall()]

    def _table(self, name: str) -> str:
        return f"{quoted(self._database)}.{SCHEMA}.{name}"

    @contextmanager
    def _writing(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """A transaction of its own, in which the tables are there."""
        self.refuse_read_only()
        self._own.execute("BEGIN")
        try:
            self._own.execute(f"CREATE SCHEMA IF NOT EXISTS {quoted(self._database)}.{SCHEMA}")
            refuse_other_schema(self._tables())
            for name, columns in TABLES.items():
                self._own.execute(f"CREATE TABLE IF NOT EXISTS {self._table(name)} ({columns})")
            if not self._select("format", "format"):
                self._own.execute(f"INSERT INTO {self._table('format')} VALUES (?)", [FORMAT])
            yield self._own
            self._own.execute("COMMIT")
        except BaseException as error:
            with suppress(Exception):  # a COMMIT that failed has ended the transaction
                self._own.execute("ROLLBACK")
            if type(error).__name__ == "TransactionException":
                raise InputError(
                    "a transaction that is still open has changed the schema huggingface. COMMIT or ROLLBACK first"
                ) from error
            raise
        finally:
            for catalog in list(_open_catalogs):
                catalog.invalidate()

    def refuse_read_only(self) -> None:
        """Refuse to write to a database that is open for reading only.

        Raises:
            InputError: it is.
        """
        if self.is_read_only:
            raise InputError(
                f"the database {preview(self._database)} is open for reading only, so engines, models and views "
                "cannot be made or dropped in it. Those that it has can be used"
            )

    def _insert(self, own: duckdb.DuckDBPyConnection, item: Item) -> None:
        row = {**item.row(), "mark": item.mark}
        if isinstance(item, Model):
            row["active"] = item.active
        columns, marks = ", ".join(row), ", ".join("?" * len(row))
        own.execute(f"INSERT INTO {self._table(item.kind)} ({columns}) VALUES ({marks})", list(row.values()))

    def _delete(self, own: duckdb.DuckDBPyConnection, item: Item) -> None:
        sql = f"DELETE FROM {self._table(item.kind)} WHERE lower(name) = ?"
        if isinstance(item, Model):
            own.execute(f"{sql} AND version = ?", [item.name.lower(), item.version])
        else:
            own.execute(sql, [item.name.lower()])


def _nearest(name: str, names: list[str]) -> str:
    return suggest(name, names) if names else ": none was made yet"
