"""What servers say where they refuse a request for its several inputs: that they take no lists, or none so long."""

from __future__ import annotations

import re

from .echoes import ServerError

_LISTS_UNSUPPORTED = re.compile(
    r"valid string|expected (a )?str|must be (a |of type )?str|str type expected"
    r"|lists? (is|are) not (supported|allowed)|invalid type: sequence, expected",
    re.I,
)
_OF_AN_ITEM = re.compile(
    r"at (least|most) \d+ (character|item|byte|token)"
    r"|([a-z_)\]]\.\d+|\[\d+\]): (?!input should be a valid|value is not a valid|[a-z]+ type expected|invalid type)",
    re.I,
)
"""A length, or the place of an item with what is wrong with it. An item's type says as little as the list's: where a
server takes a text or a list of numbers, it says of a list of texts that each should be a number."""

_BATCH_SIZE = re.compile(
    r"(?<!physical )(?<!current )batch.?size|too many inputs|number of (inputs|texts)|array too long"
    r"|at most \d+ (items|inputs|texts|requests)",
    re.I,
)
_STATED_MAXIMUM = re.compile(
    r"maximum\D{0,40}?(\d{1,5})|number of (?:inputs is|texts must be at most) (\d{1,5})"
    r"|at most (\d{1,5}) (?:items|inputs|texts|requests)",
    re.I,
)


def refuses_lists(error: ServerError) -> bool:
    """Whether a server says that it takes one input in a request.

    Args:
        error: What it says of several.

    Returns:
        False where it names an item of the list. A server that takes a text or a list of texts says of both what is
        wrong: of the item that it is too long, and of the list that it is no text.

    >>> refuses_lists(ServerError("input: Input should be a valid string"))
    True
    >>> refuses_lists(ServerError("input.1: String should have at most 9 characters; input: should be a valid string"))
    False
    """
    return bool(error.search(_LISTS_UNSUPPORTED)) and not error.search(_OF_AN_ITEM)


def refuses_batch_size(error: ServerError) -> bool:
    """Whether a server says that there were too many inputs.

    Args:
        error: What it says.

    Returns:
        Whether its own words are of the size of the batch.
    """
    return error.search(_BATCH_SIZE) is not None


def stated_max_batch_size(error: ServerError) -> int | None:
    """The most inputs in one request that a server names.

    Args:
        error: What it says of too many.

    Returns:
        The number, None where it names none.

    >>> stated_max_batch_size(ServerError("batch size 9 > maximum allowed batch size 4"))
    4
    """
    stated = error.search(_STATED_MAXIMUM)
    return int(stated[stated.lastindex or 0]) if stated else None
