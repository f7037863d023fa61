"""A difference made small: parts are left out of the query and its tables while the difference stays."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import fields, is_dataclass, replace
from typing import Any

from tests.sql.law.cases import Case
from tests.sql.law.nodes import Group, Join, Lookup, ModelAlone, Query, Select, SetOperation, Sql, write

_MAX_TRIES = 3000
_MAY_BE_EMPTY = {"having", "window_filter", "distinct", "residual", "direction"}


def shrunk(case: Case, differs: Callable[[Case], bool]) -> Case:
    """The smallest case that was found.

    Args:
        case: A case that differs.
        differs: Whether a case differs in the same way.

    Returns:
        A case that differs, of which no part can be left out.
    """
    tries = 0
    found = True
    while found and tries < _MAX_TRIES:
        found = False
        for smaller in _smaller_cases(case):
            if _size(smaller) >= _size(case):
                continue
            tries += 1
            if differs(smaller):
                case, found = smaller, True
                break
            if tries >= _MAX_TRIES:
                break
    return case


def _size(case: Case) -> int:
    rows = sum(len(table.rows) for table in case.tables)
    return len(write(case.query, "ours")) + rows + len(case.tables) + bool(case.disguise)


def _smaller_cases(case: Case) -> Iterator[Case]:
    if case.disguise:
        yield replace(case, disguise=0)
    for query in _queries_in(case.query):
        if query is not case.query:
            yield replace(case, query=query)
            yield replace(case, query=replace(query, ctes=case.query.ctes))
    for query in _smaller(case.query):
        if isinstance(query, Query):
            yield replace(case, query=query)
    for place, table in enumerate(case.tables):
        before, after = case.tables[:place], case.tables[place + 1 :]
        yield replace(case, tables=(*before, *after))
        half = len(table.rows) // 2
        if half > 1:
            yield replace(case, tables=(*before, replace(table, rows=table.rows[:half]), *after))
            yield replace(case, tables=(*before, replace(table, rows=table.rows[half:]), *after))
        for number in range(len(table.rows)):
            fewer = replace(table, rows=table.rows[:number] + table.rows[number + 1 :])
            yield replace(case, tables=(*before, fewer, *after))


def _queries_in(node: Any) -> Iterator[Query]:
    """All queries in a tree, itself among them."""
    if isinstance(node, Query):
        yield node
    if isinstance(node, tuple):
        for item in node:
            yield from _queries_in(item)
    elif is_dataclass(node) and not isinstance(node, type):
        for field in fields(node):
            yield from _queries_in(getattr(node, field.name))


def _smaller(node: Any) -> Iterator[Any]:
    """What is left of a node without some part of it, the largest parts first. Much of it is no query any more."""
    yield from _instead(node)
    if isinstance(node, tuple):
        for place, item in enumerate(node):
            yield node[:place] + node[place + 1 :]
            for smaller in _smaller(item):
                yield (*node[:place], smaller, *node[place + 1 :])
    elif is_dataclass(node) and not isinstance(node, type):
        for field in fields(node):
            value = getattr(node, field.name)
            if field.name in ("limit", "offset") and value is not None:
                yield replace(node, **{field.name: None})
            elif field.name in _MAY_BE_EMPTY and value:
                yield replace(node, **{field.name: ""})
            if field.name == "model" or isinstance(value, str):
                continue
            for smaller in _smaller(value):
                if _fits(node, field.name, smaller):
                    yield replace(node, **{field.name: smaller})


def _fits(node: Any, name: str, value: Any) -> bool:
    """Whether a part may stand in this place: lists that belong together stay as long as they are."""
    if isinstance(node, (ModelAlone, Lookup)) and name in ("inputs", "bound", "constants"):
        return False
    if isinstance(node, Select) and name == "items":
        return bool(value)
    return True


def _instead(node: Any) -> Iterator[Any]:
    """Parts of a node that may stand in its place."""
    if isinstance(node, Join):
        yield node.left
        yield node.right
    elif isinstance(node, Group):
        yield node.inner
    elif isinstance(node, Lookup):
        yield node.left
    elif isinstance(node, SetOperation):
        yield node.left.body
        yield node.right.body
    elif isinstance(node, Sql):
        yield from (part for part in node.parts if not isinstance(part, str) or len(part) > 6)
