"""Tables for ``bench.cascade``: how sure a proxy is of each input, its rows, and where the large model differs."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt
from numpy.random import Generator

from huggingface_api_handler.inference.cascade.certify import allowance

ZIPF_EXPONENT = 2.0
ZIPF_MOST_ROWS = 1000
TOP_SHARE = 0.02
"""Of the inputs, those the proxy is surest of and wrong about."""
REFUSED_SHARE = 0.05


class Table(NamedTuple):
    """A table, an item for each distinct input.

    Attributes:
        scores: How sure the proxy is.
        counts: The rows.
        wrong: Whether the large model answers otherwise, or refuses.
        asked_rows: Rows of other inputs, which were asked before. They are right, and the promise is of them too.
    """

    scores: npt.NDArray[np.float64]
    counts: npt.NDArray[np.int64]
    wrong: npt.NDArray[np.bool_]
    asked_rows: int = 0

    def spare(self, accuracy: float) -> int:
        """How many rows may be wrong.

        Args:
            accuracy: The target.
        """
        return allowance(int(self.counts.sum()) + self.asked_rows, accuracy)


Family: TypeAlias = Callable[[Generator, int, float], Table]


def _table(scores: npt.NDArray[np.float64], wrong: npt.NDArray[np.bool_]) -> Table:
    return Table(scores, np.ones(len(scores), dtype=np.int64), wrong)


def calibrated(random: Generator, inputs: int, accuracy: float) -> Table:
    """The score is the chance of being right, 0.9 on average."""
    scores = 0.5 + 0.5 * random.beta(4, 1, inputs)
    return _table(scores, random.random(inputs) > scores)


def weak(random: Generator, inputs: int, accuracy: float) -> Table:
    """Wrong in a quarter of the inputs, 15 % of the surest."""
    scores = random.random(inputs)
    return _table(scores, random.random(inputs) < 0.35 - 0.2 * scores)


def wrong_at_the_top(random: Generator, inputs: int, accuracy: float) -> Table:
    """Calibrated, and wrong about the inputs it is surest of."""
    table = calibrated(random, inputs, accuracy)
    table.wrong[np.argsort(-table.scores)[: int(TOP_SHARE * inputs)]] = True
    return table


def constant_just_under(random: Generator, inputs: int, accuracy: float) -> Table:
    """Wrong a little less often than is allowed, whatever the score."""
    return _table(random.random(inputs), random.random(inputs) < 0.97 * (1 - accuracy))


def half_the_allowance(random: Generator, inputs: int, accuracy: float) -> Table:
    """Wrong half as often as is allowed, whatever the score."""
    return _table(random.random(inputs), random.random(inputs) < 0.5 * (1 - accuracy))


def reversed_scores(random: Generator, inputs: int, accuracy: float) -> Table:
    """Calibrated, and the score says the opposite."""
    table = calibrated(random, inputs, accuracy)
    return table._replace(scores=-table.scores)


def adversarial(random: Generator, inputs: int, accuracy: float) -> Table:
    """One more wrong than is allowed, all at the end: the fewest that break the promise, where they are seen last."""
    wrong = np.zeros(inputs, dtype=bool)
    wrong[inputs - allowance(inputs, accuracy) - 1 :] = True
    return _table(-np.arange(inputs, dtype=np.float64), wrong)


def always_wrong(random: Generator, inputs: int, accuracy: float) -> Table:
    """The worst case of all looks together."""
    return _table(random.random(inputs), np.ones(inputs, dtype=bool))


def five_scores(random: Generator, inputs: int, accuracy: float) -> Table:
    """Calibrated, rounded to five scores."""
    scores = random.choice([0.6, 0.8, 0.9, 0.97, 0.995], inputs, p=[0.1, 0.15, 0.2, 0.25, 0.3])
    return _table(scores, random.random(inputs) > scores)


def zipf_counts(random: Generator, inputs: int, accuracy: float) -> Table:
    """Calibrated, with few texts in many rows; the commonest one is wrong."""
    table = calibrated(random, inputs, accuracy)
    counts = np.minimum(random.zipf(ZIPF_EXPONENT, inputs), ZIPF_MOST_ROWS).astype(np.int64)
    table.wrong[np.argmax(counts)] = True
    return table._replace(counts=counts)


def refused_in_league(random: Generator, inputs: int, accuracy: float) -> Table:
    """Calibrated, and the large model refuses 5 %, half of them among the inputs about which it would differ."""
    table = calibrated(random, inputs, accuracy)
    refused = int(REFUSED_SHARE * inputs)
    among_wrong = random.permutation(np.flatnonzero(table.wrong))[: refused // 2]
    others = random.permutation(np.flatnonzero(~table.wrong))[: refused - len(among_wrong)]
    table.wrong[others] = True
    return table


FAMILIES: dict[str, Family] = {
    family.__name__.replace("_", " "): family
    for family in (
        calibrated,
        weak,
        wrong_at_the_top,
        constant_just_under,
        half_the_allowance,
        reversed_scores,
        adversarial,
        always_wrong,
        five_scores,
        zipf_counts,
        refused_in_league,
    )
}
"""By the name in the tables."""
