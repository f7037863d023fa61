"""Random FROM clauses: tables, subselects and CTEs in joins of all kinds, with models at any place."""

from __future__ import annotations

import itertools
import random
from collections.abc import Sequence

from tests.sql.law.expressions import Expressions, MakeQuery
from tests.sql.law.nodes import From, Group, Join, Lookup, ModelAlone, Named, Part, Sql
from tests.sql.law.predictions import Model
from tests.sql.law.scopes import Column, Scope
from tests.sql.law.tables import Table, literal

_LOOKUP_KINDS = ("JOIN", "JOIN", "JOIN", "LEFT JOIN", "LEFT JOIN", "CROSS JOIN", ",")
_JOIN_KINDS = (
    "JOIN", "INNER JOIN", "LEFT JOIN", "LEFT JOIN", "RIGHT JOIN", "RIGHT JOIN", "FULL JOIN", "FULL JOIN", "CROSS JOIN",
    "SEMI JOIN", "ANTI JOIN", ",",
)  # fmt: skip


class Sources:
    """Makes FROM clauses.

    Args:
        rng: The chance.
        tables: The tables that there are.
        models: The models that may be used.
        subselect: Makes the queries of subselects.
    """

    def __init__(
        self, rng: random.Random, tables: Sequence[Table], models: Sequence[Model], subselect: MakeQuery
    ) -> None:
        self._rng, self._tables, self._models, self._subselect = rng, tables, models, subselect
        self._expressions = Expressions(rng, subselect, models)
        self._numbers = itertools.count(1)
        self.ctes: list[tuple[str, list[tuple[str, str]]]] = []

    def source(self, depth: int, outer: list[Column]) -> tuple[From, Scope]:
        """A FROM clause and the columns that it gives."""
        if self._rng.random() < 0.06:
            return self._alone(outer)
        made, scope = self._start(depth, outer)
        steps = self._rng.choice((0, 1, 1, 2, 2, 3))
        ends_in_commas = False
        for step in range(steps):
            wants_model = self._rng.random() < (0.7 if step == 0 else 0.5)
            can_look_up = not ends_in_commas or self._rng.random() < 0.5
            if wants_model and can_look_up:
                made, scope, with_comma = self._look_up(made, scope, ends_in_commas)
            else:
                made, scope, with_comma = self._join(made, scope, depth, ends_in_commas)
            ends_in_commas = ends_in_commas or with_comma
        return made, scope

    def _start(self, depth: int, outer: list[Column]) -> tuple[From, Scope]:
        made, scope = self._item(depth, outer)
        if self._rng.random() < 0.12:
            model = self._rng.choice(self._models)
            first = self._lookup(
                made, scope, model, self._rng.choice(("JOIN", "JOIN", "CROSS JOIN", ",")), is_first=True
            )
            if first is not None:
                return first
        return made, scope

    def _alias(self, letter: str) -> str:
        number = next(self._numbers)
        return self._rng.choice(
            (f"{letter}{number}", f"{letter}{number}", f"{letter.upper()}{number}", f'"{letter} {number}"')
        )

    def _item(self, depth: int, outer: list[Column]) -> tuple[From, Scope]:
        """A table, a CTE or a subselect."""
        chance = self._rng.random()
        if self.ctes and chance < 0.45:
            name, columns = self._rng.choice(self.ctes)
            what: Part = name
        elif depth and chance < 0.25:
            kinds = self._rng.choices(("text", "text", "int", "float"), k=self._rng.randint(1, 3))
            query = self._subselect(kinds, Scope(), depth - 1)
            what, columns = query, [(f"c{place}", kind) for place, kind in enumerate(kinds, 1)]
        elif chance < 0.3:
            alias = self._alias("v")
            rows = ", ".join(f"({literal(text)}, {number})" for number, text in enumerate(("good", "a", "fail here")))
            named = Named(f"(VALUES {rows})", f"{alias}(text, n)")
            return named, Scope([Column(alias, "text", "text"), Column(alias, "n", "int")], outer)
        else:
            table = self._rng.choice(self._tables)
            what, columns = table.name, list(table.columns)
        alias = self._alias("t") if self._rng.random() < 0.9 or not isinstance(what, str) else ""
        if not alias and any(column.qualifier == what for column in outer):
            alias = self._alias("t")
        scope = Scope([Column(alias or str(what), name, kind) for name, kind in columns], outer)
        return Named(what, alias), scope

    def _alone(self, outer: list[Column]) -> tuple[From, Scope]:
        model = self._rng.choice(self._models)
        name, alias = self._name(model), self._alias("m") if self._rng.random() < 0.5 else ""
        constants = tuple(self._expressions.constant("text") for _ in model.inputs)
        qualifier = alias or name.split(".")[-1]
        columns = [Column(qualifier, column, kind) for column, kind in model.outputs]
        inputs = [_quoted(column) for column in model.inputs]
        prefix = self._rng.choice(("", f"{qualifier}."))
        conjuncts = [f"{prefix}{column} = {value}" for column, value in zip(inputs, constants, strict=True)]
        columns += [Column(qualifier, column, "text") for column in inputs]
        return ModelAlone(model, name, alias, constants, tuple(conjuncts)), Scope(columns, outer)

    def _name(self, model: Model) -> str:
        names = (
            model.name,
            model.name,
            model.name.upper(),
            f"mindsdb.{model.name}",
            f'"{model.name}"',
            f"`{model.name}`",
        )
        return self._rng.choice(names)

    def _look_up(self, made: From, scope: Scope, in_commas: bool) -> tuple[From, Scope, bool]:
        kind = "," if in_commas else self._rng.choice(_LOOKUP_KINDS)
        model = self._rng.choice(self._models)
        found = self._lookup(made, scope, model, kind)
        return (*found, kind == ",") if found is not None else (made, scope, False)

    def _lookup(
        self, made: From, scope: Scope, model: Model, kind: str, *, is_first: bool = False
    ) -> tuple[From, Scope] | None:
        """What stands left with a model. None where an input has no column, and this kind of join no ON."""
        name, alias = self._name(model), self._alias("m") if self._rng.random() < 0.85 else ""
        qualifier = alias or name.split(".")[-1]
        if any(column.qualifier.strip('"`').lower() == qualifier.strip('"`').lower() for column in scope.columns):
            alias = qualifier = self._alias("m")
        has_on = kind in ("JOIN", "LEFT JOIN")
        inputs: list[Part] = []
        bound: list[Part | None] = []
        constants: list[str] = []
        for column in model.inputs:
            part, binding, constant = self._input(scope, column, qualifier, has_on)
            if part is None:
                return None
            inputs.append(part)
            bound.append(binding)
            constants += [constant] if constant else []
        outputs = [Column(qualifier, column, column_kind) for column, column_kind in model.outputs]
        after = Scope([*scope.columns, *outputs], scope.outer)
        residual: Part = ""
        if has_on and self._rng.random() < 0.15:
            residual = self._expressions.condition(Scope(after.columns), 0)
        form = self._rng.choice(("plain", "plain", "turned", "grouped", "last", "distinct"))
        if has_on and not constants and not residual and not any(bound) and self._rng.random() < 0.1:
            form = "using"
        asked, given = tuple(inputs), tuple(bound)
        lookup = Lookup(
            made, kind, model, name, alias, asked, given, form, residual, is_first, tuple(constants)
        )  # fmt: skip
        return lookup, after

    def _input(self, scope: Scope, column: str, qualifier: str, has_on: bool) -> tuple[Part | None, Part | None, str]:
        """What an input is for plain DuckDB, what ON binds it to, and the conjunct of WHERE that does instead."""
        key = column.lower()
        same = [other for other in scope.plain() if other.key == key and other.kind == "text"]
        merged = any(other.key == key and other.is_merged for other in scope.columns)
        if same and (not has_on or self._rng.random() < 0.6):
            return same[0].name if merged else same[0].qualified, None, ""
        is_elsewhere = any(other.key == key for other in scope.columns)
        if not is_elsewhere and self._rng.random() < 0.15:
            constant = self._expressions.constant("text")
            return constant, None, f"{qualifier}.{_quoted(column)} = {constant}"
        if not has_on:
            return None, None, ""
        outer = scope.outer if self._rng.random() < 0.15 else []
        expression = self._expressions.of("text", Scope(scope.columns, outer), 0)
        return expression, expression, ""

    def _join(self, made: From, scope: Scope, depth: int, in_commas: bool) -> tuple[From, Scope, bool]:
        if depth and self._rng.random() < 0.08:
            return self._lateral(made, scope, depth, in_commas)
        right, theirs = self._right_side(depth, scope.outer)
        if {column.qualifier for column in scope.columns} & {column.qualifier for column in theirs.columns}:
            return made, scope, False
        kind = "," if in_commas else self._rng.choice(_JOIN_KINDS)
        both = Scope([*scope.columns, *theirs.columns], scope.outer)
        if kind in (",", "CROSS JOIN"):
            return Join(made, kind, right), both, kind == ","
        if kind in ("SEMI JOIN", "ANTI JOIN"):
            if isinstance(right, Group) and isinstance(right.inner, Lookup) and right.inner.constants:
                return made, scope, False  # a name of what is semi-joined has no meaning in WHERE
            return Join(made, kind, right, self._on(scope, theirs)), scope, False
        common = scope.common(theirs)
        if common and self._rng.random() < 0.35:
            if len(common) == len(scope.shared_keys(theirs)) and self._rng.random() < 0.5:
                natural = f"NATURAL {kind}"
                return Join(made, natural, right), _merged(scope, theirs, common), False
            names = self._rng.sample(common, self._rng.randint(1, min(2, len(common))))
            condition = f"USING ({', '.join(names)})"
            return Join(made, kind, right, condition), _merged(scope, theirs, names), False
        return Join(made, kind, right, self._on(scope, theirs)), both, False

    def _lateral(self, made: From, scope: Scope, depth: int, in_commas: bool) -> tuple[From, Scope, bool]:
        """A subselect that may name what stands left of it."""
        kinds = self._rng.choices(("text", "int", "float"), k=self._rng.randint(1, 2))
        query = self._subselect(kinds, Scope(list(scope.columns), scope.outer), depth - 1)
        kind = "," if in_commas else self._rng.choice((",", "CROSS JOIN", "LEFT JOIN"))
        alias = self._alias("l")
        columns = [Column(alias, f"c{place}", of) for place, of in enumerate(kinds, 1)]
        condition = "ON true" if kind == "LEFT JOIN" else ""
        joined = Join(made, kind, Named(Sql(("LATERAL (", query, ")")), alias), condition)
        return joined, Scope([*scope.columns, *columns], scope.outer), kind == ","

    def _right_side(self, depth: int, outer: list[Column]) -> tuple[From, Scope]:
        right, theirs = self._item(depth, outer)
        if self._rng.random() < 0.12:
            looked_up = self._lookup(right, theirs, self._rng.choice(self._models), "JOIN")
            if looked_up is not None:
                return Group(looked_up[0]), looked_up[1]
        return right, theirs

    def _on(self, left: Scope, right: Scope) -> Part:
        both = Scope([*left.columns, *right.columns])
        kinds = [kind for kind in ("int", "text") if self._of(left, kind) and self._of(right, kind)]
        if not kinds or self._rng.random() < 0.15:
            return Sql(("ON ", self._expressions.condition(both, 0)))
        kind = self._rng.choice(kinds)
        equal = f"{self._of(left, kind)} = {self._of(right, kind)}"
        if self._rng.random() < 0.25:
            return Sql((f"ON {equal} AND ", self._expressions.condition(both, 0)))
        return f"ON {equal}"

    def _of(self, scope: Scope, kind: str) -> str | None:
        columns = [column.qualified for column in scope.columns if column.kind == kind]
        return self._rng.choice(columns) if columns else None


def _quoted(column: str) -> str:
    return f'"{column}"' if " " in column else column


def _merged(left: Scope, right: Scope, names: list[str]) -> Scope:
    keys = {name.strip('"').lower() for name in names}
    theirs = [
        Column(column.qualifier, column.name, column.kind, is_merged=column.key in keys) for column in right.columns
    ]
    return Scope([*left.columns, *theirs], left.outer)
