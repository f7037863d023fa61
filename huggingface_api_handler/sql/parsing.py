"""What MindsDB's parser makes of a statement, as plain values."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from ..errors import InputError
from ..redaction import preview

if TYPE_CHECKING:
    from .tokens import Statement

PROJECT = "mindsdb"
"""The project that MindsDB's statements may name before a model. There is no other here."""

_TEXTS = re.compile(r"""'(?:\\.|''|[^'])*'|"(?:\\.|""|[^"])*\"""")


class ModelName(NamedTuple):
    """A model as a statement names it, with the version where it names one."""

    name: str
    version: int | None = None


def parsed(statement: Statement) -> Any:
    """Parse a statement.

    Args:
        statement: for engines or models.

    Returns:
        The tree of ``mindsdb_sql_parser``.

    Raises:
        InputError: it cannot be read. The message has the place, and no text of the statement, which may be a key.
    """
    try:
        from mindsdb_sql_parser import parse_sql
        from mindsdb_sql_parser.exceptions import ParsingException
    except ModuleNotFoundError:
        raise InputError("mindsdb-sql-parser is not installed: pip install 'huggingface_api_handler[sql]'") from None
    try:
        return parse_sql(statement.source)
    except ParsingException as error:
        words = " ".join(statement.words[:2])
        raise InputError(f"{words}: {_TEXTS.sub(chr(39) + '...' + chr(39), str(error))}") from None
    except (RecursionError, ValueError, KeyError, IndexError, AttributeError):  # of a form that it does not foresee
        raise InputError(f"{' '.join(statement.words[:2])}: the statement cannot be read") from None


def arguments_of(params: Mapping[str, object] | None) -> dict[str, object]:
    """The arguments of a USING clause.

    Args:
        params: as the parser gives them.

    Returns:
        Plain values by names in lower case: a bare word is the text of it.

    Raises:
        InputError: an argument is given twice, in upper and lower case.
    """
    values: dict[str, object] = {}
    for name, value in (params or {}).items():
        if name.lower() in values:
            raise InputError(f"USING has {preview(name)} twice. Give one of them")
        values[name.lower()] = _plain(value)
    return values


def plain_name(identifier: Any, what: str) -> str:
    """The name of what a statement makes or drops.

    Args:
        identifier: of the parser.
        what: it is, such as 'model'.

    Returns:
        The name without ``mindsdb.`` before it.

    Raises:
        InputError: something else is before it.
    """
    parts = [str(part) for part in identifier.parts]
    if len(parts) > 1 and parts[0].lower() == PROJECT:
        parts = parts[1:]
    if len(parts) != 1:
        raise InputError(
            f"the name of a {what} is one word here, with no project before it: got {preview('.'.join(parts))}"
        )
    return parts[0]


def model_name(parts: list[str]) -> ModelName:
    """A model and its version, of a name such as ``mindsdb.m.2``.

    Args:
        parts: of the name.

    Returns:
        The name and the version; the parts joined where they are no such name.
    """
    if len(parts) > 1 and parts[0].lower() == PROJECT:
        parts = parts[1:]
    if len(parts) > 1 and parts[-1].isdecimal():
        return ModelName(".".join(parts[:-1]), int(parts[-1]))
    return ModelName(".".join(parts))


def _plain(value: Any) -> object:
    if isinstance(value, Mapping):
        return {str(name): _plain(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_plain(inner) for inner in value]
    if value is None or isinstance(value, (str, int, float, bool)):
        return value
    parts = getattr(value, "parts", None)
    if parts is not None:
        return ".".join(str(part) for part in parts)
    raise InputError(f"{preview(str(value))} is no value of an argument. Give a text, a number, a list or a map")
