"""The rows of a frame and the distinct inputs that they ask about: equal inputs become one."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

import pandas as pd

from ...tasks import Input, InvalidCell
from ..failures import Failure, FailureKind
from .results import Results

NO_INPUT = -1
"""The index of a row that asks nothing."""


@dataclass
class Rows:
    """The rows of one frame.

    Attributes:
        index: the frame's. The frame itself is not held, since its other columns may be large.
        inputs: for each row the index of its input in the query, ``NO_INPUT`` where it has none.
        invalid: the rows whose cell cannot be sent, with the reason.
        nulls: how many rows are NULL or blank.
        start: the index of the first input that its rows may ask about.
        new: the index of the first one that no earlier row asks about.
        stop: the index behind the last of them.
    """

    index: pd.Index[Any]
    inputs: array[int] = field(default_factory=lambda: array("q"))
    invalid: dict[int, Failure] = field(default_factory=dict)
    nulls: int = 0
    start: int = 0
    new: int = 0
    stop: int = 0

    @property
    def all_differ(self) -> bool:
        """Whether each row asks about an input of its own, in their order."""
        return self.stop - self.new == len(self.inputs)

    def failures(self, results: Results) -> dict[int, Failure]:
        """The rows without a prediction.

        Args:
            results: what became of the inputs.

        Returns:
            Each failure by the number of its row.
        """
        failed = results.failures
        if not failed:
            return self.invalid
        found = {row: failed[index] for row, index in enumerate(self.inputs) if index in failed}
        return {**found, **self.invalid}


class Deduplicator:
    """Gives equal inputs of a query one index, as long as they are not further apart than a window."""

    def __init__(self) -> None:
        self._indexes: dict[Input, int] = {}
        self._start = self._count = 0

    def rows(
        self, frame: pd.DataFrame, items: Sequence[Input | InvalidCell | None], window: int
    ) -> tuple[Rows, list[Input]]:
        """Number the inputs of a frame.

        Args:
            frame: the frame.
            items: the input of each row, None where it is NULL or blank.
            window: how many distinct inputs are remembered from earlier frames.

        Returns:
            The rows of the frame, and the inputs that no earlier row asks about.
        """
        if len(self._indexes) >= window:
            self._indexes, self._start = {}, self._count
        indexes, start = self._indexes, self._start
        rows = Rows(frame.index, start=start, new=self._count)
        add = rows.inputs.append
        for row, item in enumerate(items):
            if item is None:
                rows.nulls += 1
                add(NO_INPUT)
            elif isinstance(item, InvalidCell):
                rows.invalid[row] = Failure(FailureKind.INPUT_REJECTED, item.reason)
                add(NO_INPUT)
            else:
                add(indexes.setdefault(item, start + len(indexes)))
        rows.stop = self._count = start + len(indexes)
        new = list(islice(reversed(indexes), rows.stop - rows.new))
        new.reverse()
        return rows, new
