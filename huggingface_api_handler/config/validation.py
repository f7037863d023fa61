"""USING clauses checked: arguments, columns and parameters told apart, contradictions refused.

Every error is an ``InputError`` that names the argument, the value where it is no secret, and the nearest valid name.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import (
    BaseModel,
    TypeAdapter,
    ValidationError,
)

from ..errors import InputError
from ..redaction import preview
from ..tasks import TASKS, Parameter, Task, parameters_of
from ..tasks.inputs import labels_from
from ..tasks.prompts import template_columns
from ..urls import is_secure_url
from .normalize import (
    KEY_NAMES,
    as_map,
    canonical_name,
    json_object,
    normalize,
    refuse_key,
    refuse_unsendable,
    suggest,
    task_named,
)
from .settings import EngineSettings, ModelSettings
from .types import listed, number

# MindsDB's own arguments of CREATE MODEL and SELECT, which reach the handler beside ours.
MINDSDB_ARGUMENTS = frozenset(
    {
        "engine",
        "batch_size",
        "track_column",
        "threads",
        "partition_size",
        "error",
        "join_learn_process",
        "target",
        "tag",
        "active",
    }
)
_SEVERAL = ("values", "whole table")
NOT_IN_SELECT = ("engine", "task", "model", "provider", "endpoint")

_Kind = TypeVar("_Kind", bound=BaseModel)


_MODEL_FIELDS = set(ModelSettings.model_fields) - {"columns", "parameters", "options"}
_COLUMN_ARGUMENTS = {column.argument for task in TASKS.values() for column in task.columns}
_TASK_ARGUMENTS: frozenset[str] = frozenset().union(*(task.arguments for task in TASKS.values()))
_FOR_EVERY_TASK = _MODEL_FIELDS - _TASK_ARGUMENTS - {"task", "target"}


def engine_settings(using: Mapping[str, Any] | None) -> EngineSettings:
    """Check the arguments of CREATE ML_ENGINE. Raises InputError."""
    given = {str(name): value for name, value in as_map(using).items() if value is not None}
    known = set(EngineSettings.model_fields) | set(KEY_NAMES)
    for name in given:
        if name not in known:
            raise InputError(f"CREATE ML_ENGINE has no argument {preview(name)}{suggest(name, known)}")
        if name not in KEY_NAMES:
            refuse_unsendable(name, given[name])
    keys = [name for name in KEY_NAMES if name in given]
    if len(keys) > 1:
        raise InputError(f"CREATE ML_ENGINE got the key twice, as {keys[0]} and as {keys[1]}. Give one of them")
    settings = _checked(EngineSettings, given, "CREATE ML_ENGINE")
    if settings.provider and settings.endpoint:
        raise InputError(
            "give endpoint or provider, not both: an endpoint is a server, a provider one of Hugging Face's partners"
        )
    if settings.has_own_key and settings.endpoint and not is_secure_url(settings.endpoint):
        raise InputError(
            f"endpoint {preview(settings.endpoint)} is neither https nor on this machine, so the key would travel "
            "in clear. Use https"
        )
    return settings


def model_settings(using: Mapping[str, Any] | None, engine: EngineSettings | None = None) -> ModelSettings:
    """Check the arguments of CREATE MODEL, with ``target`` among them. Raises InputError.

    ``engine`` says where requests go: text generation with no endpoint is chat, as Hugging Face's router serves it.
    """
    given = normalize(using)
    refuse_key(given)
    task = _task(given, engine)
    if "model" not in given:
        given["model"] = _default_model(task, given, given.get("endpoint") or (engine.endpoint if engine else None))
    fields, columns, parameters = _partition_arguments(task, given)
    settings = _checked(ModelSettings, {**fields, "task": task.name, "columns": columns}, "CREATE MODEL")
    checked = _checked_parameters(task, parameters, settings.columns)
    settings = settings.model_copy(update={"parameters": checked})
    _validate_combination(settings)
    return settings


def merge_select_overrides(using: Mapping[str, Any], select: Mapping[str, Any] | None) -> dict[str, Any]:
    """A stored CREATE MODEL's arguments with those of a SELECT ... USING on top. Raises InputError."""
    # First of all, since MindsDB hands over its own as they are: track_column as a node of its parser.
    mindsdbs = MINDSDB_ARGUMENTS - {"engine"}
    changes = normalize(
        {name: value for name, value in as_map(select).items() if canonical_name(str(name)) not in mindsdbs}
    )
    refuse_key(changes)
    for name in NOT_IN_SELECT:
        if name in changes:
            raise InputError(
                f"{name} cannot change in a SELECT; CREATE MODEL sets it. Create another model with another {name}"
            )
    stored = normalize(using)
    for nested in ("parameters", "options"):
        if isinstance(stored.get(nested), dict) and isinstance(changes.get(nested), dict):
            changes[nested] = {**stored[nested], **changes[nested]}
    return {**stored, **changes}


def _task(given: Mapping[str, Any], engine: EngineSettings | None) -> Task:
    if "task" not in given:
        what = f"the model {preview(given['model'])} is for" if given.get("model") else "the model does"
        raise InputError(
            f"say what {what}: task = '...' (one of {', '.join(sorted(TASKS))}), and the column to read: column = '...'"
        )
    task = task_named(given["task"])
    served_by_router = not any(given.get(name) or getattr(engine, name, None) for name in ("endpoint", "provider"))
    return TASKS["chat-completion"] if task.name == "text-generation" and served_by_router else task


def _default_model(task: Task, given: Mapping[str, Any], endpoint: str | None) -> str:
    if task.name == "translation":
        given = {**given, **(given["parameters"] if isinstance(given.get("parameters"), dict) else {})}
        languages = [given.get("src_lang", given.get("lang_input")), given.get("tgt_lang", given.get("lang_output"))]
        if all(isinstance(language, str) and re.fullmatch(r"[a-z]{2,3}", language) for language in languages):
            return f"Helsinki-NLP/opus-mt-{languages[0]}-{languages[1]}"
    if task.default_model is None and endpoint and not str(endpoint).rstrip("/").endswith("/models"):
        return "the endpoint's own"
    if task.default_model is None:
        raise InputError(f"{task.name} has no default model. Name one: model = 'owner/name'")
    return task.default_model


def _partition_arguments(task: Task, given: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    """Tell apart our own fields, columns and the task's request parameters. Raises for names that are none of them."""
    specification = parameters_of(task)
    columns_known = {column.argument: column.data_type for column in task.columns}
    fields: dict[str, Any] = {}
    columns: dict[str, Any] = {}
    nested = given.get("parameters", {})
    if not isinstance(nested, Mapping):
        raise InputError(f"parameters must be a map, such as parameters = {{'top_k': 2}}, got {preview(nested)}")
    parameters = {
        _parameter_name(task, canonical_name(str(name)), specification): value
        for name, value in nested.items()
        if value is not None
    }
    for name, value in given.items():
        if name == "options":
            fields[name] = value
        elif name in columns_known:
            columns[name] = _column_names(name, value) if columns_known[name] in _SEVERAL else _column_name(name, value)
        elif name in task.arguments or name in _FOR_EVERY_TASK or name == "target":
            fields[name] = value
        elif name in MINDSDB_ARGUMENTS or name in ("task", "parameters"):
            continue
        else:
            parameters[_parameter_name(task, name, specification)] = value
    for name in parameters:
        if name not in specification:
            if name in _TASK_ARGUMENTS | _COLUMN_ARGUMENTS:
                others = sorted(
                    other.name
                    for other in TASKS.values()
                    if name in other.arguments | {c.argument for c in other.columns}
                )
                raise InputError(f"{task.name} does not take {name!r}; it is for {', '.join(others)}")
            known = {*specification, *columns_known, *task.arguments, *_FOR_EVERY_TASK, "options", "parameters", "task"}
            raise InputError(f"{task.name} has no argument {preview(name)}{suggest(name, known)}")
    return fields, columns, parameters


def _parameter_name(task: Task, name: str, specification: Mapping[str, Parameter]) -> str:
    return name if name in specification else task.rename.get(name, name)


def _column_name(argument: str, value: Any) -> str:
    if not isinstance(value, str) or not value:
        raise InputError(f"{argument} must be the name of a column, got {preview(value)}")
    return value


def _column_names(argument: str, value: Any) -> list[str]:
    try:
        names = listed(value)
    except ValueError:
        names = None
    if not isinstance(names, list) or not names or not all(isinstance(name, str) and name for name in names):
        raise InputError(
            f"{argument} must be a list of columns, such as {argument} = ['first', 'second'], got {preview(value)}"
        )
    return names


def _checked_parameters(task: Task, parameters: Mapping[str, Any], columns: Mapping[str, Any]) -> dict[str, Any]:
    specification = parameters_of(task)
    checked = {name: _checked_parameter(specification[name], value) for name, value in parameters.items()}
    for name in task.required_parameters:
        if not checked.get(name) and f"{name}_column" not in columns:
            raise InputError(
                f"{task.name} needs {name}, such as {name} = ['first', 'second'], "
                f"or {name}_column, the column that brings them"
            )
    return checked


def _checked_parameter(parameter: Parameter, value: Any) -> Any:
    if parameter.kind is list and parameter.items is str and isinstance(value, str):
        value = labels_from(value) or value
    if parameter.kind in (dict, list) and isinstance(value, str):
        value = json_object(parameter.name, value)
    if parameter.kind is not None:
        wanted: Any = list[str] if parameter.kind is list and parameter.items is str else parameter.kind
        try:
            value = TypeAdapter(wanted).validate_python(number(value) if wanted in (int, float) else value)
            refuse_unsendable(parameter.name, value)  # a text may have become a number that is none
        except (ValidationError, RecursionError, ValueError):
            kind = {str: "a text", int: "a whole number", float: "a number", bool: "true or false", dict: "a map"}.get(
                wanted, "a list of texts"
            )
            raise InputError(f"{parameter.name} must be {kind}, got {preview(value)}") from None
    if parameter.choices and value not in parameter.choices:
        choices = ", ".join(map(str, parameter.choices))
        raise InputError(f"{parameter.name} must be one of {choices}, got {preview(value)}")
    if parameter.minimum is not None and isinstance(value, (int, float)) and value < parameter.minimum:
        raise InputError(f"{parameter.name} must be at least {parameter.minimum:g}, got {preview(value)}")
    if parameter.maximum is not None and isinstance(value, (int, float)) and value > parameter.maximum:
        raise InputError(f"{parameter.name} must be at most {parameter.maximum:g}, got {preview(value)}")
    return value


def _validate_combination(settings: ModelSettings) -> None:
    task = settings.definition
    read = [name for names in settings.columns.values() for name in ([names] if isinstance(names, str) else names)]
    if settings.provider and settings.endpoint:
        raise InputError("give endpoint or provider, not both")
    taken = {settings.target, *(f"{settings.target}_{part}" for part in ("confidence", "explain", "error"))}
    if taken & set(settings.output_schema or ()):
        raise InputError(
            f"output_schema has a field with the name of a column of the prediction, such as "
            f"{preview(min(taken & set(settings.output_schema or ())))}. Rename the field, or PREDICT another name"
        )
    template = settings.prompt_template
    if template is not None and not any(column.required for column in task.columns):
        if settings.columns:
            raise InputError(
                f"give {' or '.join(settings.columns)} or prompt_template, not both: "
                "the template names its columns itself, as {{column}}"
            )
        read = template_columns(template)
        if not read:
            raise InputError("prompt_template names no column. Put one in double braces, such as 'Summarise: {{text}}'")
    else:
        for column in task.columns:
            if column.required and column.argument not in settings.columns:
                raise InputError(
                    f"{task.name} needs {column.argument}, the name of the column with its {column.data_type}"
                )
        if not settings.columns:
            raise InputError(f"{task.name} needs column, the name of the column with its text, or prompt_template")
        if template is not None:
            read += template_columns(template)
            if "prompt_column" in settings.columns:
                raise InputError("give prompt_column or prompt_template, not both")
    if {"column", "messages_column"} <= settings.columns.keys():
        raise InputError("give column or messages_column, not both: messages are the whole of a prompt")
    if task.name == "table-question-answering" and len(settings.columns) != 2:
        raise InputError(
            f"{task.name} needs table_column, a column of tables as JSON, or table_columns, columns of this table"
        )
    if settings.target.lower() in {name.lower() for name in read}:
        raise InputError(f"the target {preview(settings.target)} has the name of an input column. PREDICT another name")


def _checked(kind: type[_Kind], values: Mapping[str, Any], statement: str) -> _Kind:
    try:
        return kind.model_validate(dict(values))
    except ValidationError as error:
        problem = error.errors(include_input=False, include_url=False, include_context=False)[0]
    except RecursionError:
        raise InputError(f"{statement}: an argument is nested too deeply") from None
    name = str(problem["loc"][0]) if problem["loc"] else "USING"
    message = problem["msg"].removeprefix("Value error, ")
    value = "" if name in KEY_NAMES else f", got {preview(values.get(name))}"
    raise InputError(f"{statement}: {name}: {message}{value}")
