"""How sure the proxy is of each input: a smaller model says it, or one that is learned from vectors."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from ...tasks import Prediction
from ..failures import FailureKind
from ..runtime.results import Results
from .answer_codes import AnswerCodes
from .draws import Floats, Ints
from .input_table import InputTable
from .learner import REFUSED, Learner, most_labels
from .models import Models
from .phases import LABELS, VECTORS
from .vectors import Vectors

Ask = Callable[[Ints], bool]
"""Asks the large model about inputs, and says whether all were sent."""


class Scored(NamedTuple):
    """Inputs that the proxy has an answer to.

    Attributes:
        inputs: Their indexes.
        scores: How sure it is, in the same order.
        asked_rows: The rows of inputs that were asked to train it, which are right.
    """

    inputs: Ints
    scores: Floats
    asked_rows: int = 0


def score(models: Models, table: InputTable, open_inputs: Ints, guesses: Results) -> Scored | None:
    """Ask the smaller model.

    Args:
        models: Has it.
        table: All inputs.
        open_inputs: Indexes of those without a stored answer.
        guesses: Gets its answers.

    Returns:
        The inputs that it has answered; None where the query ended before it was done.
    """
    if not models.ask_proxy(table, open_inputs, guesses):
        return None
    is_answered = np.frombuffer(guesses.answered_flags, dtype=np.bool_)
    answered = open_inputs[is_answered[open_inputs]]
    scores = np.array(guesses.scores, dtype=np.float64)[answered]
    scores[np.isnan(scores)] = float("-inf")
    return Scored(answered, scores)


def learn(
    models: Models, table: InputTable, open_inputs: Ints, guesses: Results, seed: bytes, ask: Ask, shown: Results
) -> Scored | None:
    """Learn a proxy from vectors and some of the large model's answers.

    Args:
        models: Both models; the proxy's makes vectors.
        table: All inputs.
        open_inputs: Indexes of those without a stored answer.
        guesses: Gets its answers.
        seed: Of the query.
        ask: Asks the large model.
        shown: What it said, once it was asked.

    Returns:
        The inputs that were not asked to train; None where the query ended before it was learned.
    """
    models.check_proxy()  # before the large model is asked to train it
    labels, dimensions = AnswerCodes(), _Dimensions()
    stored = np.setdiff1d(np.arange(len(table)), open_inputs)
    models.phases.expect(VECTORS, len(table))
    models.phases.expect(LABELS, len(stored) + most_labels(len(open_inputs), len(stored)))
    if not ask(stored):
        return None
    learner = Learner(table.counts, models.cascade.accuracy, seed, stored, labels.of(shown, stored))
    while not learner.is_frozen:
        # Vectors first: where their model answers nobody, no label was paid for.
        if len(vectors := learner.next_vectors()):
            got = _vectors(models, table, vectors, dimensions)
            if got is None:
                return None
            learner.hand_over(got)
        wanted = learner.next_labels()
        if len(wanted):
            if not ask(np.sort(wanted)):
                return None
            learner.record(labels.of(shown, wanted))
    proxy = learner.result()
    inputs = proxy.open[proxy.labels[proxy.open] != REFUSED]  # none, where not one label came
    for index in inputs.tolist():
        guesses.put(index, Prediction(labels.values[proxy.labels[index]], shown_score(proxy.scores[index])))
    return Scored(inputs, proxy.scores[inputs], proxy.asked_rows)


def shown_score(score: float) -> float:
    """A score as it is stored with a certificate, so that the same query shows the same.

    Args:
        score: In double precision.

    Returns:
        In single precision.
    """
    return float(np.float32(score))


class _Dimensions:
    """The dimensions of a model's vectors: those of the first one."""

    def __init__(self) -> None:
        self.count: int | None = None

    def unit(self, value: object) -> Floats | None:
        """A vector of length 1; None where it is none, or of other dimensions."""
        try:
            vector = np.asarray(value, dtype=np.float64)
        except (TypeError, ValueError):
            return None
        if vector.ndim != 1 or len(vector) != (self.count or len(vector)):
            return None
        self.count = len(vector)
        largest = np.abs(vector).max(initial=0.0)  # divided by first, since the square of a large number is infinite
        if not 0 < largest < np.inf:
            return None
        vector = vector / largest
        unit: Floats = vector / np.linalg.norm(vector)
        return unit


def _vectors(models: Models, table: InputTable, indexes: Ints, dimensions: _Dimensions) -> Vectors | None:
    """Vectors of inputs, in their order; zeros where the model gives none for one. None where it was ended."""
    order = np.argsort(indexes, kind="stable")
    vectors: Vectors | None = None
    for row, (_, result) in zip(order, models.proxy_results(table, indexes[order], VECTORS), strict=True):
        unit = dimensions.unit(result.value) if isinstance(result, Prediction) else None
        if unit is not None:
            if vectors is None:
                vectors = np.zeros((len(indexes), len(unit)), dtype=np.float32)
            vectors[row] = unit
        elif result is None or (not isinstance(result, Prediction) and result.kind is FailureKind.NOT_SENT):
            return None
    if vectors is None and dimensions.count is not None:
        return np.zeros((len(indexes), dimensions.count), dtype=np.float32)
    return vectors
