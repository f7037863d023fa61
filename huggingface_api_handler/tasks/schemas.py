"""The request parameters of each task, from Hugging Face's JSON schemas in ``specs/``.

The schemas are those of https://github.com/huggingface/huggingface.js (packages/tasks), kept word for word.
"""

from __future__ import annotations

import json
from functools import cache
from importlib.resources import files
from typing import Any, NamedTuple

from .base import Task

_JSON_TYPES: dict[str, type] = {
    "string": str, "integer": int, "number": float, "boolean": bool, "array": list, "object": dict,
}  # fmt: skip

# The one file that several schemas refer to and that is not shipped with them:
# packages/tasks/src/tasks/common-definitions.json.
_COMMON = {"ClassificationOutputTransform": {"type": "string", "enum": ["sigmoid", "softmax", "none"]}}

_NOT_PARAMETERS = {"inputs", "parameters", "stream", "stream_options", "messages", "model"}


class Parameter(NamedTuple):
    """One request parameter: its Python type, ``kind`` (None where the schema allows several), and what it may be."""

    name: str
    kind: type | None
    choices: tuple[Any, ...] = ()
    items: type | None = None
    minimum: float | None = None
    maximum: float | None = None
    description: str = ""
    required: bool = False


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
        name: _parameter(name, _resolved(node, definitions), name in required)
        for name, node in holder.get("properties", {}).items()
        if name not in _NOT_PARAMETERS
    }


def parameters_of(task: Task) -> dict[str, Parameter]:
    """All parameters that ``task`` knows, by name."""
    extra = {
        name: Parameter(name, kind, description="Passed on to the model's pipeline")
        for name, kind in task.more_parameters.items()
    }
    return {**extra, **_parameters(task.specification)}


def _resolved(node: dict[str, Any], definitions: dict[str, Any]) -> dict[str, Any]:
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


def _parameter(name: str, node: dict[str, Any], required: bool) -> Parameter:
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
    )
