"""A query as a tree, and its two texts: with models in FROM, and for plain DuckDB.

Only ``Lookup`` and ``ModelAlone`` differ between the two texts.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from tests.sql.law.predictions import Model, as_subselect

Home = Literal["ours", "plain"]


@dataclass(frozen=True)
class Sql:
    """SQL with nodes in it. The parts are written one after the other."""

    parts: tuple[Part, ...]


@dataclass(frozen=True)
class Named:
    """A table, a subselect or a CTE in FROM, with its alias; "" for none."""

    what: Part
    alias: str


@dataclass(frozen=True)
class Join:
    """Two things of FROM joined: ``left kind right condition``."""

    left: From
    kind: str
    right: From
    condition: Part = ""


@dataclass(frozen=True)
class Group:
    """A part of FROM in parentheses."""

    inner: From


@dataclass(frozen=True)
class Lookup:
    """What stands left, joined with a model.

    Attributes:
        left: What stands left.
        kind: ``JOIN``, ``LEFT JOIN``, ``CROSS JOIN`` or a comma.
        model: The model.
        name: The model's name, as this statement writes it.
        alias: Of the model.
        inputs: What each of the model's inputs is, for plain DuckDB.
        bound: The inputs that ON binds, in the order of ``inputs``; None for one that the column of its name is.
        form: How ON is written: ``plain``, ``turned`` (``expr = m.input``), ``grouped`` (in parentheses), ``last`` (behind
            the other conditions), ``distinct`` (IS NOT DISTINCT FROM), or ``using``, where nothing is bound.
        residual: What else ON says; "" for nothing.
        is_first: Whether the model is written before what it is joined with.
        constants: Conjuncts of WHERE that give the model an input; plain DuckDB does not have them.
    """

    left: From
    kind: str
    model: Model
    name: str
    alias: str
    inputs: tuple[Part, ...]
    bound: tuple[Part | None, ...]
    form: str = "plain"
    residual: Part = ""
    is_first: bool = False
    constants: tuple[str, ...] = ()


@dataclass(frozen=True)
class ModelAlone:
    """A model alone in FROM. Its ``inputs`` are what the ``constants``, conjuncts of WHERE, compare them with."""

    model: Model
    name: str
    alias: str
    inputs: tuple[str, ...]
    constants: tuple[str, ...]


@dataclass(frozen=True)
class Select:
    """One SELECT."""

    items: tuple[Part, ...]
    source: From | None
    where: tuple[Part, ...] = ()
    distinct: str = ""
    group_by: tuple[Part, ...] = ()
    having: Part = ""
    window_filter: Part = ""


@dataclass(frozen=True)
class SetOperation:
    """Two queries' rows together."""

    left: Query
    kind: str
    right: Query


@dataclass(frozen=True)
class Key:
    """One key of ORDER BY. ``position`` is that of an output column, from 1; 0 where it is another expression."""

    sql: Part
    position: int
    direction: str = ""


@dataclass(frozen=True)
class CTE:
    """A query that WITH names."""

    name: str
    query: Query


@dataclass(frozen=True)
class Query:
    """A query with what stands around its SELECT."""

    body: Select | SetOperation
    ctes: tuple[CTE, ...] = ()
    order_by: tuple[Key, ...] = ()
    limit: int | None = None
    offset: int | None = None


From: TypeAlias = Named | Join | Group | Lookup | ModelAlone
Node: TypeAlias = Sql | From | Select | SetOperation | Query
Part: TypeAlias = "str | Node"


def write(node: Part, home: Home) -> str:
    """The text of a node.

    Args:
        node: The node; a string is its own text.
        home: For whom.

    Returns:
        The text.
    """
    if isinstance(node, str):
        return node
    if isinstance(node, Sql):
        return "".join(write(part, home) for part in node.parts)
    if isinstance(node, Named):
        what = f"({write(node.what, home)})" if isinstance(node.what, Query) else write(node.what, home)
        return f"{what} AS {node.alias}" if node.alias else what
    if isinstance(node, Join):
        condition = write(node.condition, home)
        return f"{write(node.left, home)}{_joined(node.kind)}{write(node.right, home)}{condition and ' ' + condition}"
    if isinstance(node, Group):
        return f"({write(node.inner, home)})"
    if isinstance(node, Lookup):
        return _ours(node) if home == "ours" else _plain(node)
    if isinstance(node, ModelAlone):
        if home == "ours":
            return f"{node.name} AS {node.alias}" if node.alias else node.name
        inputs = ", ".join(f'{value} AS "{name}"' for value, name in zip(node.inputs, node.model.inputs, strict=True))
        return f"(SELECT *, {inputs} FROM ({as_subselect(node.model, node.inputs)})) AS {node.alias or node.name.split('.')[-1]}"
    if isinstance(node, Select):
        return _select(node, home)
    if isinstance(node, SetOperation):
        return f"({write(node.left, home)}) {node.kind} ({write(node.right, home)})"
    return _query(node, home)


def _joined(kind: str) -> str:
    return ", " if kind == "," else f" {kind} "


def _ours(node: Lookup) -> str:
    model = f"{node.name} AS {node.alias}" if node.alias else node.name
    qualifier = node.alias or node.name.split(".")[-1]
    names = [f'"{name}"' if " " in name else name for name in node.model.inputs]
    conditions = []
    for name, bound in zip(names, node.bound, strict=True):
        if bound is not None:
            sides = [f"{qualifier}.{name}", write(bound, "ours")]
            equal = " IS NOT DISTINCT FROM " if node.form == "distinct" else " = "
            conditions.append(equal.join(sides[::-1] if node.form == "turned" else sides))
    if node.form == "grouped" and conditions:
        conditions = [f"({' AND '.join(conditions)})"]
    if node.residual:
        conditions.insert(0 if node.form == "last" else len(conditions), f"({write(node.residual, 'ours')})")
    on = f" ON {' AND '.join(conditions)}" if conditions else ""
    if node.form == "using" and not conditions and not node.is_first:
        on = f" USING ({', '.join(names)})"
    left = write(node.left, "ours")
    return f"{model}{_joined(node.kind)}{left}{on}" if node.is_first else f"{left}{_joined(node.kind)}{model}{on}"


def _plain(node: Lookup) -> str:
    inputs = tuple(write(part, "plain") for part in node.inputs)
    kind = "JOIN" if node.residual and node.kind == "JOIN" else "LEFT JOIN"
    on = write(node.residual, "plain") or "true"
    alias = node.alias or node.name.split(".")[-1]
    return f"{write(node.left, 'plain')} {kind} LATERAL ({as_subselect(node.model, inputs)}) AS {alias} ON {on}"


def _select(node: Select, home: Home) -> str:
    items = ", ".join(write(item, home) for item in node.items)
    clauses = [f"SELECT {node.distinct} {items}" if node.distinct else f"SELECT {items}"]
    if node.source is not None:
        clauses.append(f"FROM {write(node.source, home)}")
    where = (*_constants(node.source), *node.where) if home == "ours" else node.where
    if where:
        clauses.append("WHERE " + " AND ".join(write(conjunct, home) for conjunct in where))
    if node.group_by:
        clauses.append("GROUP BY " + ", ".join(write(key, home) for key in node.group_by))
    for word, part in (("HAVING", node.having), ("QUALIFY", node.window_filter)):
        if part:
            clauses.append(f"{word} {write(part, home)}")
    return " ".join(clauses)


def _constants(source: From | None) -> tuple[str, ...]:
    if isinstance(source, Join):
        return (*_constants(source.left), *_constants(source.right))
    if isinstance(source, Group):
        return _constants(source.inner)
    if isinstance(source, Lookup):
        return (*_constants(source.left), *source.constants)
    return source.constants if isinstance(source, ModelAlone) else ()


def _query(node: Query, home: Home) -> str:
    clauses = []
    if node.ctes:
        clauses.append("WITH " + ", ".join(f"{cte.name} AS ({write(cte.query, home)})" for cte in node.ctes))
    clauses.append(write(node.body, home))
    if node.order_by:
        keys = (f"{write(key.sql, home)} {key.direction}".strip() for key in node.order_by)
        clauses.append("ORDER BY " + ", ".join(keys))
    if node.limit is not None:
        clauses.append(f"LIMIT {node.limit}")
    if node.offset is not None:
        clauses.append(f"OFFSET {node.offset}")
    return " ".join(clauses)
