"""What to say of an answer that is none of the task's, or no answer at all."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import islice
from typing import Any

from ..errors import UnreadableAnswer
from ..printable import shorten
from ..redaction import preview

_MAX_SHOWN_KEYS = 6

_MAX_WORDS_CHARS = 300
"""Of the words of an error that came in place of an answer."""

_MAX_SEARCHED_CHARS = 2000


def unreadable(task: str, answer: object) -> UnreadableAnswer:
    """The error for an answer in a shape that the task does not have.

    Args:
        task: the task's name, for the sentence.
        answer: what came. The sentence tells its type only, some keys of an object, and the words of an error. Where a
            protocol already said why an input has no answer, that is what came, and is the error.

    Returns:
        The error, for the caller to raise.
    """
    if isinstance(answer, UnreadableAnswer):
        return answer
    while isinstance(answer, list) and len(answer) == 1:
        answer = answer[0]
    if not isinstance(answer, dict):
        return UnreadableAnswer(f"the server's answer is not one of {task}: got {type(answer).__name__}")
    shape = f"an object with {preview(sorted(islice(answer, _MAX_SHOWN_KEYS), key=str))}"
    words = _words_of_error(answer)
    said = f", and the words: {words}" if words else ""
    return UnreadableAnswer(f"the server's answer is not one of {task}: got {shape}{said}")


def _words_of_error(answer: Mapping[str, Any]) -> str:
    for key in ("error", "message", "detail"):
        said = answer.get(key)
        if isinstance(said, dict):
            said = said.get("message")
        if isinstance(said, str) and said:
            return shorten(" ".join(said[:_MAX_SEARCHED_CHARS].split()), _MAX_WORDS_CHARS)
    return ""


def overflowed(task: str) -> UnreadableAnswer:
    """The error for a number that is null: JSON has no NaN, and servers write null for it.

    Args:
        task: the task's name, for the sentence.

    Returns:
        The error, for the caller to raise.
    """
    return UnreadableAnswer(f"the server's answer to {task} has null or NaN in place of numbers (the model overflowed)")
