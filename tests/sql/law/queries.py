"""Random queries: everything around FROM."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import fields, is_dataclass

from tests.sql.law.expressions import Expressions
from tests.sql.law.nodes import CTE, Key, Lookup, ModelAlone, Named, Part, Query, Select, SetOperation, Sql
from tests.sql.law.predictions import MODELS
from tests.sql.law.scopes import Column, Scope
from tests.sql.law.sources import Sources
from tests.sql.law.tables import Table

_KINDS = ("text", "text", "int", "float", "bool", "json")
_SET_OPERATIONS = ("UNION ALL", "UNION", "INTERSECT", "EXCEPT", "EXCEPT ALL")
_TRIES = 50


def random_query(rng: random.Random, tables: Sequence[Table]) -> Query:
    """A query with at least one model in it.

    Args:
        rng: The chance.
        tables: The tables that there are.

    Returns:
        The query.
    """
    for _ in range(_TRIES):
        query = _Queries(rng, tables).outermost()
        if has_model(query):
            return query
    raise AssertionError("no query with a model was found")


def has_model(node: object) -> bool:
    """Whether a model is somewhere in a tree."""
    if isinstance(node, (Lookup, ModelAlone)):
        return True
    if isinstance(node, tuple):
        return any(has_model(item) for item in node)
    return is_dataclass(node) and any(has_model(getattr(node, field.name)) for field in fields(node))


class _Queries:
    def __init__(self, rng: random.Random, tables: Sequence[Table]) -> None:
        self._rng = rng
        # Now and then a CTE has the name of a model, which it hides.
        self._hidden = rng.choice(MODELS) if rng.random() < 0.03 else None
        models = rng.sample([model for model in MODELS if model is not self._hidden], rng.randint(1, 3))
        self._sources = Sources(rng, tables, models, self._subselect)
        self._expressions = Expressions(rng, self._subselect, models)
        self._alias = 0

    def outermost(self) -> Query:
        """The query itself: CTEs, one SELECT or several, an order, a limit."""
        ctes: list[CTE] = []
        if self._rng.random() < 0.25:
            for number in range(self._rng.randint(1, 2)):
                kinds = self._rng.choices(("text", "text", "int"), k=self._rng.randint(1, 3))
                query = self._subselect(kinds, Scope(), 1)
                name = f"cte{number}"
                if self._hidden is not None and number == 0:
                    name = self._hidden.name
                ctes.append(CTE(name, query))
                self._sources.ctes.append((name, [(f"c{place}", kind) for place, kind in enumerate(kinds, 1)]))
        if self._rng.random() < 0.12:
            kinds = self._rng.choices(_KINDS, k=self._rng.randint(1, 3))
            body: Select | SetOperation = self._set_operation(kinds)
            count = len(kinds)
        else:
            body, names = self._select(None, [], self._rng.choice((0, 1, 1, 2)))
            count = len(names)
        return Query(body, tuple(ctes), *self._tail(body, count))

    def _set_operation(self, kinds: list[str]) -> SetOperation:
        sides = [self._subselect(kinds, Scope(), 1) for _ in range(2)]
        return SetOperation(sides[0], self._rng.choice(_SET_OPERATIONS), sides[1])

    def _tail(self, body: Select | SetOperation, count: int) -> tuple[tuple[Key, ...], int | None, int | None]:
        """ORDER BY, LIMIT and OFFSET."""
        keys: list[Key] = []
        if count and self._rng.random() < 0.45:
            positions = list(range(1, count + 1))
            self._rng.shuffle(positions)
            chosen = positions if self._rng.random() < 0.5 else positions[: self._rng.randint(1, count)]
            directions = ("", "", "DESC", "ASC NULLS FIRST", "DESC NULLS LAST")
            keys = [Key(str(place), place, self._rng.choice(directions)) for place in chosen]
            if isinstance(body, Select) and body.items == ("*",) and self._rng.random() < 0.2:
                keys = [Key("ALL", 0)]
        limit = self._rng.choice((0, 1, 2, 3, 5, 20)) if self._rng.random() < 0.3 else None
        offset = self._rng.randint(1, 3) if self._rng.random() < (0.3 if limit is not None else 0.04) else None
        return tuple(keys), limit, offset

    def _subselect(self, kinds: list[str], scope: Scope, depth: int) -> Query:
        """A query of columns ``c1``, ``c2``, ... of these kinds; its rows are the same whenever it runs."""
        if self._rng.random() < 0.06:
            sides = [self._subselect(kinds, scope, 0) for _ in range(2)]
            operation = SetOperation(sides[0], self._rng.choice(_SET_OPERATIONS), sides[1])
            names = ", ".join(f"c{place}" for place in range(1, len(kinds) + 1))
            return Query(Select(("*",), Named(Query(operation), f"u({names})")))
        body, _ = self._select(kinds, [*scope.columns, *scope.outer], depth)
        if self._rng.random() < 0.1 and "json" not in kinds:
            keys = tuple(Key(f"c{place}", place) for place in range(1, len(kinds) + 1))
            return Query(body, (), keys, self._rng.randint(0, 4), self._rng.choice((None, None, 1)))
        return Query(body)

    def _select(self, kinds: list[str] | None, outer: list[Column], depth: int) -> tuple[Select, list[str]]:
        """A SELECT with the kinds of its columns; any where none are wanted."""
        source, scope = self._sources.source(depth, outer if self._rng.random() < 0.6 else [])
        is_top = kinds is None
        if self._rng.random() < 0.25:
            items, group_by, having, count = self._grouped(kinds, scope)
            where = self._where(scope, depth, [])
            return Select(items, source, where, "", group_by, having), [""] * count
        if is_top and self._rng.random() < 0.25:
            star, count = self._star(scope)
            where = self._where(scope, depth, [])
            return Select(star, source, where, self._distinct()), [""] * count
        wanted = kinds or self._rng.choices(_KINDS, k=self._rng.randint(1, 4))
        items_made: list[Part] = []
        aliases: list[tuple[str, str]] = []
        for place, kind in enumerate(wanted, 1):
            item, alias = self._item(scope, kind, depth, "" if is_top else f"c{place}", aliases)
            items_made.append(item)
            # No alias of a window may be in WHERE, or in one that another item makes of it.
            aliases += [(alias, kind)] if alias and " OVER (" not in str(item) else []
        window_filter: Part = self._qualify(scope) if self._rng.random() < 0.1 else ""
        where = self._where(scope, depth, aliases)
        return (
            Select(tuple(items_made), source, where, self._distinct(), window_filter=window_filter),
            wanted,
        )

    def _distinct(self) -> str:
        return "DISTINCT" if self._rng.random() < 0.12 else ""

    def _star(self, scope: Scope) -> tuple[tuple[Part, ...], int]:
        chance = self._rng.random()
        qualifiers = list(dict.fromkeys(column.qualifier for column in scope.columns))
        if chance < 0.6:
            return ("*",), len(scope.shown)
        chosen = self._rng.sample(qualifiers, self._rng.randint(1, len(qualifiers)))
        count = sum(column.qualifier in chosen for column in scope.columns)
        return tuple(f"{qualifier}.*" for qualifier in chosen), count

    def _item(self, scope: Scope, kind: str, depth: int, alias: str, before: list[tuple[str, str]]) -> tuple[Part, str]:
        """One item of the SELECT list with its alias, which is "" where it has none."""
        chance = self._rng.random()
        if chance < 0.12 and kind in ("int", "text", "float"):
            value: Part = self._window(scope, kind)
        elif chance < 0.18 and (named := self._named_before(scope, kind, before)):
            value = self._rng.choice(named)
        else:
            value = self._expressions.of(kind, scope, depth)
        if not alias and isinstance(value, str) and self._rng.random() < 0.4:
            return value, ""
        if not alias:
            self._alias += 1
            alias = f"x{self._alias}"
            same = [column.name for column in scope.columns if column.kind == kind]
            if same and self._rng.random() < 0.1:
                alias = self._rng.choice(same)
        return Sql((value, f" AS {alias}")), alias

    def _named_before(self, scope: Scope, kind: str, before: list[tuple[str, str]]) -> list[str]:
        """The aliases of earlier items; a column counts before an alias of its name."""
        columns = {column.key for column in scope.columns}
        return [name for name, other in before if other == kind and name not in columns]

    def _where(self, scope: Scope, depth: int, aliases: list[tuple[str, str]]) -> tuple[Part, ...]:
        if self._rng.random() < 0.5:
            return ()
        where = [self._conjunct(scope, depth) for _ in range(self._rng.choice((1, 1, 1, 2)))]
        columns = {column.key for column in scope.columns}  # which count before an alias of their name
        free = [(name, kind) for name, kind in aliases if name not in columns]
        if free and self._rng.random() < 0.2:
            name, kind = self._rng.choice(free)
            where.append(self._on_alias(name, kind))
        self._rng.shuffle(where)
        return tuple(where)

    def _conjunct(self, scope: Scope, depth: int) -> Part:
        first = self._expressions.condition(scope, depth)
        if self._rng.random() < 0.6:
            return first
        return Sql(("(", first, " OR ", self._expressions.condition(scope, 0), ")"))  # so that rows are left

    def _on_alias(self, name: str, kind: str) -> str:
        if kind in ("json", "bool"):
            return f"{name} IS NOT NULL"
        return f"{name} {self._rng.choice(('=', '<>', '>'))} {self._expressions.constant(kind)}"

    def _window(self, scope: Scope, kind: str) -> str:
        text, number = self._expressions.column(scope, "text"), self._expressions.column(scope, "int")
        partition = f"PARTITION BY {text} " if text and self._rng.random() < 0.6 else ""
        order = f"ORDER BY {number or text or '1'}" if self._rng.random() < 0.7 else ""
        over = f"OVER ({partition}{order})"
        value = self._expressions.column(scope, kind) or self._expressions.constant(kind)
        if kind == "int" and self._rng.random() < 0.6:
            return f"{self._rng.choice(('rank()', 'dense_rank()', 'count(*)', f'count({value})'))} {over}"
        return f"{self._rng.choice(('max', 'min'))}({value}) {over}"

    def _qualify(self, scope: Scope) -> str:
        return f"{self._window(scope, 'int')} <= {self._rng.randint(1, 3)}"

    def _grouped(self, kinds: list[str] | None, scope: Scope) -> tuple[tuple[Part, ...], tuple[Part, ...], Part, int]:
        """The SELECT list of groups, GROUP BY, HAVING, and how many columns there are."""
        wanted = kinds or self._rng.choices(("text", "int", "float", "int"), k=self._rng.randint(1, 3))
        items: list[Part] = []
        group_by: list[Part] = []
        for place, kind in enumerate(wanted, 1):
            suffix = f" AS c{place}" if kinds else f" AS g{place}"
            column = self._expressions.column(Scope(scope.columns), kind)
            if column and self._rng.random() < 0.5:
                items.append(Sql((column, suffix)))
                group_by.append(self._rng.choice((column, str(place))))
            else:
                items.append(Sql((self._aggregate(scope, kind), suffix)))
        if group_by and self._rng.random() < 0.2:
            group_by = ["ALL"]
        elif len(group_by) > 1 and self._rng.random() < 0.2:
            group_by = [f"ROLLUP ({', '.join(str(key) for key in group_by)})"]
        elif not group_by and self._rng.random() < 0.3:
            column = self._expressions.column(Scope(scope.columns), "text")
            group_by = [column] if column else []
        having: Part = ""
        if self._rng.random() < 0.3:
            having = f"{self._aggregate(scope, 'int')} {self._rng.choice(('>', '<=', '<>'))} {self._rng.randint(0, 3)}"
        return tuple(items), tuple(group_by), having, len(wanted)

    def _aggregate(self, scope: Scope, kind: str) -> str:
        own = Scope(scope.columns)
        column = self._expressions.column(own, kind)
        anything = column or "1"
        chosen = f" FILTER (WHERE {column} IS NOT NULL)" if column and self._rng.random() < 0.15 else ""
        if kind == "int":
            text = self._expressions.column(own, "text") or anything
            forms = (
                "count(*)",
                f"count({anything})",
                f"count(DISTINCT {text})",
                f"sum({anything})",
                f"max({anything})",
            )
            return self._rng.choice(forms) + chosen
        if kind in ("json", "bool"):
            return f"max(CAST({column} AS VARCHAR))::{kind}" if column else f"NULL::{kind}"
        if kind == "text" and column and self._rng.random() < 0.4:
            return f"string_agg({column}, ',' ORDER BY {column}){chosen}"
        if kind == "float" and column and self._rng.random() < 0.4:
            return f"round(avg({column}){chosen}, 6)"
        value = column or self._expressions.constant(kind)
        return f"{self._rng.choice(('max', 'min'))}({value}){chosen}"
