"""Whether it pays to draw more before the proxy's part is settled.

What is drawn above the final threshold would be asked anyway, so drawing costs only what it takes from the part that
the proxy answers. A later look bears more errors, and so certifies a longer prefix, of which more was drawn.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from .draws import Floats, Ints

PREFIXES = 20
"""Prefixes that a plan looks at, of equally many inputs."""
NEIGHBOUR_WEIGHT = 0.5
"""Of the errors and draws beside a block, in its rate."""
PRIOR_DRAWS = 4.0
"""Draws in a block that the rate of all blocks counts for."""
NO_ERRORS = 1e-9
"""Expected, for a rate of 0."""
PRIOR_ERRORS = 0.5
"""Errors found before anything was drawn, of all blocks."""


def error_rates(found: Ints, drawn: Ints) -> Floats:
    """The share of errors in each block of inputs, pooled over neighbours.

    Args:
        found: The errors found in each block.
        drawn: The inputs drawn in each block.

    Returns:
        The rates, each between 0 and 1.
    """
    overall = (found.sum() + PRIOR_ERRORS) / (drawn.sum() + 2 * PRIOR_ERRORS)
    kernel = NEIGHBOUR_WEIGHT ** np.abs(np.arange(len(found))[:, None] - np.arange(len(found)))
    rates: Floats = (kernel @ found + PRIOR_DRAWS * overall) / (kernel @ drawn + PRIOR_DRAWS)
    return rates


def at_most(room: Ints, shape: Floats, mean: Floats) -> Floats:
    """The probability that no more errors come than there is room for, where their rate is itself uncertain.

    Args:
        room: Less than 0 where there are too many already.
        shape: Of the gamma law of the rate: about the errors that it was estimated from.
        mean: The errors expected.

    Returns:
        The negative binomial's, for each of them.
    """
    number = np.arange(max(0, int(room.max())) + 1)[:, None]
    odds = np.maximum(mean, NO_ERRORS) / (np.maximum(mean, NO_ERRORS) + shape)
    ratios = np.log((number[1:] + shape - 1) / number[1:] * odds)
    logs = np.vstack([shape * np.log1p(-odds), ratios]).cumsum(axis=0)
    total: Floats = np.where(number <= room, np.exp(logs), 0.0).sum(axis=0)
    return np.minimum(total, 1.0)


def spared_later(found: Ints, drawn: Ints, sizes: Ints, budgets: Ints, at: int, spared: int) -> Iterator[float]:
    """The inputs that the large model is expected not to be asked, for each look at which one may stop.

    Args:
        found: The errors found in each block by the look ``at``.
        drawn: A row for each look, the inputs drawn in each block by then.
        sizes: The inputs in each block.
        budgets: Of each look.
        at: The last look that was taken.
        spared: What the proxy answers if one stops there.

    Yields:
        For the looks after it. What was certified before stays so, and shrinks by what is drawn of it.
    """
    new = np.cumsum(error_rates(found, drawn[at]) * (drawn[at + 1 :] - drawn[at]), axis=1)
    before = np.cumsum(found)
    shape = np.asarray(before + PRIOR_ERRORS, dtype=np.float64)
    for later, mean in enumerate(new, at + 1):
        undrawn = np.cumsum(sizes - drawn[later])
        fallback = spared * undrawn[-1] / max(1, (sizes - drawn[at]).sum())
        gains = np.diff(np.maximum(undrawn, fallback), prepend=fallback)
        chances = np.minimum.accumulate(at_most(budgets[later] - before, shape, mean))
        yield float(fallback + (gains * chances).sum())
