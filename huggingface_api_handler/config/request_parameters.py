"""The request parameters of a task, checked against its specification."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from pydantic import TypeAdapter, ValidationError

from ..errors import InputError, MissingArgumentError
from ..redaction import preview
from ..tasks import Parameter, Task, parameters_of
from ..tasks.inputs import labels_from
from .normalize import json_object, refuse_unsendable
from .types import refuse_bool

_TYPE_NAMES: dict[type, str] = {
    str: "a text",
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    dict: "a map",
}


def check_parameters(
    task: Task, parameters: Mapping[str, object], column_arguments: Collection[str]
) -> dict[str, object]:
    """Check the request parameters of a task, and that none is missing.

    Args:
        task: The task.
        parameters: Name -> value; every name is one of the task's specification.
        column_arguments: The column arguments that were given, since a column may bring a required parameter.

    Returns:
        Name -> value, with texts read as what they stand for.

    Raises:
        InputError: A value has the wrong type, is none of the choices or is out of range.
        MissingArgumentError: A required parameter is missing.
    """
    specification = parameters_of(task)
    checked = {name: _check_parameter(specification[name], value) for name, value in parameters.items()}
    for name in task.required_parameters:
        if not checked.get(name) and f"{name}_column" not in column_arguments:
            raise MissingArgumentError(
                f"{task.name} needs {name}, such as {name} = ['first', 'second'], "
                f"or {name}_column, the column that brings them"
            )
    return checked


def _check_parameter(parameter: Parameter, value: object) -> object:
    value = _read(parameter, value)
    if parameter.choices and value not in parameter.choices:
        choices = ", ".join(map(str, parameter.choices))
        raise InputError(f"{parameter.name} must be one of {choices}, got {preview(value)}")
    if parameter.minimum is not None and isinstance(value, (int, float)) and value < parameter.minimum:
        raise InputError(f"{parameter.name} must be at least {parameter.minimum:g}, got {preview(value)}")
    if parameter.maximum is not None and isinstance(value, (int, float)) and value > parameter.maximum:
        raise InputError(f"{parameter.name} must be at most {parameter.maximum:g}, got {preview(value)}")
    return value


def _read(parameter: Parameter, value: object) -> object:
    """The value in the parameter's type; a value whose parameter allows several types comes back as it is."""
    if isinstance(value, str) and value in parameter.words:
        return value
    is_text_list = parameter.kind is list and parameter.items is str
    if is_text_list and isinstance(value, str):
        value = labels_from(value) or value
    if parameter.kind in (dict, list) and isinstance(value, str):
        value = json_object(parameter.name, value)
    if parameter.kind is None:
        return value
    wanted: Any = list[str] if is_text_list else parameter.kind
    try:
        value = TypeAdapter(wanted).validate_python(refuse_bool(value) if wanted in (int, float) else value)
        refuse_unsendable(parameter.name, value)  # a text may have become a number that JSON does not have
    except (ValidationError, RecursionError, ValueError):
        type_name = " or ".join([_TYPE_NAMES.get(wanted, "a list of texts"), *map(repr, parameter.words)])
        raise InputError(f"{parameter.name} must be {type_name}, got {preview(value)}") from None
    return value
