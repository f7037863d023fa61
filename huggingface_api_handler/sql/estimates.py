"""EXPLAIN: what a statement would ask of each model, counted without asking it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from ..inference.cascade.dry_run import count_all
from ..inference.pricing.estimate import NOTHING
from ..inference.pricing.estimate import Estimate as CostEstimate
from ..inference.runtime.dry_run import Counted
from .database import Database
from .input_queries import InputQuery
from .model_joins import DryQuery, JoinedModel
from .predictions import Predictions, PredictionTable

TYPES = {
    "model": "VARCHAR",
    "rows": "BIGINT",
    "distinct_inputs": "BIGINT",
    "stored": "BIGINT",
    "requests": "BIGINT",
    "seconds": "DOUBLE",
    "usd_low": "DOUBLE",
    "usd_high": "DOUBLE",
    "note": "VARCHAR",
}
"""The columns of EXPLAIN."""


@dataclass(frozen=True)
class Estimate:
    """What a statement would ask of a model.

    Attributes:
        model: Its name.
        rows: Rows that it is joined to.
        distinct_inputs: Different inputs among them; None where they depend on predictions that are not known yet.
        stored: Answers to them that are stored.
        requests: Requests that the others take.
        seconds: How long they take; None where no query has shown how fast the route is.
        usd_low: Dollars that they cost at least, about; None where nobody can know.
        usd_high: Dollars that they cost at most, about.
        note: What may make it more or less, and why nobody can know what it costs.
    """

    model: str
    rows: int
    distinct_inputs: int | None
    stored: int | None
    requests: int | None
    seconds: float | None
    usd_low: float | None = None
    usd_high: float | None = None
    note: str | None = None

    def row(self) -> tuple[object, ...]:
        """Its values in the order of ``TYPES``."""
        return tuple(getattr(self, name) for name in TYPES)


class Estimates(Predictions):
    """Counts what would be asked."""

    knows_predictions = False

    def __init__(self, database: Database, needed: Callable[[JoinedModel], set[str]], dry_query: DryQuery) -> None:
        """Begin without estimates.

        Args:
            database: The person's.
            needed: The outputs of a model that the statement reads.
            dry_query: Makes a query of a model that only counts.
        """
        super().__init__(database, _nothing, needed)
        self._dry_query = dry_query
        self.found: list[Estimate] = []

    def ask(self, table: PredictionTable, names: Sequence[str], inputs: InputQuery) -> None:
        """Count what would be asked.

        Args:
            table: Of the model.
            names: Of the columns that the model reads.
            inputs: The queries of its inputs.
        """
        every_row = inputs.select("ALL")
        rows = int(self._database.rows(f"SELECT count(*) FROM ({every_row})")[0][0])
        if any(other.name in every_row for other in self._tables.values()):
            note = "its inputs are predictions of another model, which are not known yet"
            self.found.append(Estimate(table.model.name, rows, None, None, None, None, note=note))
            return
        numbered, total = self._unasked(table, inputs.select("DISTINCT"))
        counted, cost = Counted(), CostEstimate(NOTHING)
        if total:
            counted, cost = count_all(self._frames(table, numbered, names, total), self._dry_query(table.model))
        self._drop(numbered)
        at_least = f"at least: LIMIT may take more of {inputs.candidates:,} rows" if inputs.candidates else None
        notes = "; ".join(each for each in (at_least, counted.note, cost.unknown) if each)
        shown = counted.stored, counted.requests, counted.seconds, *(cost.usd or (None, None)), notes or None
        self.found.append(Estimate(table.model.name, rows, total, *shown))


def _nothing(_model: JoinedModel, _frames: Any, _total: int) -> Any:
    return iter(())
