"""How many inputs a proxy may answer in place of the large model, with a guarantee for any proxy and any table size.

The inputs stand in a fixed order, the one first of which the proxy is surest. Each of them has a number of rows. An
input is an error where the proxy's answer is not the large model's. Errors among the inputs that were drawn are found,
and corrected, since these show the large model's answer. If the proxy answers a prefix of the order, what is wrong
there are the rows of its errors that were not found: at most the allowance is promised.

**The law.** Inputs are drawn in one random order, whatever their rank. Let ``A`` be the allowance plus one. A prefix
with ``A`` rows of errors not found is called bad. Let ``E(s)`` be the errors found, after ``s`` draws, in the shortest
bad prefix, and infinite where none is bad. A prefix is certified at a look ``(s, b)`` if at most ``b`` errors are found
in it. Every bad prefix holds the shortest one, so a bad prefix is certified at one of the looks only if ``E(s) <= b``
at one of them. One event covers all prefixes and all times: there is no union over thresholds, whichever are tried,
and it is no matter when one stops.

*Each input has one row.* ``E(s) <= b`` only if of the first ``A + b`` errors at most ``b`` are among the first ``s`` of
``N`` draws, and that is the same if there are that many errors. How many are is hypergeometric, and from look to look
a Markov chain: the errors not found among ``A + b`` are, given their number, any of those not drawn. So the
probability of a broken promise is computed exactly in the worst case, which is that of a proxy that is always wrong:

    P(E(s) = e) = C(A + e - 1, e) C(N - A - e, s - e) / C(N, s)

*Inputs have several rows* and are drawn without replacement with probability in their number: input i at an
exponential time of rate ``rows[i]``. While there is a bad prefix, its errors not found are found at a rate of ``A`` at
least, whichever they are, and each such find adds one to ``E`` at least. So ``E`` grows no slower than a Poisson
process of rate ``A`` (thinning), of which the same chain is computed.

The likelihood is that of the prior-posterior ratio of Waudby-Smith and Ramdas ("Confidence sequences for sampling
without replacement", NeurIPS 2020), with ``allowance + 1 + errors found`` as the hypothesis; rates that are bounded
given the past are those of their betting ("Estimating means of bounded random variables by betting", arXiv
2010.09686). Their bounds hold for one prefix each. After errors were corrected, the first bad prefix is not one that
was fixed before, so a test of each does not speak for all. The law of ``E`` does; and as it is exact, nothing of delta
is lost to Ville's inequality. Looks that share a probability of error are those of interim analyses (Lan and DeMets,
"Discrete sequential boundaries for clinical trials", Biometrika 1983).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from fractions import Fraction
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from .draws import Floats, Ints, Look, RowDraws, UniformDraws


class Spending(NamedTuple):
    """How delta is shared out among looks.

    Attributes:
        growth: How much more errors the next look bears.
        exponent: How much less of delta later looks have: the k-th has a part in ``k ** -exponent``.
    """

    growth: float
    exponent: float


MANY_SPARE = 1000
"""Rows that may be wrong, from which on a first look costs next to nothing, and it is later ones that save."""
FEW_LOOKS = Spending(growth=1.3, exponent=1.0)
MANY_LOOKS = Spending(growth=1.15, exponent=0.5)
"""Both tuned on seeds that no benchmark uses."""
SPENT_AT_MOST = 1 - 1e-6
"""Of delta, so that rounding never spends more."""

Law = UniformDraws | RowDraws


def allowance(rows: int, accuracy: float) -> int:
    """How many rows may show another answer than the large model's.

    Args:
        rows: All of them, without those whose answer was stored before.
        accuracy: The promised share of right ones, as it was written: 0.9 is nine tenths.

    Returns:
        The greatest number with which the share is kept.

    >>> allowance(200, 0.9), allowance(199, 0.99)
    (20, 1)
    """
    return rows - math.ceil(rows * Fraction(str(accuracy)))


def broken(law: Law, looks: Sequence[Look]) -> float:
    """The probability that the promise is broken at one of the looks, in the worst case.

    Args:
        law: How inputs are drawn.
        looks: Clocks and budgets rise.

    Returns:
        Of a proxy that is always wrong. No other is above it.
    """
    mass, total, last = np.ones(1), 0.0, None
    for look in looks:
        lost, mass = _advance(law, mass, last, look, looks[-1].budget)
        total += lost
        last = look
    return total


def _advance(law: Law, mass: Floats, last: Look | None, look: Look, most: int) -> tuple[float, Floats]:
    """What a look adds to the probability of a broken promise, and the mass that it leaves."""
    top = max(look.budget, min(most, law.likely(look.clock)))
    mass = law.step(mass, last, look, top)
    lost = look.budget - (-1 if last is None else last.budget)
    return float(mass[:lost].sum()), mass[lost:]


def budgets(most: int, growth: float) -> Iterator[int]:
    """The errors that may be found at each look: 0, 1, 2 and so on, farther apart the more they are.

    Args:
        most: The last one is not above it.
        growth: The ratio of one to the one before, where this is more than one error.

    Yields:
        Each once.
    """
    budget = 0
    while budget <= most:
        yield budget
        budget = max(budget + 1, round(budget * growth))


@lru_cache(maxsize=64)
def schedule(law: Law, delta: float) -> tuple[Look, ...]:
    """When to look, so that the promise is broken with a probability of at most delta over all looks.

    Args:
        law: How inputs are drawn.
        delta: One minus the confidence.

    Returns:
        The looks in order. ``broken`` of them is at most delta.
    """
    spending = MANY_LOOKS if law.spare >= MANY_SPARE else FEW_LOOKS
    tried = list(budgets(law.largest_budget, spending.growth))
    while len(tried) > 1 and law.step(np.ones(1), None, Look(law.latest, tried[-1]), tried[-1]).sum() > delta:
        tried.pop()
    while len(looks := _spend(law, tried, delta, spending.exponent)) < len(tried):
        tried = tried[: len(looks)]
    return looks


def _spend(law: Law, tried: Sequence[int], delta: float, exponent: float) -> tuple[Look, ...]:
    """Looks at these budgets, as far as they come in time. The next ones have what one leaves of its part of delta."""
    weights = np.arange(1, len(tried) + 1) ** -exponent
    shares = delta * SPENT_AT_MOST * np.cumsum(weights) / weights.sum()
    looks: list[Look] = []
    mass, spent = np.ones(1), 0.0
    for budget, share in zip(tried, shares, strict=True):
        last = looks[-1] if looks else None
        look = Look(_earliest(law, mass, last, budget, share - spent), budget)
        if last is not None and look.clock > law.latest:
            break
        lost, mass = _advance(law, mass, last, look, tried[-1])
        spent += lost
        looks.append(look)
    return tuple(looks)


def _earliest(law: Law, mass: Floats, last: Look | None, budget: int, most: float) -> float:
    """The first clock at which the budget breaks the promise with a probability of at most ``most``."""
    mass = mass[: budget - (-1 if last is None else last.budget)]
    low = 0 if last is None else round(last.clock / law.tick)
    high = round(law.end / law.tick)
    while high - low > 1:
        middle = (low + high) // 2
        if law.step(mass, last, Look(middle * law.tick, budget), budget).sum() <= most:
            high = middle
        else:
            low = middle
    return high * law.tick


def certified(found: Ints, budget: int, inputs: int) -> int:
    """How long the longest prefix is that a look certifies.

    Args:
        found: The ranks of the errors that were found, rising.
        budget: That of the look.
        inputs: All.

    Returns:
        The number of inputs in it.
    """
    return inputs if len(found) <= budget else int(found[budget])
