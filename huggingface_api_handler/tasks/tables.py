"""Tasks that read tables."""

from __future__ import annotations

from collections.abc import Collection
from functools import partial

from ..errors import InputError
from .base import (
    TEXT,
    Column,
    Prediction,
    Settings,
    Task,
    best_of,
    number_value,
    object_with_text,
    read_number,
    unreadable,
)
from .input_types import Input, TableQuestion


def check_table_columns(arguments: Collection[str]) -> None:
    """Refuse a question without a table, or with two.

    Args:
        arguments: the column arguments that were given.

    Raises:
        InputError: neither or both of ``table_column`` and ``table_columns`` are among them.
    """
    if len({"table_column", "table_columns"} & set(arguments)) != 1:
        raise InputError(
            "table-question-answering needs table_column, a column of tables as JSON, or table_columns, columns of "
            "this table"
        )


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
    found = object_with_text(best_of(answer), "answer", "table-question-answering")
    explain = {key: found[key] for key in ("cells", "coordinates", "aggregator") if key in found}
    return Prediction(found["answer"], None, explain)


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


_tabular_task = partial(Task, columns=(Column("columns", "values"),), spec="", max_answer_bytes=1024)

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
        check_columns=check_table_columns,
        read=read_table_answer,
        long_text_advice="An answer may need any row of the table, so that it is not asked in parts. Send fewer "
        "rows or columns",
        explained=True,
    ),
    _tabular_task(
        name="tabular-classification",
        description="Puts a class on each row of a table",
        default_model="scikit-learn/tabular-playground",
        is_on_hugging_face=False,
        read=read_class,
    ),
    _tabular_task(
        name="tabular-regression",
        description="Puts a number on each row of a table",
        default_model="scikit-learn/Fish-Weight",
        is_on_hugging_face=False,
        read=read_number("tabular-regression"),
        value_type=number_value,
    ),
)
