"""A comparison: which rows are asked about, what that would take, and what came of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from numbers import Integral

import pandas as pd

from ..config.normalize import Using, suggest
from ..errors import HuggingFaceAPIError, InputError
from ..inference import Settings, predict_tables
from ..inference.cascade.dry_run import count_all
from ..inference.pricing.spending import Range
from ..inference.runtime.context import Query
from ..inference.runtime.progress import ModelProgress
from ..inference.runtime.session import Session, default_session
from ..redaction import preview
from .candidates import Candidate, GivenModel, candidates
from .labels import GivenLabels, Labels
from .measures import FIGURES, Said, measure, pairwise
from .sample import draw, usable_rows

Finished = Callable[[str, "Said"], None]
"""Is called when a model is done, with its name and what it said."""


@dataclass(frozen=True)
class ModelEstimate:
    """What one model would be asked.

    Attributes:
        model: Its name.
        distinct_inputs: Different inputs of the sample.
        stored: Those of them with a stored answer.
        requests: Requests that the others take.
        seconds: How long they take; None where no query has shown how fast the model is.
        usd: What they cost, at least and at most; None where that is unknown.
    """

    model: str
    distinct_inputs: int
    stored: int
    requests: int
    seconds: float | None
    usd: Range | None = None

    @property
    def usd_low(self) -> float | None:
        """Dollars at least; None where they are unknown."""
        return None if self.usd is None else self.usd.low

    @property
    def usd_high(self) -> float | None:
        """Dollars at most; None where they are unknown."""
        return None if self.usd is None else self.usd.high


@dataclass(frozen=True)
class Comparison:
    """A comparison whose arguments are checked.

    Attributes:
        candidates: The models.
        sample: The rows that are asked about.
        positions: Their positions in the table.
        rows: How many rows it was drawn from.
        without_value: Rows of the table that are left out, since they have no input or no truth.
        truth: The label of each row of the sample; None where nobody says it.
        all_labels: Those of the truth, and those that were given.
        reader: Reads labels.
        session: The connections, stores and routes that are used.
    """

    candidates: Sequence[Candidate]
    sample: pd.DataFrame
    positions: Sequence[int]
    rows: int
    without_value: int
    truth: Sequence[str] | None
    all_labels: Sequence[str]
    reader: Labels
    session: Session

    @classmethod
    def of(
        cls,
        df: pd.DataFrame,
        *,
        models: Sequence[GivenModel],
        column: str | None = None,
        task: str | None = None,
        truth: str | None = None,
        labels: GivenLabels = None,
        sample: int | None = 200,
        seed: str = "",
        using: Using | None = None,
        engine: Using | None = None,
        session: Session | None = None,
    ) -> Comparison:
        """Check the arguments, and draw the sample. Sends nothing, but a question to the Hub where no task is given.

        Args:
            df: As for ``compare``.
            models: As for ``compare``.
            column: As for ``compare``.
            task: As for ``compare``.
            truth: As for ``compare``.
            labels: As for ``compare``.
            sample: As for ``compare``.
            seed: As for ``compare``.
            using: As for ``compare``.
            engine: As for ``compare``.
            session: As for ``compare``.

        Returns:
            The comparison.

        Raises:
            InputError: An argument or the table cannot be used.
        """
        try:
            if sample is not None and (isinstance(sample, bool) or not isinstance(sample, Integral) or sample < 1):
                raise InputError(f"sample takes a number of rows from 1 on, and not {preview(sample)}")
            wanted = [name for name in (column, truth) if name is not None]
            for name in wanted:
                if name not in df.columns:
                    raise InputError(f"the table has no column {preview(name)}{suggest(name, list(map(str, df)))}")
                if isinstance(df[name], pd.DataFrame):
                    raise InputError(f"the table has several columns {preview(name)}. Rename all but one")
            usable = usable_rows(df, wanted)
            if not usable:
                raise InputError(f"no row of the table has a value in {' and in '.join(wanted) or 'any column'}")
            reader = Labels(labels)
            cells = [] if truth is None else list(df[truth].iloc[usable])
            shared = {**(using or {}), **({"column": column} if column else {}), **({"task": task} if task else {})}
            checked = candidates(models, shared, engine, reader.among(cells))
        finally:
            del engine  # which holds the key as text, where a crash report would print it
        read = df[[column]] if column is not None else df
        drawn = draw(list(read.iloc[usable].itertuples(index=False, name=None)), sample, str(seed))
        positions = [usable[position] for position in drawn]
        true_labels = [reader.read(cell) or "" for cell in cells]
        return cls(
            checked,
            df.iloc[positions],
            positions,
            len(usable),
            len(df) - len(usable),
            None if truth is None else [true_labels[position] for position in drawn],
            sorted({*true_labels, *reader.given}),
            reader,
            session or default_session(),
        )

    def estimates(self) -> list[ModelEstimate]:
        """Count what the models would be asked. Sends no request.

        Returns:
            One for each model that can be asked.
        """
        found = []
        for each in self.candidates:
            if each.settings is not None:
                try:
                    query = self._query(each.settings, dry_run=True)
                    counted, cost = count_all([self.sample], query)
                except HuggingFaceAPIError:  # which its row says, once it is asked
                    continue
                counts = counted.distinct, counted.stored, counted.requests, counted.seconds
                found.append(ModelEstimate(each.name, *counts, cost.usd))
        return found

    def run(self, progress: ModelProgress | None = None, finished: Finished | None = None) -> pd.DataFrame:
        """Ask one model after another, so that each has the time and the service for itself, and measure them.

        Args:
            progress: Is called while a model is asked.
            finished: Is called after each.

        Returns:
            As of ``compare``.
        """
        said = []
        for each in self.candidates:
            said.append(self._ask(each, progress))
            if finished is not None:
                finished(each.name, said[-1])
        table = pd.DataFrame(measure(said, self.truth, self.all_labels))
        table = table.astype(dict.fromkeys(FIGURES, float))
        table.attrs["comparison"] = {
            "reference": said[0].name,
            "has_truth": self.truth is not None,
            "rows": self.rows,
            "without_value": self.without_value,
            "sample": list(self.positions),
            "pairwise": pairwise(said),
            "labels": {each.name: list(each.labels) for each in said},
        }
        return table

    def _query(self, settings: Settings, *, dry_run: bool = False) -> Query:
        model = settings.model.model_copy(update={"dry_run": dry_run})
        return Query.of(model, settings.engine, self.session, settings.scope)

    def _ask(self, candidate: Candidate, progress: ModelProgress | None) -> Said:
        """Ask one model; why it fails is said instead."""
        rows, settings = len(self.sample), candidate.settings
        task = None if settings is None else settings.model.task
        nothing = Said(candidate.name, task, [None] * rows, [False] * rows, {}, candidate.problem)
        if settings is None:
            return nothing

        query, report = None, None if progress is None else partial(progress, candidate.name)
        try:
            query = self._query(settings)
            (out,) = predict_tables([self.sample], query, report)
        except HuggingFaceAPIError as error:
            return replace(nothing, problem=str(error), usage={} if query is None else query.usage.as_dict())
        answered = [error is None or error != error for error in out[f"{settings.model.target}_error"]]
        labels = [self.reader.read(cell) for cell in out[settings.model.target]]
        return Said(candidate.name, task, labels, answered, out.attrs["usage"])
