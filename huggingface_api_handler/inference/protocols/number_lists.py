"""JSON that is lists of numbers alone, such as vectors, parsed piece by piece: millions of numbers take a while."""

from __future__ import annotations

import re
from typing import Any

import orjson

from ...errors import UnreadableAnswer
from ...pieces import pause
from ...tasks.base import MAX_DEPTH

_MAX_PARSED_BYTES = 64 * 1024
"""Bytes of numbers that are parsed at once, within a millisecond."""

MAX_NUMBERS = 65_536
"""Numbers of one list. No vector has so many, and no batch so many rows."""

TOO_DEEP = f"the server's answer is nested more than {MAX_DEPTH} levels deep"
"""What is said of JSON that no answer can be."""

_OPENING = re.compile(rb"[ \t\r\n]*(,?)[ \t\r\n]*((?:\[[ \t\r\n]*)*)")
_BLANK = re.compile(rb"[ \t\r\n]*")


def is_number_lists(body: bytes) -> bool:
    """Whether a body may be lists of numbers alone.

    Args:
        body: JSON.

    Returns:
        True where it begins with a list and has neither texts nor objects.
    """
    return body[:64].lstrip()[:1] == b"[" and b'"' not in body and b"{" not in body


def parse_number_lists(body: bytes) -> Any:
    """Parse lists of numbers, as deep as they are. Other threads run between two pieces.

    Args:
        body: The JSON, of which ``is_number_lists`` is true.

    Returns:
        The list, as ``orjson.loads`` gives it.

    Raises:
        ValueError: It is not JSON, or a list has numbers before a list.
        UnreadableAnswer: It is nested deeper, or one list is longer, than of any answer.

    >>> parse_number_lists(b"[[1, 0.5], []]")
    [[1, 0.5], []]
    """
    outermost: list[Any] = []
    stack, begin, unpaused = [outermost], 0, 0
    while (end := body.find(b"]", begin)) >= 0:  # before it: a comma where the list has items, "[" again, numbers
        comma, opened, first = _opening(body, begin, end)
        has_numbers = not _is_blank(body, first, end)
        if opened or has_numbers or comma:
            if comma is not bool(stack[-1]) or (len(stack) == 1 and (comma or not opened)):
                raise ValueError("a comma too many, or one too few")
            if not (opened or has_numbers):
                raise ValueError("a comma before the end of a list")
        if len(stack) + opened > MAX_DEPTH + 1:
            raise UnreadableAnswer(TOO_DEEP)
        for _ in range(opened):
            stack[-1].append([])
            stack.append(stack[-1][-1])
        if has_numbers:
            _extend(stack[-1], body, first, end)
        stack.pop()
        if not stack:
            raise ValueError("the end of a list that never began")
        unpaused += end - begin
        if unpaused > _MAX_PARSED_BYTES:
            unpaused = 0
            pause()
        begin = end + 1
    if len(stack) != 1 or not outermost or not _is_blank(body, begin, len(body)):
        raise ValueError("a list that never ends")
    return outermost[0]


def _opening(body: bytes, begin: int, end: int) -> tuple[bool, int, int]:
    """Whether there is a comma, how many lists begin, and where what follows begins."""
    found = _OPENING.match(body, begin, end)
    if found is None:  # never: it matches no bytes too
        raise ValueError
    return bool(found[1]), found[2].count(b"["), found.end()


def _is_blank(body: bytes, begin: int, end: int) -> bool:
    return _BLANK.fullmatch(body, begin, end) is not None


def _extend(numbers: list[Any], body: bytes, begin: int, end: int) -> None:
    """Parse the numbers between two places of a body."""
    if end - begin > 2 * MAX_NUMBERS and body.count(b",", begin, end) >= MAX_NUMBERS:
        raise UnreadableAnswer(f"the server's answer has a list of more than {MAX_NUMBERS:,} numbers")
    while end - begin > _MAX_PARSED_BYTES:
        comma = body.find(b",", begin + _MAX_PARSED_BYTES, end)
        if comma < 0:
            break
        numbers += _loaded(body[begin:comma])
        begin = comma + 1
        pause()
    numbers += _loaded(body[begin:end])


def _loaded(text: bytes) -> list[Any]:
    if _BLANK.fullmatch(text) is not None:
        raise ValueError("a comma without a number")
    return list(orjson.loads(b"[%b]" % text))
