"""Before a model is asked, somebody may have to agree to what it costs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from ..errors import InputError
from ..inference.cascade.dry_run import count_all
from ..inference.pricing.estimate import NOTHING, Estimate
from ..inference.pricing.prices import PriceList
from ..inference.pricing.spending import Range
from ..inference.runtime.dry_run import Counted
from .asking import Asker
from .database import Database
from .model_joins import DryQuery, JoinedModel
from .predictions import Predictions, PredictionTable


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
    _count: Callable[[], tuple[Counted, Estimate]] = field(repr=False)

    @cached_property
    def _estimate(self) -> tuple[Counted, Estimate]:
        return self._count()

    @property
    def stored(self) -> int:
        """Answers to the inputs that are stored."""
        return self._estimate[0].stored

    @property
    def requests(self) -> int:
        """Requests that the others take."""
        return self._estimate[0].requests

    @property
    def seconds(self) -> float | None:
        """How long they take; None where no query has shown how fast the route is."""
        return self._estimate[0].seconds

    @property
    def usd(self) -> Range | None:
        """Dollars that they cost, about; None where nobody can know."""
        if not self.prices or self.prices.is_free:  # no look at the inputs says more
            return NOTHING if self.prices else None
        return self._estimate[1].usd

    @property
    def usd_low(self) -> float | None:
        """Dollars that they cost at least, about; None where nobody can know."""
        return self.usd and self.usd.low

    @property
    def usd_high(self) -> float | None:
        """Dollars that they cost at most, about; None where nobody can know."""
        return self.usd and self.usd.high


Confirm = Callable[[PendingEstimate], bool]
"""Whether a model may be asked that much. It may also raise an error of its own."""


class ConfirmedPredictions(Predictions):
    """Predictions that are asked for where somebody agrees."""

    def __init__(
        self,
        database: Database,
        asker: Asker,
        needed: Callable[[JoinedModel], set[str]],
        dry_query: DryQuery,
        confirm: Confirm,
    ) -> None:
        """Begin without tables.

        Args:
            database: The person's.
            asker: Predicts.
            needed: The outputs of a model that the statement reads.
            dry_query: Makes a query of a model that only counts.
            confirm: Agrees, or does not.
        """
        super().__init__(database, asker.ask, needed)
        self._asker, self._dry_query, self._agrees = asker, dry_query, confirm

    def _confirm(self, table: PredictionTable, names: Sequence[str], numbered: str, total: int) -> None:
        def counted() -> tuple[Counted, Estimate]:
            """A dry run over the inputs."""
            estimate = count_all(self._frames(table, numbered, names, total), self._dry_query(table.model))
            self._asker.expect(table.model, estimate[1].usd)
            return estimate

        if not self._agrees(PendingEstimate(table.model.name, total, table.model.prices, counted)):
            raise InputError(f"{table.model.name} was not asked about {total:,} inputs: confirm said no")
