"""Which part of an hf-inference answer is whose: one answer to several inputs, split into one part for each."""

from __future__ import annotations

from typing import Any

from ...errors import UnreadableAnswer
from ...tasks.base import unreadable
from ...tasks.classification import is_score_map
from .base import Split
from .indexed_parts import by_index
from .server_errors import is_error

ANY_LIST_KEY = "predictions"
"""Under which services of any kind of model put the list of their answers."""


def unwrap_object(answer: dict[str, Any], key: str) -> object:
    """Take the list of an answer out of the object around it.

    Args:
        answer: The server's answer, as parsed JSON.
        key: Where servers of the task put the list, such as ``embeddings`` of Hugging Face's inference toolkit.

    Returns:
        The list there, or under ``ANY_LIST_KEY``; the answer as it is where there is none.

    >>> unwrap_object({"embeddings": [0.5, 0.25]}, "embeddings")
    [0.5, 0.25]
    """
    for name in (key, ANY_LIST_KEY):
        if isinstance(answer.get(name), list):
            return answer[name]
    return answer


def split_one_to_one(answer: object, count: int) -> list[Any]:
    """Split an answer into one part for each input. Its shape must prove which part is whose.

    Args:
        answer: The server's answer, as parsed JSON.
        count: The number of inputs that the request carried.

    Returns:
        ``count`` parts, in the order of the inputs.

    Raises:
        UnreadableAnswer: The answer has another number of parts.
    """
    if count == 1:
        return [answer]
    if isinstance(answer, list) and len(answer) == count:
        return answer
    raise UnreadableAnswer(f"{count} inputs were answered with {_size(answer, 'parts')}")


def split_typed(part_type: type) -> Split:
    """``split_one_to_one`` for a task whose parts are of one type, so that a flattened answer is seen.

    Args:
        part_type: The type of the answer to one input.

    Returns:
        A function of answer and count, as ``split_one_to_one``. It raises UnreadableAnswer also where a part of
        several is neither of ``part_type`` nor the error of one input.
    """

    def split(answer: object, count: int) -> list[Any]:
        parts = split_one_to_one(answer, count)
        if count > 1 and not all(isinstance(part, part_type) or is_error(part) for part in parts):
            raise _ambiguous_answer(count)
        return parts

    return split


_split_lists = split_typed(list)


def split_entities(answer: object, count: int) -> list[Any]:
    """One list of entities, or one object with ``entities``, for each input.

    Args:
        answer: The server's answer, as parsed JSON.
        count: The number of inputs that the request carried.

    Returns:
        As ``split_typed(list)``.

    Raises:
        UnreadableAnswer: As of ``split_typed(list)``.
    """
    if count > 1 and isinstance(answer, list):
        answer = [unwrap_object(part, "entities") if isinstance(part, dict) else part for part in answer]
    return _split_lists(answer, count)


def split_list(unit: str, plural_parts: str) -> Split:
    """For a protocol that itself carries many, and answers even one input with a list.

    Args:
        unit: What the inputs are, in the plural, for the error.
        plural_parts: What the parts are, in the plural, for the error.

    Returns:
        A function of answer and count that gives the list, or raises UnreadableAnswer where it has another length.
    """

    def split(answer: object, count: int) -> list[Any]:
        if not isinstance(answer, list) or len(answer) != count:
            raise UnreadableAnswer(f"{count} {unit} were answered with {_size(answer, plural_parts)}")
        return answer

    return split


def split_scores(answer: object, count: int) -> list[Any]:
    """One list of labels for each input.

    Some servers answer several inputs with the best label of each in one flat list, which looks like many labels of
    one input. A label that occurs twice tells them apart, since one input never has it twice.

    Args:
        answer: The server's answer, as parsed JSON.
        count: The number of inputs that the request carried.

    Returns:
        ``count`` parts, in the order of the inputs, for ``tasks.classification.scores_of`` to read.

    Raises:
        UnreadableAnswer: It cannot be told which labels are whose.
    """
    parts = split_one_to_one(answer, count)
    if count == 1 or all(isinstance(part, list) or is_error(part) for part in parts):
        return parts
    flat = all(isinstance(part, dict) and "label" in part for part in parts)
    if flat and len({str(part["label"]) for part in parts}) < count:
        return parts
    # With one label in each, they could be the labels of one input.
    if all(is_score_map(part) and len(part) > 1 for part in parts):
        return parts
    raise _ambiguous_answer(count)


def split_zero_shot(answer: object, count: int) -> list[Any]:
    """One list of labels, or one object with ``labels``, for each input.

    Args:
        answer: The server's answer, as parsed JSON.
        count: The number of inputs that the request carried.

    Returns:
        As ``split_one_to_one``.

    Raises:
        UnreadableAnswer: The answer has another number of parts, or parts of another shape.
    """
    parts = split_one_to_one(answer, count)
    if count > 1 and not all(map(_is_zero_shot, parts)):
        raise _ambiguous_answer(count)
    return parts


def _is_zero_shot(part: object) -> bool:
    return isinstance(part, list) or (isinstance(part, dict) and "labels" in part) or is_error(part)


def split_ranking(answer: object, count: int) -> list[Any]:
    """Scores in the order of the texts; the answer comes best first, each with the index of its text.

    Args:
        answer: The server's answer, as parsed JSON.
        count: The number of texts that the request carried.

    Returns:
        ``count`` scores.

    Raises:
        UnreadableAnswer: The answer has scores for other texts.
    """
    if not isinstance(answer, list) or not all(isinstance(item, dict) for item in answer):
        raise unreadable("text-ranking", answer)
    return [item.get("score") for item in by_index(answer, count)]


def _size(answer: object, parts: str) -> str:
    return f"{len(answer)} {parts}" if isinstance(answer, list) else type(answer).__name__


def _ambiguous_answer(count: int) -> UnreadableAnswer:
    return UnreadableAnswer(f"{count} inputs were answered in a shape that hides which part belongs to which input")
