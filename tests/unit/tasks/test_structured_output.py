"""The fields of a typed answer are found in whatever a model writes around them, and nothing is guessed."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from huggingface_api_handler.errors import UnreadableAnswer
from huggingface_api_handler.tasks.json_in_text import MAX_PLACES, objects_in
from huggingface_api_handler.tasks.output_schema import parse_output_schema
from huggingface_api_handler.tasks.structured_output import parse_fields, response_format

SHORT = {"topic": "str", "urgency": "int"}
FOOD = {"topic": "food", "urgency": 3}
RICH = parse_output_schema(
    {
        "topic": {"enum": ["food", "drink"], "description": "What it is about"},
        "urgency": "int?",
        "address": {"city": "str", "zip": "str?"},
        "items": [{"name": "str", "price": "float"}],
        "urgent": "bool",
        "tags": "list[str]",
    }
)

FOUND: list[tuple[str, dict[str, Any]]] = [
    ('{"topic": "food", "urgency": 3}', FOOD),
    ('```json\n{"topic": "food", "urgency": 3}\n```', FOOD),
    ('```{"topic": "food", "urgency": 3}```', FOOD),
    ('Sure:\n{"topic": "food", "urgency": 3}\n\nNote: {topic} is a guess.', FOOD),
    ('maybe {x}? {"topic": "food", "urgency": 3}', FOOD),
    ('{{topic}} and {"topic": "food", "urgency": 3}', FOOD),
    ('Not {"topic"}: {"topic": "food", "urgency": 3}', FOOD),
    ('{"topic": "drink", "urgency": 1} No, rather {"topic": "food", "urgency": 3}', FOOD),
    ('{"topic": "food", "urgency": 3} Schema: {"topic": "str"}', FOOD),
    ('{"reasoning": "hm"}\n{"topic": "food", "urgency": 3}', FOOD),
    ('{"answer": {"topic": "food", "urgency": 3}}', FOOD),
    ('[{"topic": "food", "urgency": 3}]', FOOD),
    ('One of [1, {"topic": "food", "urgency": 3}, 2]', FOOD),
    ('[ {"topic": "food", "urgency": 3}', FOOD),
    ('{"topic": "food", "urgency": 3.0}', FOOD),
    ('{"topic": "food", "urgency": "3"}', FOOD),
    ('{"topic": "food", "urgency": "3.0"}', FOOD),
    ('{"urgency": 3, "more": [{}], "topic": "food"}', FOOD),
    ('{"topic": "a } b { c", "urgency": 3}', {"topic": "a } b { c", "urgency": 3}),
    ('{"topic": "he said \\"{\\"", "urgency": 3}', {"topic": 'he said "{"', "urgency": 3}),
    ('{"topic": "3", "urgency": 3}', {"topic": "3", "urgency": 3}),
]


@pytest.mark.parametrize(("text", "fields"), FOUND)
def test_the_object_is_found_among_other_text(text: str, fields: dict[str, Any]) -> None:
    assert parse_fields(text, SHORT) == fields
    assert list(parse_fields(text, SHORT)) == ["topic", "urgency"]
    assert type(parse_fields(text, SHORT)["urgency"]) is int


REFUSED: list[tuple[str, str]] = [
    ("food, 3", "holds no JSON object"),
    ("", "holds no JSON object"),
    ("{topic: food}", "holds no JSON object"),
    ('{"topic": food}', "is not JSON"),
    ('{"topic": "food", "urgency": NaN}', "is not JSON"),
    ('{"topic": "food", "urgency": 3', "begins as an object and does not end"),
    ('{"topic": "foo', "does not end"),
    ('{"topic": "food", "urgency": tru', "does not end"),
    ('{"topic": "food", "urgency": -', "does not end"),
    ('{"topic": "drink", "urgency": 1} No: {"topic": "fo', "does not end"),
    ('{"draft": {"topic": "drink", "urgency": 1}, "final": {"topic": "fo', "does not end"),
    ('{"topic": "food"}', "the model's answer has no field 'urgency'"),
    ('{"topic": "food", "urgency": null}', "field 'urgency' of the model's answer is not of type int"),
    ('{"topic": "food", "urgency": 3.5}', "field 'urgency' of the model's answer is not of type int"),
    ('{"topic": "food", "urgency": "three"}', "is not of type int"),
    ('{"topic": "food", "urgency": "03"}', "is not of type int"),
    ('{"topic": "food", "urgency": " 3"}', "is not of type int"),
    ('{"topic": "food", "urgency": true}', "is not of type int"),
    ('{"topic": 3, "urgency": 3}', "field 'topic' of the model's answer is not of type str"),
    ('{"topic": ["food"], "urgency": 3}', "is not of type str"),
    ('{"topic": "food", "urgency": 9223372036854775808}', "does not fit in 64 bits"),
    ('{"topic": "food", "urgency": 1e300}', "does not fit in 64 bits"),
    ('[{"topic": "food", "urgency": 3}, {"topic": "drink", "urgency": 1}]', "is a list of 2 objects"),
    ('{"a": {"topic": "food", "urgency": 3}, "b": {"topic": "drink", "urgency": 1}}', "has no field 'topic'"),
    ('{"topic": "\\ud800", "urgency": 3}', "lone surrogate"),
]


@pytest.mark.parametrize(("text", "reason"), REFUSED)
def test_what_is_not_there_is_not_guessed(text: str, reason: str) -> None:
    with pytest.raises(UnreadableAnswer) as error:
        parse_fields(text, SHORT)
    assert reason in str(error.value)


RIGHT: dict[str, Any] = {
    "topic": "food",
    "urgency": None,
    "address": {"city": "Bonn", "zip": None},
    "items": [{"name": "a", "price": 2.0}],
    "urgent": True,
    "tags": ["x"],
}


@pytest.mark.parametrize(
    ("change", "result"),
    [
        ({}, {}),
        ({"topic": " Food"}, {}),
        ({"urgent": "true"}, {}),
        ({"items": [{"name": "a", "price": "2.0", "more": 1}]}, {}),
        ({"items": []}, {"items": []}),
        ({"urgency": 2.0}, {"urgency": 2}),
    ],
)
def test_a_schema_at_length_is_fitted(change: dict[str, Any], result: dict[str, Any]) -> None:
    assert parse_fields(json.dumps({**RIGHT, **change}), RICH) == {**RIGHT, **result}


def test_a_field_that_may_be_null_may_be_missing() -> None:
    answer = {name: value for name, value in RIGHT.items() if name != "urgency"}
    assert parse_fields(json.dumps({**answer, "address": {"city": "Bonn"}}), RICH) == RIGHT


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"topic": "foods"}, """field 'topic' of the model's answer is none of "food", "drink\""""),
        ({"topic": None}, "field 'topic' of the model's answer is not of type str"),
        ({"address": {"zip": "1"}}, "field 'address' of the model's answer has no field 'city'"),
        ({"items": [{"name": "a"}]}, "field 'items[0]' of the model's answer has no field 'price'"),
        (
            {"items": [{"name": "a", "price": "2 euros"}]},
            "field 'items[0].price' of the model's answer is not of type float",
        ),
        ({"tags": [1]}, "field 'tags[0]' of the model's answer is not of type str"),
        ({"urgent": "yes"}, "field 'urgent' of the model's answer is not of type bool"),
        ({"urgency": "soon"}, "is not of type int or null"),
    ],
)
def test_what_does_not_fit_is_told_with_its_place(change: dict[str, Any], reason: str) -> None:
    with pytest.raises(UnreadableAnswer) as error:
        parse_fields(json.dumps({**RIGHT, **change}), RICH)
    assert reason in str(error.value)


def test_any_object_does_not_do_where_every_field_may_be_missing() -> None:
    optional = parse_output_schema({"type": "object", "properties": {"a": {"type": "string"}}})
    nullable = parse_output_schema({"a": "str?", "b": "int?"})
    for schema in (optional, nullable):
        with pytest.raises(UnreadableAnswer, match="has none of the fields"):
            parse_fields('{"other": 1}', schema)
        assert parse_fields('{"other": 1} {"a": "x"}', schema)["a"] == "x"
        assert parse_fields('{"a": "x"} {}', schema)["a"] == "x"


def test_lists_in_short_may_hold_anything_as_they_always_might() -> None:
    assert parse_fields('{"tags": [1, "a", null]}', {"tags": "list"}) == {"tags": [1, "a", None]}


plain_text = st.text(st.characters(exclude_characters="{}", exclude_categories=["Cs"]), max_size=60)
values = st.fixed_dictionaries(
    {
        "topic": st.sampled_from(["food", "drink"]),
        "urgency": st.none() | st.integers(-(2**63), 2**63 - 1),
        "address": st.fixed_dictionaries(
            {"city": st.text(st.characters(exclude_categories=["Cs"])), "zip": st.none() | plain_text}
        ),
        "items": st.lists(
            st.fixed_dictionaries({"name": plain_text, "price": st.floats(allow_nan=False, allow_infinity=False)}),
            max_size=3,
        ),
        "urgent": st.booleans(),
        "tags": st.lists(plain_text, max_size=3),
    }
)


@given(value=values, before=plain_text, after=plain_text, indent=st.sampled_from([None, 2]), is_ascii=st.booleans())
def test_any_object_of_the_schema_is_found_in_any_text_without_braces(
    value: dict[str, Any], before: str, after: str, indent: int | None, is_ascii: bool
) -> None:
    text = before + json.dumps(value, indent=indent, ensure_ascii=is_ascii) + after
    assert parse_fields(text, RICH) == value


@pytest.mark.parametrize(
    "text",
    [
        "{" * 100_000,
        "{}" * 100_000,
        '{"' * 100_000,
        '{"a":' * 100_000,
        '{"a":[' * 100_000,
        "[{" * 100_000,
        '[{"a":1},' * 50_000,
        '{"a": x} ' * 50_000,
        '{"a": NaN} ' * 50_000,
        "{ " + " " * 1_000_000,
        ("{ " + " " * 1000) * 1000,
        '{"a": "' + "x" * 1_000_000 + '" y} ' * 3,
        ('{"' + "x" * 100_000 + '" y} ') * 100,
    ],
)
def test_hostile_texts_are_given_up_after_a_bounded_number_of_attempts(text: str) -> None:
    assert objects_in(text).attempts <= MAX_PLACES
    with pytest.raises(UnreadableAnswer):
        parse_fields(text, RICH)


def test_the_last_object_is_found_behind_any_number_of_others() -> None:
    text = '{"a": x} ' * 10_000 + json.dumps(FOOD)
    assert parse_fields(text, SHORT) == FOOD


def test_maps_in_short_are_asked_for_as_they_always_were() -> None:
    assert json.dumps(response_format({"topic": "str", "urgency": "int", "tags": "list"})) == (
        '{"type": "json_schema", "json_schema": {"name": "answer", "schema": {"type": "object", "properties": '
        '{"topic": {"type": "string"}, "urgency": {"type": "integer"}, "tags": {"type": "array", "items": {"type": '
        '"string"}}}, "required": ["topic", "urgency", "tags"], "additionalProperties": false}, "strict": true}}'
    )
