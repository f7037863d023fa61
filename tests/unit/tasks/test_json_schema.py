"""Values are compared with a JSON schema as a whole implementation of it compares them."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]

from huggingface_api_handler.tasks.json_schema import Misfit, check_schema, fit

numbers = st.integers(-20, 20) | st.sampled_from([0.5, 1.0, -2.0, 3.25])
leaves: st.SearchStrategy[Any] = (
    st.none() | st.booleans() | numbers | st.sampled_from(["", "a", "A", "b ", "abc", "1", "true", "2.0"])
)
names = st.sampled_from(["a", "b", "c"])
values: st.SearchStrategy[Any] = st.recursive(
    leaves, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3), max_leaves=6
)
types = st.sampled_from(["string", "integer", "number", "boolean", "array", "object", "null"])


def _schema(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    keywords: dict[str, st.SearchStrategy[Any]] = {
        "type": types | st.lists(types, min_size=1, max_size=3, unique=True),
        "enum": st.lists(leaves, min_size=1, max_size=3),
        "const": leaves,
        "properties": st.dictionaries(names, inner, max_size=3),
        "required": st.lists(names, max_size=2, unique=True),
        "additionalProperties": inner,
        "items": inner,
        "prefixItems": st.lists(inner, min_size=1, max_size=2),
        "anyOf": st.lists(inner, min_size=1, max_size=3),
        "oneOf": st.lists(inner, min_size=1, max_size=3),
        "allOf": st.lists(inner, min_size=1, max_size=2),
        "minimum": numbers,
        "exclusiveMaximum": numbers,
        "multipleOf": st.sampled_from([1, 2, 0.5]),
        "minLength": st.integers(0, 3),
        "maxItems": st.integers(0, 3),
        "uniqueItems": st.booleans(),
        "minProperties": st.integers(0, 2),
        "$ref": st.just("#/$defs/x"),
    }
    return st.lists(st.sampled_from(sorted(keywords)), max_size=3, unique=True).flatmap(
        lambda chosen: st.fixed_dictionaries({name: keywords[name] for name in chosen})
    )


schemas: st.SearchStrategy[Any] = st.recursive(st.booleans() | st.just({}), _schema, max_leaves=8)


@given(
    schema=schemas.filter(lambda each: isinstance(each, dict)),
    definition=leaves.map(lambda each: {"const": each}),
    value=values,
)
@example(schema={"anyOf": [{"type": "integer"}, {"type": "string"}]}, definition={}, value="3")
@example(schema={"oneOf": [{"type": "integer"}, {"type": "number"}]}, definition={}, value=3)
@example(schema={"enum": [True]}, definition={}, value=1)
def test_what_fits_is_what_another_implementation_finds_valid(
    schema: dict[str, Any], definition: Any, value: Any
) -> None:
    schema = {**schema, "$defs": {"x": definition}}
    check_schema(schema)
    oracle = Draft202012Validator(schema)
    try:
        fitted = fit(value, schema)
    except Misfit:
        assert not oracle.is_valid(value)
        return
    assert oracle.is_valid(fitted)
    if oracle.is_valid(value):
        assert fitted == value


def test_comparing_ends_whatever_the_schema_and_the_value() -> None:
    tree = {"anyOf": [{"type": "null"}, {"type": "object", "properties": {"a": {"$ref": "#/$defs/t"}, "b": {"$ref": "#/$defs/u"}}, "required": ["a"]}]}  # fmt: skip
    schema = {"$defs": {"t": {"anyOf": [tree, tree, tree]}, "u": {"oneOf": [tree, tree]}}, "$ref": "#/$defs/t"}
    value: Any = {"a": 1}
    for _ in range(28):
        value = {"a": value, "b": value}
    with pytest.raises(Misfit, match="too many steps"):
        fit(value, schema)


def test_a_value_changes_only_where_no_other_can_be_meant() -> None:
    assert fit("3", {"type": ["integer", "string"]}) == "3"
    assert fit("3", {"anyOf": [{"type": "integer"}, {"type": "string"}]}) == "3"
    assert fit("3", {"anyOf": [{"type": "integer"}, {"type": "boolean"}]}) == 3
    assert fit("true", {"anyOf": [{"type": "integer"}, {"type": "boolean"}]}) is True
    assert fit("Food", {"enum": ["food", "drink"]}) == "food"
    with pytest.raises(Misfit):
        fit("Food", {"enum": ["food", "FOOD"]})
    with pytest.raises(Misfit):
        fit("null", {"type": ["integer", "null"]})


@pytest.mark.parametrize(
    ("value", "of", "fits"), [(0.3, 0.1, True), (1.1, 0.01, True), (0.35, 0.1, False), (1e308, 0.1, True)]
)
def test_multiples_of_decimals(value: float, of: float, fits: bool) -> None:
    if fits:
        assert fit(value, {"multipleOf": of}) == value
    else:
        with pytest.raises(Misfit):
            fit(value, {"multipleOf": of})


@pytest.mark.parametrize(("value", "choice"), [(1, "1"), (2.0, "2"), (True, "true"), (False, "False"), (0.5, "0.5")])
def test_a_choice_that_is_written_as_a_number(value: Any, choice: str) -> None:
    schema = {"type": "string", "enum": ["1", "2", "true", "False", "0.5"]}
    assert fit(value, schema) == choice
    with pytest.raises(Misfit):
        fit(3, schema)
    with pytest.raises(Misfit):
        fit(value, {"type": "string"})
