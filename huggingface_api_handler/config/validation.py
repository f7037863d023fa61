"""USING clauses checked: arguments, columns and parameters told apart, contradictions refused.

Every error is an ``InputError`` that names the argument, the value where it is no secret, and the nearest valid name.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple
from urllib.parse import urlsplit

from pydantic import BaseModel

from ..errors import InputError, MissingArgumentError
from ..redaction import preview
from ..tasks import TASKS, Parameter, Task, parameters_of
from ..urls import is_secure_url
from .combinations import validate_combination
from .normalize import (
    KEY_NAMES,
    Using,
    as_map,
    canonical_name,
    normalize,
    refuse_key,
    refuse_unsendable,
    suggest,
    task_named,
)
from .policies import POLICIES
from .proxies import FindEngine, with_proxy
from .request_parameters import check_parameters
from .settings import EngineSettings, ModelSettings
from .types import Int, Usd, parse_list
from .validated import validated

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
"""MindsDB's own arguments of CREATE MODEL and SELECT, which reach the handler beside ours."""

_NOT_IN_CASCADE_OF_SELECT = ("provider", "endpoint", "prices")

NOT_IN_SELECT = ("engine", "task", "model", "provider", "endpoint", "prices")
"""Arguments that a SELECT ... USING may not override: another model is meant, or a budget would count otherwise."""

_SEVERAL_COLUMNS = ("values", "fields", "whole table")
_MODEL_FIELDS = set(ModelSettings.model_fields) - {"columns", "parameters", "options", "proxy"}
_COLUMN_ARGUMENTS = {column.argument for task in TASKS.values() for column in task.columns}
_TASK_ARGUMENTS: frozenset[str] = frozenset().union(*(task.arguments for task in TASKS.values()))
_FOR_EVERY_TASK = _MODEL_FIELDS - _TASK_ARGUMENTS - {"task", "target"}


class _Arguments(NamedTuple):
    """A model's arguments told apart: fields of ``ModelSettings``, columns, and request parameters of the task."""

    fields: dict[str, object]
    columns: dict[str, object]
    parameters: dict[str, object]


def engine_settings(using: Using | None) -> EngineSettings:
    """Check the arguments of CREATE ML_ENGINE.

    Args:
        using: The USING clause, or None.

    Returns:
        The settings, with defaults for what was not given.

    Raises:
        InputError: An argument is unknown, has a wrong value or contradicts another, or the key would travel in clear.

    >>> engine_settings({"endpoint": "http://127.0.0.1:8900/models", "timeout": "30"}).timeout
    30.0
    """
    arguments = {str(name): value for name, value in as_map(using).items() if value is not None}
    valid = set(EngineSettings.model_fields) | set(KEY_NAMES)
    for name, value in arguments.items():
        if name not in valid:
            raise InputError(f"CREATE ML_ENGINE has no argument {preview(name)}{suggest(name, valid)}")
        if name not in KEY_NAMES:
            refuse_unsendable(name, value)
    keys = [name for name in KEY_NAMES if name in arguments]
    if len(keys) > 1:
        raise InputError(f"CREATE ML_ENGINE got the key twice, as {keys[0]} and as {keys[1]}. Give one of them")
    settings = validated(EngineSettings, arguments, "CREATE ML_ENGINE")
    if settings.provider and settings.endpoint:
        raise InputError(
            "give endpoint or provider, not both: an endpoint is a server, a provider one of Hugging Face's partners"
        )
    if settings.provider and settings.protocol is not None:
        raise InputError(
            "give protocol or provider, not both: protocol says what the server at an endpoint speaks, and a provider "
            "is asked as it wants to be"
        )
    if settings.has_own_key and settings.endpoint and not is_secure_url(settings.endpoint):
        raise InputError(
            f"endpoint {preview(settings.endpoint)} is neither https nor on this machine, so the key would travel "
            "in clear. Use https"
        )
    return settings


def model_settings(
    using: Using | None,
    engine: EngineSettings | None = None,
    *,
    statement: str = "CREATE MODEL",
    find_engine: FindEngine | None = None,
) -> ModelSettings:
    """Check the arguments of CREATE MODEL, with ``target`` among them, or of another statement that takes them.

    Args:
        using: The USING clause, or None.
        engine: Where requests go: text generation with no endpoint is chat, as Hugging Face's router serves it.
        statement: What the person wrote, for the errors.
        find_engine: Finds the engine that ``cascade`` names; None where it is looked for later.

    Returns:
        The settings, with the task's default model where none was given.

    Raises:
        InputError: An argument is unknown, not for this task or a key, or has a wrong value.
        MissingArgumentError: An argument that is needed is not given.

    >>> model_settings({"task": "sentiment-analysis", "input_column": "review"}).columns
    {'column': 'review'}
    """
    arguments = normalize(using)
    refuse_key(arguments)
    cascade = arguments.pop("cascade", False)
    task = _task(arguments, engine)
    if "model" not in arguments:
        endpoint = arguments.get("endpoint") or (engine.endpoint if engine else None)
        arguments["model"] = _default_model(task, arguments, endpoint)
    elif str(arguments["model"]).startswith("/") and _is_in_address(arguments.get("endpoint"), engine):
        raise InputError("model must be a name such as 'owner/name'. A path is for an endpoint of one model")
    fields, columns, parameters = _partition_arguments(task, arguments)
    settings = validated(ModelSettings, {**fields, "task": task.name, "columns": columns}, statement)
    checked = check_parameters(task, parameters, settings.columns)
    settings = settings.model_copy(update={"parameters": checked})
    if cascade is not False:
        settings = with_proxy(settings, {**arguments, "task": task.name}, cascade, engine, find_engine, model_settings)
    validate_combination(settings)
    return settings


def merge_select_overrides(using: Using, select: Using | None) -> dict[str, object]:
    """Put the arguments of a SELECT ... USING on top of a stored model's.

    Args:
        using: The arguments of CREATE MODEL, as they were stored.
        select: The arguments of the SELECT, or None. Those that are MindsDB's own are left out.

    Returns:
        The arguments for ``model_settings``; ``parameters`` and ``options`` are merged by their names. Of two limits of
        one name the lower counts, so that a SELECT cannot spend more than the model's author allowed.

    Raises:
        InputError: The SELECT names an argument that it may not override, or that makes another task, or a key.
    """
    # MindsDB's own come first: it hands them over as they are, track_column as a node of its parser.
    ignored = MINDSDB_ARGUMENTS - {"engine"}
    overrides = normalize(
        {name: value for name, value in as_map(select).items() if canonical_name(str(name)) not in ignored}
    )
    refuse_key(overrides)
    for name in NOT_IN_SELECT:
        if name in overrides:
            raise InputError(
                f"{name} cannot change in a SELECT; CREATE MODEL sets it. Create another model with another {name}"
            )
    stored = normalize(using)
    for arguments in (stored, overrides):
        if isinstance(inner := arguments.get("cascade"), Mapping):
            arguments["cascade"] = normalize(inner)
    _refuse_other_task(stored, overrides)
    refused = [name for name in _NOT_IN_CASCADE_OF_SELECT if name in as_map(overrides.get("cascade") or None)]
    if refused:
        raise InputError(
            f"{refused[0]} of a cascade cannot come in a SELECT; CREATE MODEL sets it. Name an engine instead: "
            "cascade = {'engine': '...'}"
        )
    for name in ("parameters", "options", "cascade"):
        base, changes = stored.get(name), overrides.get(name)
        if isinstance(base, dict) and isinstance(changes, dict):
            overrides[name] = {**base, **changes}
    for name in _Limits.model_fields:
        if name in stored and name in overrides:
            limits = [
                getattr(validated(_Limits, {name: arguments[name]}, "USING"), name) for arguments in (stored, overrides)
            ]
            overrides[name] = min(limits)
    return {**stored, **overrides}


def _refuse_other_task(stored: Using, overrides: Using) -> None:
    """Refuse what makes another task of a stored one: another protocol would be asked, and other answers looked for."""
    task = TASKS.get(str(stored.get("task")))
    for name, other in {} if task is None else task.replaced_by.items():
        if name in overrides and name not in stored:
            raise InputError(
                f"{name} cannot be added in a SELECT: it would make {other} of this model's {stored['task']}. "
                f"Create another model with {name}"
            )


class _Limits(BaseModel):
    # Text is a number too, so the two can only be compared when they are checked.
    max_requests: Int | None = None
    max_usd: Usd | None = None
    max_tokens_total: Int | None = None


def _task(arguments: Using, engine: EngineSettings | None) -> Task:
    if "task" not in arguments:
        model = arguments.get("model")
        subject = f"the model {preview(model)} is for" if model else "the model does"
        raise MissingArgumentError(
            f"say what {subject}: task = '...' (one of {', '.join(sorted(TASKS))}), "
            "and the column to read: column = '...'"
        )
    task = _task_meant(task_named(arguments["task"]), arguments)
    endpoint, provider = (arguments.get(name) or getattr(engine, name, None) for name in ("endpoint", "provider"))
    served_by_router = not endpoint and (not provider or provider in POLICIES)
    return TASKS[task.router_task] if task.router_task is not None and served_by_router else task


def _task_meant(task: Task, arguments: Using) -> Task:
    """The task, or the one that is meant where an argument of that one is given."""
    return next((TASKS[other] for name, other in task.replaced_by.items() if name in arguments), task)


def _is_in_address(endpoint: object, engine: EngineSettings | None) -> bool:
    """Whether the model's name is part of the address that is asked."""
    endpoint = endpoint or (engine.endpoint if engine else None)
    return not endpoint or _serves_many_models(endpoint)


def _serves_many_models(endpoint: object) -> bool:
    return urlsplit(str(endpoint)).path.rstrip("/").endswith("/models")


def _default_model(task: Task, arguments: Using, endpoint: object) -> str:
    if task.choose_model is not None:
        nested = arguments.get("parameters")
        chosen = task.choose_model({**arguments, **(nested if isinstance(nested, dict) else {})})
        if chosen is not None:
            return chosen
    if task.default_model is None and endpoint and not _serves_many_models(endpoint):
        return "the endpoint's own"
    if task.default_model is None:
        raise MissingArgumentError(f"{task.name} has no default model. Name one: model = 'owner/name'")
    return task.default_model


def _partition_arguments(task: Task, arguments: Using) -> _Arguments:
    """Tell apart our own fields, columns and the task's request parameters. Raises for names that are none of them."""
    specification = parameters_of(task)
    data_types = {column.argument: column.data_type for column in task.columns}
    fields: dict[str, object] = {}
    columns: dict[str, object] = {}
    parameters = _nested_parameters(task, arguments.get("parameters", {}), specification)
    for name, value in arguments.items():
        if name == "options":
            fields[name] = value
        elif name in data_types:
            several = data_types[name] in _SEVERAL_COLUMNS
            columns[name] = _column_names(name, value) if several else _column_name(name, value)
        elif name in task.arguments or name in _FOR_EVERY_TASK or name == "target":
            fields[name] = value
        elif name in MINDSDB_ARGUMENTS or name in ("task", "parameters"):
            continue
        else:
            parameters[_parameter_name(task, name, specification)] = value
    for name in parameters:
        if name not in specification:
            raise _unknown_argument(task, name, specification)
    return _Arguments(fields, columns, parameters)


def _nested_parameters(task: Task, nested: object, specification: Mapping[str, Parameter]) -> dict[str, object]:
    if not isinstance(nested, Mapping):
        raise InputError(f"parameters must be a map, such as parameters = {{'top_k': 2}}, got {preview(nested)}")
    return {
        _parameter_name(task, canonical_name(str(name)), specification): value
        for name, value in nested.items()
        if value is not None
    }


def _parameter_name(task: Task, name: str, specification: Mapping[str, Parameter]) -> str:
    return name if name in specification else task.rename.get(name, name)


def _unknown_argument(task: Task, name: str, specification: Mapping[str, Parameter]) -> InputError:
    if name in _TASK_ARGUMENTS | _COLUMN_ARGUMENTS:
        others = sorted(
            other.name
            for other in TASKS.values()
            if name in other.arguments | {column.argument for column in other.columns}
        )
        return InputError(f"{task.name} does not take {name!r}; it is for {', '.join(others)}")
    columns = {column.argument for column in task.columns}
    valid = {*specification, *columns, *task.arguments, *_FOR_EVERY_TASK, "options", "parameters", "task"}
    return InputError(f"{task.name} has no argument {preview(name)}{suggest(name, valid)}")


def _column_name(argument: str, value: object) -> str:
    if not isinstance(value, str) or not value:
        raise InputError(f"{argument} must be the name of a column, got {preview(value)}")
    return value


def _column_names(argument: str, value: object) -> list[str]:
    try:
        names = parse_list(value)
    except ValueError:
        names = None
    if not isinstance(names, list) or not names or not all(isinstance(name, str) and name for name in names):
        raise InputError(
            f"{argument} must be a list of columns, such as {argument} = ['first', 'second'], got {preview(value)}"
        )
    return names
