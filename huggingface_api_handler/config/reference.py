"""The reference of USING arguments: the same rows for DESCRIBE, for the shell and for the documentation."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from functools import cache
from typing import NamedTuple

from pydantic import BaseModel

from ..tasks import Column, Task, parameters_of
from ..tasks.schemas import sql_type
from .settings import ModelSettings

NOT_ARGUMENTS = frozenset({"target", "columns", "proxy"})
"""Fields of ``ModelSettings`` that no USING clause names: PREDICT, column arguments and ``cascade`` fill them."""

_OF_LONG_TEXTS = frozenset({"long_text", "max_chunks"})
"""What every task takes, and does nothing where a text is not asked in parts."""

_COLUMN_TYPES = {"values": "columns", "fields": "columns", "whole table": "columns"}
_COLUMN_DESCRIPTIONS = {
    "text": "Column with the text",
    "labels": "Column with each row's own labels: a list, JSON, or names with commas between",
    "messages": "Column with the messages of a conversation, as JSON",
    "image": "Column with the images",
    "audio": "Column with the audio",
    "video": "Column with the videos",
    "table": "Column with a table in each cell, as JSON",
    "values": "Columns whose values are the row that is sent",
    "fields": "Columns that make the prompt, each as a line such as 'product: Lamp', those first whose values repeat "
    "most in the first rows of a query",
    "whole table": "Columns of this table, all rows of which are the table that is sent",
}


class Argument(NamedTuple):
    """One USING argument as people write it in SQL.

    ``type`` is 'text', 'whole number', 'number', 'true/false', 'map', 'list of texts', 'column', 'columns', or the
    choices, such as ``'mean' | 'cls' | 'none'``; ' or ' stands between several.
    """

    name: str
    type: str
    required: bool
    description: str


def arguments_of(task: Task) -> list[Argument]:
    """List the arguments that one task takes beside those that every task takes.

    Args:
        task: The task.

    Returns:
        Its columns, then our own arguments for it by name, then the request parameters of its specification.

    >>> from huggingface_api_handler.tasks import TASKS
    >>> [argument.name for argument in arguments_of(TASKS["feature-extraction"])[:4]]
    ['column', 'long_text', 'max_chunks', 'pooling']
    """
    own, names = settings_arguments(ModelSettings), task.arguments | (_OF_LONG_TEXTS if task.chunking else frozenset())
    parameters = [
        Argument(name, parameter.sql_type, name in task.required_parameters, parameter.description)
        for name, parameter in parameters_of(task).items()
    ]
    return [*map(_column, task.columns), *(own[name] for name in sorted(names)), *parameters]


def _column(column: Column) -> Argument:
    kind = _COLUMN_TYPES.get(column.data_type, "column")
    return Argument(column.argument, kind, column.required, _COLUMN_DESCRIPTIONS[column.data_type])


@cache
def settings_arguments(settings: type[BaseModel]) -> dict[str, Argument]:
    """List the arguments of a class of settings.

    Args:
        settings: ``EngineSettings``, ``ModelSettings`` or ``Options``.

    Returns:
        Name -> argument, in the order of the fields, without those that no USING clause names.
    """
    schema = settings.model_json_schema(by_alias=False)
    definitions = schema.get("$defs", {})
    return {
        name: Argument(name, sql_type(node, definitions), False, str(settings.model_fields[name].description))
        for name, node in schema["properties"].items()
        if name not in NOT_ARGUMENTS
    }


def markdown(arguments: Iterable[Argument], without: Collection[str] = ()) -> str:
    """Write arguments as a table in Markdown.

    Args:
        arguments: The arguments, in the order of the rows.
        without: Names that get no row.

    Returns:
        The table, without a line break at its end.
    """
    lines = ["| argument | type | meaning |", "|---|---|---|"]
    for argument in arguments:
        if argument.name not in without:
            cells = (f"`{argument.name}`", argument.type, argument.description)
            lines.append("| " + " | ".join(cell.replace("|", r"\|") for cell in cells) + " |")
    return "\n".join(lines)
