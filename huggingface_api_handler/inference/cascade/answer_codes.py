"""AnswerCodes: answers as whole numbers, so that equal ones are one."""

from __future__ import annotations

from typing import Any

import numpy as np
import orjson

from ...tasks import Prediction
from ..runtime.results import Results
from .draws import Ints
from .learner import REFUSED


class AnswerCodes:
    """Codes of answers, from 0 in the order in which they first come.

    Attributes:
        values: The answer of each code.
    """

    def __init__(self) -> None:
        """Know no answer yet."""
        self.values: list[Any] = []
        self._codes: dict[bytes, int] = {}

    def of(self, results: Results, indexes: Ints) -> Ints:
        """The codes of some answers.

        Args:
            results: What inputs were answered.
            indexes: Of the inputs.

        Returns:
            A code for each; ``REFUSED`` where there is no answer.
        """
        return np.array([self._code(results[index]) for index in indexes], dtype=np.int64)

    def _code(self, result: object) -> int:
        if not isinstance(result, Prediction):
            return REFUSED
        code = self._codes.setdefault(orjson.dumps(result.value), len(self.values))
        if code == len(self.values):
            self.values.append(result.value)
        return code
