"""Typed answers from text models: the fields of ``output_schema`` in what a model wrote."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, NamedTuple

from ..errors import UnreadableAnswer
from .base import MAX_DEPTH, JSONObject, is_deeper_than
from .json_in_text import ObjectInText, objects_in
from .json_schema import Misfit, Schema, fit
from .output_schema import is_short, is_strict, object_schema, schema_of


def described(output_schema: Mapping[str, Any]) -> str:
    """Say what object is asked for, to a model.

    Args:
        output_schema: as ``output_schema.parse_output_schema`` gives it.

    Returns:
        The end of "one JSON object ...".

    >>> described({"topic": "str", "urgency": "int"})
    'with the fields topic (str), urgency (int)'
    """
    if is_short(output_schema):
        return f"with the fields {', '.join(f'{name} ({kind})' for name, kind in output_schema.items())}"
    return f"that fits this JSON schema: {json.dumps(output_schema, ensure_ascii=False)}"


class FieldsInText(NamedTuple):
    """The fields of an answer, and the JSON that they were read from.

    Attributes:
        values: the value of each field.
        source: the text of the object.
    """

    values: dict[str, Any]
    source: str


def response_format(output_schema: Mapping[str, Any]) -> JSONObject:
    """OpenAI's ``response_format`` that asks for an object with exactly these fields.

    Args:
        output_schema: as ``output_schema.parse_output_schema`` gives it.

    Returns:
        ``{"type": "json_schema", "json_schema": {...}}``.

    >>> response_format({"urgency": "int"})["json_schema"]["schema"]["properties"]
    {'urgency': {'type': 'integer'}}
    """
    schema = schema_of(output_schema)
    return {"type": "json_schema", "json_schema": {"name": "answer", "schema": schema, "strict": is_strict(schema)}}


def parse_fields(text: str, output_schema: Mapping[str, Any]) -> JSONObject:
    """The fields of a JSON object in a text.

    Args:
        text: what the model wrote; whatever stands around the object is allowed.
        output_schema: as ``output_schema.parse_output_schema`` gives it.

    Returns:
        The value of each field, in the order of ``output_schema``.

    Raises:
        UnreadableAnswer: there is no JSON object, or a field is missing or of another type.

    >>> parse_fields('Here it is: {"topic": "delivery", "urgency": 2}', {"topic": "str", "urgency": "float"})
    {'topic': 'delivery', 'urgency': 2.0}
    """
    return find_fields(text, output_schema).values


def find_fields(text: str, output_schema: Mapping[str, Any]) -> FieldsInText:
    """As ``parse_fields``, with the JSON that the fields were read from.

    Of several objects the last one counts that fits: what comes before is an example or a draft. An object that is the
    only field of another one, such as ``{"answer": {...}}``, is taken out of it.

    Args:
        text: what the model wrote.
        output_schema: as ``output_schema.parse_output_schema`` gives it.

    Returns:
        The fields and their source.

    Raises:
        UnreadableAnswer: as of ``parse_fields``; also where an object begins and does not end.
    """
    objects = objects_in(text)
    if objects.is_too_deep:
        raise UnreadableAnswer("the model's answer is nested too deeply to be JSON (RecursionError)")
    if objects.is_open:
        raise UnreadableAnswer("the model's answer is not JSON (it begins as an object and does not end)")
    if not objects.found:
        words = "holds no JSON object" if not objects.attempts else "is not JSON (JSONDecodeError)"
        raise UnreadableAnswer(f"the model's answer {words}")
    schema = _schema_to_fit(output_schema)
    for found in reversed(objects.found):
        try:
            values = _fitted(found, schema)
        except Misfit:
            continue
        _refuse_surrogates(values)
        return FieldsInText(values, text[found.start : found.end])
    last = objects.found[-1]
    try:
        values = _fitted(last, schema)
    except Misfit as misfit:
        raise UnreadableAnswer(_sentence(misfit)) from None
    return FieldsInText(values, text[last.start : last.end])


def _schema_to_fit(output_schema: Mapping[str, Any]) -> Schema:
    """The schema, with lists of anything where a list was asked for in short: such answers always were accepted."""
    schema = schema_of(output_schema)
    if not is_short(output_schema):
        return schema
    properties = schema["properties"].items()
    return {**schema, "properties": {name: {"type": node["type"]} for name, node in properties}}


def _fitted(found: ObjectInText, schema: Schema) -> dict[str, Any]:
    value = found.value
    if isinstance(value, list):
        raise Misfit((), f"is a list of {len(value)} objects, and one was asked for")
    if is_deeper_than(value, MAX_DEPTH):
        raise Misfit((), f"is nested more than {MAX_DEPTH} levels deep")
    try:
        return _fit_fields(value, schema)
    except Misfit:
        inner = next(iter(value.values()), None)
        if len(value) != 1 or not isinstance(inner, dict):
            raise
        return _fit_fields(inner, schema)


def _fit_fields(value: dict[str, Any], schema: Schema) -> dict[str, Any]:
    values: dict[str, Any] = fit(value, schema)
    # Where all may be missing, or null, any object would do.
    if not value.keys() & object_schema(schema)["properties"].keys():
        raise Misfit((), "has none of the fields")
    return values


def _sentence(misfit: Misfit) -> str:
    place = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in misfit.path).removeprefix(".")
    return f"field {place!r} of the model's answer {misfit}" if place else f"the model's answer {misfit}"


def _refuse_surrogates(values: Mapping[str, Any]) -> None:
    try:
        json.dumps(values, ensure_ascii=False).encode()
    except UnicodeEncodeError:  # an escape such as \\ud800, which neither a database nor Arrow takes
        raise UnreadableAnswer("the model's answer is not valid Unicode (it holds a lone surrogate)") from None
