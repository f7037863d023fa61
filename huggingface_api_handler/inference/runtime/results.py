"""What became of each distinct input, kept in columns.

A million objects of Python, one for each row, would cost more memory than their table, and more of the garbage
collector's time than all the rest of a row's way.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Sequence
from typing import Any

from ...tasks import Prediction
from ..failures import Failure

_NO_SCORE = float("nan")


class Results(Sequence[Prediction | Failure | None]):
    """One place for each input: its prediction, its failure, or None while there is neither."""

    def __init__(self, size: int) -> None:
        self.values: list[Any] = [None] * size
        self.scores = array("d", [_NO_SCORE]) * size
        """NaN stands for no score."""
        self.explains: list[Any] = [None] * size
        self.failures: dict[int, Failure] = {}
        self._answered = bytearray(size)

    @property
    def answered(self) -> int:
        """How many have a prediction."""
        return self._answered.count(1)

    def __len__(self) -> int:
        return len(self.values)

    def __getitem__(self, position: Any) -> Any:
        if not self._answered[position]:
            return self.failures.get(position)
        score = self.scores[position]
        return Prediction(self.values[position], None if score != score else score, self.explains[position])

    def __iter__(self) -> Iterator[Prediction | Failure | None]:
        return (self[position] for position in range(len(self)))

    def put(self, position: int, prediction: Prediction) -> None:
        """Keep the prediction of an input, in place of whatever became of it before."""
        self.values[position], score, self.explains[position] = prediction
        self.scores[position] = _NO_SCORE if score is None else score
        self._answered[position] = 1
        if self.failures:
            self.failures.pop(position, None)

    def fail(self, position: int, failure: Failure) -> None:
        """Keep the failure of an input that has no prediction."""
        if not self._answered[position]:
            self.failures[position] = failure

    def fail_remaining(self, failure: Failure) -> None:
        """Give ``failure`` to all that have neither prediction nor failure."""
        for position, answered in enumerate(self._answered):
            if not answered and position not in self.failures:
                self.failures[position] = failure
