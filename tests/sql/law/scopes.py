"""What names mean at a place of a query, as far as the generator has to know."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Column:
    """A column that may be named.

    Attributes:
        qualifier: The alias of what it belongs to.
        name: Its name, as SQL writes it.
        kind: ``text``, ``int``, ``float``, ``json`` or ``bool``.
        is_merged: Whether USING or NATURAL made one column of it and another on its left.
    """

    qualifier: str
    name: str
    kind: str
    is_merged: bool = False

    @property
    def key(self) -> str:
        """The name as it is compared."""
        return self.name.strip('"`').lower()

    @property
    def qualified(self) -> str:
        """The name behind its qualifier."""
        return f"{self.qualifier}.{self.name}"


@dataclass
class Scope:
    """The columns of a FROM.

    Attributes:
        columns: In the order of ``*``.
        outer: Those of the queries around it.
    """

    columns: list[Column] = field(default_factory=list)
    outer: list[Column] = field(default_factory=list)

    @property
    def shown(self) -> list[Column]:
        """What ``*`` shows."""
        return [column for column in self.columns if not column.is_merged]

    def plain(self) -> list[Column]:
        """The columns that have a meaning without a qualifier."""
        counts = Counter(column.key for column in self.shown)
        return [column for column in self.shown if counts[column.key] == 1]

    def common(self, other: Scope) -> list[str]:
        """The names that mean one column here and one of the same kind there."""
        theirs = {column.key: column for column in other.plain()}
        return [
            column.name
            for column in self.plain()
            if column.key in theirs and theirs[column.key].kind == column.kind and column.kind != "json"
        ]

    def shared_keys(self, other: Scope) -> set[str]:
        """All names that are in both, however often."""
        return {column.key for column in self.columns} & {column.key for column in other.columns}
