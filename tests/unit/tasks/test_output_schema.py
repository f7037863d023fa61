"""The argument ``output_schema``: what each form of it asks for, and the columns that it makes."""

from __future__ import annotations

import json
from typing import Any

import pytest

from huggingface_api_handler.config.validation import engine_settings, model_settings
from huggingface_api_handler.errors import InputError
from huggingface_api_handler.tasks.output_schema import (
    field_types,
    is_strict,
    parse_output_schema,
    schema_of,
    scored_field,
)

ENGINE = engine_settings({"endpoint": "http://127.0.0.1:1"})
STRING, NUMBER = {"type": "string"}, {"type": "number"}


def node(form: object) -> Any:
    return parse_output_schema({"field": form, "other": "str?"})["properties"]["field"]


@pytest.mark.parametrize(
    ("form", "schema", "sql_type"),
    [
        ("str", STRING, "VARCHAR"),
        ("integer", {"type": "integer"}, "BIGINT"),
        ("float?", {"type": ["number", "null"]}, "DOUBLE"),
        ("bool", {"type": "boolean"}, "BOOLEAN"),
        ("list", {"type": "array", "items": STRING}, "VARCHAR[]"),
        ("list[int]", {"type": "array", "items": {"type": "integer"}}, "JSON"),
        ("list[str?]?", {"type": ["array", "null"], "items": {"type": ["string", "null"]}}, "VARCHAR[]"),
        (["number"], {"type": "array", "items": NUMBER}, "JSON"),
        ({"type": "str", "description": "Its colour"}, {"type": "string", "description": "Its colour"}, "VARCHAR"),
        ({"type": "str", "enum": ["a", "b"]}, {"type": "string", "enum": ["a", "b"]}, "VARCHAR"),
        ({"enum": [1, 2]}, {"type": "integer", "enum": [1, 2]}, "BIGINT"),
        ({"enum": ["a", None]}, {"type": ["string", "null"], "enum": ["a", None]}, "VARCHAR"),
        ({"enum": ["a"], "nullable": True}, {"type": ["string", "null"], "enum": ["a", None]}, "VARCHAR"),
        ({"type": "str", "nullable": True}, {"type": ["string", "null"]}, "VARCHAR"),
        ({"type": ["string", "null"]}, {"type": ["string", "null"]}, "VARCHAR"),
        ({"type": "list", "items": "int"}, {"type": "array", "items": {"type": "integer"}}, "JSON"),
        ({"type": "list"}, {"type": "array", "items": STRING}, "VARCHAR[]"),
        (
            {"city": "str"},
            {"type": "object", "properties": {"city": STRING}, "required": ["city"], "additionalProperties": False},
            "JSON",
        ),
        (
            [{"city": "str"}],
            {
                "type": "array",
                "items": {
                    "type": "object",
                    "properties": {"city": STRING},
                    "required": ["city"],
                    "additionalProperties": False,
                },
            },
            "JSON",
        ),
        (
            {"type": "object", "properties": {"city": "str"}, "nullable": True},
            {
                "type": ["object", "null"],
                "properties": {"city": STRING},
                "required": ["city"],
                "additionalProperties": False,
            },
            "JSON",
        ),
    ],
)
def test_each_form_of_a_type(form: object, schema: dict[str, Any], sql_type: str) -> None:
    assert node(form) == schema
    whole = parse_output_schema({"field": form, "other": "str?"})
    assert field_types(whole) == {"field": sql_type, "other": "VARCHAR"}
    assert is_strict(whole)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ("strong", "has the type 'strong'; types are str, int, float, bool, list"),
        ("list[strong]", "has the type 'strong'"),
        (3, "has the type 3"),
        (None, "has the type None"),
        ([], "a list holds the one type of its items"),
        (["str", "int"], "a list holds the one type of its items"),
        ({}, "an object without fields"),
        ({"type": "str", "wheels": "int"}, "has 'wheels' beside 'type' or 'enum'"),
        ({"type": "object"}, "an object without 'properties'"),
        ({"type": ["str", "int"]}, "it is one type, and null beside it"),
        ({"enum": []}, "an 'enum' without a list of choices"),
        ({"enum": "ab"}, "an 'enum' without a list of choices"),
        ({"enum": ["a", 1]}, "an 'enum' of other values than its type"),
        ({"type": "int", "enum": ["a"]}, "an 'enum' of other values than its type"),
        ({"enum": [["a"], "b"]}, "an 'enum' of other values than its type"),
    ],
)
def test_a_type_that_cannot_be_meant_is_refused(wrong: object, words: str) -> None:
    with pytest.raises(InputError, match=r"^CREATE MODEL: output_schema: .*") as error:
        model_settings({"task": "chat", "column": "t", "output_schema": {"field": wrong, "other": "str?"}}, ENGINE)
    assert words in str(error.value)


def test_maps_in_short_stay_as_they_are_and_so_do_the_keys_of_stored_answers() -> None:
    for given in ({"topic": "string", "urgency": "int"}, '{"topic": "text", "urgency": "integer"}'):
        settings = model_settings({"task": "chat", "column": "t", "output_schema": given}, ENGINE)
        assert settings.output_schema == {"topic": "str", "urgency": "int"}
    assert parse_output_schema({"type": "str", "properties": "list"}) == {"type": "str", "properties": "list"}


WHOLE: dict[str, Any] = {
    "$defs": {
        "Item": {
            "type": "object",
            "properties": {"name": {"type": "string"}, "next": {"anyOf": [{"$ref": "#/$defs/Item"}, {"type": "null"}]}},
        }
    },
    "type": "object",
    "title": "Order",
    "properties": {
        "size": {"type": "integer", "minimum": 1},
        "price": {"anyOf": [{"type": "number"}, {"type": "null"}], "default": None},
        "kind": {"enum": ["a", "b"]},
        "items": {"type": "array", "items": {"$ref": "#/$defs/Item"}},
        "names": {"type": "array", "items": {"type": "string"}},
    },
    "required": ["size"],
}


def test_a_whole_json_schema_is_taken_as_it_is() -> None:
    settings = model_settings({"task": "chat", "column": "t", "output_schema": json.dumps(WHOLE)}, ENGINE)
    assert settings.output_schema == WHOLE
    assert schema_of(WHOLE) is WHOLE
    assert not is_strict(WHOLE)
    assert settings.output_fields == {
        "size": "BIGINT",
        "price": "DOUBLE",
        "kind": "VARCHAR",
        "items": "JSON",
        "names": "VARCHAR[]",
    }


def test_a_json_schema_may_be_a_reference_to_one_of_its_own() -> None:
    schema = {
        "$ref": "#/$defs/Order",
        "$defs": {"Order": {"type": "object", "properties": {"size": {"type": "integer"}}}},
    }
    assert field_types(parse_output_schema(schema)) == {"size": "BIGINT"}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"not": {}}, "the keyword 'not', which is not read"),
        ({"properties": {"a": {"patternProperties": {}}}}, "the keyword 'patternProperties'"),
        ({"properties": {"a": {"type": "text"}}}, "a 'type' that JSON schema does not know"),
        ({"properties": {"a": {"type": []}}}, "a 'type' that JSON schema does not know"),
        ({"properties": {"a": 3}}, "something else in the place of a schema"),
        ({"properties": {"a": {"enum": []}}}, "'enum' without a list of at least one"),
        ({"properties": {"a": {"anyOf": {}}}}, "'anyOf' without a list of at least one"),
        ({"properties": {"a": {"minimum": "1"}}}, "'minimum' that is no number"),
        ({"properties": {"a": {"multipleOf": 0}}}, "'multipleOf' that is not over 0"),
        ({"properties": {"a": {"properties": []}}}, "'properties' that is no map"),
        ({"required": "size"}, "'required' that is no list of names"),
        ({"properties": {"a": {"required": True}}}, "'required' that is no list of names"),
        ({"properties": {"a": {"$ref": "https://example.com/schema"}}}, "a '$ref' to another document"),
        ({"properties": {"a": {"$ref": "#/$defs/None"}}}, "which is not in it"),
        ({"properties": {"a": {"$ref": "#/properties/a"}}}, "a '$ref' that leads to itself"),
        ({"properties": {"a": {"anyOf": [{"$ref": "#/properties/a"}]}}}, "a '$ref' that leads to itself"),
        ({"properties": {}}, "must be the JSON schema of an object with properties"),
    ],
)
def test_a_json_schema_that_cannot_be_followed_is_refused(change: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError) as error:
        model_settings({"task": "chat", "column": "t", "output_schema": {**WHOLE, **change}}, ENGINE)
    assert words in str(error.value)


def test_a_schema_with_many_ways_to_one_place_is_checked_once_each() -> None:
    levels = {str(n): {"allOf": [{"$ref": f"#/$defs/{n + 1}"}] * 2} for n in range(60)}
    schema = {"type": "object", "properties": {"a": {"$ref": "#/$defs/0"}}, "$defs": {**levels, "60": {}}}
    assert parse_output_schema(schema) == schema


def test_a_field_with_the_name_of_a_column_of_the_prediction_is_refused() -> None:
    for schema in ({"y_error": {"enum": ["a"]}}, {"type": "object", "properties": {"y_error": {}}}):
        with pytest.raises(InputError, match="y_error"):
            model_settings({"task": "chat", "column": "t", "target": "y", "output_schema": schema}, ENGINE)


@pytest.mark.parametrize(
    ("form", "field"),
    [
        ({"spam": {"type": "bool"}}, "spam"),
        ({"spam": {"type": "bool", "nullable": True}, "why": "str"}, "spam"),
        ({"mood": {"enum": ["good", "bad"]}, "n": "int"}, "mood"),
        ({"mood": {"enum": ["good"]}}, None),
        ({"mood": {"enum": ["good", "bad"]}, "spam": "bool"}, None),
        ({"n": "int?"}, None),
        ({"spam": "bool"}, None),
    ],
)
def test_the_only_choice_among_the_fields_has_the_confidence(form: dict[str, Any], field: str | None) -> None:
    assert scored_field(parse_output_schema(form)) == field
