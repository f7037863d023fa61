"""Predictions of one statement: the distinct inputs in a temporary table, their outputs in another."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any, NamedTuple

import orjson
import pandas as pd

from .database import Database
from .input_queries import InputQuery, input_column, output_column
from .model_joins import JoinedModel

WINDOW_ROWS = 16_384
"""Inputs that are read at once, and handed to ``predict_frames`` as one frame."""

_NUMBER = "__hf_n"
_FRAME = "__hf_frame"

Ask = Callable[[JoinedModel, Iterator[pd.DataFrame], int], Iterable[pd.DataFrame]]
"""Predicts frames of inputs, of which the number of rows in all is known."""


class PredictionTable(NamedTuple):
    """A temporary table of a model's predictions.

    Attributes:
        name: Its name, qualified.
        model: Whose they are.
        inputs: How many columns of inputs it has.
        columns: The outputs that are kept, by the names of their columns. The statement reads no others.
    """

    name: str
    model: JoinedModel
    inputs: int
    columns: dict[str, str]

    def lookup(self, expressions: Sequence[str]) -> str:
        """The subselect of the predictions for a row.

        Args:
            expressions: The row's inputs.

        Returns:
            A SELECT of one row with the model's columns. They have no names in it, which an input would read instead of
            its own table's.
        """
        return f"SELECT {self._outputs('')} FROM {self.name} WHERE {self._equal('', expressions)}"

    def single(self, expressions: Sequence[str]) -> str:
        """The subselect of a model that is read alone: one row, with its inputs after its outputs.

        Args:
            expressions: The inputs.

        Returns:
            A SELECT of one row.
        """
        keys = ", ".join(f"{each} AS {input_column(number)}" for number, each in enumerate(expressions))
        shown = ", ".join(f"__k.{input_column(number)}" for number in range(len(expressions)))
        same = self._equal("__p.", [f"__k.{input_column(number)}" for number in range(len(expressions))])
        row = f"(SELECT {keys}) AS __k"
        return f"SELECT {self._outputs('__p.')}, {shown} FROM {row} LEFT JOIN {self.name} AS __p ON {same}"

    def _outputs(self, qualifier: str) -> str:
        columns = {name: f"{qualifier}{column}" for column, name in self.columns.items()}
        return ", ".join(columns.get(name, f"CAST(NULL AS {type_})") for name, type_ in self.model.outputs.items())

    def _equal(self, qualifier: str, expressions: Sequence[str]) -> str:
        return " AND ".join(
            f"{qualifier}{input_column(number)} IS NOT DISTINCT FROM ({expression})"
            for number, expression in enumerate(expressions)
        )


class Predictions:
    """Tables of predictions that a statement makes, and drops at its end.

    Attributes:
        knows_predictions: Whether a model that was asked has answered, so that rows can be counted by its predictions.
    """

    knows_predictions = True

    def __init__(self, database: Database, ask: Ask, needed: Callable[[JoinedModel], set[str]]) -> None:
        """Begin without tables.

        Args:
            database: The person's.
            ask: Predicts.
            needed: The outputs of a model that the statement reads.
        """
        self._database, self._ask, self._needed = database, ask, needed
        self._tables: dict[tuple[JoinedModel, tuple[str, ...]], PredictionTable] = {}
        self._temporary: list[str] = []

    def table(self, model: JoinedModel, types: Sequence[str]) -> PredictionTable:
        """The table of a model's predictions, made where it is missing.

        Args:
            model: The model, with the arguments of this statement.
            types: The SQL types of its inputs.

        Returns:
            One table for all places of the statement where the model is joined with such inputs.
        """
        key = (model, tuple(types))
        if key not in self._tables:
            needed = self._needed(model)
            read = [name for name in model.outputs if name in needed]
            columns = {output_column(number): name for number, name in enumerate(read)}
            defined = [f"{input_column(number)} {_storable(type_)}" for number, type_ in enumerate(types)]
            defined += [f"{column} {model.outputs[name]}" for column, name in columns.items()]
            name = self.temporary(f"({', '.join(defined)})")
            self._tables[key] = PredictionTable(name, model, len(types), columns)
        return self._tables[key]

    def temporary(self, definition: str) -> str:
        """Make a temporary table that lasts as long as the statement.

        Args:
            definition: What stands after the name in CREATE TABLE.

        Returns:
            Its name, qualified.
        """
        name = f"temp.main.__hf_{len(self._temporary) + 1}"
        self._database.run(f"CREATE OR REPLACE TEMP TABLE {name.rpartition('.')[2]} {definition}")
        self._temporary.append(name)
        return name

    def ask(self, table: PredictionTable, names: Sequence[str], inputs: InputQuery) -> None:
        """Ask for those of some inputs that the table has not, and keep what comes.

        Args:
            table: Of the model.
            names: Of the columns that the model reads.
            inputs: The queries of its inputs.
        """
        numbered, total = self._unasked(table, inputs.select("DISTINCT"))
        if total:
            self._confirm(table, names, numbered, total)
            frames = self._frames(table, numbered, names, total)
            start = 0
            for out in self._ask(table.model, frames, total):
                self._keep(table, numbered, start, out)
                start += len(out)
        self._drop(numbered)

    def close(self) -> None:
        """Drop the tables."""
        for name in list(self._temporary):
            self._drop(name)

    def _confirm(self, table: PredictionTable, names: Sequence[str], numbered: str, total: int) -> None:
        """Is called before inputs are asked for; raises where they may not be."""

    def _unasked(self, table: PredictionTable, inputs: str) -> tuple[str, int]:
        """A table of the inputs that the table of predictions has not, numbered, and how many they are."""
        same = " AND ".join(
            f"__p.{input_column(number)} IS NOT DISTINCT FROM __q.{input_column(number)}"
            for number in range(table.inputs)
        )
        numbered = self.temporary(
            f"AS SELECT row_number() OVER () AS {_NUMBER}, __q.* FROM ({inputs}) AS __q "
            f"WHERE NOT EXISTS (SELECT 1 FROM {table.name} AS __p WHERE {same})"
        )
        return numbered, int(self._database.rows(f"SELECT count(*) FROM {numbered}")[0][0])

    def _frames(
        self, table: PredictionTable, numbered: str, names: Sequence[str], total: int
    ) -> Iterator[pd.DataFrame]:
        columns = ", ".join(f"{input_column(number)} AS {quoted(name)}" for number, name in enumerate(names))
        for start in range(0, total, WINDOW_ROWS):
            yield self._database.frame(
                f"SELECT {columns} FROM {numbered} WHERE {_NUMBER} BETWEEN {start + 1} AND {start + WINDOW_ROWS} "
                f"ORDER BY {_NUMBER}"
            )

    def _keep(self, table: PredictionTable, numbered: str, start: int, out: pd.DataFrame) -> None:
        rows = pd.DataFrame({column: _cells(out[name]) for column, name in table.columns.items()}, copy=False)
        rows[_NUMBER] = range(start + 1, start + len(out) + 1)
        inputs = ", ".join(f"__i.{input_column(number)}" for number in range(table.inputs))
        outputs = "".join(
            f", CAST(__f.{column} AS {table.model.outputs[name]})" for column, name in table.columns.items()
        )
        self._database.insert(
            f"INSERT INTO {table.name} SELECT {inputs}{outputs} FROM {numbered} AS __i "
            f"JOIN {_FRAME} AS __f ON __f.{_NUMBER} = __i.{_NUMBER} "
            f"WHERE __i.{_NUMBER} BETWEEN {start + 1} AND {start + len(out)}",
            _FRAME,
            rows,
        )

    def _drop(self, name: str) -> None:
        self._database.run(f"DROP TABLE IF EXISTS {name}")
        if name == self._temporary[-1]:
            self._temporary.pop()


class BoundOnly(Predictions):
    """Tables without rows, with which a statement is bound before anything is asked."""

    def __init__(self, database: Database, needed: Callable[[JoinedModel], set[str]]) -> None:
        """Begin without tables.

        Args:
            database: The person's.
            needed: The outputs of a model that the statement reads.
        """
        super().__init__(database, _ask_nothing, needed)

    def temporary(self, definition: str) -> str:
        """Make a table of the same columns, without rows.

        Args:
            definition: What stands after the name in CREATE TABLE.

        Returns:
            Its name, qualified.
        """
        return super().temporary(f"{definition} WITH NO DATA" if definition.startswith("AS ") else definition)

    def ask(self, table: PredictionTable, names: Sequence[str], inputs: InputQuery) -> None:
        """Ask nothing.

        Args:
            table: Of the model.
            names: Of the columns that the model reads.
            inputs: The queries of its inputs.
        """


@contextmanager
def dropped_on_error(predictions: Predictions) -> Iterator[None]:
    """Leave no tables in a transaction of the person's, where a statement fails in it.

    Args:
        predictions: Whose tables they are.

    Yields:
        Nothing.
    """
    try:
        yield
    except BaseException:
        with suppress(Exception):  # DuckDB's, where the error ended the transaction, and the tables with it
            predictions.close()
        raise


def _ask_nothing(_model: JoinedModel, _frames: Iterator[pd.DataFrame], _total: int) -> Iterator[pd.DataFrame]:
    return iter(())


def quoted(name: str) -> str:
    """A name as an identifier.

    Args:
        name: As it is.

    Returns:
        It in double quotes.
    """
    return '"' + name.replace('"', '""') + '"'


def _storable(type_: str) -> str:
    return "VARCHAR" if type_ == '"NULL"' else type_


def _cells(column: pd.Series[Any]) -> pd.Series[Any]:
    """A column as DuckDB reads it: lists and maps of JSON as text."""
    if column.dtype != object:
        return column
    cells = [orjson.dumps(value).decode() if isinstance(value, dict) else value for value in column]
    return pd.Series(cells, dtype=object, copy=False)
