"""The parts of long texts that are on their way, by an index below zero. Equal parts are one."""

from __future__ import annotations

import itertools
from typing import NamedTuple

from ...tasks import Input, Prediction
from ...tasks.chunking import Span
from .chunked_text import ChunkedText

_MAX_RECENT = 256  # parts whose answers are held, since equal ones may follow before they are stored

Owners = list[tuple[ChunkedText, Span]]
"""The texts that a part is part of, and where."""


class AnsweredPart(NamedTuple):
    """A part with its answer.

    Attributes:
        item: what was asked.
        answer: as the server sent it.
        prediction: what was read of it.
    """

    item: Input
    answer: object
    prediction: Prediction


class AskedParts:
    """The parts of one query.

    Args:
        items: the parts by their index, for whoever sends them. Those of an earlier provider are dropped.
    """

    def __init__(self, items: dict[int, Input]) -> None:
        self._items = items
        self._items.clear()
        self._owners: dict[int, Owners] = {}
        self._indexes: dict[Input, int] = {}
        self._recent: dict[int, AnsweredPart] = {}
        self._numbers = itertools.count(-1, -1)

    def __len__(self) -> int:
        return len(self._owners)

    def add(self, item: Input, text: ChunkedText, span: Span) -> int | AnsweredPart | None:
        """Ask for a part.

        Args:
            item: what is asked.
            text: that it is part of.
            span: where it is there.

        Returns:
            The index of a new part; its answer where an equal one was answered a moment ago; None where an equal one is
            on its way.
        """
        index = self._indexes.get(item)
        if index is None:
            index = self._indexes[item] = next(self._numbers)
            self._items[index], self._owners[index] = item, [(text, span)]
            return index
        if index in self._recent:
            return self._recent[index]
        self._owners[index].append((text, span))
        return None

    def owners(self, index: int) -> Owners:
        """Whose a part is.

        Args:
            index: of the part.

        Returns:
            The texts that it is part of, and where.
        """
        return self._owners[index]

    def on_answered(self, index: int, answer: object, prediction: Prediction) -> tuple[AnsweredPart, Owners]:
        """Note the answer to a part.

        Args:
            index: of the part.
            answer: as the server sent it.
            prediction: what was read of it.

        Returns:
            The part, and whose it is.
        """
        part = self._recent[index] = AnsweredPart(self._items.pop(index), answer, prediction)
        if len(self._recent) > _MAX_RECENT:
            del self._indexes[self._recent.pop(next(iter(self._recent))).item]
        return part, self._owners.pop(index)

    def drop(self, index: int) -> Owners:
        """Forget a part that is asked no more.

        Args:
            index: of the part.

        Returns:
            Whose it was.
        """
        del self._indexes[self._items.pop(index)]
        return self._owners.pop(index)

    def result(self, index: int) -> Prediction | None:
        """What was read of one of the last parts that were answered.

        Args:
            index: of the part.

        Returns:
            The prediction; None where it is not answered, or not one of the last.
        """
        part = self._recent.get(index)
        return None if part is None else part.prediction
