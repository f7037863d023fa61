"""A proxy that is learned from vectors of the inputs and a few of the large model's answers.

One L2-regularised logistic regression against the rest for each label, on vectors of length 1. Labels are asked in this
order: some at random, then those about which it is most in doubt, until the errors left are about the allowance. These
labels train and never certify: inputs that were asked to train leave the population, and ``rounds`` draws afresh.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from .draws import Floats, Ints
from .vectors import Vectors

STRENGTHS = (1.0, 3.0, 10.0)
"""Inverse regularisation (C) from which cross-validation chooses."""
FOLDS = 5
RANDOM_LABELS = 100
"""Asked first, at random."""
DOUBTFUL_LABELS = 64
"""Asked in each round after that."""
NEWTON_STEPS = 30
CONVERGED = 1e-6
"""The largest change of a weight."""
SMALLEST_VARIANCE = 1e-9


class Proxy(NamedTuple):
    """A trained proxy.

    Attributes:
        weights: A row for each label, the intercept last.
        is_wrong: Whether the others of its training inputs told a wrong label of each, in cross-validation.
        doubt: How many of these it expected.
    """

    weights: Floats
    is_wrong: npt.NDArray[np.bool_]
    doubt: float

    def errors(self, doubt: float) -> float:
        """How many errors to expect where the proxy itself expects so many.

        Args:
            doubt: A sum of one minus the chance of the likeliest label.

        Returns:
            Corrected by how much cross-validation found it to be over- or underrated.
        """
        return float(doubt * (self.is_wrong.sum() + 1) / (self.doubt + 1))


def fit(vectors: Floats, positive: Floats, strength: float) -> Floats:
    """Logistic regression, ``|w|^2 / 2 + C * (the log loss of all inputs)``, by Newton's method.

    Args:
        vectors: A row for each input.
        positive: 1 where the label is right, else 0.
        strength: C. The intercept is not regularised.

    Returns:
        The weights, the intercept last.
    """
    rotation, features = np.eye(0), vectors
    if len(vectors) < vectors.shape[1]:
        rotation, upper = np.linalg.qr(vectors.T)  # the weights are a sum of the inputs, so fewer than these are sought
        features = upper.T
    columns = np.hstack([features, np.ones((len(features), 1))])
    penalty = np.ones(columns.shape[1])
    penalty[-1] = SMALLEST_VARIANCE
    weights = np.zeros(columns.shape[1])
    for _ in range(NEWTON_STEPS):
        chances = _sigmoid(columns @ weights)
        gradient = strength * columns.T @ (chances - positive) + penalty * weights
        variances = strength * np.maximum(chances * (1 - chances), SMALLEST_VARIANCE)
        hessian = (columns.T * variances) @ columns
        hessian[np.diag_indices_from(hessian)] += penalty
        step = np.linalg.solve(hessian, gradient)
        weights -= step
        if np.abs(step).max() < CONVERGED:
            break
    if not rotation.size:
        return weights
    return np.append(rotation @ weights[:-1], weights[-1])


def _sigmoid(x: Floats) -> Floats:
    return np.asarray(0.5 * (1 + np.tanh(0.5 * x)))


def chances(weights: Floats, vectors: Floats | Vectors) -> Floats:
    """How likely each label is, of each input.

    Args:
        weights: A row for each label.
        vectors: A row for each input.

    Returns:
        A row for each input, a column for each label, which add up to 1.
    """
    single = _sigmoid(vectors @ weights[:, :-1].T + weights[:, -1])
    return np.asarray(single / np.maximum(single.sum(axis=1, keepdims=True), SMALLEST_VARIANCE))


def _fit_all(vectors: Floats, labels: Ints, count: int, strength: float) -> Floats:
    if count == 2:  # one against the other is the other against the one
        weights = fit(vectors, (labels == 1).astype(float), strength)
        return np.vstack([-weights, weights])
    return np.vstack([fit(vectors, (labels == label).astype(float), strength) for label in range(count)])


def train(vectors: Floats, labels: Ints, count: int) -> Proxy:
    """Train on labelled inputs, with the strength that cross-validation finds best.

    Args:
        vectors: A row for each labelled input, of length 1, in the order in which they were asked.
        labels: Their labels, from 0 to ``count - 1``.
        count: How many labels there are.

    Returns:
        The proxy, and what cross-validation says of it.
    """
    folds = np.arange(len(labels)) % FOLDS
    found = []
    for strength in STRENGTHS:
        by_others = np.empty((len(labels), count))
        for fold in range(FOLDS):
            held_out = folds == fold
            weights = _fit_all(vectors[~held_out], labels[~held_out], count, strength)
            by_others[held_out] = chances(weights, vectors[held_out])
        is_wrong = by_others.argmax(axis=1) != labels
        found.append((is_wrong, strength, float((1 - by_others.max(axis=1)).sum())))
    is_wrong, strength, doubt = min(found, key=lambda each: int(each[0].sum()))
    return Proxy(_fit_all(vectors, labels, count, strength), is_wrong, doubt)
