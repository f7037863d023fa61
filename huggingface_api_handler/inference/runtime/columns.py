"""The columns of a prediction, made of the results of a frame's rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

import numpy as np
import pandas as pd

from ...config.settings import ModelSettings
from ..failures import Failure
from .results import Results
from .rows import Rows

if TYPE_CHECKING:
    Index: TypeAlias = pd.Index[Any]
    Series: TypeAlias = pd.Series[Any]

T = TypeVar("T")

_DRY_RUN_TYPES = {
    "rows": "BIGINT",
    "nulls": "BIGINT",
    "distinct_inputs": "BIGINT",
    "stored": "BIGINT",
    "requests": "BIGINT",
    "seconds": "DOUBLE",
    "usd_low": "DOUBLE",
    "usd_high": "DOUBLE",
}


def column_types(model: ModelSettings) -> dict[str, str]:
    """The columns of a prediction, known before anything is asked.

    Args:
        model: the checked arguments of the model.

    Returns:
        The SQL type of each column by its name, in order: VARCHAR, DOUBLE, BIGINT, BOOLEAN, JSON, FLOAT[] or
        VARCHAR[].
    """
    task, target = model.definition, model.target
    if model.dry_run:
        return {target: "VARCHAR", f"{target}_error": "VARCHAR", **_DRY_RUN_TYPES}
    types = {target: task.value_type(model)}
    if task.has_confidence(model):
        types[f"{target}_confidence"] = "DOUBLE"
    if task.explained:
        types[f"{target}_explain"] = "JSON"
    answered_by = {f"{target}_model": "VARCHAR"} if model.cascade is not None else {}
    return {**types, **model.output_fields, **answered_by, f"{target}_error": "VARCHAR"}


def prediction_columns(
    rows: Rows, results: Results, failures: Mapping[int, Failure], model: ModelSettings
) -> pd.DataFrame:
    """The columns of a prediction.

    Args:
        rows: the rows of the frame.
        results: what became of their inputs, all of them done.
        failures: of the rows that have no prediction, by the number of the row.
        model: says which columns there are.

    Returns:
        ``<target>``; ``<target>_confidence`` and ``<target>_explain`` where the task has them; the fields of
        ``output_schema``; ``<target>_error``. The index is the frame's.
    """
    task, target, index = model.definition, model.target, rows.index
    values = _by_row(results.values, rows, results.start, None)
    columns = {target: _objects(values, index)}
    if task.has_confidence(model):
        scores = _by_row(results.scores, rows, results.start, float("nan"))
        columns[f"{target}_confidence"] = pd.Series(np.array(scores, dtype=float), index, copy=False)
    if task.explained:
        columns[f"{target}_explain"] = _objects(_by_row(results.explains, rows, results.start, None), index)
    for name in model.output_fields:
        columns[name] = _objects([value.get(name) if value is not None else None for value in values], index)
    reasons: list[str | None] = [None] * len(rows.inputs)
    for row, failure in failures.items():
        reasons[row] = failure.reason
    columns[f"{target}_error"] = _objects(reasons, index)
    return pd.DataFrame(columns, index=index, copy=False)


def _by_row(column: Sequence[T], rows: Rows, start: int, missing: T) -> Sequence[T]:
    """A column of results, which begins with input ``start``, for each row of the frame."""
    if rows.all_differ:  # a copy, since the event loop makes room for more inputs meanwhile
        return column[rows.new - start : rows.stop - start]
    return [column[index - start] if index >= 0 else missing for index in rows.inputs]


def _objects(values: Sequence[object], index: Index) -> Series:
    # Not of the values as they are, since vectors of one length would make a table of them.
    return pd.Series(np.fromiter(values, dtype=object, count=len(values)), index, dtype=object, copy=False)
