"""Whether two results are the same, as far as the query determines them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import duckdb

from tests.sql.law.cases import Case
from tests.sql.law.homes import Home, Plain, Rows
from tests.sql.law.nodes import Key, Lookup, Named, Query, Select, Sql, write


@dataclass(frozen=True)
class Difference:
    """What is not the same.

    Attributes:
        kind: ``refused``, ``columns``, ``types``, ``rows`` or ``order``.
        expected: What plain DuckDB gave; of a query with LIMIT all rows.
        got: What we gave, or the error.
    """

    kind: str
    expected: Rows
    got: Rows | Exception


class InvalidQuery(ValueError):
    """Plain DuckDB refuses the query, so there is nothing to compare."""


def difference(case: Case, plain: Plain, ours: Home) -> Difference | None:
    """Run a case in both homes.

    Args:
        case: The case.
        plain: DuckDB.
        ours: The home that is tested.

    Returns:
        The difference, or None.

    Raises:
        InvalidQuery: Plain DuckDB refuses the query.
    """
    unlimited = replace(case.query, limit=None, offset=None)
    in_table_order = _table_order(case.query)
    if in_table_order:
        unlimited = replace(unlimited, order_by=(Key(in_table_order, 0),))
    try:
        plain.use(case.tables)
        expected = plain.run(write(unlimited, "plain"))
    except duckdb.Error as error:
        raise InvalidQuery(str(error)) from None
    try:
        got = ours(case)
    except Exception as error:  # any, since the query is right
        return Difference("refused", expected, error)
    kind = _compared(case.query, expected, got, is_total=bool(in_table_order))
    return Difference(kind, expected, got) if kind else None


def _compared(query: Query, expected: Rows, got: Rows, *, is_total: bool) -> str:
    """What differs; "" where nothing does."""
    if [name.lower() for name in got.columns] != [name.lower() for name in expected.columns]:
        return "columns"
    if got.types != expected.types:
        return "types"
    start = query.offset or 0
    stop = len(expected.rows) if query.limit is None else start + query.limit
    wanted, found = _canonical(expected.rows), _canonical(got.rows)
    if len(found) != len(wanted[start:stop]):
        return "rows"
    is_whole = query.limit is None and query.offset is None
    if (Counter(found) != Counter(wanted)) if is_whole else (Counter(found) - Counter(wanted)):
        return "rows"
    count = len(got.columns)
    positions = list(range(count)) if is_total else [each for each in _key_places(query) if each < count]
    return "order" if _keys(found, positions) != _keys(wanted[start:stop], positions) else ""


def _table_order(query: Query) -> str:
    """What plain DuckDB orders by where ours keeps the table's order: the row number of the one table; "" for others."""
    body, source = query.body, query.body.source if isinstance(query.body, Select) else None
    if (
        query.order_by
        or not isinstance(body, Select)
        or body.distinct
        or body.group_by
        or body.having
        or body.window_filter
    ):
        return ""
    if "(" in write(Sql(tuple(Sql((item, " ")) for item in body.items)), "plain"):
        return ""  # perhaps a window, or an aggregate
    has_model = False
    while isinstance(source, Lookup):
        source, has_model = source.left, True
    names = {cte.name for cte in query.ctes}
    if not has_model or not isinstance(source, Named) or not isinstance(source.what, str) or source.what[0] == "(":
        return ""
    return "" if source.what in names else f"{source.alias or source.what}.rowid"


def _key_places(query: Query) -> list[int]:
    """The columns that the order is told by, as far as they are columns of the result."""
    positions = []
    for key in query.order_by:
        if not key.position:
            break
        positions.append(key.position - 1)
    return positions


def _keys(rows: Sequence[tuple[Hashable, ...]], positions: list[int]) -> list[tuple[Hashable, ...]]:
    return [tuple(row[place] for place in positions) for row in rows]


def _canonical(rows: Sequence[tuple[Any, ...]]) -> list[tuple[Hashable, ...]]:
    return [tuple(_cell(cell) for cell in row) for row in rows]


def _cell(cell: Any) -> Hashable:
    if isinstance(cell, float):
        return f"{cell:.9g}"
    if isinstance(cell, (list, dict)):
        return str(cell)
    return cell if cell is None or isinstance(cell, Hashable) else str(cell)
