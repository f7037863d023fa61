"""Word and character n-grams of a text, the same for training and for serving."""

from __future__ import annotations

import re
from itertools import pairwise

MIN_CHARACTER_NGRAM_CHARS = 2
MAX_CHARACTER_NGRAM_CHARS = 5
# Emoticons and runs of "!" and "?" carry as much sentiment as words do in short messages.
_TOKEN = re.compile(r"[a-z]+(?:'[a-z]+)?|[!?]+|[:;=8][-o*']?[)\](\[dp/\\|]")


def tokenize(text: str) -> list[str]:
    """Split a text into words, runs of "!" and "?", and emoticons.

    Args:
        text: The text.

    Returns:
        The tokens in order, in lower case.
    """
    return _TOKEN.findall(text.lower().replace("\u2019", "'"))


def word_ngrams(text: str) -> list[str]:
    """List word 1-grams and 2-grams.

    Args:
        text: The text.

    Returns:
        The tokens, then each two neighbours joined by a space.
    """
    tokens = tokenize(text)
    return tokens + [f"{first} {second}" for first, second in pairwise(tokens)]


def character_ngrams(text: str) -> list[str]:
    """List character 2- to 5-grams inside each token.

    Args:
        text: The text.

    Returns:
        The n-grams; a space stands for the token's ends.
    """
    grams: list[str] = []
    for token in tokenize(text):
        padded = f" {token} "
        for size in range(MIN_CHARACTER_NGRAM_CHARS, MAX_CHARACTER_NGRAM_CHARS + 1):
            grams.extend(padded[start : start + size] for start in range(len(padded) - size + 1))
    return grams
