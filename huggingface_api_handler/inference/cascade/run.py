"""A cascade through requests: the proxy scores, draws are asked until some of its answers are certified, then the rest.

Both models are asked as any query is: by the same limiters, stores, budgets and hooks.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial

import numpy as np
import numpy.typing as npt
import pandas as pd

from ...errors import InferenceError
from ...redaction import secret_in_use
from ...tasks import Prediction
from ..failures import Failure, FailureKind
from ..runtime import stream
from ..runtime.columns import prediction_columns
from ..runtime.context import Query
from ..runtime.failure_tally import FailureTally
from ..runtime.progress import Progress, with_phase
from ..runtime.query_run import Cancel
from ..runtime.results import Results, is_known
from ..runtime.rows import NO_INPUT, Rows
from .draws import Ints, Mask
from .dry_run import dry_run
from .input_table import InputTable, split_at_none
from .models import Models
from .phases import ALL, CHECKS, LABELS, REST, Step
from .rounds import Cascade
from .savings import delta, is_worth
from .scoring import Scored, learn, score
from .stored_answers import stored_answers
from .stored_certificates import StoredCertificate, StoredCertificates

logger = logging.getLogger(__name__)


def predict_frames(
    frames: Iterable[pd.DataFrame | None],
    query: Query,
    *,
    progress: Progress | None = None,
    cancel: Cancel | None = None,
    min_failures: int = 1,
) -> Iterator[pd.DataFrame]:
    """Predict every row of every frame, in their order, by a cascade where the model has one.

    A cascade reads all frames before it gives the first one back, or all up to the next None. It holds them.

    Args:
        frames: As for ``stream.predict_frames``. Those between two None are one part, which is certified for itself.
        query: What is asked, and of which route.
        progress: Is called about ten times a second with the inputs that are done and all that are known, and with the
            phase where it has a parameter ``phase``. Inputs that both models may be asked about count twice.
        cancel: As for ``stream.predict_frames``.
        min_failures: As for ``stream.predict_frames``.

    Yields:
        As ``stream.predict_frames``; with a cascade ``<target>_model`` says who answered.

    Raises:
        InputError: A frame cannot be used.
        InferenceError: No row was answered, the proxy answers nobody, or a row failed and ``on_error`` is 'raise'.
    """
    if query.model.cascade is None:
        report = None if progress is None else partial(with_phase(progress), phase=None)
        yield from stream.predict_frames(frames, query, report=report, cancel=cancel, min_failures=min_failures)
        return
    if query.model.dry_run:
        yield from (dry_run(query, frame) for frame in frames if frame is not None)
        return
    models, tally = Models(query, progress, cancel), FailureTally(min_failures)
    try:
        for part in split_at_none(frames):
            yield from _predict_part(part, models, tally)
            if models.is_cancelled:
                break
        models.end()
        usage = query.usage
        if not usage.answered and query.model.on_error is None and not models.is_cancelled:
            error = tally.error(usage.rows)
            if error is not None:
                raise error
    finally:
        models.close()


def _predict_part(frames: Sequence[pd.DataFrame], models: Models, tally: FailureTally) -> Iterator[pd.DataFrame]:
    with secret_in_use(models.query.route.secret):
        models.read(frames)
        table = InputTable(frames, models.settings)
    part = _Part(table, models)
    part.answer()
    query, usage = models.query, models.query.usage
    usage.rows += table.row_count
    usage.nulls += sum(rows.nulls for rows in table.rows)
    usage.distinct += len(table)
    failures = [rows.failures(part.shown) for rows in table.rows]
    for rows, failed in zip(table.rows, failures, strict=True):
        tally.count(rows, failed, usage)
        if failed and query.model.on_error == "raise":
            raise InferenceError(failed[min(failed)].message)
    models.count(table, part.by_proxy, part.threshold, was_certified=part.was_certified)
    for rows, failed in zip(table.rows, failures, strict=True):
        out = prediction_columns(rows, part.shown, failed, query.model)
        column = _answered_by(rows, part.by_proxy, failed, (query.model.model, models.proxy_name))
        answered_by = pd.Series(column, out.index, dtype=object, copy=False)
        out.insert(len(out.columns) - 1, f"{query.model.target}_model", answered_by)
        out.attrs["usage"] = models.usage_so_far()
        yield out


def _answered_by(
    rows: Rows, by_proxy: Mask, failed: Mapping[int, Failure], names: tuple[str, str]
) -> npt.NDArray[np.object_]:
    """Who answered each row: the large model, the proxy, or nobody. Names are shared, since they may be long."""
    inputs = np.frombuffer(rows.inputs, dtype=np.int64) if rows.inputs else np.zeros(0, dtype=np.int64)
    has_answer = inputs != NO_INPUT
    has_answer[list(failed)] = False
    column = np.full(len(inputs), None, dtype=object)
    column[has_answer] = names[0]
    column[np.flatnonzero(has_answer)[by_proxy[inputs[has_answer]]]] = names[1]
    return column


class _Part:
    """Tables that are certified together.

    Args:
        table: Their inputs.
        models: Who is asked.

    Attributes:
        shown: What each input shows.
        by_proxy: Which of them show the proxy's answer.
        threshold: The least score of these; None where there are none.
        was_certified: Whether a part of the proxy's answers could be certified at all; None where the query ended
            before that was found out.
    """

    def __init__(self, table: InputTable, models: Models) -> None:
        self._table, self._models = table, models
        self.shown = Results(len(table))
        self.by_proxy: Mask = np.zeros(len(table), dtype=bool)
        self.threshold: float | None = None
        self.was_certified: bool | None = False
        self._certificates = StoredCertificates(models.query, table)

    def answer(self) -> None:
        """Ask whoever is to be asked about each input."""
        models, found = self._models, self._certificates.find()
        phases = models.phases
        phases.begin_part(len(self._table))
        if found is not None and self._use(found):
            self.was_certified = True
            logger.info("cascade: the certificate of the same query is used again")
        else:
            open_inputs = np.flatnonzero(~stored_answers(models.query, self._table, models.settings))
            if is_worth(self._table.counts[open_inputs], models.cascade):
                self._certify(open_inputs)
            elif len(open_inputs):
                logger.info(
                    "cascade: %d inputs are too few to save any, so all are asked of %s",
                    len(open_inputs),
                    models.query.model.model,
                )
        remaining = np.flatnonzero(~self.by_proxy & ~self._is_asked())
        self._ask(remaining, REST if phases.has_begun else ALL)
        phases.end_part()

    def _use(self, found: StoredCertificate) -> bool:
        """Show what a stored certificate lets the proxy answer, where it still answers so."""
        guesses = Results(len(self._table))
        if not self._models.cascade.is_learned and not self._models.ask_proxy(
            self._table, np.flatnonzero(found.by_proxy), guesses
        ):
            return False
        if not self._certificates.restore(found, guesses):
            return False
        self._show(guesses, found.by_proxy)
        return True

    def _score(self, open_inputs: Ints, guesses: Results) -> Scored | None:
        models, table = self._models, self._table
        if not models.cascade.is_learned:
            return score(models, table, open_inputs, guesses)
        return learn(models, table, open_inputs, guesses, self._seed(open_inputs), self._ask_to_learn, self.shown)

    def _certify(self, open_inputs: Ints) -> None:
        models, guesses = self._models, Results(len(self._table))
        logger.info("cascade: %s is asked about %d inputs", models.proxy_name, len(open_inputs))
        scored = self._score(open_inputs, guesses)
        if scored is None:
            self.was_certified = None
            logger.warning(
                "cascade: %s was not asked about all inputs before it ended, so none of its answers is shown. What may "
                "still be sent goes to %s",
                models.proxy_name,
                models.query.model.model,
            )
            return
        self.was_certified = len(scored.inputs) > 0
        inputs = scored.inputs
        counts = self._table.counts[inputs]
        promised = models.cascade
        cascade = Cascade(
            scored.scores,
            counts,
            promised.accuracy,
            delta(promised),
            self._seed(inputs),
            asked_rows=scored.asked_rows,
        )
        models.phases.expect(CHECKS, cascade.most)
        is_whole = True
        while is_whole and len(chosen := cascade.next_round()):
            is_whole = self._ask(np.sort(inputs[chosen]), CHECKS)
            if is_whole:
                cascade.record(np.array([self._agrees(index, guesses) for index in inputs[chosen]], dtype=bool))
        is_proxy = np.zeros(len(self._table), dtype=bool)
        certificate = cascade.certificate()
        is_proxy[inputs] = True
        is_proxy[inputs[certificate.asked]] = False
        is_proxy[inputs[certificate.remaining]] = False
        is_proxy &= ~self._is_answered()  # of a round that the end of the query broke off
        logger.info(
            "cascade: %d inputs drawn, %.3g of the rows are the proxy's",
            len(certificate.asked),
            certificate.rows,
        )
        self._show(guesses, is_proxy)
        if is_whole:
            self._certificates.put(guesses, is_proxy)

    def _show(self, guesses: Results, is_proxy: Mask) -> None:
        least = math.inf
        for index in np.flatnonzero(is_proxy).tolist():
            guess = guesses[index]
            if isinstance(guess, Prediction):
                self.shown.put(index, guess)
                least = min(least, math.inf if guess.confidence is None else guess.confidence)
        self.by_proxy |= is_proxy
        self.threshold = None if least == math.inf else least

    def _ask_to_learn(self, indexes: Ints) -> bool:
        return self._ask(indexes, LABELS)

    def _ask(self, indexes: Ints, step: Step) -> bool:
        """Ask the large model. False where the query ended meanwhile, so that some inputs were not sent."""
        is_whole = True
        for index, result in self._models.ask_large(self._table, indexes, step):
            is_whole = is_whole and is_known(result)
            if isinstance(result, Prediction):
                self.shown.put(index, result)
            else:
                self.shown.fail(index, result or Failure(FailureKind.NOT_SENT, "the query ended before this row"))
        return is_whole

    def _agrees(self, index: int, guesses: Results) -> bool:
        """Whether the large model's answer is the proxy's. What it refused for good counts as another."""
        answer, guess = self.shown[index], guesses[index]
        return isinstance(answer, Prediction) and isinstance(guess, Prediction) and answer.value == guess.value

    def _is_asked(self) -> Mask:
        is_open = np.zeros(len(self._table), dtype=bool)
        is_open[self.shown.open_indexes()] = True
        return ~is_open

    def _is_answered(self) -> Mask:
        """Inputs that the large model has answered, or refused for good."""
        is_answered = self._is_asked()
        is_answered[[index for index, failure in self.shown.failures.items() if not is_known(failure)]] = False
        return is_answered

    def _seed(self, inputs: Ints) -> bytes:
        return self._certificates.seed(inputs)
