"""A file cut into units: runs of rows within a row group, each with a part file of its own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

STORED_UNIT_ROWS = 65_536
"""Rows of a unit where answers are stored: a unit that is begun anew finds them."""

UNSTORED_UNIT_ROWS = 1024
"""Rows of a unit where answers are not stored: what is lost with a unit was paid for."""


class Unit(NamedTuple):
    """Rows that one process predicts, and that are finished together.

    Attributes:
        number: From 0, in the order of the file.
        row_group: The row group that they are in.
        start: The first of them, counted from the begin of the row group.
        rows: How many they are.
    """

    number: int
    row_group: int
    start: int
    rows: int


def units_of(row_groups: Sequence[int], unit_rows: int) -> list[Unit]:
    """Cut row groups into units.

    Args:
        row_groups: The rows of each row group.
        unit_rows: The most rows of a unit.

    Returns:
        The units in order. They have all rows, and none spans two row groups.

    >>> [tuple(unit) for unit in units_of([3, 0, 5], 4)]
    [(0, 0, 0, 3), (1, 2, 0, 4), (2, 2, 4, 1)]
    """
    spans = [
        (row_group, start, min(unit_rows, rows - start))
        for row_group, rows in enumerate(row_groups)
        for start in range(0, rows, unit_rows)
    ]
    return [Unit(number, *span) for number, span in enumerate(spans)]
