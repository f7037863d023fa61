"""Vectors over the wire: lists of numbers, or 32-bit floats, lowest byte first, in base64."""

from __future__ import annotations

import sys
from array import array
from base64 import b64decode
from math import hypot, isfinite
from operator import mul
from typing import TypeAlias

from ...errors import UnreadableAnswer
from .number_lists import MAX_NUMBERS

Vector: TypeAlias = list[float]

_FLOAT_BYTES = 4
_MAX_BASE64_CHARS = MAX_NUMBERS * _FLOAT_BYTES // 3 * 4
_MIN_LENGTH = 1e-100
_MAX_LENGTH = 1e100
"""Between these the product of two lengths, and of two numbers of the vectors, is as exact as they are."""

_NUMBER_TYPES = frozenset((int, float))


def read_vector(value: object) -> Vector:
    """One vector, from either form.

    Args:
        value: A list of numbers, or 32-bit floats in base64.

    Returns:
        The numbers; those of a list as they came.

    Raises:
        UnreadableAnswer: It is neither, or not all of its numbers are finite.

    >>> read_vector("AACAPwAAAL8=")
    [1.0, -0.5]
    """
    if isinstance(value, str):
        vector = _decode_base64(value)
    elif isinstance(value, list) and value and _NUMBER_TYPES.issuperset(map(type, value)):
        vector = value
    else:
        has_nulls = value is None or (isinstance(value, list) and None in value)
        raise UnreadableAnswer(
            "null values (the model overflowed)" if has_nulls else "the server's answer has no vector of numbers"
        )
    if not _is_finite(vector):
        raise UnreadableAnswer("values that are not finite (the model overflowed)")
    return vector


def cosine(one: Vector, other: Vector) -> float:
    """How alike the directions of two vectors are.

    Args:
        one: n finite numbers.
        other: As many.

    Returns:
        From -1 to 1.

    Raises:
        UnreadableAnswer: They differ in length, or one of them has none, so that it has no direction.

    >>> cosine([3.0, 4.0], [6.0, 8.0])
    1.0
    """
    if len(one) != len(other):
        raise UnreadableAnswer(f"the two texts have vectors of {len(one)} and {len(other)} numbers")
    lengths = hypot(*one), hypot(*other)
    if not all(lengths):
        raise UnreadableAnswer("a vector of zeros has no direction, so it is like no other")
    if not all(map(isfinite, lengths)):
        raise UnreadableAnswer("the vectors have numbers too large to be compared")
    if not all(_MIN_LENGTH < length < _MAX_LENGTH for length in lengths):
        one, other = ([value / length for value in each] for each, length in zip((one, other), lengths, strict=True))
        lengths = (1.0, 1.0)
    likeness: float = sum(map(mul, one, other)) / (lengths[0] * lengths[1])
    return max(-1.0, min(1.0, likeness))


def _decode_base64(text: str) -> Vector:
    if len(text) > _MAX_BASE64_CHARS:
        raise UnreadableAnswer(f"the server's answer has a vector of more than {MAX_NUMBERS:,} numbers")
    numbers = array("f")
    try:
        numbers.frombytes(b64decode(text, validate=True))
    except ValueError:  # also of a number of bytes that is no multiple of four
        raise UnreadableAnswer("the server's answer has a text that is no vector in base64") from None
    if not numbers:
        raise UnreadableAnswer("the server's answer has a vector without numbers")
    if sys.byteorder == "big":
        numbers.byteswap()
    return numbers.tolist()


def _is_finite(vector: Vector) -> bool:
    """Whether all numbers are. A sum that is finite shows it, in a quarter of the time of a look at each."""
    try:
        return isfinite(sum(vector)) or all(map(isfinite, vector))
    except OverflowError:  # a whole number of more than 300 digits
        return False
