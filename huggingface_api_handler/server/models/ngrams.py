"""Word and character n-grams of a text, the same for training and for serving."""

from __future__ import annotations

import re
from itertools import pairwise

# Emoticons and runs of "!" and "?" carry as much sentiment as words do in short messages.
_TOKEN = re.compile(r"[a-z]+(?:'[a-z]+)?|[!?]+|[:;=8][-o*']?[)\](\[dp/\\|]")


def tokenize(text: str) -> list[str]:
    """Lower-case words, runs of "!" and "?", and emoticons, in order."""
    return _TOKEN.findall(text.lower().replace("\u2019", "'"))


def word_ngrams(text: str) -> list[str]:
    """Word 1-grams and 2-grams; a 2-gram is two tokens joined by a space."""
    found = tokenize(text)
    return found + [f"{left} {right}" for left, right in pairwise(found)]


def character_ngrams(text: str) -> list[str]:
    """Character 2- to 5-grams inside each token, a space standing for the token's ends."""
    grams: list[str] = []
    for token in tokenize(text):
        padded = f" {token} "
        for size in range(2, 6):
            grams.extend(padded[start : start + size] for start in range(len(padded) - size + 1))
    return grams
