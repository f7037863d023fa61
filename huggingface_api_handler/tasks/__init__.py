"""All tasks, by name. Adding a task is one more ``Task`` in a module of this package, listed here."""

from __future__ import annotations

import re

from . import (
    chat_classification,
    classification,
    embeddings,
    generation,
    media_generation,
    media_understanding,
    tables,
    text,
)
from .base import JSON, Column, JSONObject, Prediction, Settings, Task
from .input_types import Input, InvalidCell, Media, MediaRef
from .inputs import read_inputs
from .schemas import Parameter, parameters_of

TASKS: dict[str, Task] = {
    task.name: task
    for module in (
        classification,
        text,
        embeddings,
        generation,
        chat_classification,
        media_understanding,
        media_generation,
        tables,
    )
    for task in module.TASKS
}
ALIASES: dict[str, str] = {alias: task.name for task in TASKS.values() for alias in task.aliases}


def canonical_task(name: str) -> str:
    """The name of the task that another name stands for.

    Args:
        name: a name in lower case, with ``-`` between its words.

    Returns:
        The task's own name; ``name`` itself where it is one, or stands for none.

    >>> canonical_task("translation-en-to-fr")
    'translation'
    """
    if name in ALIASES:
        return ALIASES[name]
    patterns = ((task.name, task.alias_pattern) for task in TASKS.values() if task.alias_pattern is not None)
    return next((task for task, pattern in patterns if re.fullmatch(pattern, name)), name)


__all__ = [
    "ALIASES",
    "JSON",
    "TASKS",
    "Column",
    "Input",
    "InvalidCell",
    "JSONObject",
    "Media",
    "MediaRef",
    "Parameter",
    "Prediction",
    "Settings",
    "Task",
    "canonical_task",
    "parameters_of",
    "read_inputs",
]
