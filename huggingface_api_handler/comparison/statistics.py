"""How sure a figure of a sample is: rates with Wilson's interval, F1 with a bootstrap's."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Hashable, Sequence
from typing import TYPE_CHECKING, NamedTuple, TypeVar

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

    Counts = npt.NDArray[np.int64]

Label = TypeVar("Label", bound=Hashable)

_Z_95 = 1.959963984540054
"""The normal distribution's quantile of 97.5 %."""

_RESAMPLES = 1000
_BOOTSTRAP_SEED = 20
_PERCENTILES_95 = (2.5, 97.5)


class Measure(NamedTuple):
    """A figure in [0, 1] with the interval that holds the true one in 95 of 100 samples.

    Attributes:
        value: The figure.
        low: The interval's lower end.
        high: Its upper end.
    """

    value: float
    low: float
    high: float


def rate(successes: int, total: int) -> Measure | None:
    """How often something is so.

    Args:
        successes: How often it was.
        total: Of how many.

    Returns:
        ``successes / total`` with the score interval of E. B. Wilson, "Probable Inference, the Law of Succession, and
        Statistical Inference", Journal of the American Statistical Association 22 (1927): it fits small samples, and
        rates near 0 and 1. None of nothing.

    >>> [round(figure, 4) for figure in rate(8, 10)]
    [0.8, 0.4902, 0.9433]
    """
    if not total:
        return None
    value = successes / total
    spread = _Z_95**2 / total
    centre = (value + spread / 2) / (1 + spread)
    half = _Z_95 * math.sqrt(value * (1 - value) / total + spread / total / 4) / (1 + spread)
    return Measure(value, max(0.0, min(value, centre - half)), min(1.0, max(value, centre + half)))


def macro_f1(truth: Sequence[Label], predicted: Sequence[Label | None]) -> Measure | None:
    """The mean of the F1 of each label of the truth.

    Labels that only the model says have no F1 of their own: they lower the recall of the label that is meant. So the
    mean is over the same labels for every model.

    Args:
        truth: The label of each row, n of them.
        predicted: What a model says of each; None where it does not decide.

    Returns:
        F1 = 2 TP / (2 TP + FP + FN), averaged, with the percentile interval of 1,000 bootstrap resamples of the rows
        (B. Efron, R. Tibshirani, "An Introduction to the Bootstrap", 1993, chapter 13), drawn with a fixed seed. It has
        no width where a model makes no mistake, or only mistakes: see the interval of the accuracy there. None of
        nothing.

    >>> round(macro_f1(["a", "a", "b", "b"], ["a", "b", "b", "b"]).value, 3)
    0.733
    """
    if not truth:
        return None
    codes = {label: number for number, label in enumerate(dict.fromkeys(truth))}
    cells = Counter((codes[is_], codes.get(said, -1) if said is not None else -1)
                    for is_, said in zip(truth, predicted, strict=True))  # fmt: skip
    actual, said = np.array(list(cells)).T
    counts = np.array(list(cells.values()))
    random = np.random.default_rng(_BOOTSTRAP_SEED)
    # Rows of one truth and one answer are alike, so a resample is how often each of these pairs is drawn.
    drawn = (random.multinomial(len(truth), counts / len(truth)) for _ in range(_RESAMPLES))
    resampled = [_mean_f1(actual, said, resample, len(codes)) for resample in drawn]
    low, high = np.percentile(resampled, _PERCENTILES_95)
    value = _mean_f1(actual, said, counts, len(codes))
    return Measure(value, min(value, float(low)), max(value, float(high)))


def _mean_f1(actual: Counts, said: Counts, counts: Counts, labels: int) -> float:
    """The mean of F1 over the labels that occur, of pairs of codes and how often there is each."""
    is_right = actual == said
    is_label = said >= 0
    right = np.bincount(actual[is_right], counts[is_right], labels)
    both = np.bincount(actual, counts, labels) + np.bincount(said[is_label], counts[is_label], labels)
    occurs = both > 0  # a resample may be without a label that is rare
    return float(np.mean(2 * right[occurs] / both[occurs]))


def majority(labels: Sequence[Label]) -> Label | None:
    """What most say.

    Args:
        labels: What each one says.

    Returns:
        The most frequent label; None of nothing, and where several are equally frequent.

    >>> majority(["a", "b", "a"]), majority(["a", "b"])
    ('a', None)
    """
    frequent = Counter(labels).most_common(2)
    if not frequent or (len(frequent) > 1 and frequent[0][1] == frequent[1][1]):
        return None
    return frequent[0][0]
