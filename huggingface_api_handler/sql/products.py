"""Products of tables: which of them the inputs of a model come from. The others only have to have a row.

``a, b JOIN m ON m.text = a.text`` has as many rows as ``a`` times ``b``, and no more distinct inputs than ``a``.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import NamedTuple

from sqlglot.tokens import Token, TokenType

from .blocks import COMMA, Relation, Span
from .model_joins import ModelJoin

ColumnsOf = Callable[[Relation], "set[str] | None"]
"""The columns of an item of FROM in lower case; None where it cannot be read without those before it."""

_SPLIT_JOINS = {"", COMMA, "CROSS JOIN", "JOIN", "INNER JOIN", "LEFT JOIN", "LEFT OUTER JOIN"}
_HIDDEN = {"rowid", "filename", "file_row_number", "file_index"}
"""Columns that no list of columns has."""

_NO_NAMES = {TokenType.STRING, TokenType.NUMBER, TokenType.HEREDOC_STRING, TokenType.DOT, TokenType.PARAMETER}


class Part(NamedTuple):
    """Items of FROM that belong together.

    Attributes:
        relations: The items, in their order.
        conditions: Those that read them, and none of the other parts.
    """

    relations: list[Relation]
    conditions: list[Span]


class Reads(NamedTuple):
    """What the inputs of a model read.

    Attributes:
        spans: The expressions of the statement.
        names: Columns that are read by their name alone.
    """

    spans: Sequence[Span]
    names: Sequence[str]


def inputs_of(join: ModelJoin) -> Reads:
    """What the inputs of a model read.

    Args:
        join: The model.

    Returns:
        The expressions that bind its inputs, and the names of the others.
    """
    return Reads(
        list(join.bindings.values()), [name for name in join.model.inputs if name.lower() not in join.bindings]
    )


def split_product(
    tokens: Sequence[Token],
    relations: Sequence[Relation],
    joins: Mapping[Relation, ModelJoin],
    join: ModelJoin,
    conditions: Sequence[Span],
    columns_of: ColumnsOf,
) -> tuple[Part, list[Part]] | None:
    """Split what stands left of a model into the part that its inputs read, and others.

    The rows there are those of the first part times those of the others, so where each of the others has a row, the
    first alone has the same inputs. In doubt, parts are one.

    Args:
        tokens: The statement's.
        relations: What stands left of the model, itself split at no bracket.
        joins: All models of the block.
        join: The model.
        conditions: What the rows must fulfil.
        columns_of: Gives the columns of an item of FROM.

    Returns:
        The part that is needed, with all conditions that read no part; and the others. None where there is only one.
    """
    if not any(relation.join in (COMMA, "CROSS JOIN") and relation not in joins for relation in relations):
        return None
    if any(relation.join not in _SPLIT_JOINS or relation.using is not None for relation in relations):
        return None
    if any(relation.group is not None for relation in relations) or relations[0] in joins:
        return None
    names = _Names(tokens)
    for relation in relations:
        own = joins[relation].model.outputs if relation in joins else columns_of(relation)
        if own is None or (relation.column_aliases and relation in joins):
            return None
        names.add(relation, own)
    parts = _Parts(len(relations))
    for number, relation in enumerate(relations):
        if relation in joins:
            reads = inputs_of(joins[relation])
            found = names.read([*reads.spans, *joins[relation].residual], reads.names)
        else:
            found = names.read([relation.on] if relation.on is not None else [], [])
        if found is None:
            return None
        if relation.on is not None or (relation in joins and not found):
            found = found | {number - 1}
        parts.connect({number} | {each for each in found if each < number})
    reads = inputs_of(join)
    needed = names.read(reads.spans, reads.names)
    read_by = [names.read([span], []) for span in conditions]
    if needed is None or None in read_by:
        return None
    for numbers in [needed, *read_by]:
        parts.connect(numbers or set())
    return _split(relations, conditions, [numbers or set() for numbers in read_by], needed, parts)


def _split(
    relations: Sequence[Relation],
    conditions: Sequence[Span],
    read_by: Sequence[set[int]],
    needed: set[int],
    parts: _Parts,
) -> tuple[Part, list[Part]] | None:
    first = {parts.of(each) for each in needed}
    others = sorted({parts.of(number) for number in range(len(relations))} - first)
    if not others:
        return None

    def part(numbers: Collection[int], *, is_first: bool) -> Part:
        """The items that are in some parts, with their conditions."""
        return Part(
            [relation for number, relation in enumerate(relations) if parts.of(number) in numbers],
            [
                span
                for span, read in zip(conditions, read_by, strict=True)
                if ({parts.of(each) for each in read} & set(numbers) if read else is_first)
            ],
        )

    return part(first, is_first=True), [part([number], is_first=False) for number in others]


class _Names:
    """Which items of FROM names may belong to."""

    def __init__(self, tokens: Sequence[Token]) -> None:
        self._tokens = tokens
        self._labels: dict[str, set[int]] = {}
        self._columns: dict[str, set[int]] = {}
        self._count = 0

    def add(self, relation: Relation, columns: Collection[str]) -> None:
        """Take the next item with its columns."""
        if relation.label:
            self._labels.setdefault(relation.label.lower(), set()).add(self._count)
        for column in columns:
            self._columns.setdefault(column.lower(), set()).add(self._count)
        self._count += 1

    def read(self, spans: Sequence[Span], names: Sequence[str]) -> set[int] | None:
        """The items that are read; None where that cannot be said."""
        found = {number for name in names for number in self._columns.get(name.lower(), ())}
        for span in spans:
            position = span.start
            while position < span.end:
                if self._tokens[position].token_type is TokenType.STAR or self._text(position) in _HIDDEN | {"columns"}:
                    return None
                end = self._end_of_name(position, span.end)
                found |= self._read_name(position, end)
                position = end
        return found

    def _read_name(self, start: int, end: int) -> set[int]:
        """The items that ``label.column.field``, or a part of it, may name."""
        first = self._text(start)
        found = self._labels.get(first, set()) | self._columns.get(first, set())
        if first in self._labels:
            return found
        rest = {self._text(position) for position in range(start + 1, end)}
        return found.union(*(self._labels.get(text, set()) | self._columns.get(text, set()) for text in rest))

    def _end_of_name(self, position: int, end: int) -> int:
        position += 1
        while position + 1 < end and self._tokens[position].token_type is TokenType.DOT:
            position += 2
        return position

    def _text(self, position: int) -> str:
        token = self._tokens[position]
        return "" if token.token_type in _NO_NAMES else token.text.lower()


class _Parts:
    """Numbers that are connected with each other."""

    def __init__(self, count: int) -> None:
        self._parts = list(range(count))

    def of(self, number: int) -> int:
        """The part that a number is in."""
        return self._parts[number]

    def connect(self, numbers: Collection[int]) -> None:
        """Make one part of those that some numbers are in."""
        old = {self._parts[number] for number in numbers}
        if old:
            self._parts = [min(old) if part in old else part for part in self._parts]
