"""JSON objects among other text: what a model wrote before and after them does not count.

The text is a model's, so it can be anything. The work is bounded: a bounded number of places is tried, and a bounded
number of characters read in vain.
"""

from __future__ import annotations

import json
import re
from typing import Any, NamedTuple

_START = re.compile(r"""\{(?=\s*["}])|\[(?=\s*\{)""")
"""Where an object may begin, or a list of them. Braces of templates and of sets are none."""

MAX_PLACES = 64
"""Places that are tried: half of them from the beginning, the others from the end."""

_MAX_CHARS_IN_VAIN = 4_000_000

_LONGEST_LITERAL = 6
_LITERALS = ("true", "false", "null")


class ObjectInText(NamedTuple):
    """An object in a text.

    Attributes:
        value: the object; a list where several stand in one, since it cannot be told which of them is meant.
        start: where it begins in the text.
        end: where it ends.
    """

    value: dict[str, Any] | list[Any]
    start: int
    end: int


class ObjectsInText(NamedTuple):
    """The objects of a text, each at its outermost.

    Attributes:
        found: the objects, in their order.
        is_open: whether one begins and does not end, as where the text was cut off.
        is_too_deep: whether one is nested deeper than can be read.
        attempts: how many places were tried.
    """

    found: list[ObjectInText]
    is_open: bool = False
    is_too_deep: bool = False
    attempts: int = 0


def objects_in(text: str) -> ObjectsInText:
    """Find the JSON objects of a text.

    Args:
        text: what a model wrote.

    Returns:
        The objects, without those inside others. An object in a list of one stands for itself.

    >>> [each.value for each in objects_in('Maybe {x}? No: {"topic": "food"}.').found]
    [{'topic': 'food'}]
    """
    text = text.rstrip()
    found: list[ObjectInText] = []
    end = attempts = in_vain = 0
    for start in _starts(text):
        if start < end:  # inside of what was read
            continue
        if in_vain > _MAX_CHARS_IN_VAIN:
            break
        attempts += 1
        try:
            value, end = _DECODER.raw_decode(text, start)
        except json.JSONDecodeError as error:
            if text[start] == "{" and _is_open(text, error):
                return ObjectsInText(found, is_open=True, attempts=attempts)
            in_vain += error.pos - start
        except RecursionError:
            return ObjectsInText(found, is_open=True, is_too_deep=True, attempts=attempts)
        except ValueError:  # NaN, or a number of thousands of digits
            in_vain += len(text) - start
        else:
            found.append(ObjectInText(_object_of(value), start, end))
    return ObjectsInText(found, attempts=attempts)


def _object_of(value: Any) -> Any:
    """The object of a list that holds no other one."""
    objects = [each for each in value if isinstance(each, dict)] if isinstance(value, list) else [value]
    return objects[0] if len(objects) == 1 else value


def _starts(text: str) -> list[int]:
    starts = [match.start() for match in _START.finditer(text)]
    if len(starts) <= MAX_PLACES:
        return starts
    half = MAX_PLACES // 2
    return [*starts[:half], *starts[-half:]]


def _is_open(text: str, error: json.JSONDecodeError) -> bool:
    """Whether it is the end of the text that made the JSON wrong."""
    if error.msg.startswith("Unterminated string"):
        return True
    if len(text) - error.pos > _LONGEST_LITERAL:
        return False
    rest = text[error.pos :].strip()
    return rest in ("", "-", "\\") or error.msg.startswith("Invalid \\u") or any(map(_begins_with(rest), _LITERALS))


def _begins_with(rest: str) -> Any:
    return lambda literal: literal.startswith(rest)


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON")


_DECODER = json.JSONDecoder(parse_constant=_refuse_constant)
