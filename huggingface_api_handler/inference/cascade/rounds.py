"""Cascade: which inputs to ask the large model, round after round, and what the proxy may answer in the end."""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from .certify import Law, allowance, certified, schedule
from .draws import LATEST_LOOK, Floats, Ints, Look, RowDraws, UniformDraws
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


class Draws(NamedTuple):
    """What is drawn when.

    Attributes:
        looks: In order.
        drawn_at: For each input the number of the look by which it is drawn; past the last where it is by none.
    """

    looks: tuple[Look, ...]
    drawn_at: npt.NDArray[np.int16]


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

    def __init__(
        self, scores: Floats, counts: Ints, accuracy: float, delta: float, seed: bytes, *, asked_rows: int = 0
    ) -> None:
        """Fix the order and the draws.

        Args:
            scores: How sure the proxy is of each distinct input. Any numbers; the greatest come first. Leave out
                inputs whose large-model answer is stored: these are right, and tell nothing.
            counts: The rows of each.
            accuracy: The promised share of rows.
            delta: One minus the confidence.
            seed: Of the draws, see ``uniforms``.
            asked_rows: Rows of other inputs, which the large model was asked before, to train the proxy. These are
                right, and the promise is of them too.
        """
        self._order = np.argsort(-np.asarray(scores, dtype=np.float64), kind="stable")
        self._counts = np.asarray(counts, dtype=np.int64)[self._order]
        inputs = len(self._order)
        spare = allowance(int(self._counts.sum()) + asked_rows, accuracy)
        self._looks, self._drawn_at = draw(self._counts, uniforms(seed, inputs)[self._order], spare, delta)
        self._edges = np.unique(np.linspace(0, inputs, PREFIXES + 1).astype(np.int64))
        self._drawn = _drawn_by_look(self._drawn_at, self._edges, len(self._looks))
        self._wrong = np.zeros(inputs, dtype=bool)
        self._at = -1
        self._best = 0
        self._going = inputs > 0

    @property
    def most(self) -> int:
        """How many inputs all rounds together may ask about."""
        return int((self._drawn_at < len(self._looks)).sum())

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
        errors = np.bincount(np.searchsorted(self._edges, found, side="right") - 1, minlength=len(self._edges) - 1)
        budgets = np.array([look.budget for look in self._looks])
        spared = self._spared(self._best)
        expected = spared_later(errors, self._drawn, np.diff(self._edges), budgets, self._at, spared)
        return any(later > spared for later in expected)

    def certificate(self) -> Certificate:
        """What holds now."""
        is_drawn = self._drawn_at <= self._at
        is_proxy = ~is_drawn
        is_proxy[self._best :] = False
        return Certificate(
            prefix=self._best,
            asked=self._order[is_drawn],
            remaining=self._order[~is_drawn & ~is_proxy],
            rows=float(self._counts[is_proxy].sum() / max(1, self._counts.sum())),
            inputs=float(is_proxy.sum() / max(1, len(is_proxy))),
        )


def draw(counts: Ints, random: Floats, spare: int, delta: float) -> Draws:
    """When to look, and what is drawn by then.

    Args:
        counts: The rows of each input.
        random: A number between 0 and 1 for each, see ``uniforms``.
        spare: How many rows may be wrong.
        delta: One minus the confidence.

    Returns:
        The draws, without any label.
    """
    if spare >= counts.sum():  # whatever the proxy says
        return Draws((Look(0, 0),), np.ones(len(counts), dtype=np.int16))
    law, clocks = _clocks(counts, random, spare)
    looks = schedule(law, delta)
    return Draws(looks, np.searchsorted([look.clock for look in looks], clocks).astype(np.int16))


def _clocks(counts: Ints, random: Floats, spare: int) -> tuple[Law, Floats]:
    """How inputs are drawn, and the clock at which each is."""
    rows = int(counts[0]) if len(counts) else 1
    if (counts != rows).any():
        latest = -math.log(1 - LATEST_LOOK) * (spare + 1)
        law = RowDraws(2.0 ** math.floor(math.log2(latest)))  # tables of a like size share a schedule
        return law, -np.log1p(-random) / counts * (spare + 1)
    ranks = np.empty(len(counts))
    ranks[np.argsort(random, kind="stable")] = np.arange(1, len(counts) + 1)
    return UniformDraws(len(counts), spare // rows + 1), ranks


def _drawn_by_look(drawn_at: npt.NDArray[np.int16], edges: Ints, looks: int) -> Ints:
    """How many inputs of each block are drawn by each look."""
    blocks = len(edges) - 1
    block = np.repeat(np.arange(blocks), np.diff(edges))
    table = np.bincount(drawn_at * blocks + block, minlength=(looks + 1) * blocks)
    drawn: Ints = table.reshape(looks + 1, blocks).cumsum(axis=0)[:-1]
    return drawn
