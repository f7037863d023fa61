"""One case of the law: tables, a query, and how its text is written."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator
from dataclasses import dataclass

from tests.sql.law.nodes import Query, write
from tests.sql.law.queries import random_query
from tests.sql.law.tables import Table, random_tables

QUERIES_OF_A_WORLD = 10
"""So many queries are made for the same tables, since making tables takes time."""

_QUOTED_OR_BLANK = re.compile(r"""'(?:[^']|'')*'|"[^"]*"|`[^`]*`|(?P<blank> )""")
_BLANKS = ("\n", "\t", "  ", " /* , mood JOIN */ ", " -- m.text = 'x;\n", "\r\n")


@dataclass(frozen=True)
class Case:
    """A query over tables.

    Attributes:
        tables: The tables.
        query: The query.
        disguise: The seed of comments and line breaks in the text for us; 0 for none.
    """

    tables: tuple[Table, ...]
    query: Query
    disguise: int = 0

    @property
    def ours(self) -> str:
        """The text with models in FROM."""
        text = write(self.query, "ours")
        return _disguised(text, random.Random(self.disguise)) if self.disguise else text


def cases(seed: int, count: int) -> Iterator[Case]:
    """Random cases.

    Args:
        seed: Of the chance; the first cases are the same whatever ``count`` is.
        count: How many.

    Yields:
        The cases, ten in a row with the same tables.
    """
    for number in range(count):
        world = number // QUERIES_OF_A_WORLD
        if number % QUERIES_OF_A_WORLD == 0:
            tables = random_tables(random.Random(f"{seed} {world}"))
        rng = random.Random(f"{seed} query {number}")
        query = random_query(rng, tables)
        yield Case(tables, query, rng.randint(1, 1 << 30) if rng.random() < 0.15 else 0)


def _disguised(text: str, rng: random.Random) -> str:
    def blank(found: re.Match[str]) -> str:
        return rng.choice(_BLANKS) if found["blank"] and rng.random() < 0.1 else found[0]

    ending = rng.choice(("", ";", " ; ", " -- mood", " USING max_seconds = 600", " USING max_requests = 1000000;"))
    return _QUOTED_OR_BLANK.sub(blank, text) + ending
