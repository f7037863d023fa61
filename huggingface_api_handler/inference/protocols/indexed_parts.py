"""Which part of an answer is whose, where each item tells the index of its input."""

from __future__ import annotations

from typing import Any

from ...errors import UnreadableAnswer
from ...tasks.base import unreadable


def objects_under(answer: object, key: str, task: str) -> list[dict[str, Any]]:
    """The objects that an answer lists under a key.

    Args:
        answer: The server's answer, as parsed JSON.
        key: The key of the list.
        task: The task's name, for the error.

    Returns:
        The list.

    Raises:
        UnreadableAnswer: There is no list of objects there.
    """
    items = answer.get(key) if isinstance(answer, dict) else None
    if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
        raise unreadable(task, answer)
    return items


def by_index(items: list[dict[str, Any]], count: int) -> list[dict[str, Any]]:
    """Put items in the order of their inputs.

    Args:
        items: The items of an answer, in any order, each with its ``index`` from 0.
        count: The number of inputs that the request carried.

    Returns:
        ``count`` items, in the order of the inputs.

    Raises:
        UnreadableAnswer: An index is missing, no whole number, there twice, or that of no input.

    >>> by_index([{"index": 1, "score": 0.5}, {"index": 0, "score": 0.25}], 2)
    [{'index': 0, 'score': 0.25}, {'index': 1, 'score': 0.5}]
    """
    _check_number(items, count)
    indexes = [item.get("index") for item in items]
    if any(type(index) is not int for index in indexes):  # True is equal to 1
        raise UnreadableAnswer(f"{count} inputs were answered with items that do not all have an index")
    if indexes == list(range(count)):
        return items
    found = dict(zip(indexes, items, strict=True))
    if found.keys() != set(range(count)):
        raise UnreadableAnswer(f"{count} inputs were answered with items whose indexes are not 0 to {count - 1}")
    return [found[index] for index in range(count)]


def by_index_or_order(items: list[dict[str, Any]], count: int) -> list[dict[str, Any]]:
    """As ``by_index``, for items that servers send in the order of the inputs, so that some leave out the index.

    Args:
        items: The items of an answer; none of them may have an index.
        count: The number of inputs that the request carried.

    Returns:
        ``count`` items, in the order of the inputs.

    Raises:
        UnreadableAnswer: There are more or fewer items, or only some have an index, or as ``by_index``.
    """
    if all(item.get("index") is None for item in items):
        _check_number(items, count)
        return items
    return by_index(items, count)


def _check_number(items: list[dict[str, Any]], count: int) -> None:
    if len(items) != count:
        raise UnreadableAnswer(f"{count} inputs were answered with {len(items)} items")
