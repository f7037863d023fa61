"""Random small tables: NULLs, duplicates, empty and blank texts, odd names."""

from __future__ import annotations

import random
from dataclasses import dataclass

TEXTS = (
    "a", "good", "Good", "bad", "so so", "fail here", "it may fail", "ünïcödé ☂", "", "  ", "it's", 'a "quote"',
    "SELECT * FROM t JOIN mood", "-- no; comment", "POSITIVE", "NEGATIVE", "%", "a;b", "{}", "0",
)  # fmt: skip
"""All texts that cells have."""

_NAMES = ("reviews", "Orders", '"Odd Table"', '"über"', "t2", '"select"')
_COLUMNS = {
    "text": "text",
    '"Review Text"': "text",
    "question": "text",
    "label": "label",
    "sentiment": "label",
    "kind": "label",
    "stars": "int",
    "Grp": "int",
    '"größe"': "int",
    "flag": "bool",
    "mood": "text",
}


@dataclass(frozen=True)
class Table:
    """A table of random rows.

    Attributes:
        name: As SQL writes it.
        columns: Names, as SQL writes them, each with ``text``, ``int`` or ``bool``.
        rows: The cells, as SQL writes them.
    """

    name: str
    columns: tuple[tuple[str, str], ...]
    rows: tuple[tuple[str, ...], ...]

    @property
    def create(self) -> str:
        """The statements that make it."""
        types = {"text": "VARCHAR", "int": "INTEGER", "bool": "BOOLEAN"}
        columns = ", ".join(f"{name} {types[kind]}" for name, kind in self.columns)
        rows = ", ".join(f"({', '.join(row)})" for row in self.rows)
        insert = f"INSERT INTO {self.name} VALUES {rows};" if rows else ""
        return f"CREATE TABLE {self.name} ({columns}); {insert}"


def literal(text: str) -> str:
    """A text as SQL writes it."""
    return "'" + text.replace("'", "''") + "'"


def random_tables(rng: random.Random) -> tuple[Table, ...]:
    """Two or three tables, each with ``id`` and a column of texts."""
    return tuple(_random_table(rng, name) for name in rng.sample(_NAMES, rng.choice((2, 3))))


def _random_table(rng: random.Random, name: str) -> Table:
    chosen = ["text"] if rng.random() < 0.8 else ['"Review Text"']
    chosen += [column for column in rng.sample(list(_COLUMNS), rng.randint(1, 4)) if column not in chosen]
    columns = (("id", "int"), *((column, _COLUMNS[column]) for column in chosen))
    texts = rng.sample(TEXTS, rng.randint(2, 6))
    rows = [
        tuple(_cell(rng, kind, texts, number) if name != "id" else str(number) for name, kind in columns)
        for number in range(1, rng.choice((0, 1, 3, 4, 5, 5, 6, 6, 7, 7, 8, 8, 9, 9)) + 1)
    ]
    rows += [rng.choice(rows)] if rows and rng.random() < 0.4 else []
    return Table(name, tuple((column, "text" if kind == "label" else kind) for column, kind in columns), tuple(rows))


def _cell(rng: random.Random, kind: str, texts: list[str], number: int) -> str:
    if rng.random() < 0.15:
        return "NULL"
    if kind == "text":
        return literal(rng.choice(texts))
    if kind == "label":
        return literal(rng.choice(("POSITIVE", "NEGATIVE", "other")))
    return str(rng.randint(0, 4)) if kind == "int" else rng.choice(("true", "false"))
