"""Of which kind cells are, by what they hold: a column of numbers may come as integers, as decimals or as objects."""

from __future__ import annotations

import numbers
from collections.abc import Collection, Iterable
from datetime import date, time, timedelta
from uuid import UUID

TEXT = "text"
BYTES = "bytes"
LISTS = "lists"
MAPS = "maps"

_WHOLE_NUMBERS = "whole numbers"
_NUMBERS = "numbers"

_KINDS: tuple[tuple[type | tuple[type, ...], str], ...] = (
    (str, TEXT),
    ((bytes, bytearray, memoryview), BYTES),
    (bool, "booleans"),
    (numbers.Integral, _WHOLE_NUMBERS),
    (numbers.Number, _NUMBERS),
    (date, "dates"),
    (time, "times"),
    (timedelta, "durations"),
    (UUID, "UUIDs"),
    (dict, MAPS),
    ((list, tuple, set, frozenset), LISTS),
)
"""Types and the kinds of their instances. The first that fits counts: a bool is an integer in Python."""


def kind_of(cell: object) -> str:
    """The kind of a cell that is not NULL.

    Args:
        cell: any object; arrays and scalars of NumPy are of the kind that they are in Python.

    Returns:
        A name in the plural, such as 'text', 'whole numbers', 'dates' or 'lists'. A type that has no such name gives
        its own.

    >>> from decimal import Decimal
    >>> kind_of("1.5"), kind_of(Decimal("1.5")), kind_of(True)
    ('text', 'numbers', 'booleans')
    """
    if type(cell).__module__ == "numpy":
        cell = cell.tolist()  # type: ignore[attr-defined]
    for types, kind in _KINDS:
        if isinstance(cell, types):
            return kind
    return f"values of the type {type(cell).__name__}"


def only_other_kinds(cells: Iterable[object], kinds: Collection[str]) -> list[str]:
    """The kinds of cells of which none can be read.

    Args:
        cells: the cells that are not NULL. Blank texts tell nothing.
        kinds: those that can be read.

    Returns:
        The kinds, each once; none where at least one cell can be read, or where there are no cells.
    """
    others: dict[str, None] = {}
    for cell in cells:
        kind = kind_of(cell)
        if kind == TEXT and isinstance(cell, str) and (not cell or cell.isspace()):
            continue
        if kind in kinds:
            return []
        others[kind] = None
    if _NUMBERS in others:
        others.pop(_WHOLE_NUMBERS, None)
    return list(others)
