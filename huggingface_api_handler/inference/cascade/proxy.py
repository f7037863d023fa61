"""A proxy that is learned from vectors of the inputs and a few of the large model's answers.

One L2-regularised logistic regression against the rest for each label, on vectors of length 1. How often it is wrong
is told by leave-one-out: what would be said of each input, had it not been trained on. One Newton step from the trained
weights gives that to first order, without training again (as Rad and Maleki, "A scalable estimate of the out-of-sample
prediction error via approximate leave-one-out cross-validation", JRSS B 2020).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from .draws import Floats, Ints
from .vectors import Vectors

STRENGTHS = (1.0, 3.0, 10.0)
"""Inverse regularisation (C) from which cross-validation chooses."""
NEWTON_STEPS = 30
CONVERGED = 1e-4
"""The largest change of a weight. The next step, which is not made, would change about its square."""
SMALLEST_VARIANCE = 1e-9


class Proxy(NamedTuple):
    """A trained proxy.

    Attributes:
        weights: A row for each label, the intercept last.
        is_wrong: Whether a wrong label is told of each training input by the others.
        doubt: How many of these errors it expected.
        likelihoods: The chance that the others give the right label of each.
    """

    weights: Floats
    is_wrong: npt.NDArray[np.bool_]
    doubt: float
    likelihoods: Floats

    def errors(self, doubt: float) -> float:
        """How many errors to expect where the proxy itself expects so many.

        Args:
            doubt: A sum of one minus the chance of the likeliest label.

        Returns:
            Corrected by how much cross-validation found it to be over- or underrated.
        """
        return float(doubt * (self.is_wrong.sum() + 1) / (self.doubt + 1))


class Fit(NamedTuple):
    """One regression.

    Attributes:
        weights: The intercept last.
        by_others: The log odds of each input by a regression on all the others.
    """

    weights: Floats
    by_others: Floats


def fit(vectors: Floats, positive: Floats, strengths: Sequence[float]) -> list[Fit]:
    """Logistic regression, ``|w|^2 / 2 + C * (the log loss of all inputs)``, by Newton's method.

    Args:
        vectors: A row for each input.
        positive: 1 where the label is right, else 0.
        strengths: Values of C. The intercept is not regularised.

    Returns:
        A regression for each of them.
    """
    rotation, features = np.eye(0), vectors
    if len(vectors) < vectors.shape[1]:
        rotation, upper = np.linalg.qr(vectors.T)  # the weights are a sum of the inputs, so fewer than these are sought
        features = upper.T
    columns = np.hstack([features, np.ones((len(features), 1))])
    weights = np.zeros(columns.shape[1])
    fits = []
    for strength in strengths:
        weights, by_others = _fit(columns, positive, strength, weights)
        whole = np.append(rotation @ weights[:-1], weights[-1]) if rotation.size else weights
        fits.append(Fit(whole, by_others))
    return fits


def _fit(columns: Floats, positive: Floats, strength: float, weights: Floats) -> tuple[Floats, Floats]:
    penalty = np.ones(columns.shape[1])
    penalty[-1] = SMALLEST_VARIANCE
    for _ in range(NEWTON_STEPS):
        residuals, variances = _derivatives(columns, positive, strength, weights)
        step = np.linalg.solve(_hessian(columns, variances, penalty), columns.T @ residuals + penalty * weights)
        weights = weights - step
        if np.abs(step).max() < CONVERGED:
            break
    residuals, variances = _derivatives(columns, positive, strength, weights)
    spread = np.linalg.solve(_hessian(columns, variances, penalty), columns.T).T
    leverage = (columns * spread).sum(axis=1)
    own = np.maximum(1 - leverage * variances, SMALLEST_VARIANCE)
    return weights, columns @ weights + leverage / own * residuals


def _derivatives(columns: Floats, positive: Floats, strength: float, weights: Floats) -> tuple[Floats, Floats]:
    likely = _sigmoid(columns @ weights)
    return strength * (likely - positive), strength * np.maximum(likely * (1 - likely), SMALLEST_VARIANCE)


def _hessian(columns: Floats, variances: Floats, penalty: Floats) -> Floats:
    hessian: Floats = (columns.T * variances) @ columns
    hessian[np.diag_indices_from(hessian)] += penalty
    return hessian


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
    return _of_odds(np.asarray(vectors @ weights[:, :-1].T + weights[:, -1]))


def _of_odds(odds: Floats) -> Floats:
    single = _sigmoid(odds)
    return np.asarray(single / np.maximum(single.sum(axis=1, keepdims=True), SMALLEST_VARIANCE))


def train(vectors: Floats, labels: Ints, count: int) -> Proxy:
    """Train on labelled inputs, with the strength that cross-validation finds best.

    Args:
        vectors: A row for each labelled input, of length 1.
        labels: Their labels, from 0 to ``count - 1``.
        count: How many labels there are, 2 or more.

    Returns:
        The proxy, and what cross-validation says of it.
    """
    several = [fit(vectors, (labels == label).astype(float), STRENGTHS) for label in range(1 if count == 2 else count)]
    proxies = []
    for fits in zip(*several, strict=True):
        weights, odds = np.vstack([each.weights for each in fits]), np.column_stack([each.by_others for each in fits])
        if count == 2:  # one against the other is the other against the one
            weights, odds = np.vstack([weights, -weights]), np.hstack([odds, -odds])
        by_others = _of_odds(odds)
        doubt = float((1 - by_others.max(axis=1)).sum())
        right = by_others[np.arange(len(labels)), labels]
        proxies.append(Proxy(weights, by_others.argmax(axis=1) != labels, doubt, right))
    return min(proxies, key=lambda each: int(each.is_wrong.sum()))
