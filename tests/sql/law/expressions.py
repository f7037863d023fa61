"""Random expressions over the columns of a scope, with subselects in them."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

from tests.sql.law.nodes import ModelAlone, Part, Query, Select, Sql
from tests.sql.law.predictions import ERROR, LABELS, MODELS, Model
from tests.sql.law.scopes import Column, Scope
from tests.sql.law.tables import TEXTS, literal

MakeQuery = Callable[[list[str], Scope, int], Query]
"""A query of columns of the given kinds, inside a scope, with so many levels of subselects."""


class Expressions:
    """Makes expressions.

    Args:
        rng: The chance.
        subselect: Makes queries.
        models: Those that may be asked.
    """

    def __init__(self, rng: random.Random, subselect: MakeQuery, models: Sequence[Model]) -> None:
        self._rng, self._subselect, self._models = rng, subselect, models

    def reference(self, scope: Scope, column: Column) -> str:
        """A column's name, without its qualifier where that is enough."""
        if column in scope.plain() and self._rng.random() < 0.4:
            return column.name
        return column.qualified

    def column(self, scope: Scope, kind: str) -> str | None:
        """A random column of a kind, or None where there is none."""
        own = [column for column in scope.columns if column.kind == kind]
        outer = [column for column in scope.outer if column.kind == kind]
        if outer and (not own or self._rng.random() < 0.3):
            return self._rng.choice(outer).qualified
        return self.reference(scope, self._rng.choice(own)) if own else None

    def of(self, kind: str, scope: Scope, depth: int) -> Part:
        """An expression of a kind."""
        if kind == "bool":
            return self.condition(scope, depth)
        column = self.column(scope, kind)
        if kind == "json":
            return column or "NULL::JSON"
        if column is None or self._rng.random() < 0.05:
            return self.constant(kind)
        if self._rng.random() < 0.6:
            return column
        return self._compound(kind, column, scope, depth)

    def constant(self, kind: str, column: str = "") -> str:
        """A literal, such as a column of this name often holds."""
        if kind == "text":
            name = column.rpartition(".")[2]
            likely = LABELS if name in _TARGETS else (ERROR,) if name.endswith("_error") else TEXTS[:8]
            return literal(self._rng.choice(likely if self._rng.random() < 0.9 else (*TEXTS[:8], *LABELS)))
        return str(self._rng.randint(0, 5)) if kind == "int" else str(self._rng.choice((0.1, 0.4, 0.6, 0.75, 0.9)))

    def _compound(self, kind: str, column: str, scope: Scope, depth: int) -> Part:
        case = Sql(("CASE WHEN ", self.condition(scope, 0), f" THEN {column} END"))
        if depth and self._rng.random() < 0.3:
            return self.scalar(kind, scope, depth)
        if depth and kind == "text" and self._rng.random() < 0.2:
            return self._prediction(scope, column)
        if kind == "text":
            number = self.column(scope, "int") or "7"
            forms: tuple[Part, ...] = (
                f"upper({column})", f"lower({column})", f"{column} || '!'", f"coalesce({column}, 'none')", case,
                f"substr({column}, 1, 3)", f"CAST({number} AS VARCHAR)", f"nullif({column}, 'a')",
                f"concat({column}, '-', {number})",
            )  # fmt: skip
        elif kind == "int":
            text = self.column(scope, "text") or "'xyz'"
            forms = (f"{column} + 1", f"-{column}", f"coalesce({column}, 0)", f"length({text})", case)
        else:
            forms = (f"round({column}, 1)", f"{column} * 2", f"coalesce({column}, 0.5)", case)
        return self._rng.choice(forms)

    def scalar(self, kind: str, scope: Scope, depth: int) -> Part:
        """A subselect of one value."""
        inner = self._subselect([kind], scope, depth - 1)
        function = "count" if kind == "int" and self._rng.random() < 0.5 else self._rng.choice(("max", "min"))
        return Sql((f"(SELECT {function}(c1) FROM (", inner, ") AS q)"))

    def _prediction(self, scope: Scope, column: str) -> Part:
        """A subselect from a model alone, whose inputs are columns of the query around it."""
        singles = [model for model in self._models if not model.is_pair]
        if not singles:
            return column
        model = self._rng.choice(singles)
        hidden = model.name.lower()
        texts = [each for each in (*scope.columns, *scope.outer) if each.kind == "text"]
        qualified = [each.qualified for each in texts if each.qualifier.strip('"`').lower() != hidden]
        value = column if column in qualified or not qualified else self._rng.choice(qualified)
        if value not in qualified:
            return column
        name = f'"{model.inputs[0]}"' if " " in model.inputs[0] else model.inputs[0]
        alone = ModelAlone(model, model.name, "", (value,), (f"{model.name}.{name} = {value}",))
        return Sql(("(", Query(Select((f"{model.name}.{model.target}",), alone)), ")"))

    def condition(self, scope: Scope, depth: int) -> Part:
        """A condition."""
        chance = self._rng.random()
        if chance < 0.12:
            word = self._rng.choice((" OR ", " AND "))
            return Sql(("(", self.condition(scope, depth), word, self.condition(scope, depth), ")"))
        if chance < 0.2:
            return Sql(("NOT (", self.condition(scope, depth), ")"))
        if chance < 0.24:
            return Sql(
                (
                    "CASE WHEN ",
                    self.comparison(scope),
                    " THEN ",
                    self.comparison(scope),
                    " ELSE ",
                    self.comparison(scope),
                    " END",
                )
            )
        if chance < 0.27:
            return Sql(("coalesce(", self.comparison(scope), f", {self._rng.choice(('true', 'false'))})"))
        if depth and chance < 0.4:
            return self._with_subselect(scope, depth)
        return self.comparison(scope)

    def comparison(self, scope: Scope) -> Part:
        """A condition of one or two columns."""
        kinds = [kind for kind in ("text", "text", "int", "float", "bool") if self.column(scope, kind)]
        if not kinds:
            return self._rng.choice(("true", "false", "1 = 1"))
        kind = self._rng.choice(kinds)
        column = self.column(scope, kind)
        chance = self._rng.random()
        if chance < 0.2:
            return f"{column} IS {self._rng.choice(('', 'NOT ', 'NOT '))}NULL"
        if kind == "bool":
            return str(column)
        if chance < 0.32:
            other = self.column(scope, kind)
            operator = self._rng.choice(("=", "<>", "<=", "IS DISTINCT FROM", "IS NOT DISTINCT FROM"))
            return f"{column} {operator} {other}"
        if kind == "text":
            if chance < 0.45:
                listed = ", ".join(self.constant("text", str(column)) for _ in range(self._rng.randint(1, 3)))
                return f"{column} {self._rng.choice(('', 'NOT '))}IN ({listed})"
            if chance < 0.55:
                return f"{column} {self._rng.choice(('', 'NOT '))}LIKE {self._rng.choice(_PATTERNS)}"
            return (
                f"{column} {self._rng.choice(('=', '=', '<>', '<>', '>', '<='))} {self.constant('text', str(column))}"
            )
        if chance < 0.5:
            return f"{column} BETWEEN {'1' if kind == 'int' else '0.4'} AND {self.constant(kind)}"
        sides = [str(column), self.constant(kind)]
        self._rng.shuffle(sides)
        return self._rng.choice((" < ", " >= ", " <= ", " > ", " = ", " <> ")).join(sides)

    def _with_subselect(self, scope: Scope, depth: int) -> Part:
        negated = self._rng.choice(("", "NOT "))
        kind = self._rng.choice(("text", "int"))
        inner = self._subselect([kind], scope, depth - 1)
        column = self.column(scope, kind) or self.constant(kind)
        forms: tuple[Part, ...] = (
            Sql((f"{negated}EXISTS (", inner, ")")),
            Sql((f"{column} {negated}IN (", inner, ")")),
            Sql((f"{column} = ", self.scalar(kind, scope, depth))),
            Sql((f"{column} {self._rng.choice(('= ANY', '<> ALL', '> ALL'))} (", inner, ")")),
        )
        return self._rng.choice(forms)


_TARGETS = {model.target for model in MODELS} - {"score"}
_PATTERNS = ("'%o%'", "'P%'", "'a'", "'%fail%'", "''")
