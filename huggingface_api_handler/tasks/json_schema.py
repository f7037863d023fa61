"""Values against a JSON schema, and made to fit it where there is only one way.

The keywords are those that services read for structured output, https://json-schema.org/draft/2020-12. A schema with
another keyword is refused (``check_schema``). ``pattern`` and ``format`` are left to the service: a regular expression
can take any time on a text of a model's.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, TypeAlias
from urllib.parse import unquote

Schema: TypeAlias = Mapping[str, Any]
"""A JSON schema, parsed."""

MIN_INT = -(2**63)  # that of SQL's BIGINT
MAX_INT = 2**63 - 1

_TYPES = {
    "string": "str", "integer": "int", "number": "float", "boolean": "bool", "array": "list", "object": "object",
    "null": "null",
}  # fmt: skip
"""The types of JSON schema, and what errors call them."""

_ONE_SCHEMA = ("items", "additionalProperties")
_SEVERAL_SCHEMAS = ("anyOf", "oneOf", "allOf", "prefixItems")
_NAMED_SCHEMAS = ("properties", "$defs", "definitions")
_SAME_VALUE = ("anyOf", "oneOf", "allOf")
_CHOICES = ("enum", "const")
_NUMBERS = ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf")
_COUNTS = ("minLength", "maxLength", "minItems", "maxItems", "minProperties", "maxProperties")
_KEYWORDS = frozenset(
    {"$ref", "type", "required", "uniqueItems", *_ONE_SCHEMA, *_SEVERAL_SCHEMAS, *_NAMED_SCHEMAS}
    | {*_CHOICES, *_NUMBERS, *_COUNTS, "pattern", "format"}
    | {"$schema", "$id", "$comment", "title", "description", "default", "examples", "deprecated", "readOnly"}
    | {"writeOnly", "discriminator"}
)

_MAX_STEPS = 100_000
"""Comparisons of one value with one schema: alternatives within alternatives can ask for any number of them."""

_NUMBER = re.compile(r"-?(0|[1-9][0-9]{0,18})(\.[0-9]{1,18})?")
_BOOLEANS = {"true": True, "false": False}
_MAX_SHOWN_CHOICES = 10


class Misfit(ValueError):  # noqa: N818 - read as what happened
    """A value does not fit. ``str()`` is the rest of a sentence that begins with what ``subject`` says."""

    def __init__(self, path: Sequence[str | int], words: str) -> None:
        """Say what does not fit.

        Args:
            path: the names and numbers that lead to the value.
            words: what is wrong with it, such as "is not of type int".
        """
        super().__init__(words)
        self.path = path


def fit(value: object, schema: Schema) -> Any:
    """Make a value fit a schema.

    It is changed only where no other value can be meant: 3.0 is an int, and 3 a float; a text that is exactly a number
    or a boolean is one where no text is allowed; a text is a choice of ``enum`` that differs from it in case or spaces
    at its ends only, and so is a number or a boolean that is written as it; a field that is missing and may be null is
    null; fields that the schema does not allow are left out. Of alternatives the first counts that fits as it is.

    Args:
        value: parsed JSON, not deeper than can be followed.
        schema: the schema, which ``check_schema`` found right.

    Returns:
        A value that fits.

    Raises:
        Misfit: there is none.

    >>> fit({"n": "3", "more": 1}, {"properties": {"n": {"type": "integer"}}, "additionalProperties": False})
    {'n': 3}
    """
    return _Walk(schema).fit(value, schema, (), exact=False)


def resolved(schema: Any, root: Schema) -> Any:
    """A schema, or the one that its ``$ref`` leads to.

    Args:
        schema: a schema within ``root``.
        root: where references begin.

    Returns:
        The schema without the reference.
    """
    while isinstance(schema, Mapping) and "$ref" in schema:
        schema = _target(root, schema["$ref"])
    return schema


def check_schema(schema: Schema) -> None:
    """Refuse a schema that cannot be followed.

    Args:
        schema: what a person gave.

    Raises:
        ValueError: half a sentence that says what is wrong with it.
    """
    for place in _schemas_in(schema):
        for name, value in place.items():
            _check_keyword(name, value)
        if "$ref" in place:
            _target(schema, place["$ref"])
    ending: set[int] = set()
    for place in _schemas_in(schema):
        _refuse_circle(place, schema, (), ending)


def _check_keyword(name: str, value: Any) -> None:
    if name not in _KEYWORDS:
        raise ValueError(f"has the keyword {name!r}, which is not read. It reads {', '.join(sorted(_KEYWORDS))}")
    kinds = value if isinstance(value, (list, tuple)) else [value]
    if name == "type" and not (kinds and all(isinstance(kind, str) and kind in _TYPES for kind in kinds)):
        raise ValueError(f"has a 'type' that JSON schema does not know; types are {', '.join(_TYPES)}")
    if name in ("enum", *_SEVERAL_SCHEMAS) and not (isinstance(value, (list, tuple)) and value):
        raise ValueError(f"has {name!r} without a list of at least one")
    if name == "required" and not (isinstance(value, (list, tuple)) and all(isinstance(each, str) for each in value)):
        raise ValueError("has 'required' that is no list of names")
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if name in (*_NUMBERS, *_COUNTS) and not is_number:
        raise ValueError(f"has {name!r} that is no number")
    if name == "multipleOf" and value <= 0:
        raise ValueError("has 'multipleOf' that is not over 0")
    if name in _NAMED_SCHEMAS and not isinstance(value, Mapping):
        raise ValueError(f"has {name!r} that is no map")


def _schemas_in(schema: Any) -> Iterator[Schema]:
    """A schema and all within it, each once. Raises ValueError where something stands in the place of one."""
    pending = [schema]
    while pending:
        place = pending.pop()
        if isinstance(place, bool):
            continue
        if not isinstance(place, Mapping):
            raise ValueError("has something else in the place of a schema")
        yield place
        for name, value in place.items():
            if name in _ONE_SCHEMA:
                pending.append(value)
            elif name in _SEVERAL_SCHEMAS:
                pending += value
            elif name in _NAMED_SCHEMAS:
                pending += value.values()


def _refuse_circle(schema: Any, root: Schema, above: tuple[int, ...], ending: set[int]) -> None:
    """Refuse schemas that lead to themselves for one value, so that no comparison would end."""
    if not isinstance(schema, Mapping) or id(schema) in ending:
        return
    if id(schema) in above:
        raise ValueError("has a '$ref' that leads to itself")
    above = (*above, id(schema))
    if "$ref" in schema:
        _refuse_circle(_target(root, schema["$ref"]), root, above, ending)
    for name in _SAME_VALUE:
        for inner in schema.get(name, ()):
            _refuse_circle(inner, root, above, ending)
    ending.add(id(schema))


def _target(root: Schema, reference: object) -> Any:
    if not isinstance(reference, str) or not reference.startswith("#"):
        raise ValueError("has a '$ref' to another document; only those that begin with # are followed")
    place: Any = root
    for step in reference.removeprefix("#").split("/")[1:]:
        name = unquote(step).replace("~1", "/").replace("~0", "~")
        if isinstance(place, list) and name.isdecimal() and int(name) < len(place):
            place = place[int(name)]
        elif isinstance(place, Mapping) and name in place:
            place = place[name]
        else:
            raise ValueError(f"has a '$ref' to {reference!r}, which is not in it")
    return place


@dataclass
class _Walk:
    """One value compared with one schema."""

    root: Schema
    steps: int = 0

    def fit(self, value: Any, schema: Any, path: tuple[str | int, ...], *, exact: bool) -> Any:
        """As ``fit``; ``exact`` changes nothing of the value but a 3.0 into a 3."""
        self.steps += 1
        if self.steps > _MAX_STEPS:
            raise Misfit((), "takes too many steps to compare with its schema")
        if isinstance(schema, bool):
            if not schema:
                raise Misfit(path, "may not be there")
            return value
        if "$ref" in schema:
            value = self.fit(value, _target(self.root, schema["$ref"]), path, exact=exact)
        if "enum" in schema and schema.get("type") == "string" and not exact and isinstance(value, (int, float)):
            value = _as_text(value)  # the label "1", written as a number
        if "type" in schema:
            value = _typed(value, schema["type"], path, exact)
        for choices in (schema[name] if name == "enum" else [schema[name]] for name in _CHOICES if name in schema):
            if not (isinstance(value, str) and value in choices):
                self.steps += len(choices)
                value = _chosen(value, choices, path, exact)
        if isinstance(value, str):
            _check_count(len(value), schema, "Length", "characters", path)
        elif isinstance(value, dict):
            value = self._fit_object(value, schema, path, exact)
        elif isinstance(value, list):
            value = self._fit_list(value, schema, path, exact)
        elif isinstance(value, (int, float)) and not isinstance(value, bool):
            _check_number(value, schema, path)
        for inner in schema.get("allOf", ()):
            value = self.fit(value, inner, path, exact=exact)
        for name in ("anyOf", "oneOf"):
            if name in schema:
                value = self._fit_alternative(value, schema[name], name == "oneOf", path, exact)
        return value

    def _fit_alternative(
        self, value: Any, schemas: Sequence[Any], is_one: bool, path: tuple[str | int, ...], exact: bool
    ) -> Any:
        misfit = None
        for is_exact in (True, False):
            if exact and not is_exact:
                break
            fitting = []
            for schema in schemas:
                try:
                    fitting.append(self.fit(value, schema, path, exact=is_exact))
                except Misfit as error:
                    misfit = error
                    if self.steps > _MAX_STEPS:
                        raise
            if len(fitting) > 1 and is_one:
                raise Misfit(path, "fits more than one of its alternatives")
            if fitting:
                return fitting[0]
        if misfit is not None and len(schemas) == 1:
            raise misfit
        raise Misfit(path, "fits none of its alternatives")

    def _fit_object(
        self, value: dict[str, Any], schema: Schema, path: tuple[str | int, ...], exact: bool
    ) -> dict[str, Any]:
        properties, others = schema.get("properties", {}), schema.get("additionalProperties", True)
        fitted = {}
        for name, inner in properties.items():
            if name in value:
                fitted[name] = self.fit(value[name], inner, (*path, name), exact=exact)
            elif name in schema.get("required", ()) and not exact and self._may_be_null(inner):
                fitted[name] = None
        for name in value:
            if name in properties:
                continue
            if others is not False:
                fitted[name] = self.fit(value[name], others, (*path, name), exact=exact)
            elif exact:
                raise Misfit(path, f"has a field {name!r} that the schema does not allow")
        for name in schema.get("required", ()):
            if name not in fitted:
                raise Misfit(path, f"has no field {name!r}")
        _check_count(len(fitted), schema, "Properties", "fields", path)
        return fitted

    def _fit_list(self, value: list[Any], schema: Schema, path: tuple[str | int, ...], exact: bool) -> list[Any]:
        first, others = schema.get("prefixItems", ()), schema.get("items", True)
        items = [
            self.fit(each, first[index] if index < len(first) else others, (*path, index), exact=exact)
            for index, each in enumerate(value)
        ]
        _check_count(len(items), schema, "Items", "items", path)
        if schema.get("uniqueItems") and len({_as_text(item) for item in items}) < len(items):
            raise Misfit(path, "holds an item twice")
        return items

    def _may_be_null(self, schema: Any) -> bool:
        with suppress(Misfit):
            self.fit(None, schema, (), exact=True)
            return True
        return False


def _typed(value: Any, kinds: str | Sequence[str], path: Sequence[str | int], exact: bool) -> Any:
    """The value as one of the types; Misfit where it is none of them."""
    kinds = (kinds,) if isinstance(kinds, str) else kinds
    if isinstance(value, str) and not exact and "string" not in kinds:
        value = _told_by(value, kinds)
    if type(value) is float and "integer" in kinds and "number" not in kinds and value.is_integer():
        value = int(value)
    if type(value) is int and ("integer" in kinds or "number" in kinds):
        if not MIN_INT <= value <= MAX_INT:
            raise Misfit(path, "does not fit in 64 bits")
        return value if "integer" in kinds else float(value)
    if _type_of(value) not in kinds:
        raise Misfit(path, f"is not of type {' or '.join(_TYPES[kind] for kind in kinds)}")
    return value


def _told_by(text: str, kinds: Sequence[str]) -> Any:
    """The number or the boolean that a text is, in exactly the way that JSON writes it."""
    if "boolean" in kinds and text in _BOOLEANS:
        return _BOOLEANS[text]
    is_number = ("number" in kinds or "integer" in kinds) and _NUMBER.fullmatch(text)
    return json.loads(text) if is_number else text


def _type_of(value: object) -> str:
    names = {str: "string", int: "integer", float: "number", bool: "boolean", list: "array", dict: "object"}
    return names.get(type(value), "null")


def _chosen(value: Any, choices: Sequence[Any], path: Sequence[str | int], exact: bool) -> Any:
    text = _as_text(value)
    for choice in choices:
        if _as_text(choice) == text:
            return choice
    if isinstance(value, str) and not exact:
        meant = value.strip().casefold()
        near = [choice for choice in choices if isinstance(choice, str) and choice.strip().casefold() == meant]
        if len(near) == 1:
            return near[0]
    shown = ", ".join(map(_as_text, choices[:_MAX_SHOWN_CHOICES]))
    raise Misfit(path, f"is none of {shown}{', ...' if len(choices) > _MAX_SHOWN_CHOICES else ''}")


def _as_text(value: Any) -> str:
    """JSON that is equal for equal values: 1.0 is 1, and no boolean."""
    return json.dumps(_with_equal_numbers(value), sort_keys=True, ensure_ascii=False)


def _with_equal_numbers(value: Any) -> Any:
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, dict):
        return {name: _with_equal_numbers(inner) for name, inner in value.items()}
    return [_with_equal_numbers(inner) for inner in value] if isinstance(value, (list, tuple)) else value


def _check_count(count: int, schema: Schema, of: str, words: str, path: Sequence[str | int]) -> None:
    if count < schema.get(f"min{of}", 0):
        raise Misfit(path, f"has fewer than {schema[f'min{of}']} {words}")
    if f"max{of}" in schema and count > schema[f"max{of}"]:
        raise Misfit(path, f"has more than {schema[f'max{of}']} {words}")


def _check_number(value: float, schema: Schema, path: Sequence[str | int]) -> None:
    if "minimum" in schema and value < schema["minimum"]:
        raise Misfit(path, f"is less than {schema['minimum']}")
    if "maximum" in schema and value > schema["maximum"]:
        raise Misfit(path, f"is more than {schema['maximum']}")
    if "exclusiveMinimum" in schema and value <= schema["exclusiveMinimum"]:
        raise Misfit(path, f"is not more than {schema['exclusiveMinimum']}")
    if "exclusiveMaximum" in schema and value >= schema["exclusiveMaximum"]:
        raise Misfit(path, f"is not less than {schema['exclusiveMaximum']}")
    if "multipleOf" in schema and not _is_multiple(value, schema["multipleOf"]):
        raise Misfit(path, f"is no multiple of {schema['multipleOf']}")


def _is_multiple(value: float, of: float) -> bool:
    if isinstance(value, int) and isinstance(of, int):
        return value % of == 0
    try:  # 0.3 is three times 0.1, though not where both are doubles
        return (Fraction(repr(value)) / Fraction(repr(of))).denominator == 1
    except (ValueError, OverflowError):
        return False
