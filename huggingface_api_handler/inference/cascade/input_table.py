"""InputTable: the distinct inputs of a table by their digests, so that a million of them take little memory."""

from __future__ import annotations

import hashlib
from array import array
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple, TypeGuard

import numpy as np
import pandas as pd

from ...config.settings import ModelSettings
from ...tasks import Input, InvalidCell, MediaRef, read_inputs
from ..failures import Failure, FailureKind
from ..runtime.asked_inputs import PIECE_INPUTS
from ..runtime.rows import NO_INPUT, Rows
from ..storage.response_cache import bytes_of
from .draws import Ints

INPUT_DIGEST_BYTES = 16
"""Two of a billion inputs share a digest with a probability of about 1e-21."""


class _Read(NamedTuple):
    """A frame that was read: its rows, with the numbers of those that have an input."""

    frame: pd.DataFrame
    rows: Rows
    numbers: Ints


class InputTable:
    """The distinct inputs of some frames, numbered in the order in which they first come.

    Attributes:
        counts: The rows of each input.
        by_digest: The indexes of the inputs in the order of their digests, which is the same for any order of the rows.
        digest: A hash of all inputs with their counts, whatever their order.
    """

    def __init__(self, frames: Sequence[pd.DataFrame], model: ModelSettings) -> None:
        """Read the frames, which are held from now on.

        Args:
            frames: Some tables.
            model: Says what is read of them.

        Raises:
            InputError: A frame cannot be used.
        """
        digests = bytearray()
        self._frames = [_read(frame, model, digests) for frame in frames]
        self._lengths = np.cumsum([0, *(len(frame) for frame in frames)])
        self.counts, self._first, self.by_digest, self.digest = self._number(digests)
        for each in self._frames:  # in which no row is the first of all inputs in their order
            each.rows.new = each.rows.stop = len(self)

    def __len__(self) -> int:
        return len(self.counts)

    @property
    def rows(self) -> list[Rows]:
        """The rows of each frame."""
        return [each.rows for each in self._frames]

    @property
    def row_count(self) -> int:
        """The rows of all frames."""
        return int(self._lengths[-1])

    def pieces(self, indexes: Ints, model: ModelSettings) -> Iterator[tuple[Ints, list[Input | InvalidCell | None]]]:
        """Read inputs again as a model reads them, some at a time.

        Args:
            indexes: Of inputs, rising.
            model: The one of which these are the inputs, or another one that is asked about the same rows: about the
                first row of each input.

        Yields:
            Indexes with what ``read_inputs`` gives. The model of the table can be asked about all of it.
        """
        for start in range(0, len(indexes), PIECE_INPUTS):
            chosen = indexes[start : start + PIECE_INPUTS]
            yield chosen, self._inputs(chosen, model)

    def _inputs(self, indexes: Ints, model: ModelSettings) -> list[Input | InvalidCell | None]:
        rows = self._first[indexes]
        inputs: list[Input | InvalidCell | None] = []
        of_frame = np.searchsorted(self._lengths, rows, side="right") - 1
        for number in np.unique(of_frame):
            frame = self._frames[number].frame
            chosen = frame.iloc[rows[of_frame == number] - self._lengths[number]]
            inputs += read_inputs(model.definition, chosen, model)
        return inputs

    def _number(self, digests: bytearray) -> tuple[Ints, Ints, Ints, bytes]:
        """Number the distinct inputs, and write the numbers into the rows of the frames."""
        halves = np.frombuffer(digests, dtype=">u8").reshape(-1, 2)
        order = np.lexsort((halves[:, 1], halves[:, 0]))
        halves = halves[order]
        is_first = np.ones(len(order), dtype=bool)
        is_first[1:] = (halves[1:] != halves[:-1]).any(axis=1)
        starts = np.flatnonzero(is_first)
        counts = np.diff(np.append(starts, len(order)))
        hashed = hashlib.blake2b(halves[starts].tobytes(), digest_size=INPUT_DIGEST_BYTES)
        hashed.update(counts.astype(">u8").tobytes())
        del halves, is_first
        first = order[starts]  # the sort is stable, so the first of equal ones stays the first
        by_first = np.argsort(first)
        numbers = np.empty(len(starts), dtype=np.int64)
        numbers[by_first] = np.arange(len(starts))
        of_row = np.empty(len(order), dtype=np.int64)
        of_row[order] = np.repeat(numbers, counts)
        table_rows = np.concatenate([np.zeros(0, dtype=np.int64), *self._row_numbers()])
        start = 0
        for each in self._frames:
            column = np.full(len(each.frame), NO_INPUT, dtype=np.int64)
            column[each.numbers] = of_row[start : start + len(each.numbers)]
            start += len(each.numbers)
            each.rows.inputs = array("q", column.tobytes())
        return counts[by_first], table_rows[first[by_first]], numbers, hashed.digest()

    def _row_numbers(self) -> Iterator[Ints]:
        for length, each in zip(self._lengths, self._frames, strict=False):
            yield each.numbers + length


def split_at_none(frames: Iterable[pd.DataFrame | None]) -> Iterator[list[pd.DataFrame]]:
    """Tables that are certified together.

    Args:
        frames: The frames. Those between two None are one part.

    Yields:
        The frames of each part, as soon as all of them are there.
    """
    part: list[pd.DataFrame] = []
    for frame in frames:
        if frame is not None:
            part.append(frame)
        elif part:
            yield part
            part = []
    if part:
        yield part


def is_input(item: Input | InvalidCell | None) -> TypeGuard[Input]:
    """Whether a row can be asked about.

    Args:
        item: What ``read_inputs`` gave.

    Returns:
        False for a NULL, and for a cell that the task cannot take.
    """
    return not (item is None or isinstance(item, InvalidCell))


def _read(frame: pd.DataFrame, model: ModelSettings, digests: bytearray) -> _Read:
    """Read a frame, with the digest of each row that has an input."""
    rows, numbers = Rows(frame.index), array("q")
    read_inputs(model.definition, frame.iloc[:0], model)  # refuses what is missing, also where there are no rows
    for start in range(0, len(frame), PIECE_INPUTS):
        for row, item in enumerate(
            read_inputs(model.definition, frame.iloc[start : start + PIECE_INPUTS], model), start
        ):
            if item is None:
                rows.nulls += 1
            elif isinstance(item, InvalidCell):
                rows.invalid[row] = Failure(FailureKind.INPUT_REJECTED, item.reason)
            else:
                numbers.append(row)
                digests += _digest(item)
    return _Read(frame, rows, np.frombuffer(numbers, dtype=np.int64) if numbers else np.zeros(0, dtype=np.int64))


def _digest(item: Input) -> bytes:
    return hashlib.blake2b(bytes_of(item, _reference), digest_size=INPUT_DIGEST_BYTES).digest()


def _reference(part: object) -> dict[str, str]:
    if not isinstance(part, MediaRef):
        raise TypeError(f"{type(part).__name__} cannot be a part of an input")
    cell = part.cell if isinstance(part.cell, bytes) else part.cell.encode()
    return {"kind": part.kind, "type": type(part.cell).__name__, "cell": hashlib.sha256(cell).hexdigest()}
