"""The request parameters of each task, from Hugging Face's JSON schemas in ``specs/``.

The schemas are those of https://github.com/huggingface/huggingface.js (packages/tasks), kept word for word.
"""

from __future__ import annotations

import json
from functools import cache
from importlib.resources import files
from itertools import chain
from typing import Any, NamedTuple

from .base import Task

Schema = dict[str, Any]
"""A JSON schema, parsed."""

_JSON_TYPES: dict[str, type] = {
    "string": str, "integer": int, "number": float, "boolean": bool, "array": list, "object": dict,
}  # fmt: skip

# The one file that several schemas refer to and that is not shipped with them:
# packages/tasks/src/tasks/common-definitions.json.
_COMMON: dict[str, Schema] = {
    "ClassificationOutputTransform": {"type": "string", "enum": ["sigmoid", "softmax", "none"]},
    "GenerationParameters": {"properties": {}},  # an object, whose fields are left to the server to check
}

# How people write a value of each JSON type in SQL: one, and several in a list.
_SQL_TYPES = {
    "string": "text", "integer": "whole number", "number": "number", "boolean": "true/false", "object": "map",
}  # fmt: skip
_SQL_PLURALS = {
    "text": "texts", "whole number": "whole numbers", "number": "numbers", "true/false": "true/false", "map": "maps",
}  # fmt: skip

_SQL_NAMES = {kind: _SQL_TYPES[name] for name, kind in _JSON_TYPES.items() if name in _SQL_TYPES}

_NOT_PARAMETERS = {"inputs", "parameters", "stream", "stream_options", "messages", "model"}


class Parameter(NamedTuple):
    """One request parameter.

    Attributes:
        name: as it is sent.
        kind: its Python type, None where the schema allows several.
        choices: the values that it may have, empty where it may have others.
        items: the type of its items where it is a list.
        minimum: the least that it may be.
        maximum: the most that it may be.
        description: what it does, in the words of the schema.
        required: whether the schema requires it.
        sql_type: its type as people write it: 'text', 'list of texts', "'mean' | 'none'", 'text or map', ...
        words: texts that it may be besides, which are sent as they are.
    """

    name: str
    kind: type | None
    choices: tuple[Any, ...] = ()
    items: type | None = None
    minimum: float | None = None
    maximum: float | None = None
    description: str = ""
    required: bool = False
    sql_type: str = "text"
    words: tuple[str, ...] = ()


@cache
def _parameters(specification: str) -> dict[str, Parameter]:
    if not specification:
        return {}
    schema = json.loads((files(__package__) / "specs" / f"{specification}.json").read_text("utf-8"))
    definitions = schema.get("$defs", {})
    holder = schema
    inner = schema["properties"].get("parameters")
    if inner is not None:
        holder = _resolved(inner, definitions)
    required = holder.get("required", [])
    return {
        name: _parameter(name, _resolved(node, definitions), definitions, name in required)
        for name, node in holder.get("properties", {}).items()
        if name not in _NOT_PARAMETERS
    }


def parameters_of(task: Task) -> dict[str, Parameter]:
    """All request parameters of a task.

    Args:
        task: the task.

    Returns:
        The parameters of its schema and of ``more_parameters``, by name, with ``more_words``.
    """
    extra = {
        name: Parameter(name, kind, description="Passed on to the model's pipeline", sql_type=_SQL_NAMES[kind])
        for name, kind in task.more_parameters.items()
    }
    return {**extra, **_parameters(task.specification), **_with_words(task)}


def _with_words(task: Task) -> dict[str, Parameter]:
    specified = _parameters(task.specification)
    return {
        name: specified[name]._replace(words=words, sql_type=" or ".join([specified[name].sql_type, *map(repr, words)]))
        for name, words in task.more_words.items()
    }


def _resolved(node: Schema, definitions: Schema) -> Schema:
    if "allOf" in node:
        node = {**node["allOf"][0], **{key: value for key, value in node.items() if key != "allOf"}}
    reference = node.get("$ref")
    if reference is None:
        return node
    name = reference.rsplit("/", 1)[1]
    return {
        **_resolved(definitions.get(name, _COMMON.get(name, {})), definitions),
        **{k: v for k, v in node.items() if k != "$ref"},
    }


def sql_type(node: Schema, definitions: Schema | None = None) -> str:
    """Say which values a JSON schema allows, as people write them in SQL.

    Args:
        node: The schema of one value. ``null`` among its alternatives is left out: it means "not given".
        definitions: The schemas that a ``$ref`` in it may name.

    Returns:
        The choices where it has some (``'mean' | 'none'``); else 'text', 'whole number', 'number', 'true/false',
        'map', 'list of texts', ..., with ' or ' between several.

    >>> sql_type({"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}, {"type": "null"}]})
    'text or list of texts'
    """
    choices, types = _alternatives(node, definitions or {})
    return " or ".join([*_joined(choices), *types])


def _joined(choices: list[str]) -> list[str]:
    return [" | ".join(choices)] if choices else []


def _alternatives(node: Schema, definitions: Schema) -> tuple[list[str], list[str]]:
    """The choices and the types that a schema allows, each once and in its order."""
    node = _resolved(node, definitions)
    options = node.get("oneOf") or node.get("anyOf")
    if options:
        choices, types = zip(*(_alternatives(option, definitions) for option in options), strict=True)
        return list(dict.fromkeys(chain(*choices))), list(dict.fromkeys(chain(*types)))
    values = node["enum"] if "enum" in node else [node["const"]] if "const" in node else []
    if values:
        return [f"'{value}'" if isinstance(value, str) else str(value) for value in values], []
    names = node.get("type", "object" if "properties" in node else "null")
    names = [names] if isinstance(names, str) else names
    return [], [
        _list_type(node, definitions) if name == "array" else _SQL_TYPES[name] for name in names if name != "null"
    ]


def _list_type(node: Schema, definitions: Schema) -> str:
    choices, types = _alternatives(node.get("items", {}), definitions)
    items = [*_joined(choices), *(_SQL_PLURALS.get(name) or name.replace("list of", "lists of", 1) for name in types)]
    return f"list of {' or '.join(items)}" if items else "list"


def _parameter(name: str, node: Schema, definitions: Schema, required: bool) -> Parameter:
    alternatives = node.get("oneOf", [])
    choices = tuple(node.get("enum", ())) or tuple(option["const"] for option in alternatives if "const" in option)
    items = node.get("items", {})
    minimum = node.get("minimum")
    return Parameter(
        name=name,
        kind=_JSON_TYPES.get(node.get("type", "")),
        choices=choices,
        items=_JSON_TYPES.get(items.get("type", "")) if isinstance(items, dict) else None,
        minimum=minimum,
        maximum=node.get("maximum"),
        description=" ".join(node.get("description", "").split()),
        required=required,
        sql_type=sql_type(node, definitions),
    )
