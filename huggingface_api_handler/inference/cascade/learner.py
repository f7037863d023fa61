"""Learner: which inputs to label and which vectors to get, round after round, until a proxy is learned from them.

Vectors are got of the labelled inputs alone until these are seen to tell the labels. Where they do not, the proxy is
the commonest label, and no more are got.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from . import proxy
from .certify import allowance
from .draws import Floats, Ints
from .rounds import uniforms
from .vectors import HandedVectors, Vectors

LEAST_INPUTS = 500
"""Distinct inputs. A table of fewer is asked whole: what it takes to learn would be most of it."""
RANDOM_LABELS = 100
"""Asked first, at random; fewer by the stored ones."""
DOUBTFUL_LABELS = 64
"""Asked in each round after that, where the proxy is least sure."""
TRIED_LABELS = 200
"""If so many do not tell more than the labels' shares do, the proxy is the commonest label."""
MOST_STORED_LABELS = 4096
"""Stored labels that train. Each of them needs a vector."""
LARGEST_TRAINED_SHARE = 0.25
"""Of the inputs, labelled to train."""
REFUSED = -1
"""In place of a label, where the large model refused for good."""

_UNKNOWN = -2
_SMALLEST = 1e-9
_NO_VECTOR = 0.0
"""The score of an input without one, below all others."""


def most_labels(inputs: int, stored: int) -> int:
    """How many inputs the large model may be asked to train a proxy.

    Args:
        inputs: Distinct inputs without a stored label.
        stored: Those with one.

    Returns:
        The most labels that a ``Learner`` wants.
    """
    return min(inputs, max(TRIED_LABELS, int(LARGEST_TRAINED_SHARE * (inputs + stored)) - stored))


class LearnedProxy(NamedTuple):
    """What the proxy says.

    Attributes:
        labels: The code of each input's label: the large model's where it was asked, or ``REFUSED``, else the proxy's.
            Where not one label came, the proxy says ``REFUSED``: ask the large model for all of them.
        scores: How sure the proxy is of each input, for ``rounds.Cascade``. All alike for the commonest label.
        open: Indexes of the inputs that the large model was not asked: the population of ``rounds.Cascade``.
        asked_rows: The rows of the inputs that were asked to train, for ``rounds.Cascade``.
        errors_left: How many rows of the open inputs with a vector it is expected to get wrong.
    """

    labels: Ints
    scores: Floats
    open: Ints
    asked_rows: int
    errors_left: float


class Learner:
    """The learning of one proxy, without any request.

    While it is not frozen, get the vectors of ``next_vectors`` and hand them over, and ask the large model for
    ``next_labels`` and record them. At least one of the two is not empty; both may be got at the same time.
    """

    def __init__(self, counts: Ints, accuracy: float, seed: bytes, stored: Ints, stored_labels: Ints) -> None:
        """Choose the first labels.

        Args:
            counts: The rows of each distinct input, those with a stored label too. ``LEAST_INPUTS`` of them at least
                pay.
            accuracy: The promised share of rows.
            seed: Of the query. ``rounds.Cascade`` draws others of the same seed.
            stored: Indexes of the inputs whose label is stored already.
            stored_labels: The code of each of these labels, from 0, or ``REFUSED``.
        """
        self._counts = np.asarray(counts, dtype=np.int64)
        self._labels = np.full(len(self._counts), _UNKNOWN, dtype=np.int64)
        self._labels[stored] = stored_labels
        self._is_stored = self._labels != _UNKNOWN
        self._order = np.argsort(uniforms(seed + b" labels", len(self._counts)), kind="stable")
        self._spare = allowance(int(self._counts[~self._is_stored].sum()), accuracy)
        self._vectors = HandedVectors(len(self._counts))
        self._wanted = self._order[self._labels[self._order] >= 0][:MOST_STORED_LABELS]
        self._training = self._wanted
        self._round = np.zeros(0, dtype=np.int64)
        self._is_believed = False
        self._guess = np.full(len(self._counts), REFUSED, dtype=np.int64)
        self._scores = np.zeros(len(self._counts))
        self._errors_left = 0.0
        self._is_frozen = False
        self._ask(self._at_random(RANDOM_LABELS - len(self._training)))

    def next_labels(self) -> Ints:
        """Indexes of the inputs to ask the large model next; none where it waits for vectors, or is frozen."""
        return self._round

    def next_vectors(self) -> Ints:
        """Indexes of the inputs whose vectors are needed next; none where it waits for labels, or is frozen."""
        return self._wanted

    @property
    def is_frozen(self) -> bool:
        """Whether the proxy stays as it is."""
        return self._is_frozen

    def record(self, labels: Ints) -> None:
        """Take what the large model said.

        Args:
            labels: The code of the label of each of ``next_labels``, from 0; ``REFUSED`` where it refused for good.
        """
        self._labels[self._round] = labels
        self._training = np.concatenate([self._training, self._round[np.asarray(labels) >= 0]])
        self._round = self._round[:0]
        self._go_on()

    def hand_over(self, vectors: Vectors) -> None:
        """Take vectors. They are kept as they are, without a copy: leave them unchanged until the proxy is frozen.

        Args:
            vectors: A row of length 1 for each of ``next_vectors``, or for the first ones: ``next_vectors`` gives the
                others then. Zeros where an input has none, such as an empty text: it comes last, and does not train.
        """
        self._vectors.add(self._wanted[: len(vectors)], vectors)
        self._wanted = self._wanted[len(vectors) :]
        self._go_on()

    def result(self) -> LearnedProxy:
        """What the proxy says, once it is frozen.

        Returns:
            Hand ``scores[open]``, ``counts[open]`` and ``asked_rows`` to ``rounds.Cascade``.
        """
        is_open = self._labels == _UNKNOWN
        return LearnedProxy(
            labels=np.where(is_open, self._guess, self._labels),
            scores=self._scores,
            open=np.flatnonzero(is_open),
            asked_rows=int(self._counts[~is_open & ~self._is_stored].sum()),
            errors_left=self._errors_left,
        )

    def _at_random(self, most: int) -> Ints:
        unknown: Ints = self._order[self._labels[self._order] == _UNKNOWN]
        return unknown[: max(0, most)]

    def _ask(self, inputs: Ints) -> None:
        self._round = inputs
        new = inputs[~self._vectors.has(inputs)]
        self._wanted = np.concatenate([self._wanted, new])
        if not len(inputs):
            self._go_on()

    def _go_on(self) -> None:
        """The next step, once all labels and vectors that it needs are there."""
        if len(self._round) or len(self._wanted) or self._is_frozen:
            return
        labels, codes = np.unique(self._labels[self._training], return_inverse=True)
        trained = proxy.train(self._vectors.of(self._training), codes, len(labels)) if len(labels) > 1 else None
        if not self._is_believed:
            self._try(trained, labels, codes)
        if self._is_believed and trained is not None and not len(self._wanted):
            self._score(trained, labels)
            self._ask_or_freeze()

    def _try(self, trained: proxy.Proxy | None, labels: Ints, codes: Ints) -> None:
        """Get all vectors if the proxy beats the labels' shares; else more labels, or none.

        It beats them if its log loss, in cross-validation, is less by a standard error. A count of errors would not
        see an order that is worth having where the commonest label is almost always the likeliest.
        """
        majority = int(np.bincount(codes).argmax()) if len(codes) else 0
        if trained is not None:
            shares = np.bincount(codes) / len(codes)
            gains = np.log(np.maximum(trained.likelihoods, _SMALLEST)) - np.log(shares[codes])
            if gains.mean() > gains.std(ddof=1) / np.sqrt(len(gains)):
                self._is_believed = True
                others = np.flatnonzero(self._labels == _UNKNOWN)
                self._wanted = others[~self._vectors.has(others)]
                return
        is_open = self._labels == _UNKNOWN
        wrong = float((codes != majority).mean()) if len(codes) else 1.0
        self._errors_left = wrong * int(self._counts[is_open].sum())
        refused = int(((self._labels == REFUSED) & ~self._is_stored).sum())
        more = self._at_random(TRIED_LABELS - len(self._training) - refused)
        if self._errors_left > self._spare and len(more):
            self._ask(more)
            return
        self._guess[:] = labels[majority] if len(labels) else REFUSED
        self._is_frozen = True

    def _score(self, trained: proxy.Proxy, labels: Ints) -> None:
        doubt = np.zeros(len(self._counts))
        for inputs, vectors in self._vectors.blocks():
            likely = proxy.chances(trained.weights, vectors)
            self._guess[inputs] = labels[likely.argmax(axis=1)]
            surest = likely.max(axis=1)
            self._scores[inputs] = np.where(vectors.any(axis=1), surest, _NO_VECTOR)
            doubt[inputs] = np.where(vectors.any(axis=1), 1 - surest, 0.0)
        is_open = self._labels == _UNKNOWN
        self._errors_left = trained.errors(float((self._counts * doubt)[is_open].sum()))

    def _ask_or_freeze(self) -> None:
        open_ = np.flatnonzero((self._labels == _UNKNOWN) & (self._scores > _NO_VECTOR))
        room = int(LARGEST_TRAINED_SHARE * len(self._counts)) - int((self._labels != _UNKNOWN).sum())
        most = min(DOUBTFUL_LABELS, room)
        if self._errors_left <= self._spare or most <= 0 or not len(open_):
            self._is_frozen = True
            return
        self._ask(open_[np.argsort(self._scores[open_], kind="stable")[:most]])
