"""Typed answers from text models: ``output_schema`` = {"topic": "str", "urgency": "int"} to a JSON schema and back."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from ..errors import UnreadableAnswer

KINDS: dict[str, tuple[type, dict[str, Any]]] = {
    "str": (str, {"type": "string"}),
    "int": (int, {"type": "integer"}),
    "float": (float, {"type": "number"}),
    "bool": (bool, {"type": "boolean"}),
    "list": (list, {"type": "array", "items": {"type": "string"}}),
}
SPELLINGS = {"string": "str", "text": "str", "integer": "int", "number": "float", "boolean": "bool", "array": "list"}


def response_format(fields: Mapping[str, str]) -> dict[str, Any]:
    """OpenAI's ``response_format`` that asks for an object with exactly these fields."""
    schema = {
        "type": "object",
        "properties": {name: KINDS[kind][1] for name, kind in fields.items()},
        "required": list(fields),
        "additionalProperties": False,
    }
    return {"type": "json_schema", "json_schema": {"name": "answer", "schema": schema, "strict": True}}


def typed(text: str, fields: Mapping[str, str]) -> dict[str, Any]:
    """The fields of a JSON object in ``text``, code fences around it allowed. Raises UnreadableAnswer."""
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
    return {name: _field(answer, name, kind) for name, kind in fields.items()}


def _field(answer: dict[str, Any], name: str, kind: str) -> Any:
    if name not in answer:
        raise UnreadableAnswer(f"the model's answer has no field {name!r}")
    value, wanted = answer[name], KINDS[kind][0]
    if wanted is float and type(value) is int:
        return float(value)
    if type(value) is not wanted:
        raise UnreadableAnswer(f"field {name!r} of the model's answer is not of type {kind}")
    return value
