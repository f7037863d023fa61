"""Typed answers from text models: ``output_schema`` = {"topic": "str", "urgency": "int"} to a JSON schema and back."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress

from ..errors import UnreadableAnswer
from .base import JSON, MAX_DEPTH, JSONObject, is_deeper_than

FIELD_TYPES: dict[str, tuple[type, JSONObject]] = {
    "str": (str, {"type": "string"}),
    "int": (int, {"type": "integer"}),
    "float": (float, {"type": "number"}),
    "bool": (bool, {"type": "boolean"}),
    "list": (list, {"type": "array", "items": {"type": "string"}}),
}
"""The types that a field may have: the type of its value, and the JSON schema that asks for it."""

_MIN_INT = -(2**63)  # that of SQL's BIGINT
_MAX_INT = 2**63 - 1

FIELD_TYPE_ALIASES = {
    "string": "str",
    "text": "str",
    "integer": "int",
    "number": "float",
    "boolean": "bool",
    "array": "list",
}


def response_format(fields: Mapping[str, str]) -> JSONObject:
    """OpenAI's ``response_format`` that asks for an object with exactly these fields.

    Args:
        fields: the type of each field, one of ``FIELD_TYPES``.

    Returns:
        ``{"type": "json_schema", "json_schema": {...}}``.

    >>> response_format({"urgency": "int"})["json_schema"]["schema"]["properties"]
    {'urgency': {'type': 'integer'}}
    """
    schema: JSONObject = {
        "type": "object",
        "properties": {name: FIELD_TYPES[kind][1] for name, kind in fields.items()},
        "required": list(fields),
        "additionalProperties": False,
    }
    return {"type": "json_schema", "json_schema": {"name": "answer", "schema": schema, "strict": True}}


def parse_fields(text: str, fields: Mapping[str, str]) -> JSONObject:
    """The fields of a JSON object in a text.

    Args:
        text: what the model wrote; code fences and words around the object are allowed.
        fields: the type of each field, one of ``FIELD_TYPES``.

    Returns:
        The value of each field, in the order of ``fields``.

    Raises:
        UnreadableAnswer: there is no JSON object, or a field is missing or of another type.

    >>> parse_fields('Here it is: {"topic": "delivery", "urgency": 2}', {"topic": "str", "urgency": "float"})
    {'topic': 'delivery', 'urgency': 2.0}
    """
    body = text.strip()
    if body.startswith("```"):
        body = body.strip("`").partition("\n")[2] if "\n" in body else body.strip("`")
    start, end = body.find("{"), body.rfind("}")
    try:
        answer = json.loads(body[start : end + 1]) if start >= 0 else None
    except (ValueError, RecursionError) as error:
        raise UnreadableAnswer(f"the model's answer is not JSON ({type(error).__name__})") from None
    if not isinstance(answer, dict):
        raise UnreadableAnswer("the model's answer holds no JSON object")
    if is_deeper_than(answer, MAX_DEPTH):
        raise UnreadableAnswer(f"the model's answer is nested more than {MAX_DEPTH} levels deep")
    values = {name: _field(answer, name, kind) for name, kind in fields.items()}
    try:
        json.dumps(values, ensure_ascii=False).encode()
    except UnicodeEncodeError:  # an escape such as \\ud800, which neither a database nor Arrow takes
        raise UnreadableAnswer("the model's answer is not valid Unicode (it holds a lone surrogate)") from None
    return values


def _field(answer: JSONObject, name: str, kind: str) -> JSON:
    if name not in answer:
        raise UnreadableAnswer(f"the model's answer has no field {name!r}")
    value, field_type = answer[name], FIELD_TYPES[kind][0]
    if field_type is float and type(value) is int:
        with suppress(OverflowError):
            value = float(value)
    if type(value) is int and field_type in (int, float) and not _MIN_INT <= value <= _MAX_INT:
        raise UnreadableAnswer(f"field {name!r} of the model's answer does not fit in 64 bits")
    if type(value) is not field_type:
        raise UnreadableAnswer(f"field {name!r} of the model's answer is not of type {kind}")
    return value
