"""Exact arithmetic of dollars, whatever precision the program of the person has set for its own decimals."""

from __future__ import annotations

import decimal
from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")

_DIGITS = 60
"""More than the sum of all dollars there are has, down to the price of one token."""

_EXACT = decimal.Context(prec=_DIGITS, rounding=decimal.ROUND_HALF_EVEN, traps=[decimal.InvalidOperation])


def exact(function: Callable[Arguments, Result]) -> Callable[Arguments, Result]:
    """Let a function calculate with enough digits.

    The context of ``decimal`` goes with the thread and into each task of an event loop that is begun from there. So
    ``decimal.getcontext().prec = 4`` in a notebook would round what its queries are billed.

    Args:
        function: Which calculates with decimals, and awaits nothing.

    Returns:
        The function, in a context of its own.

    >>> with decimal.localcontext() as context:
    ...     context.prec = 2
    ...     exact(lambda: decimal.Decimal("1.2345") + 1)()
    Decimal('2.2345')
    """

    @wraps(function)
    def calculate(*args: Arguments.args, **kwargs: Arguments.kwargs) -> Result:
        with decimal.localcontext(_EXACT):
            return function(*args, **kwargs)

    return calculate
