"""Labels as models and people spell them, read as one."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from types import NoneType

from ..errors import InputError
from ..redaction import preview

GivenLabels = Sequence[str] | Mapping[str, str | Sequence[str]] | None
"""Labels; or labels, each with what models or the truth call it."""

MAX_LABELS = 100
"""Labels of a truth from which no list of labels is made: it is a text, or a number."""


class Labels:
    """Reads cells as labels. Case, and space around and between words, make no difference.

    Args:
        given: The labels, and by which names else they go; None where nothing is said of them.

    Raises:
        InputError: A name means two labels.

    >>> labels = Labels({"positive": ["LABEL_1", "pos"], "negative": "LABEL_0"})
    >>> labels.read("label_1"), labels.read(" Positive"), labels.read("neutral")
    ('positive', 'positive', 'neutral')
    """

    def __init__(self, given: GivenLabels) -> None:
        """Gather the names.

        Args:
            given: As for the class.

        Raises:
            InputError: A name means two labels.
        """
        if isinstance(given, str) or not isinstance(given, (Iterable, NoneType)):
            raise InputError(
                f"labels takes a list of labels, or a map from each to its names, and not {preview(given)}"
            )
        names = given if isinstance(given, Mapping) else dict.fromkeys(() if given is None else given, ())
        self.given: list[str] = list(names)
        self._meanings: dict[str, str] = {}
        for label, others in names.items():
            for name in (label, *(others if isinstance(others, (list, tuple)) else [others])):
                if self._meanings.setdefault(_folded(name), label) != label:
                    meant = self._meanings[_folded(name)]
                    raise InputError(f"labels: {preview(name)} means {preview(meant)} and {preview(label)}. Choose one")

    def read(self, cell: object) -> str | None:
        """The label in a cell.

        Args:
            cell: Of a prediction or of the truth. Numbers and truth values are labels by their text.

        Returns:
            The label as it was given, or in lower case where it was not; None of a cell that holds none.
        """
        if cell is None or (isinstance(cell, float) and math.isnan(cell)):
            return None
        folded = _folded(cell)
        return self._meanings.get(folded, folded) or None

    def among(self, cells: Iterable[object]) -> list[str]:
        """Make a list of labels for models that are told which there are.

        Args:
            cells: Of the truth.

        Returns:
            The labels that were given; else those of the truth as it spells them first, in the order of the alphabet.
            None of them where these are more than ``MAX_LABELS``.
        """
        if self.given:
            return self.given
        spelled: dict[str, str] = {}
        for cell in cells:
            if (label := self.read(cell)) is not None:
                spelled.setdefault(label, " ".join(str(cell).split()))
                if len(spelled) > MAX_LABELS:
                    return []
        return sorted(spelled.values())


def _folded(cell: object) -> str:
    if isinstance(cell, float) and cell.is_integer():  # pandas makes floats of integers beside an empty cell
        cell = int(cell)
    return " ".join(str(cell).split()).casefold()
