"""The argument ``output_schema``: a map of fields to types, in short or at length, or a whole JSON schema.

What is given at length becomes one JSON schema here, at CREATE. Maps in short stay as they are: stored answers are
found by them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

from ..redaction import preview
from .json_schema import Schema, check_schema, resolved

FIELD_TYPES: dict[str, dict[str, Any]] = {
    "str": {"type": "string"},
    "int": {"type": "integer"},
    "float": {"type": "number"},
    "bool": {"type": "boolean"},
    "list": {"type": "array", "items": {"type": "string"}},
}
"""The types that a field may have in short, and the JSON schema that asks for each."""

FIELD_TYPE_ALIASES = {
    "string": "str",
    "text": "str",
    "integer": "int",
    "number": "float",
    "boolean": "bool",
    "array": "list",
}

_SQL_TYPES = {"string": "VARCHAR", "integer": "BIGINT", "number": "DOUBLE", "boolean": "BOOLEAN"}

_LIST_OF = re.compile(r"(?:list|array)\[(.+)\]")
_WHOLE_SCHEMA_KEYS = ("$schema", "$defs", "$ref")
_NODE_KEYS = frozenset({"type", "enum", "description", "items", "properties", "nullable"})
_OBJECT_TYPES = ("object", "map", "dict")
_EXAMPLE = "{'topic': 'str', 'urgency': 'int'}"


def parse_output_schema(value: object) -> dict[str, Any]:
    """Check the argument, and make a JSON schema of what is given at length.

    Args:
        value: a map. The type of a field is a name (``'int'``, ``'list[int]'``, with ``?`` for one that may be null),
            a map with ``type``, ``enum``, ``description``, ``items``, ``properties`` or ``nullable``, a map of fields,
            or a list with the type of its items. Or a whole JSON schema of an object.

    Returns:
        ``{field: type in short}`` where all fields are given so, else a JSON schema.

    Raises:
        ValueError: half a sentence of what is wrong, without the argument's name.

    >>> parse_output_schema({"topic": "string"})
    {'topic': 'str'}
    >>> parse_output_schema({"mood": {"enum": ["good", "bad"]}})["properties"]
    {'mood': {'type': 'string', 'enum': ['good', 'bad']}}
    """
    if not isinstance(value, Mapping) or not value:
        raise ValueError(f"must be a map of fields to types, such as {_EXAMPLE}")
    if _is_whole_schema(value):
        check_schema(value)
        if not object_schema(value).get("properties"):
            raise ValueError("must be the JSON schema of an object with properties, which become the columns")
        return dict(value)
    short = {str(name): FIELD_TYPE_ALIASES.get(kind, kind) for name, kind in value.items() if isinstance(kind, str)}
    if len(short) == len(value) and all(kind in FIELD_TYPES for kind in short.values()):
        return short
    return _object_of(value)


def schema_of(output_schema: Mapping[str, Any]) -> Schema:
    """The JSON schema of an output_schema.

    Args:
        output_schema: as ``parse_output_schema`` gives it.

    Returns:
        A schema of an object.
    """
    return _short_schema(tuple(output_schema.items())) if is_short(output_schema) else output_schema


def object_schema(schema: Schema) -> Schema:
    """The part of a JSON schema that has the fields.

    Args:
        schema: as ``schema_of`` gives it.

    Returns:
        The schema of the object, where the whole is a reference to it.
    """
    found: Schema = resolved(schema, schema)
    return found


def is_short(output_schema: Mapping[str, Any]) -> bool:
    """Whether all fields are given in short.

    Args:
        output_schema: as ``parse_output_schema`` gives it.

    Returns:
        False for a JSON schema.
    """
    return all(isinstance(kind, str) for kind in output_schema.values())


def is_strict(schema: Any) -> bool:
    """Whether a schema is within what OpenAI's strict mode takes: all properties required, and no others.

    Args:
        schema: a JSON schema.

    Returns:
        False where some object in it has properties that may be missing, or others beside.
    """
    if isinstance(schema, Mapping):
        properties = schema.get("properties")
        if isinstance(properties, Mapping) and not isinstance(schema.get("type"), Mapping):
            is_closed = schema.get("additionalProperties") is False
            if not is_closed or set(schema.get("required", ())) != set(properties):
                return False
        return all(map(is_strict, schema.values()))
    return all(map(is_strict, schema)) if isinstance(schema, (list, tuple)) else True


def field_types(output_schema: Mapping[str, Any]) -> dict[str, str]:
    """The columns that the fields become.

    Args:
        output_schema: as ``parse_output_schema`` gives it.

    Returns:
        The SQL type of each field by its name, in order: VARCHAR, BIGINT, DOUBLE, BOOLEAN, VARCHAR[] or JSON.
    """
    schema = schema_of(output_schema)
    return {name: _sql_type(node, schema) for name, node in object_schema(schema)["properties"].items()}


def scored_field(output_schema: Mapping[str, Any]) -> str | None:
    """The field whose probability is the confidence of the answer.

    Args:
        output_schema: as ``parse_output_schema`` gives it.

    Returns:
        The only field that is a boolean or one of several choices. None where there is none or another; and where all
        fields are given in short, which have no column of confidence.
    """
    if is_short(output_schema):
        return None
    nodes = object_schema(output_schema)["properties"].items()
    scored = [name for name, node in nodes if _is_choice(resolved(node, output_schema))]
    return scored[0] if len(scored) == 1 else None


def _is_whole_schema(value: Mapping[str, Any]) -> bool:
    if any(isinstance(value.get(key), (str, Mapping)) and key.startswith("$") for key in _WHOLE_SCHEMA_KEYS):
        return True
    return value.get("type") == "object" and isinstance(value.get("properties"), Mapping)


@lru_cache(maxsize=64)
def _short_schema(fields: tuple[tuple[str, str], ...]) -> Schema:
    return _closed_object({name: FIELD_TYPES[kind] for name, kind in fields})


def _closed_object(properties: Mapping[str, Any]) -> dict[str, Any]:
    """An object with exactly these fields, as OpenAI's strict mode wants it."""
    return {"type": "object", "properties": properties, "required": [*properties], "additionalProperties": False}


def _object_of(fields: Mapping[Any, Any]) -> dict[str, Any]:
    if not fields:
        raise ValueError("has an object without fields")
    return _closed_object({str(name): _node_of(node) for name, node in fields.items()})


def _node_of(node: object) -> dict[str, Any]:
    """The JSON schema of one field's type."""
    if isinstance(node, str):
        return _named_type(node)
    if isinstance(node, (list, tuple)):
        if len(node) != 1:
            raise ValueError(f"has the type {preview(node)}; a list holds the one type of its items, such as ['str']")
        return {"type": "array", "items": _node_of(node[0])}
    if not isinstance(node, Mapping):
        raise _unknown_type(node)
    if not node.keys() & {"type", "enum"}:
        return _object_of(node)
    return _node_at_length(node)


def _node_at_length(node: Mapping[Any, Any]) -> dict[str, Any]:
    if unknown := [name for name in node if name not in _NODE_KEYS]:
        raise ValueError(
            f"has {preview(unknown[0])} beside 'type' or 'enum'; a type has {', '.join(sorted(_NODE_KEYS))}. Fields of "
            "an object within go into its 'properties'"
        )
    kinds = node.get("type")
    kinds = [*kinds] if isinstance(kinds, (list, tuple)) else [kinds]
    is_nullable = bool(node.get("nullable")) or "null" in kinds
    kinds = [kind for kind in kinds if kind != "null"]
    if len(kinds) != 1:
        raise ValueError(f"has the type {preview(node.get('type'))}; it is one type, and null beside it")
    kind, schema = kinds[0], {}
    if kind in _OBJECT_TYPES:
        if not isinstance(node.get("properties"), Mapping):
            raise ValueError("has an object without 'properties'")
        schema = _object_of(node["properties"])
    elif kind in ("list", "array") and "items" in node:
        schema = {"type": "array", "items": _node_of(node["items"])}
    elif kind is not None:
        schema = _node_of(kind)
    if "enum" in node:
        schema = {**schema, **_enum_of(node["enum"], schema)}
    if "description" in node:
        schema = {**schema, "description": str(node["description"])}
    return _nullable(schema) if is_nullable else schema


def _enum_of(choices: object, schema: Mapping[str, Any]) -> dict[str, Any]:
    if not isinstance(choices, (list, tuple)) or not choices:
        raise ValueError("has an 'enum' without a list of choices")
    types = {"boolean" if isinstance(each, bool) else _json_type(each) for each in choices} - {"null"}
    stated = schema.get("type", next(iter(types), None))
    if len(types) != 1 or {stated} - types - ({"number"} if types == {"integer"} else set()):
        raise ValueError(f"has an 'enum' of other values than its type: {preview(choices)}")
    kind = [stated, "null"] if None in choices else stated
    return {"type": kind, "enum": [*choices]}


def _json_type(value: object) -> str:
    names = {str: "string", int: "integer", float: "number", type(None): "null"}
    return names.get(type(value), "object")


def _named_type(name: str) -> dict[str, Any]:
    kind = name.strip()
    if kind.endswith("?"):
        return _nullable(_named_type(kind.removesuffix("?")))
    if (inner := _LIST_OF.fullmatch(kind)) is not None:
        return {"type": "array", "items": _named_type(inner.group(1))}
    kind = FIELD_TYPE_ALIASES.get(kind, kind)
    if kind not in FIELD_TYPES:
        raise _unknown_type(name)
    return {**FIELD_TYPES[kind]}


def _nullable(schema: Mapping[str, Any]) -> dict[str, Any]:
    kinds: Sequence[str] = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
    nullable = {**schema, "type": [*kinds, "null"] if "null" not in kinds else [*kinds]}
    if "enum" in schema and None not in schema["enum"]:
        nullable["enum"] = [*schema["enum"], None]
    return nullable


def _unknown_type(kind: object) -> ValueError:
    return ValueError(f"has the type {preview(kind)}; types are {', '.join(FIELD_TYPES)}")


def _kinds_of(node: Mapping[str, Any]) -> set[str]:
    """The JSON types that a schema allows, null left out; none where it does not say."""
    if "type" in node:
        kinds = {node["type"]} if isinstance(node["type"], str) else set(node["type"])
    else:
        choices = node.get("enum", [node["const"]] if "const" in node else [])
        kinds = {"boolean" if isinstance(each, bool) else _json_type(each) for each in choices}
    return kinds - {"null"}


def _without_null(node: Any, root: Schema) -> Any:
    """The only alternative beside null, as ``Optional`` types are written; else the schema itself."""
    node = resolved(node, root)
    for name in ("anyOf", "oneOf"):
        if isinstance(node, Mapping) and name in node:
            others = [each for each in node[name] if not isinstance(each, Mapping) or each.get("type") != "null"]
            if len(others) == 1:
                return resolved(others[0], root)
    return node


def _sql_type(node: Any, root: Schema) -> str:
    node = _without_null(node, root)
    kinds = _kinds_of(node) if isinstance(node, Mapping) else set()
    if kinds == {"array"}:
        items = resolved(node.get("items", {}), root)
        return "VARCHAR[]" if isinstance(items, Mapping) and _kinds_of(items) == {"string"} else "JSON"
    if kinds == {"integer", "number"}:
        return "DOUBLE"
    return _SQL_TYPES.get(next(iter(kinds)), "JSON") if len(kinds) == 1 else "JSON"


def _is_choice(node: Any) -> bool:
    return isinstance(node, Mapping) and (_kinds_of(node) == {"boolean"} or len(node.get("enum", ())) > 1)
