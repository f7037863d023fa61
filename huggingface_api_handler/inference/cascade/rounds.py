"""Cascade: which inputs to ask the large model, round after round, and what the proxy may answer in the end."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from .certify import Law, allowance, certified, schedule
from .draws import Floats, Ints, RowDraws, UniformDraws
from .plan import PREFIXES, spared_later


def uniforms(seed: bytes, count: int) -> Floats:
    """Numbers between 0 and 1 that a seed determines, on any machine.

    Args:
        seed: A keyed hash of the query, so that the same query draws the same.
        count: How many.

    Returns:
        Of 53 bits each.
    """
    key = int.from_bytes(hashlib.blake2b(seed, digest_size=16).digest(), "little")
    bits = np.random.Philox(key=key).random_raw(count)
    return np.asarray(((bits >> np.uint64(11)) + 0.5) * 2.0**-53, dtype=np.float64)


@dataclass(frozen=True)
class Certificate:
    """What the proxy may answer.

    Attributes:
        prefix: The first so many inputs in the order are the proxy's, where they were not asked.
        asked: Indexes of the inputs that the large model was asked.
        remaining: Indexes of those it is still to be asked, which are all behind the prefix.
        rows: The share of rows that the proxy answers.
        inputs: The share of inputs that the proxy answers.
    """

    prefix: int
    asked: Ints
    remaining: Ints
    rows: float
    inputs: float


class Cascade:
    """The rounds of one query, without any request.

    Ask the large model what ``next_round`` gives, hand what came back to ``record``, until ``next_round`` is empty.
    ``certificate`` holds at any time. One may also stop earlier.
    """

    def __init__(self, scores: Floats, counts: Ints, accuracy: float, delta: float, seed: bytes) -> None:
        """Fix the order and the draws.

        Args:
            scores: How sure the proxy is of each distinct input. Any numbers; the greatest come first. Leave out
                inputs whose large-model answer is stored: these are right, and tell nothing.
            counts: The rows of each.
            accuracy: The promised share of rows.
            delta: One minus the confidence.
            seed: Of the draws, see ``uniforms``.
        """
        self._order = np.argsort(-np.asarray(scores, dtype=np.float64), kind="stable")
        self._counts = np.asarray(counts, dtype=np.int64)[self._order]
        inputs = len(self._order)
        draws = uniforms(seed, inputs)[self._order]
        self._law, clocks = _law(self._counts, draws, accuracy)
        self._looks = schedule(self._law, delta)
        self._drawn_at = np.searchsorted([look.clock for look in self._looks], clocks).astype(np.int16)
        self._wrong = np.zeros(inputs, dtype=bool)
        self._at = -1
        self._best = 0
        self._going = inputs > 0

    def next_round(self) -> Ints:
        """The indexes of the inputs to ask next, in no order that means something; none where it does not pay."""
        while self._going:
            round_ = np.flatnonzero(self._drawn_at == self._at + 1)
            if len(round_):
                return self._order[round_]
            self.record(np.zeros(0, dtype=bool))
        return np.zeros(0, dtype=np.int64)

    def record(self, agreements: npt.NDArray[np.bool_]) -> None:
        """Take what the large model said to the inputs of the round.

        Args:
            agreements: For each of them, whether its answer is the proxy's. False where it refused for good.
        """
        self._at += 1
        self._wrong[self._drawn_at == self._at] = ~np.asarray(agreements, dtype=bool)
        found = np.flatnonzero(self._wrong)
        prefix = certified(found, self._looks[self._at].budget, len(self._order))
        if self._spared(prefix) > self._spared(self._best):
            self._best = prefix
        self._going = self._at + 1 < len(self._looks) and self._pays(found)

    def _spared(self, prefix: int) -> int:
        return int((self._drawn_at[:prefix] > self._at).sum())

    def _pays(self, found: Ints) -> bool:
        edges = np.unique(np.linspace(0, len(self._order), PREFIXES + 1).astype(np.int64))
        blocks = len(edges) - 1
        block = np.searchsorted(edges, np.arange(len(self._order)), side="right") - 1
        table = np.bincount(self._drawn_at * blocks + block, minlength=(len(self._looks) + 1) * blocks)
        drawn = table.reshape(-1, blocks).cumsum(axis=0)[:-1]
        errors = np.bincount(block[found], minlength=blocks)
        budgets = np.array([look.budget for look in self._looks])
        spared = self._spared(self._best)
        return bool(spared_later(errors, drawn, np.diff(edges), budgets, self._at, spared).max() > spared)

    def certificate(self) -> Certificate:
        """What holds now."""
        is_drawn = self._drawn_at <= self._at
        proxys = ~is_drawn
        proxys[self._best :] = False
        return Certificate(
            prefix=self._best,
            asked=self._order[is_drawn],
            remaining=self._order[~is_drawn & ~proxys],
            rows=float(self._counts[proxys].sum() / max(1, self._counts.sum())),
            inputs=float(proxys.sum() / max(1, len(proxys))),
        )


def _law(counts: Ints, draws: Floats, accuracy: float) -> tuple[Law, Floats]:
    """How inputs are drawn, and the clock at which each is."""
    spare = allowance(int(counts.sum()), accuracy)
    if len(counts) == 0 or counts.min() == counts.max():
        ranks = np.empty(len(counts))
        ranks[np.argsort(draws, kind="stable")] = np.arange(1, len(counts) + 1)
        return UniformDraws(len(counts), spare // int(max(counts.max(initial=1), 1)) + 1), ranks
    return RowDraws(spare + 1), -np.log1p(-draws) / counts
