"""HandedVectors: vectors as they were handed over, part by part, without a copy of them."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from .draws import Floats, Ints

Vectors = npt.NDArray[np.float32]

BLOCK_ROWS = 4096
"""Vectors that are looked at together."""
_NONE = -1


class HandedVectors:
    """Vectors of some of the inputs."""

    def __init__(self, inputs: int) -> None:
        """Start without any.

        Args:
            inputs: How many inputs there are.
        """
        self._parts: list[Vectors] = []
        self._inputs: list[Ints] = []
        self._starts: list[int] = []
        self._row_of = np.full(inputs, _NONE, dtype=np.int64)
        self._count = 0

    def add(self, inputs: Ints, vectors: Vectors) -> None:
        """Keep a part.

        Args:
            inputs: The index of the input of each row.
            vectors: The rows. They are not copied.
        """
        self._row_of[inputs] = self._count + np.arange(len(inputs))
        self._starts.append(self._count)
        self._inputs.append(inputs)
        self._parts.append(vectors)
        self._count += len(inputs)

    def has(self, inputs: Ints) -> npt.NDArray[np.bool_]:
        """Whether vectors are here.

        Args:
            inputs: Indexes of inputs.

        Returns:
            True for each whose vector is.
        """
        return np.asarray(self._row_of[inputs] != _NONE)

    def of(self, inputs: Ints) -> Floats:
        """The vectors of a few inputs, copied.

        Args:
            inputs: Their indexes.

        Returns:
            A row for each, in double precision.
        """
        rows_of = self._row_of[inputs]
        part_of = np.searchsorted(self._starts, rows_of, side="right") - 1
        rows = np.empty((len(inputs), self._parts[0].shape[1] if self._parts else 0))
        for part in np.unique(part_of):
            here = part_of == part
            rows[here] = self._parts[part][rows_of[here] - self._starts[part]]
        return rows

    def blocks(self) -> Iterator[tuple[Ints, Vectors]]:
        """All of them, some thousands at a time.

        Yields:
            Indexes of inputs, and their vectors.
        """
        for inputs, vectors in zip(self._inputs, self._parts, strict=True):
            for start in range(0, len(inputs), BLOCK_ROWS):
                yield inputs[start : start + BLOCK_ROWS], vectors[start : start + BLOCK_ROWS]
