"""Before a model is asked, somebody may have to agree to what it costs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from ..errors import InputError
from ..inference.pricing.prices import PriceList
from .costs import Counted, DryQuery, count
from .database import Database
from .model_joins import JoinedModel
from .predictions import Ask, Predictions, PredictionTable


@dataclass
class PendingEstimate:
    """What a model is about to be asked. What takes a look at every input is counted when it is first wanted.

    Attributes:
        model: Its name.
        distinct_inputs: Different inputs, those with a stored answer among them.
        prices: What the model's tokens cost; empty where that is not known.
    """

    model: str
    distinct_inputs: int
    prices: PriceList
    _count: Callable[[], Counted] = field(repr=False)

    @cached_property
    def _counted(self) -> Counted:
        return self._count()

    @property
    def stored(self) -> int:
        """Answers to the inputs that are stored."""
        return self._counted.stored

    @property
    def requests(self) -> int:
        """Requests that the others take."""
        return self._counted.requests

    @property
    def seconds(self) -> float | None:
        """How long they take; None where no query has shown how fast the route is."""
        return self._counted.seconds

    @property
    def dollars(self) -> float | None:
        """What they cost; None where no price is known."""
        if not self.prices or self.prices.is_free:  # no look at the inputs says more
            return 0.0 if self.prices else None
        return self._counted.dollars


Confirm = Callable[[PendingEstimate], bool]
"""Whether a model may be asked that much. It may also raise an error of its own."""


class ConfirmedPredictions(Predictions):
    """Predictions that are asked for where somebody agrees."""

    def __init__(
        self,
        database: Database,
        ask: Ask,
        needed: Callable[[JoinedModel], set[str]],
        dry_query: DryQuery,
        confirm: Confirm,
    ) -> None:
        """Begin without tables.

        Args:
            database: The person's.
            ask: Predicts.
            needed: The outputs of a model that the statement reads.
            dry_query: Makes a query of a model that only counts.
            confirm: Agrees, or does not.
        """
        super().__init__(database, ask, needed)
        self._dry_query, self._agrees = dry_query, confirm

    def _confirm(self, table: PredictionTable, names: Sequence[str], numbered: str, total: int) -> None:
        def counted() -> Counted:
            """A dry run over the inputs."""
            frames = self._frames(table, numbered, names, total)
            return count(frames, self._dry_query(table.model), table.model.prices)

        if not self._agrees(PendingEstimate(table.model.name, total, table.model.prices, counted)):
            raise InputError(f"{table.model.name} was not asked about {total:,} inputs: confirm said no")
