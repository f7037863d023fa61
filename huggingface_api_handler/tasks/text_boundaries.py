"""Where sentences, words and characters as people see them end in a text. All of it takes time linear in the text."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

_SENTENCE_MARKS = ".!?\u2026\u203d\u061f\u06d4\u0964\u0965\u0589\u1362\u17d4"
"""Those that a blank follows: also of Arabic, Urdu, Hindi, Armenian, Amharic and Khmer."""
_CLOSING_MARKS = "\"'”’»›)]}*_`"
_MAX_CLOSING_MARKS = 8
"""More after a sentence's mark are not looked through."""

_SENTENCE_GAP = re.compile(r"\s+|[。！？｡]+[」』”’）］】》〉\"')\]]*")
_BEFORE_SENTENCE_GAP = frozenset(_SENTENCE_MARKS + _CLOSING_MARKS)
_ABBREVIATIONS = frozenset(
    [
        "Dr.",
        "Mr.",
        "Mrs.",
        "Ms.",
        "Prof.",
        "St.",
        "Sr.",
        "Jr.",
        "No.",
        "Nr.",
        "vs.",
        "cf.",
        "ca.",
        "e.g.",
        "i.e.",
        "z.B.",
    ]
)
_MAX_ABBREVIATION_CHARS = 5
_OPENING_MARKS = "\"'(\u201c\u2018\u201e\u00ab["

_WORD = re.compile(r"\S+")

_PERHAPS_JOINED = re.compile(
    r"[^\w\x00-\u02ff\u2010-\u20cf\u2100-\u2cee\u2e00-\u3029\u3030-\u303f\ufe30-\uff9d"
    r"\U0001f000-\U0001f3fa\U0001f400-\U0001ffff]"
    r"|[\u0e33\u0eb3\uff9e\uff9f\u1100-\u11ff\ua960-\ua97c\ud7b0-\ud7fb]"
)
"""Characters that may be one with a neighbour: marks, what joins, letters of syllables. All others stand alone beside
one another, but for the halves of flags."""

_FLAG = re.compile("[\U0001f1e6-\U0001f1ff]{2}")
_ZERO_WIDTH_JOINER = "\u200d"
_EXTENDING = frozenset("\u200c\u200d\uff9e\uff9f\u0e33\u0eb3\U0001f3fb\U0001f3fc\U0001f3fd\U0001f3fe\U0001f3ff")
_PREPENDED = frozenset("\u0600\u0601\u0602\u0603\u0604\u0605\u06dd\u070f\u0890\u0891\u08e2\U000110bd\U000110cd")
_VIRAMA_CLASS = 9
"""Canonical combining class of the marks that join two consonants of an Indic script."""


def sentence_ends(text: str, start: int, end: int) -> list[int]:
    """Where sentences end in a part of a text, found by their marks and by lines; no language is known.

    Args:
        text: the text.
        start: where the part begins.
        end: the character behind its last one. It is no blank, and one sentence ends there.

    Returns:
        The characters behind the sentences' last ones, in order. A word in lower case begins none, except after a blank
        line.
    """
    ends: list[int] = []
    word = start
    for gap in _SENTENCE_GAP.finditer(text, start, end):
        first, after = gap.span()
        if not text[first].isspace():
            first = after
        elif first == start or not _ends_sentence(text, word, first, after):
            word = after
            continue
        word = after
        if after < end and not is_joined(text, after):
            ends.append(first)
    ends.append(end)
    return ends


def _ends_sentence(text: str, word: int, first: int, after: int) -> bool:
    """Whether a sentence ends with a word that is before blanks."""
    lines = text.count("\n", first, after)
    if not lines and text[first - 1] not in _BEFORE_SENTENCE_GAP:
        return False
    if lines or text[after].islower():
        return lines > 1 or not text[after].islower()
    tail = text[max(word, first - _MAX_CLOSING_MARKS) : first].rstrip(_CLOSING_MARKS)
    if not tail or tail[-1] not in _SENTENCE_MARKS:
        return False
    if text[first - 1] != "." or first - word > _MAX_ABBREVIATION_CHARS + 1:
        return True
    short = text[word:first].lstrip(_OPENING_MARKS)
    return short not in _ABBREVIATIONS and not (len(short) == 2 and short[0].isalpha())


def word_spans(text: str, start: int, end: int) -> list[tuple[int, int]]:
    """Where words begin and end in a part of a text: what is between blanks.

    Args:
        text: the text.
        start: where the part begins.
        end: the character behind its last one.

    Returns:
        The spans, in order. A blank that a mark is set upon separates none.
    """
    spans: list[tuple[int, int]] = []
    for word in _WORD.finditer(text, start, end):
        first = word.start()
        if spans and text[first] > "\u02ff" and is_joined(text, first):
            spans[-1] = (spans[-1][0], word.end())
        else:
            spans.append(word.span())
    return spans


def grapheme_ends(text: str, start: int, end: int) -> Sequence[int]:
    """Where characters end in a word, as people see them: grapheme clusters, about as Unicode's annex 29 has them.

    Where it is in doubt, as between two Indic consonants that are joined, characters are one.

    Args:
        text: the text.
        start: where the word begins.
        end: the character behind its last one.

    Returns:
        The code points behind the last one of each, in order.
    """
    suspects = [found.start() for found in _PERHAPS_JOINED.finditer(text, start, end)]
    offsets = {place for suspect in suspects for place in (suspect, suspect + 1) if start < place < end}
    joined = {place for place in offsets if is_joined(text, place)}
    joined.update(flag.start() + 1 for flag in _FLAG.finditer(text, start, end))
    if not joined:
        return range(start + 1, end + 1)
    return [place for place in range(start + 1, end + 1) if place not in joined]


def is_joined(text: str, place: int) -> bool:
    """Whether two neighbours in a text are seen as one character. The two halves of a flag are not looked at.

    Args:
        text: the text.
        place: where the second one is.

    Returns:
        Whether a cut between them would tear a character apart.
    """
    before, after = text[place - 1 : place], text[place : place + 1]
    if not before or not after:
        return False
    if unicodedata.category(after)[0] == "M" or after in _EXTENDING or "\U000e0020" <= after <= "\U000e007f":
        return True
    if before == _ZERO_WIDTH_JOINER or before in _PREPENDED or (before == "\r" and after == "\n"):
        return True
    if "\u1100" <= after <= "\u11ff" or "\uac00" <= after <= "\ud7fb":
        return _is_one_syllable(before, after)
    if "\ud800" <= before <= "\udbff":
        return "\udc00" <= after <= "\udfff"
    return unicodedata.combining(before) == _VIRAMA_CLASS and unicodedata.category(after) == "Lo"


def _is_one_syllable(before: str, after: str) -> bool:
    """Whether two of Korean's letters or syllables are one: only the last ones of a syllable end it."""
    is_lead = "\u1100" <= after <= "\u115f"
    is_syllable = "\uac00" <= after <= "\ud7a3"
    if "\u1100" <= before <= "\u115f" or "\ua960" <= before <= "\ua97c":
        return True
    if is_lead or is_syllable:
        return False
    return "\u1160" <= before <= "\u11ff" or "\uac00" <= before <= "\ud7fb"
