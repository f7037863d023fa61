"""What the catalog holds: engines, models, and views over models."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import orjson

from ..errors import InputError


@dataclass(frozen=True)
class Engine:
    """What CREATE ML_ENGINE made.

    Attributes:
        name: as it was written.
        id: a random one, by which its stored answers and usage are found.
        arguments: of its USING clause, without a key.
        has_key: whether a key was given with it, which is not stored.
        mark: by whom the row was written.
    """

    kind: ClassVar[str] = "engines"
    name: str
    id: str
    arguments: Mapping[str, object]
    has_key: bool
    mark: str = ""

    def row(self) -> dict[str, object]:
        """The values of its row by column."""
        return {"name": self.name, "id": self.id, "arguments": _text(self.arguments), "has_key": self.has_key}


@dataclass(frozen=True)
class Model:
    """What CREATE MODEL made, or RETRAIN in another version.

    Attributes:
        name: as it was written.
        version: from 1.
        engine: the name of its engine.
        id: a random one, by which its usage is found.
        arguments: of its USING clause, checked, with what was filled in.
        discovery: what was found out about its server at CREATE.
        active: whether a name without a version means this one.
        mark: by whom the row was written.
    """

    kind: ClassVar[str] = "models"
    name: str
    version: int
    engine: str
    id: str
    arguments: Mapping[str, object]
    discovery: Mapping[str, object]
    active: bool = True
    mark: str = ""

    def row(self) -> dict[str, object]:
        """The values of its row by column, without ``active``, which changes."""
        return {
            "name": self.name,
            "version": self.version,
            "engine": self.engine,
            "id": self.id,
            "arguments": _text(self.arguments),
            "discovery": _text(self.discovery),
        }


@dataclass(frozen=True)
class View:
    """What CREATE VIEW made over a model: text that is put in place where the view is named.

    Attributes:
        name: as it was written.
        query: its SELECT, with a trailing USING where it has one.
        mark: by whom the row was written.
    """

    kind: ClassVar[str] = "views"
    name: str
    query: str
    mark: str = ""

    def row(self) -> dict[str, object]:
        """The values of its row by column."""
        return {"name": self.name, "query": self.query}


Item = Engine | Model | View
"""A row of the catalog."""


CHANGED_BY_HAND = "the schema huggingface of this database was changed by hand, and cannot be read"


def engine_of(row: Mapping[str, Any]) -> Engine:
    """An engine of its row.

    Args:
        row: its values by column.

    Returns:
        The engine.

    Raises:
        InputError: the row was changed by hand.
    """
    _refuse_other_types(row, "name", "id", "mark")
    return Engine(**{**row, "arguments": _read(row["arguments"]), "has_key": bool(row["has_key"])})


def model_of(row: Mapping[str, Any]) -> Model:
    """A model of its row.

    Args:
        row: its values by column.

    Returns:
        The model.

    Raises:
        InputError: the row was changed by hand.
    """
    _refuse_other_types(row, "name", "engine", "id", "mark")
    if not isinstance(row["version"], int):
        raise InputError(CHANGED_BY_HAND)
    return Model(**{**row, "arguments": _read(row["arguments"]), "discovery": _read(row["discovery"])})


def view_of(row: Mapping[str, Any]) -> View:
    """A view of its row.

    Args:
        row: its values by column.

    Returns:
        The view.

    Raises:
        InputError: the row was changed by hand.
    """
    _refuse_other_types(row, "name", "query", "mark")
    return View(**row)


def _refuse_other_types(row: Mapping[str, Any], *texts: str) -> None:
    if not all(isinstance(row[name], str) for name in texts):
        raise InputError(CHANGED_BY_HAND)


def _text(values: Mapping[str, object]) -> str:
    return orjson.dumps(values, option=orjson.OPT_NON_STR_KEYS).decode()


def _read(text: object) -> dict[str, object]:
    try:
        values = orjson.loads(text) if isinstance(text, str) else None
    except ValueError:
        values = None
    if not isinstance(values, dict):
        raise InputError(CHANGED_BY_HAND)
    return values
