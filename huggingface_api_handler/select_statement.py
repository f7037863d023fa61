"""What MindsDB makes of a SELECT: the frame that it hands to ``predict``, and where it keeps what comes back.

A JOIN brings the columns of its tables, then ``__mindsdb_row_id``, then what WHERE compares with a constant under the
model's alias (``m.x = 3``), which MindsDB takes out of WHERE. A SELECT from the model alone is one row of what its
WHERE says, and MindsDB writes these constants over the columns of the prediction.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import pandas as pd

from .config.normalize import Using
from .config.settings import ModelSettings
from .errors import DryRunSummary, InputError
from .inference.runtime.columns import column_types
from .inference.runtime.failure_tally import MIN_FAILURES_OF_PARTITION
from .redaction import preview
from .tasks.inputs import find_column, several_columns

ROW_ID = "__mindsdb_row_id"
"""The column that MindsDB adds to the rows of a JOIN."""

_PARTITIONING = {"batch_size", "track_column", "threads", "partition_size"}
_BUDGETS = ("max_usd", "max_tokens_total")
_ONE_CELL = ("text", "image", "audio", "video")
_NAME_PART = re.compile(r"`([^`]*)`|([^.`]+)")


def input_frame(frame: pd.DataFrame, model: ModelSettings) -> pd.DataFrame:
    """The input rows under the names that a person wrote.

    Args:
        frame: what MindsDB hands over: the rows of a JOIN, one row of constants, or rows of its HTTP API.
        model: says which columns are read, and which come out.

    Returns:
        The frame. Names of a single row have lost backticks and qualifiers (MindsDB writes ``m.`Review Text```), where
        the model does not read a column of that very name.

    Raises:
        InputError: WHERE compares a column with a constant, and would neither filter by it nor hand it to the model;
            a subselect in WHERE gave several rows, or none; or a JOIN has two columns of a name that is read, upper and
            lower case apart.
    """
    names = [str(name) for name in frame.columns]
    if ROW_ID in names:
        _refuse_join_constants(frame.iloc[:, names.index(ROW_ID) + 1 :], model)
        _refuse_several_columns(names, model)
        return frame
    if len(frame) != 1:
        return frame
    found = {name.lower() for name in model.column_names} & {name.lower() for name in names}
    plain = [name if {name.lower(), _plain_name(name).lower()} & found else _plain_name(name) for name in names]
    row = frame.set_axis(plain, axis="columns")
    _refuse_outputs_of_a_row(row, model)
    _refuse_lists(row, model)
    return row


def min_failures(overrides: Using) -> int:
    """How many rows must fail alike for a statement without any answer to fail.

    Args:
        overrides: the SELECT's USING clause.

    Returns:
        1; more where MindsDB hands over a table in parts, each of which is a query that cannot know of the others.
    """
    names = {str(name).lower() for name in overrides}
    return MIN_FAILURES_OF_PARTITION if names & _PARTITIONING else 1


def refuse_budget_in_parts(overrides: Using, model: ModelSettings) -> None:
    """Refuse a budget in dollars or tokens where MindsDB hands over a table in parts: it would hold for each anew.

    Args:
        overrides: the SELECT's USING clause.
        model: the model's settings.

    Raises:
        InputError: there is one, and the table comes in parts.
    """
    parts = sorted({str(name).lower() for name in overrides} & _PARTITIONING)
    given = [name for name in _BUDGETS if getattr(model, name) is not None]
    if parts and given and not model.dry_run:
        raise InputError(
            f"{given[0]} bounds one query, and with {parts[0]} each part of the table is one. Leave {parts[0]} out, or "
            "set usd_per_month of the engine, which holds for all parts together"
        )


def refuse_to_be_kept(out: pd.DataFrame, frame: pd.DataFrame, model: ModelSettings) -> None:
    """Keep a dry run out of MindsDB's prediction cache, which would give it as the predictions of the table.

    MindsDB caches what ``predict`` returns for a JOIN by model and table, and not by USING. It caches no error.

    Args:
        out: the dry run.
        frame: what MindsDB handed over.
        model: the model's settings.

    Raises:
        DryRunSummary: the cache is on and would take it; the message has the figures.
    """
    if ROW_ID in frame.columns and len(out) and _has_prediction_cache():
        raise DryRunSummary(
            f"{out[model.target].iloc[0]}. This comes as an error because MindsDB's prediction cache is on, which "
            "would give it as the predictions of this table from now on. With the cache switched off it is a table: "
            "`python -m huggingface_api_handler doctor` says how"
        )


def _has_prediction_cache() -> bool:
    from mindsdb.utilities.config import Config

    return bool(Config().get("cache", {}).get("type") != "none")


def _plain_name(name: str) -> str:
    """The last part of a name such as ``hf.`Review Text```, without backticks."""
    parts = [quoted or bare for quoted, bare in _NAME_PART.findall(name)]
    return parts[-1] if parts else name


def _outputs(model: ModelSettings) -> set[str]:
    """The names of the prediction's columns that are no inputs too, in lower case."""
    types = column_types(model.model_copy(update={"dry_run": False}))
    return {name.lower() for name in types} - {name.lower() for name in model.column_names}


def _first(frame: pd.DataFrame, place: int) -> str:
    """The constant that a column consists of, as a person wrote it."""
    return preview(next(iter(frame.iloc[:, place].tolist()), None))


def _refuse_join_constants(constants: pd.DataFrame, model: ModelSettings) -> None:
    read, outputs = {name.lower() for name in model.column_names}, _outputs(model)
    for place, name in enumerate(map(str, constants.columns)):
        if name.lower() in read:
            continue
        value = _first(constants, place)
        sentence = f"WHERE m.{name} = {value} does not filter: MindsDB takes it for an input of the model, which "
        if name.lower() not in outputs:
            listed = ", ".join(map(preview, dict.fromkeys(model.column_names)))
            raise InputError(f"{sentence}reads {listed}")
        raise InputError(
            f"{sentence}gives {preview(name)} and does not read it. Leave out the model's alias (WHERE {name} = "
            f"{value}), or filter around the query: {_around('JOIN', name, value)}"
        )


def _refuse_several_columns(names: Sequence[str], model: ModelSettings) -> None:
    """Refuse ``text`` beside ``TEXT``: ON m.TEXT = t.other makes the second, which is the one that is meant."""
    for name in model.column_names:
        count = sum(other.lower() == name.lower() for other in names)
        if count > 1:
            raise several_columns(name, count)


def _refuse_outputs_of_a_row(row: pd.DataFrame, model: ModelSettings) -> None:
    outputs = _outputs(model)
    for place, name in enumerate(map(str, row.columns)):
        if name.lower() in outputs:
            value = _first(row, place)
            raise InputError(
                f"WHERE {name} = {value} does not filter: MindsDB would show {value} in place of the prediction's "
                f"{preview(name)}. Filter around the query: {_around('WHERE', name, value)}"
            )


def _around(clause: str, name: str, value: str) -> str:
    """The query in another one, which filters."""
    return f"SELECT * FROM (SELECT ... {clause} ...) AS p WHERE p.{name} = {value}"  # noqa: S608 -- for a person


def _refuse_lists(row: pd.DataFrame, model: ModelSettings) -> None:
    for column in model.definition.columns:
        name = model.columns.get(column.argument)
        if column.data_type not in _ONE_CELL or not isinstance(name, str):
            continue
        cell = find_column(row, name, column.argument).iloc[0]
        if isinstance(cell, list):
            given = f"{len(cell):,} values" if cell else "no value"
            raise InputError(
                f"WHERE {name} = (...): its subselect gave {given}, and one {column.data_type} is read. To predict "
                "each of its rows, JOIN it to the model: FROM (SELECT ...) AS t JOIN ..."
            )
