"""The text of an argument is written once, in settings.py, and shown with the types that people write in SQL."""

from __future__ import annotations

import re
from typing import Any

import pytest
from pydantic import BaseModel

from huggingface_api_handler.config.reference import arguments_of, markdown, settings_arguments
from huggingface_api_handler.config.settings import EngineSettings, ModelSettings, Options
from huggingface_api_handler.creation_args import creation_args
from huggingface_api_handler.tasks import TASKS, Task, parameters_of

SETTINGS = [EngineSettings, ModelSettings, Options]
ONE = r"(text|whole number|number|true/false|map|columns?|'\w+'( \| '\w+')*|list of .+)"
SQL_TYPE = re.compile(rf"{ONE}( or {ONE})*")
PYTHON_NAMES = re.compile(r"\b(any|str|int|float|bool|dict|None)\b")


@pytest.mark.parametrize("settings", SETTINGS)
def test_every_argument_is_described_in_a_sentence_or_a_few(settings: type[BaseModel]) -> None:
    for name, field in settings.model_fields.items():
        text = field.description or ""
        assert 20 <= len(text) <= 400, name
        assert text[0].isupper() and text.endswith("."), name
        assert "\n" not in text and "  " not in text, name


@pytest.mark.parametrize("settings", SETTINGS)
def test_a_default_that_does_something_is_in_the_description(settings: type[BaseModel]) -> None:
    for name, field in settings.model_fields.items():
        default = field.default
        if isinstance(default, (bool, str, int, float)):
            shown = str(default).lower() if isinstance(default, bool) else f"{default:g}" if isinstance(default, float) else repr(default)  # fmt: skip
            expected = "2592000" if name == "cache_ttl" else shown
            assert re.search(rf"Default[^.]*: {re.escape(expected)}", field.description or ""), name


def test_every_engine_argument_has_a_label() -> None:
    for name, field in EngineSettings.model_fields.items():
        assert field.title and len(field.title) <= 30, name


def test_mindsdb_is_told_what_the_settings_say() -> None:
    for name, argument in settings_arguments(EngineSettings).items():
        assert creation_args[name]["description"] == argument.description
        assert creation_args[name]["label"] == EngineSettings.model_fields[name].title


@pytest.mark.parametrize("settings", SETTINGS)
def test_types_are_those_that_people_write_in_sql(settings: type[BaseModel]) -> None:
    for argument in settings_arguments(settings).values():
        assert SQL_TYPE.fullmatch(argument.type), argument
        assert not PYTHON_NAMES.search(argument.type), argument


@pytest.mark.parametrize("task", TASKS.values(), ids=lambda task: task.name)
def test_a_tasks_arguments_have_such_types_too(task: Task) -> None:
    arguments = arguments_of(task)
    assert {argument.name for argument in arguments} == {
        *(column.argument for column in task.columns),
        *task.arguments,
        *parameters_of(task),
        *({"long_text", "max_chunks"} if task.chunking is not None else ()),
    }
    for argument in arguments:
        assert SQL_TYPE.fullmatch(argument.type), argument
        assert not PYTHON_NAMES.search(argument.type), argument
    for column in task.columns:
        assert arguments[0].type in ("column", "columns")
        assert next(each for each in arguments if each.name == column.argument).required == column.required


@pytest.mark.parametrize("task", TASKS.values(), ids=lambda task: task.name)
def test_our_own_arguments_of_a_task_say_what_the_settings_say(task: Task) -> None:
    arguments = {argument.name: argument for argument in arguments_of(task)}
    for name in task.arguments:
        assert arguments[name].description == ModelSettings.model_fields[name].description


@pytest.mark.parametrize(
    ("task", "name", "kind"),
    [
        ("feature-extraction", "pooling", "'mean' | 'cls' | 'none'"),
        ("text-classification", "labels", "list of texts or map"),
        ("text-classification", "threshold", "number"),
        ("text-classification", "top_k", "whole number"),
        ("text-classification", "function_to_apply", "'sigmoid' | 'softmax' | 'none'"),
        ("text-classification", "column", "column"),
        ("tabular-regression", "columns", "columns"),
        ("zero-shot-classification", "candidate_labels", "list of texts"),
        ("zero-shot-classification", "multi_label", "true/false"),
        ("chat-completion", "tool_choice", "'auto' | 'none' | 'required' or map"),
        ("chat-completion", "response_format", "map"),
        ("chat-completion", "tools", "list of maps"),
        ("chat-completion", "output_schema", "map"),
        ("automatic-speech-recognition", "generation_parameters", "map"),
        ("document-question-answering", "word_boxes", "list of texts or lists of numbers"),
        ("image-to-image", "target_size", "map"),
    ],
)
def test_types_of_arguments_are_pinned(task: str, name: str, kind: str) -> None:
    assert {argument.name: argument.type for argument in arguments_of(TASKS[task])}[name] == kind


def test_required_arguments_of_a_task_are_its_columns_and_parameters() -> None:
    required = [argument.name for argument in arguments_of(TASKS["zero-shot-classification"]) if argument.required]
    assert required == ["column", "candidate_labels"]


def test_a_field_that_no_using_clause_names_is_no_argument() -> None:
    assert not {"columns", "target"} & set(settings_arguments(ModelSettings))
    assert {"task", "model", "parameters", "options"} <= set(settings_arguments(ModelSettings))


def test_a_bar_in_a_cell_does_not_end_it() -> None:
    table = markdown(settings_arguments(ModelSettings).values(), without=("task",))
    lines = table.splitlines()
    assert lines[0] == "| argument | type | meaning |"
    assert not any(line.startswith("| `task` ") for line in lines)
    assert {len(re.findall(r"(?<!\\)\|", line)) for line in lines} == {4}


@pytest.mark.parametrize(
    ("schema", "kind"),
    [
        ({"type": "string"}, "text"),
        ({"type": ["string", "null"]}, "text"),
        ({"type": ["string", "object"]}, "text or map"),
        ({"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}, {"type": "null"}]}, "text or list of texts"),
        ({"oneOf": [{"const": "a"}, {"const": "b"}]}, "'a' | 'b'"),
        ({"enum": [1, 2]}, "1 | 2"),
        ({"type": "array", "items": {"enum": ["a", "b"]}}, "list of 'a' | 'b'"),
        ({"type": "array"}, "list"),
        ({"allOf": [{"$ref": "#/$defs/X"}]}, "true/false"),
    ],
)  # fmt: skip
def test_a_schema_with_several_types_shows_them(schema: dict[str, Any], kind: str) -> None:
    from huggingface_api_handler.tasks.schemas import sql_type

    assert sql_type(schema, {"X": {"type": "boolean"}}) == kind
