"""Whether a cascade can save anything of a table, known before anybody is asked."""

from __future__ import annotations

from fractions import Fraction

import numpy as np

from ...config.settings import CascadeArguments
from .certify import allowance
from .draws import Ints
from .learner import LEAST_INPUTS
from .rounds import draw, uniforms

LEAST_SPARED = 0.25
"""Of the inputs, where draws show no error at all. Where less can be saved, all is asked of the large model."""


def delta(cascade: CascadeArguments) -> float:
    """The probability with which the promise may be broken.

    Args:
        cascade: What is promised.

    Returns:
        One minus the confidence, as it was written.
    """
    return float(1 - Fraction(str(cascade.confidence)))


def first_look(counts: Ints, cascade: CascadeArguments) -> float:
    """How much is drawn before anything can be certified. It depends on no answer.

    Args:
        counts: The rows of each input.
        cascade: What is promised.

    Returns:
        The share of the inputs; 1.0 where nothing can be certified before all are drawn.
    """
    if not len(counts):
        return 1.0
    spare = allowance(int(counts.sum()), cascade.accuracy)
    draws = draw(counts, uniforms(b"", len(counts)), spare, delta(cascade))
    return float((draws.drawn_at == 0).mean()) if draws.looks else 1.0


def is_worth(counts: Ints, cascade: CascadeArguments) -> bool:
    """Whether a proxy that is always right would spare enough.

    Args:
        counts: The rows of each input without a stored answer.
        cascade: What is promised.

    Returns:
        False where all is to be asked of the large model.
    """
    if len(counts) < (LEAST_INPUTS if cascade.is_learned else 1):
        return False
    return first_look(np.asarray(counts), cascade) <= 1 - LEAST_SPARED
