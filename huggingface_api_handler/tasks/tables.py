"""Tasks that read tables."""

from __future__ import annotations

from collections.abc import Callable, Collection

from ..errors import InputError
from .base import (
    TEXT,
    Column,
    Prediction,
    Read,
    Settings,
    Task,
    best_of,
    number,
    number_value,
    text_value,
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
    answer = best_of(answer)
    if not isinstance(answer, dict) or not isinstance(answer.get("answer"), str):
        raise unreadable("table-question-answering", answer)
    return Prediction(
        answer["answer"], None, {key: answer[key] for key in ("cells", "coordinates", "aggregator") if key in answer}
    )


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


def _tabular(
    name: str, description: str, default_model: str, read: Read, value_type: Callable[[Settings], str] = text_value
) -> Task:
    return Task(
        name=name,
        description=description,
        default_model=default_model,
        columns=(Column("columns", "values"),),
        read=read,
        value_type=value_type,
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
        check_columns=check_table_columns,
        read=read_table_answer,
        explained=True,
    ),
    _tabular(
        "tabular-classification", "Puts a class on each row of a table", "scikit-learn/tabular-playground", read_class
    ),
    _tabular(
        "tabular-regression",
        "Puts a number on each row of a table",
        "scikit-learn/Fish-Weight",
        read_value,
        number_value,
    ),
)
