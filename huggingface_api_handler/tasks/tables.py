"""Tasks that read tables."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from ..errors import UnreadableAnswer
from .base import TEXT, Batching, Column, Prediction, Read, Settings, Task, number, unreadable, unwrap


def table_question_body(inputs: Sequence[Any], settings: Settings) -> dict[str, Any]:
    """``{"inputs": {"query", "table": {column: [text, ...]}}}``, as recorded (the schema says ``question``)."""
    question, table = inputs[0]
    body: dict[str, Any] = {"inputs": {"query": question, "table": json.loads(table)}}
    if settings.parameters:
        body["parameters"] = dict(settings.parameters)
    return body


def read_table_answer(answer: Any, _input: Any, _settings: Settings) -> Prediction:
    answer = unwrap(answer)
    if isinstance(answer, list) and answer:  # several answers: the server's first is its best
        answer = answer[0]
    if not isinstance(answer, dict) or not isinstance(answer.get("answer"), str):
        raise unreadable("table-question-answering", answer)
    return Prediction(
        answer["answer"], None, {key: answer[key] for key in ("cells", "coordinates", "aggregator") if key in answer}
    )


def rows_body(inputs: Sequence[Any], settings: Settings) -> dict[str, Any]:
    """Rows turned into ``{"data": {column: [value, ...]}}``: the protocol carries many rows in a request."""
    names = settings.columns["columns"]
    return {
        "inputs": {"data": {name: list(values) for name, values in zip(names, zip(*inputs, strict=True), strict=True)}}
    }


def split_rows(answer: Any, count: int) -> list[Any]:
    if not isinstance(answer, list) or len(answer) != count:
        size = f"{len(answer)} values" if isinstance(answer, list) else type(answer).__name__
        raise UnreadableAnswer(f"{count} rows were answered with {size}")
    return answer


def read_class(answer: Any, _input: Any, _settings: Settings) -> Prediction:
    if not isinstance(answer, (str, int, float)) or isinstance(answer, bool):
        raise unreadable("tabular-classification", answer)
    return Prediction(answer)


def read_value(answer: Any, _input: Any, _settings: Settings) -> Prediction:
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
        body=rows_body,
        split=split_rows,
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
        body=table_question_body,
        read=read_table_answer,
        explained=True,
    ),
    _tabular(
        "tabular-classification", "Puts a class on each row of a table", "scikit-learn/tabular-playground", read_class
    ),
    _tabular("tabular-regression", "Puts a number on each row of a table", "scikit-learn/Fish-Weight", read_value),
)
