"""Tables of other libraries at the door: pyarrow and Polars in, the same kind out. Imports neither of them itself."""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import orjson
import pandas as pd

from ...config.settings import ModelSettings
from ...errors import InputError
from ...redaction import preview
from ...tasks import read_inputs
from .columns import column_types


class OpenedFrame(NamedTuple):
    """A table of any kind as a DataFrame.

    Attributes:
        frame: The table; of other kinds than pandas only the columns that the model reads.
        close: Makes a table of the same kind of its prediction.
    """

    frame: pd.DataFrame
    close: Callable[[pd.DataFrame], Any]


def open_frame(table: Any, model: ModelSettings) -> OpenedFrame:
    """Take a table at the door.

    Args:
        table: A pandas DataFrame, a pyarrow Table or RecordBatch, or a Polars DataFrame.
        model: Says which columns are read, and which come out.

    Returns:
        The table as a DataFrame, and the way back.

    Raises:
        InputError: It is no such table.
    """
    if isinstance(table, pd.DataFrame):
        return OpenedFrame(table, lambda out: out)
    kind = type(table).__module__.partition(".")[0], type(table).__name__
    if kind in (("pyarrow", "Table"), ("pyarrow", "RecordBatch")):
        cells = _cells(table, table.schema.names, "to_pylist", model)
        return OpenedFrame(cells, lambda out: _arrow(kind[1], out, model))
    if kind == ("polars", "DataFrame"):
        return OpenedFrame(_cells(table, table.columns, "to_list", model), lambda out: _polars(out, model))
    if kind == ("polars", "LazyFrame"):
        raise InputError("a Polars LazyFrame has no rows yet. Give its collect(), or the batches of collect_batches()")
    raise InputError(
        f"a table must be a pandas DataFrame, a pyarrow Table or RecordBatch, or a Polars DataFrame, and not "
        f"{type(table).__name__}"
    )


def _cells(table: Any, names: Sequence[str], as_list: str, model: ModelSettings) -> pd.DataFrame:
    """The columns that are read, cell by cell: pandas would make floats of integers with a NULL among them."""
    wanted = {name.lower() for name in model.column_names}
    for name in names:
        if name.lower() in wanted and names.count(name) > 1:
            raise InputError(f"the table has {names.count(name)} columns named {preview(name)}. Rename them")
    columns = {
        name: np.fromiter(getattr(table[name], as_list)(), dtype=object, count=len(table[name]))
        for name in names
        if name.lower() in wanted
    }
    return pd.DataFrame(columns, index=pd.RangeIndex(len(table)))


def check_columns(names: Iterable[object], model: ModelSettings) -> None:
    """Check that a table has the columns that are read: those of the model, and those of a cascade's proxy.

    Args:
        names: The names of the table's columns.
        model: Says which columns are read.

    Raises:
        InputError: A column is not there.
    """
    frame = pd.DataFrame(columns=list(names), dtype=object)
    for each in (model, *(() if model.proxy is None else (model.proxy.model,))):
        read_inputs(each.definition, frame, each)


def typed_cells(out: pd.DataFrame, model: ModelSettings) -> dict[str, tuple[str, list[object]]]:
    """The columns of a prediction by the types that are known before anything is asked.

    Args:
        out: The prediction.
        model: Says which columns there are.

    Returns:
        The SQL type of each column, and its cells as values of that type, None for NULL. JSON is text.
    """
    types: Mapping[str, str] = column_types(model)
    return {name: (types[name], [_as_type(types[name], cell) for cell in out[name]]) for name in out.columns}


def _as_type(sql_type: str, cell: object) -> object:
    if cell is None or (isinstance(cell, float) and cell != cell):
        return None
    if sql_type == "JSON" or (sql_type == "VARCHAR" and not isinstance(cell, str)):
        return _json(cell)
    if sql_type == "VARCHAR[]" and isinstance(cell, list):  # a model may write what it was not asked for
        return [_as_type("VARCHAR", each) for each in cell]
    return cell


def _json(cell: object) -> str:
    try:
        return orjson.dumps(cell).decode()
    except TypeError:  # a number of more than 64 bits, in a list of a model
        return json.dumps(cell, ensure_ascii=False)


def arrow_types(model: ModelSettings) -> dict[str, Any]:
    """The columns of a prediction in a table of pyarrow, known before anything is asked.

    Args:
        model: Says which columns there are.

    Returns:
        pyarrow's type of each column by its name, in order.
    """
    arrow = importlib.import_module("pyarrow")
    types = {
        "VARCHAR": arrow.string(),
        "JSON": arrow.string(),
        "DOUBLE": arrow.float64(),
        "BIGINT": arrow.int64(),
        "BOOLEAN": arrow.bool_(),
        "FLOAT[]": arrow.list_(arrow.float32()),
        "VARCHAR[]": arrow.list_(arrow.string()),
    }
    return {name: types[sql_type] for name, sql_type in column_types(model).items()}


def _arrow(kind: str, out: pd.DataFrame, model: ModelSettings) -> Any:
    arrow, types = importlib.import_module("pyarrow"), arrow_types(model)
    columns = {name: arrow.array(cells, types[name]) for name, (_, cells) in typed_cells(out, model).items()}
    return getattr(arrow, kind).from_pydict(columns)


def _polars(out: pd.DataFrame, model: ModelSettings) -> Any:
    polars = importlib.import_module("polars")
    types = {
        "VARCHAR": polars.String,
        "JSON": polars.String,
        "DOUBLE": polars.Float64,
        "BIGINT": polars.Int64,
        "BOOLEAN": polars.Boolean,
        "FLOAT[]": polars.List(polars.Float32),
        "VARCHAR[]": polars.List(polars.String),
    }
    return polars.DataFrame(
        [polars.Series(name, cells, types[kind]) for name, (kind, cells) in typed_cells(out, model).items()]
    )
