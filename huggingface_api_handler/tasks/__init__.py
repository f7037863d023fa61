"""All tasks, by name. Adding a task is one more ``Task`` in a module of this package, listed here."""

from __future__ import annotations

from . import classification, embeddings, generation, media_generation, media_understanding, tables, text
from .base import JSON, Batching, Column, JSONObject, Prediction, Settings, Task
from .input_types import Input, InvalidCell, Media, MediaRef
from .inputs import read_inputs
from .schemas import Parameter, parameters_of

TASKS: dict[str, Task] = {
    task.name: task
    for module in (classification, text, embeddings, generation, media_understanding, media_generation, tables)
    for task in module.TASKS
}
ALIASES: dict[str, str] = {alias: task.name for task in TASKS.values() for alias in task.aliases}

__all__ = [
    "ALIASES",
    "JSON",
    "TASKS",
    "Batching",
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
    "parameters_of",
    "read_inputs",
]
