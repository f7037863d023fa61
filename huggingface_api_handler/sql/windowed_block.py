"""Asks the models of a block with LIMIT for its first candidates, and for more until enough rows fit."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from sqlglot.tokens import Token

from .blocks import Block, Relation, Span
from .database import Database
from .from_text import FromText
from .input_binder import InputBinder
from .limit_windows import CANDIDATE, MAX_CANDIDATES, Limited, next_window, numbered_candidates
from .model_plan import ModelPlan
from .predictions import Predictions
from .reads import conjuncts, words

Ask = Callable[[ModelPlan, Sequence[str], int], None]
"""Asks a model for the rows that fulfil more conditions, of which LIMIT may choose from so many."""

_MAX_NAMED_ROWS = 1000
"""Rows of a table that are listed by their numbers."""

_MOST_ROWS = 2**62
"""LIMIT takes no greater number."""


class WindowedBlock:
    """A block with LIMIT whose models are asked in windows."""

    def __init__(
        self,
        block: Block,
        plans: Sequence[ModelPlan],
        row_ids: Mapping[Relation, list[str]],
        tokens: Sequence[Token],
        text: FromText,
        binder: InputBinder,
    ) -> None:
        """Take a block of which nothing is asked yet.

        Args:
            block: The block.
            plans: Its models.
            row_ids: What tells the rows of each of its tables apart.
            tokens: The statement's.
            text: The statement's, which gets a condition for the candidates that were asked.
            binder: Tries queries.
        """
        self._block, self._plans, self._row_ids = block, plans, row_ids
        self._tokens, self._text, self._binder = tokens, text, binder

    def run(self, windows: Limited, database: Database, predictions: Predictions, ask: Ask) -> None:
        """Ask for the first candidates, and for more until LIMIT is met, or there are no more.

        Args:
            windows: What is wanted of the block.
            database: The person's.
            predictions: Keeps the candidates until the statement is done.
            ask: Asks a model.
        """
        block, plans = self._block, self._plans
        wanted, filtering = _number(database, f"SELECT {windows.rows}"), self._filtering()
        if wanted is None or filtering is None:
            self._ask_all(ask)
            return
        wanted = min(wanted, _MOST_ROWS)
        most = MAX_CANDIDATES if filtering else wanted
        form = self._candidates(windows, most)
        if not self._binder.binds(form) or not self._binder.binds(self._counted(wanted)):
            self._ask_all(ask)  # it reads the rows of an outer query
            return
        name = predictions.temporary(f"AS {form}")
        total, asked, found, rounds = _number(database, f"SELECT count(*) FROM {name}") or 0, 0, 0, 0
        while asked < total and found < wanted:
            stop = min(total, asked + (next_window(asked, found, wanted, rounds) if filtering else wanted))
            for plan in plans:
                ask(plan, [self._among(database, name, plan.needed, asked, stop)], total if filtering else 0)
            asked, rounds = stop, rounds + 1
            self._text.add_condition(block, self._among(database, name, block.relations, 0, asked))
            if not filtering or not predictions.knows_predictions:
                return
            found = _number(database, self._counted(wanted)) or 0
        if filtering and found < wanted and total == most and predictions.knows_predictions:
            self._text.add_condition(block, "true")
            self._ask_all(ask)

    def _ask_all(self, ask: Ask) -> None:
        for plan in self._plans:
            ask(plan, [], 0)

    def _candidates(self, windows: Limited, most: int) -> str:
        """The query of the rows that LIMIT chooses from, numbered, with what tells them apart."""
        tables = [relation for relation in self._block.relations if relation in self._row_ids]
        source, names = self._text.items(tables), self._names()
        order = windows.order or ([(id_, "") for id_ in names] if len(tables) == 1 else [])
        conditions = self._binder.binding(self._block, ["1"], source, self._plans[0].conditions)[0]
        return self._binder.alone(numbered_candidates(names, source, conditions, order, most), self._block)

    def _names(self) -> dict[str, str]:
        """The columns of candidates, by the hidden column that each has the value of."""
        ids = [id_ for ids in self._row_ids.values() for id_ in ids]
        return {id_: f"__hf_r{number}" for number, id_ in enumerate(ids)}

    def _among(self, database: Database, candidates: str, relations: Sequence[Relation], start: int, stop: int) -> str:
        """The condition that a row of some tables is one of some candidates."""
        names = self._names()
        tables = [ids for relation in relations if (ids := self._row_ids.get(relation))]
        chosen = f"FROM {candidates} AS __c WHERE __c.{CANDIDATE} BETWEEN {start + 1} AND {stop}"
        same = "".join(f" AND __c.{names[id_]} IS NOT DISTINCT FROM {id_}" for ids in tables for id_ in ids)
        conditions = [f"EXISTS (SELECT 1 {chosen}{same})"]
        for (id_,) in (ids for ids in tables if len(tables) > 1 and len(ids) == 1):
            rows = database.rows(f"SELECT DISTINCT __c.{names[id_]} {chosen} LIMIT {_MAX_NAMED_ROWS + 1}")
            values = ", ".join(str(int(value)) for (value,) in rows if value is not None)
            if values and len(rows) <= _MAX_NAMED_ROWS:  # DuckDB chooses these rows before it makes a product of tables
                conditions.append(f"({id_} IN ({values}) OR {id_} IS NULL)")
        return " AND ".join(conditions)

    def _filtering(self) -> bool | None:
        """Whether models decide which rows the block has; None where they decide what other tables give."""
        block, joins = self._block, [plan.join for plan in self._plans]
        models = {join.relation for join in joins}
        for relation in block.relations:
            if relation in models:
                continue
            names = words(self._tokens, relation.on) if relation.on is not None else set(relation.using or ())
            if "NATURAL" in relation.join or any(join.reads(names) for join in joins):
                return None
        if any((join.residual or join.using) and not join.is_optional for join in joins):
            return True
        if "WHERE" not in block.clauses:
            return False
        conditions = {self._text.render(span) for span in conjuncts(self._tokens, block.clauses["WHERE"])}
        return not conditions <= set(self._plans[0].conditions)

    def _counted(self, wanted: int) -> str:
        """The query of how many rows the block has, up to what is wanted."""
        block = self._block
        starts = [span.start - 1 for name, span in block.clauses.items() if name in ("ORDER BY", "LIMIT", "OFFSET")]
        text = self._text.render(Span(block.start, min(starts)))
        return self._binder.alone(f"SELECT count(*) FROM ({text}\nLIMIT {wanted})", block)


def _number(database: Database, query: str) -> int | None:
    value = database.rows(query)[0][0]
    return None if value is None else int(value)
