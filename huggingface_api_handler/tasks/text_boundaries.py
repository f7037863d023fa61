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
_ABBREVIATION = re.compile(
    r"(?:^|[\s(\[\"'“‘])(?:[^\W\d_]|Dr|Mr|Mrs|Ms|Prof|St|Sr|Jr|No|Nr|Fig|vs|cf|ca|e\.g|i\.e|z\.B|d\.h|bzw|vgl|[A-Z]\.[A-Z])\.$"
)
_MAX_ABBREVIATION_CHARS = 7

_WORD = re.compile(r"\S+")

_PERHAPS_JOINED = re.compile(
    r"[^\x20-\u02ff\u0370-\u0482\u048a-\u0590\u10a0-\u10ff\u1e00-\u1fff\u2010-\u20cf\u2100-\u2cee\u2e00-\u3029"
    r"\u3030-\u3098\u309b-\ua66e\uac00-\ud7a3\ue000-\ufb1d\ufe30-\uff9d\U00020000-\U000dffff]"
)
"""Characters that may be one with a neighbour. All others stand alone beside one another."""

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
    for gap in _SENTENCE_GAP.finditer(text, start, end):
        first, behind = gap.span()
        if text[first].isspace():
            lines = text.count("\n", first, behind)
            if first == start or not (lines or text[first - 1] in _BEFORE_SENTENCE_GAP):
                continue
            if lines < 2 and (text[behind].islower() or not (lines or _is_after_sentence(text, start, first))):
                continue
            found = first
        else:
            found = behind
        if behind < end and not is_joined(text, behind):
            ends.append(found)
    ends.append(end)
    return ends


def _is_after_sentence(text: str, start: int, end: int) -> bool:
    tail = text[max(start, end - _MAX_CLOSING_MARKS) : end].rstrip(_CLOSING_MARKS)
    if not tail or tail[-1] not in _SENTENCE_MARKS:
        return False
    return tail[-1] != "." or not _ABBREVIATION.search(text[max(start, end - _MAX_ABBREVIATION_CHARS) : end])


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
    if not suspects:
        return range(start + 1, end + 1)
    places = {place for suspect in suspects for place in (suspect, suspect + 1) if start < place < end}
    joined = {place for place in places if is_joined(text, place)}
    joined.update(flag.start() + 1 for flag in _FLAG.finditer(text, start, end))
    return [place for place in range(start + 1, end + 1) if place not in joined]


def is_joined(text: str, place: int) -> bool:
    """Whether two neighbours in a text are seen as one character. The two halves of a flag are not looked at.

    Args:
        text: the text.
        place: where the second one is.

    Returns:
        Whether a cut between them would tear a character apart.
    """
    before, behind = text[place - 1 : place], text[place : place + 1]
    if not before or not behind:
        return False
    if unicodedata.category(behind)[0] == "M" or behind in _EXTENDING or "\U000e0020" <= behind <= "\U000e007f":
        return True
    if before == _ZERO_WIDTH_JOINER or before in _PREPENDED or (before == "\r" and behind == "\n"):
        return True
    if "\u1100" <= behind <= "\u11ff" or "\uac00" <= behind <= "\ud7fb":
        return _is_one_syllable(before, behind)
    if "\ud800" <= before <= "\udbff":
        return "\udc00" <= behind <= "\udfff"
    return unicodedata.combining(before) == _VIRAMA_CLASS and unicodedata.category(behind) == "Lo"


def _is_one_syllable(before: str, behind: str) -> bool:
    """Whether two of Korean's letters or syllables are one: only the last ones of a syllable end it."""
    is_lead = "\u1100" <= behind <= "\u115f"
    is_syllable = "\uac00" <= behind <= "\ud7a3"
    if "\u1100" <= before <= "\u115f" or "\ua960" <= before <= "\ua97c":
        return True
    if is_lead or is_syllable:
        return False
    return "\u1160" <= before <= "\u11ff" or "\uac00" <= before <= "\ud7fb"
