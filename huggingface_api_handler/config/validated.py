"""Arguments made into settings, with errors that name the argument and the value."""

from __future__ import annotations

from typing import TypeVar

from pydantic import BaseModel, ValidationError

from ..errors import InputError
from ..redaction import preview
from .normalize import KEY_NAMES, Using

_MAY_HOLD_SECRETS = frozenset({*KEY_NAMES, "store"})
"""Arguments whose value no error shows."""

_Settings = TypeVar("_Settings", bound=BaseModel)


def validated(kind: type[_Settings], values: Using, statement: str) -> _Settings:
    """Make settings of arguments.

    Args:
        kind: Of settings.
        values: The arguments.
        statement: What the person wrote, for the errors.

    Returns:
        The settings.

    Raises:
        InputError: An argument has a wrong value. Its value is shown unless it may be a secret.
    """
    try:
        return kind.model_validate(dict(values))
    except ValidationError as error:
        problem = error.errors(include_input=False, include_url=False, include_context=False)[0]
    except RecursionError:
        raise InputError(f"{statement}: an argument is nested too deeply") from None
    name = str(problem["loc"][0]) if problem["loc"] else "USING"
    message = problem["msg"].removeprefix("Value error, ")
    value = "" if name in _MAY_HOLD_SECRETS else f", got {preview(values.get(name))}"
    raise InputError(f"{statement}: {name}: {message}{value}")
