"""Tasks that read tables."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from ..errors import UnreadableAnswer
from .base import (
    TEXT,
    Batching,
    Column,
    JSONObject,
    Prediction,
    Read,
    Settings,
    Task,
    best_of,
    number,
    unreadable,
    with_parameters,
)
from .input_types import Input, TableQuestion, TableRow


def _table_question_body(inputs: Sequence[TableQuestion], settings: Settings) -> JSONObject:
    """``{"inputs": {"query", "table": {column: [text, ...]}}}``, as recorded (the schema says ``question``)."""
    question, table = inputs[0]
    return with_parameters({"inputs": {"query": question, "table": json.loads(table)}}, settings)


def read_table_answer(answer: object, _input: Input, _settings: Settings) -> Prediction:
    """The answer, and the cells it was made of.

    Args:
        answer: ``{"answer", "cells", "coordinates", "aggregator"}``, or a list of these, best first.

    Returns:
        The answer's text for the target. ``explain`` holds ``cells``, ``coordinates`` and ``aggregator``, those that
        the server sent.

    Raises:
        UnreadableAnswer: the answer has another shape.
    """
    answer = best_of(answer)
    if not isinstance(answer, dict) or not isinstance(answer.get("answer"), str):
        raise unreadable("table-question-answering", answer)
    return Prediction(
        answer["answer"], None, {key: answer[key] for key in ("cells", "coordinates", "aggregator") if key in answer}
    )


def _rows_body(inputs: Sequence[TableRow], settings: Settings) -> JSONObject:
    """Rows turned into ``{"data": {column: [value, ...]}}``: the protocol carries many rows in a request."""
    names = settings.columns["columns"]
    columns = zip(*(row.values for row in inputs), strict=True)
    return {"inputs": {"data": {name: list(values) for name, values in zip(names, columns, strict=True)}}}


def _split_rows(answer: object, count: int) -> list[Any]:
    if not isinstance(answer, list) or len(answer) != count:
        size = f"{len(answer)} values" if isinstance(answer, list) else type(answer).__name__
        raise UnreadableAnswer(f"{count} rows were answered with {size}")
    return answer


def read_class(answer: object, _input: Input, _settings: Settings) -> Prediction:
    """The class of one row.

    Args:
        answer: a text or a number.

    Returns:
        The class for the target, as the server sent it.

    Raises:
        UnreadableAnswer: the answer is neither.
    """
    if not isinstance(answer, (str, int, float)) or isinstance(answer, bool):
        raise unreadable("tabular-classification", answer)
    return Prediction(answer)


def read_value(answer: object, _input: Input, _settings: Settings) -> Prediction:
    """The number of one row.

    Args:
        answer: a number.

    Returns:
        The number for the target, as a float.

    Raises:
        UnreadableAnswer: the answer is no number.
    """
    value = number(answer)
    if value is None:
        raise unreadable("tabular-regression", answer)
    return Prediction(value)


def _tabular(name: str, description: str, default_model: str, read: Read) -> Task:
    return Task(
        name=name,
        description=description,
        default_model=default_model,
        columns=(Column("columns", "values"),),
        body=_rows_body,
        split=_split_rows,
        read=read,
        batching=Batching.NATIVE,
        spec="",
    )


TASKS = (
    Task(
        name="table-question-answering",
        description="Answers a question from a table",
        aliases=("table-qa",),
        default_model="google/tapas-base-finetuned-wtq",
        columns=(
            *TEXT,
            Column("table_column", "table", required=False),
            Column("table_columns", "whole table", required=False),
        ),
        combine=TableQuestion,
        body=_table_question_body,
        read=read_table_answer,
        explained=True,
    ),
    _tabular(
        "tabular-classification", "Puts a class on each row of a table", "scikit-learn/tabular-playground", read_class
    ),
    _tabular("tabular-regression", "Puts a number on each row of a table", "scikit-learn/Fish-Weight", read_value),
)
