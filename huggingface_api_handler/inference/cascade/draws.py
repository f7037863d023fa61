"""How errors are found as inputs are drawn: the chains that ``certify`` computes with."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]

EXACT_FACTORIALS = 256
"""From here on Stirling's series is exact to the last digit."""
MAX_TABULATED = 2**16
"""A table is five times faster, and would be large above."""
MAX_BUDGET = 500
"""Errors found, of the last look."""
LATEST_LOOK = 0.9
"""Of the inputs drawn. A look after which hardly any is left saves nothing."""
CLOCK_PRECISION = 2.0**-10
"""Of the clock of rows, in errors."""


class Look(NamedTuple):
    """When prefixes are looked at, and what they may show.

    Attributes:
        clock: After so many draws; where inputs have several rows, see ``RowDraws``.
        budget: A prefix is certified if at most so many errors are found in it.
    """

    clock: float
    budget: int


def log_factorial(numbers: npt.ArrayLike) -> Floats:
    """``log(n!)``, to 14 digits, by Stirling's series.

    Args:
        numbers: Whole numbers, 0 or more, of any shape.

    Returns:
        Of the same shape.
    """
    n = np.asarray(numbers, dtype=np.float64)
    large = np.maximum(n, EXACT_FACTORIALS)
    square = 1 / (large * large)
    series = (1 / 12 - square * (1 / 360 - square / 1260)) / large
    stirling = large * np.log(large) - large + 0.5 * np.log(2 * math.pi * large) + series
    return np.where(n < EXACT_FACTORIALS, _FACTORIALS[np.minimum(n, EXACT_FACTORIALS - 1).astype(np.int64)], stirling)


_FACTORIALS = np.array([math.lgamma(n + 1) for n in range(EXACT_FACTORIALS)])


@lru_cache(maxsize=1)
def _table(most: int) -> Floats:
    return log_factorial(np.arange(most + 1))


def hypergeometric(found: npt.ArrayLike, population: int, marked: npt.ArrayLike, draws: npt.ArrayLike) -> Floats:
    """The probability that so many marked ones are among the draws from a population, without replacement.

    Args:
        found: The number in question.
        population: All.
        marked: The marked ones of them.
        draws: How many are drawn.

    Returns:
        0 where it cannot be. The arguments are broadcast.
    """
    logs_of = _table(1 << population.bit_length()).__getitem__ if population < MAX_TABULATED else log_factorial
    k, m, s = (np.asarray(each, dtype=np.int64) for each in (found, marked, draws))
    possible = (k >= 0) & (k <= m) & (k <= s) & (s - k <= population - m) & (m <= population) & (s <= population)
    k = np.where(possible, k, 0)
    m, s = (np.where(possible, each, 0) for each in (m, s))
    logs = logs_of(m) - logs_of(k) - logs_of(m - k) + logs_of(s) + logs_of(population - s) - logs_of(population)
    logs += logs_of(population - m) - logs_of(s - k) - logs_of(population - m - s + k)
    return np.where(possible, np.exp(logs), 0.0)


def poisson(found: npt.ArrayLike, mean: float) -> Floats:
    """The probability of so many events.

    Args:
        found: The number in question.
        mean: More than 0.

    Returns:
        0 where the number is negative.
    """
    k = np.asarray(found, dtype=np.float64)
    events = np.maximum(k, 0.0)
    return np.where(k >= 0, np.exp(events * math.log(mean) - mean - log_factorial(events)), 0.0)


class UniformDraws(NamedTuple):
    """Inputs of one row each, in a random order.

    Attributes:
        inputs: How many there are.
        wrong: The allowance plus one.
    """

    inputs: int
    wrong: int

    def step(self, mass: Floats, last: Look | None, look: Look, top: int) -> Floats:
        """The chain from one look to the next.

        Args:
            mass: The probability of ``last.budget + 1`` and more errors found of the first ``wrong + last.budget`` at
                the last look; of 0 before the first.
            last: None before the first look.
            look: The next one.
            top: The greatest number of errors that matters.

        Returns:
            The probability of ``last.budget + 1`` to ``top`` errors found of the first ``wrong + look.budget`` at the
            next look.
        """
        before, count, least = (
            (0, 0, 0) if last is None else (int(last.clock), self.wrong + last.budget, last.budget + 1)
        )
        now, extra = int(look.clock), self.wrong + look.budget - count
        old = np.arange(least, least + len(mass))[:, None]
        new = np.arange(least, top + 1)[None, :]
        among_old = mass @ hypergeometric(new - old, self.inputs - before, count - old, now - before)
        between = new.T
        result: Floats = among_old @ hypergeometric(new - between, self.inputs - count, extra, now - between)
        return result

    def likely(self, clock: float) -> int:
        """The errors found by a clock are no more, but with a probability below 1e-12.

        Args:
            clock: In draws.

        Returns:
            A number of errors.
        """
        return _above_poisson(self.wrong * clock / max(self.inputs - clock, 0.5))

    @property
    def tick(self) -> float:
        """Clocks are multiples of it."""
        return 1.0

    @property
    def end(self) -> float:
        """When all are drawn."""
        return float(self.inputs)

    @property
    def latest(self) -> float:
        """The clock after which a look is not worth while."""
        return LATEST_LOOK * self.inputs

    @property
    def spare(self) -> float:
        """The errors that need not be found."""
        return self.wrong - 1.0

    @property
    def largest_budget(self) -> int:
        """All the errors that a bad prefix has room for, beside those not found."""
        return min(MAX_BUDGET, self.inputs - self.wrong)


class RowDraws(NamedTuple):
    """Inputs of several rows, drawn with probability in their number.

    The clock is in errors: how many are found, on average, in a prefix that just breaks the promise. So the chain is
    the same for every table.

    Attributes:
        latest: The clock after which a look is not worth while.
    """

    latest: float

    def step(self, mass: Floats, last: Look | None, look: Look, top: int) -> Floats:
        """The chain from one look to the next.

        Args:
            mass: The probability of ``last.budget + 1`` and more errors found by the last look; of 0 before the first.
            last: None before the first look.
            look: The next one.
            top: The greatest number of errors that matters.

        Returns:
            The probability of ``last.budget + 1`` to ``top`` errors found by the next look.
        """
        before, least = (0.0, 0) if last is None else (last.clock, last.budget + 1)
        old = np.arange(least, least + len(mass))[:, None]
        new = np.arange(least, top + 1)[None, :]
        result: Floats = mass @ poisson(new - old, look.clock - before)
        return result

    def likely(self, clock: float) -> int:
        """The errors found by a clock are no more, but with a probability below 1e-12.

        Args:
            clock: In errors.

        Returns:
            A number of errors.
        """
        return _above_poisson(clock)

    @property
    def tick(self) -> float:
        """Clocks are multiples of it."""
        return CLOCK_PRECISION

    @property
    def end(self) -> float:
        """When a bad prefix has shown more errors than any budget, all but surely."""
        return 4.0 * MAX_BUDGET

    @property
    def spare(self) -> float:
        """About the rows that may be wrong, to the next lower power of two."""
        return self.latest / -math.log(1 - LATEST_LOOK)

    @property
    def largest_budget(self) -> int:
        """As of ``UniformDraws``, where rows are many."""
        return MAX_BUDGET


def _above_poisson(mean: float) -> int:
    return math.ceil(mean + 8 * math.sqrt(mean) + 20)
