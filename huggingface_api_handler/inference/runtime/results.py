"""What became of each distinct input, kept in columns.

An object of Python for each of a million inputs would cost more memory than their table, and more of the garbage
collector's time than all the other work on a row.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Sequence
from typing import Any

from ...tasks import Prediction
from ..failures import Failure

_NO_SCORE = float("nan")

Result = Prediction | Failure | None


class Results(Sequence[Result]):
    """One item for each input: its prediction, its failure, or None while there is neither.

    Args:
        size: the number of inputs.

    Attributes:
        values: the target of each input, None where it has none.
        scores: the confidence of each input, NaN where it has none.
        explains: the parts of each input's answer, None where it has none.
        failures: the failures, by the index of their input.
    """

    def __init__(self, size: int) -> None:
        self.values: list[Any] = [None] * size
        self.scores = array("d", [_NO_SCORE]) * size
        self.explains: list[Any] = [None] * size
        self.failures: dict[int, Failure] = {}
        self._answered = bytearray(size)

    @property
    def answered(self) -> int:
        """How many inputs have a prediction."""
        return self._answered.count(1)

    def __len__(self) -> int:
        return len(self.values)

    def __getitem__(self, index: Any) -> Any:  # Sequence asks for slices too, which nobody here takes
        if not self._answered[index]:
            return self.failures.get(index)
        score = self.scores[index]
        return Prediction(self.values[index], None if score != score else score, self.explains[index])

    def __iter__(self) -> Iterator[Result]:
        return (self[index] for index in range(len(self)))

    def put(self, index: int, prediction: Prediction) -> None:
        """Keep the prediction of an input, in place of its failure.

        Args:
            index: of the input.
            prediction: what its answer was read as.
        """
        self.values[index], score, self.explains[index] = prediction
        self.scores[index] = _NO_SCORE if score is None else score
        self._answered[index] = 1
        if self.failures:
            self.failures.pop(index, None)

    def fail(self, index: int, failure: Failure) -> None:
        """Keep the failure of an input, unless it has a prediction.

        Args:
            index: of the input.
            failure: its reason.
        """
        if not self._answered[index]:
            self.failures[index] = failure

    def fail_remaining(self, failure: Failure) -> None:
        """Give ``failure`` to all inputs that have neither prediction nor failure.

        Args:
            failure: the reason of all of them.
        """
        for index, answered in enumerate(self._answered):
            if not answered and index not in self.failures:
                self.failures[index] = failure
