"""Texts cut into windows: at sentences, else at words, never inside a character as people see it."""

from __future__ import annotations

import math
import re
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple, TypeAlias

from .text_boundaries import grapheme_ends, sentence_ends, word_spans
from .token_estimate import estimate_tokens

__all__ = ["MAX_CHARS_PER_TOKEN", "CountTokens", "estimate_tokens", "windows"]

CountTokens: TypeAlias = Callable[[str], float]
"""Counts the tokens of a text, or estimates them."""

MAX_CHARS_PER_TOKEN = 16
"""More characters than any token of an estimate stands for, even where they are blanks."""

_NO_BLANK = re.compile(r"\S")

_FIRST_CHARS_PER_TOKEN = 3.0
"""What is assumed before any text was counted."""

_MAX_GROWTH = 2
"""How many times as many characters as the last try the next one may have: what is counted stays within bounds."""

_GUESS_MARGIN = 1.25
"""How many times as many characters as are guessed to fit are counted of a text that has more."""

_MAX_GUESSES = 4
"""Tries that assume that all of the text is as dense. Later ones halve what is left to try."""

_MAX_SPARSENESS = 4
"""Of a text with fewer tokens than the share of what may be, nothing is learned about the next one."""

_LAST_WINDOWS = 4
"""Before the end of a text, that end at paragraphs where they can. So short a rest can be counted each time."""

_LEAST_FILLED = 0.4
"""Of what a window could hold, where it ends at a paragraph."""

_FILLED = 0.95
"""Of several windows, as sentences let them be."""

_SENTENCE, _WORD, _GRAPHEME = range(3)


def windows(
    text: str,
    most: float,
    count: CountTokens,
    *,
    within: tuple[int, int] | None = None,
    overlap_in_sentences: float = 0.0,
    overlap: float = 0.0,
) -> list[tuple[int, int]]:
    """Cut a text into windows, each as long as it may be.

    A window ends with a sentence. A sentence that is too long is cut between words, a word between characters. Where
    nothing is repeated, the last windows end with a paragraph if that makes no more of them.

    Args:
        text: the whole text.
        most: tokens that a window may have. Only a single character may have more.
        count: counts the tokens of a text: of a longer one more, or about as many. It is given a few times as many
            characters as the text has.
        within: the part of the text that is to be cut, from a character to the one behind its last; None for all.
        overlap_in_sentences: tokens of a window that the next one repeats at most where the cut is within a sentence.
        overlap: the same where the cut is between two sentences. No window repeats more than its half, nor so much that
            a sentence is torn for it.

    Returns:
        Where each window begins, and the character behind its end, in order. None is blank, or begins or ends with
        blanks, and each ends later than the one before. Beside blanks they cover all of the text.
    """
    start, end, _ = slice(*(within or (0, None))).indices(len(text))
    part = text[start:end]
    if not part.strip():
        return []
    start, end = end - len(part.lstrip()), start + len(part.rstrip())
    cutter = _Cutter(text, most, count, start, end, ends_at_paragraphs=not (overlap or overlap_in_sentences))
    begin, last = start, cutter.first_cut(start)
    found = [(begin, last.end)]
    while last.end < end:
        repeated = overlap if last.unit == _SENTENCE else overlap_in_sentences
        begin, last = cutter.next_window(begin, last, min(repeated, most / 2))
        found.append((begin, last.end))
    return found


class _Cut(NamedTuple):
    """Where a window ends, and what ends there."""

    end: int
    unit: int


class _Cutter:
    """A text that is being cut, and what is known of it."""

    def __init__(
        self, text: str, most: float, count: CountTokens, start: int, end: int, *, ends_at_paragraphs: bool
    ) -> None:
        self._text = text
        self._max_tokens = most
        self._count = count
        self._sentence_ends = sentence_ends(text, start, end)
        # In the sentence, and in the word, that is being cut. That may be all of the text, so it is read once.
        self._word_ends: Sequence[int] = (start,)
        self._grapheme_ends: Sequence[int] = (start,)
        self._chars_per_token = _FIRST_CHARS_PER_TOKEN
        self._ends_at_paragraphs = ends_at_paragraphs

    def first_cut(self, begin: int) -> _Cut:
        """Where a window ends that repeats nothing: behind its first character if even that is too long."""
        cut = self._cut(begin, begin) or _Cut(_first_after(self._grapheme_ends, begin), _GRAPHEME)
        return self._at_paragraph(begin, cut) if self._ends_at_paragraphs and cut.unit == _SENTENCE else cut

    def _at_paragraph(self, begin: int, cut: _Cut) -> _Cut:
        """Where the last paragraph ends before a cut, if as many windows hold what is behind it."""
        end, size = self._sentence_ends[-1], cut.end - begin
        if self._max_tokens <= 0 or not cut.end < end <= begin + _LAST_WINDOWS * size:
            return cut
        first = bisect_left(self._sentence_ends, begin + _LEAST_FILLED * size)
        ends = self._sentence_ends[first : bisect_right(self._sentence_ends, cut.end)]
        place = next((place for place in reversed(ends) if self._ends_paragraph(place)), cut.end)
        if place == cut.end:
            return cut
        filled = self._max_tokens * _FILLED
        others = math.ceil(self._count(self._text[begin:end]) / filled) - 1
        room = filled * others if others > 1 else self._max_tokens
        return _Cut(place, _SENTENCE) if self._count(self._text[place:end]) <= room else cut

    def _ends_paragraph(self, place: int) -> bool:
        return self._text.count("\n", place, self._after_blanks(place)) > 1

    def next_window(self, begin: int, last: _Cut, overlap: float) -> tuple[int, _Cut]:
        """Where the window behind another one begins, and where it ends."""
        after = self._after_blanks(last.end)
        earlier, repeating = self._repeating(begin, last, overlap)
        if repeating and repeating.unit <= last.unit:
            return earlier, repeating
        if repeating:
            # Of the sentence, or the word, that this window tears: whether one that repeats nothing holds it.
            better = (self._sentence_ends, self._word_ends)[repeating.unit - 1]
            if not self._fitting(after, (_first_after(better, last.end),), 0, self._max_tokens):
                return earlier, repeating
        alone = self.first_cut(after)
        if earlier < last.end and alone.unit == _SENTENCE:
            sentence = self._text[after : _first_after(self._sentence_ends, after)]
            earlier, repeating = self._repeating(begin, last, min(overlap, self._max_tokens - self._count(sentence)))
        return (earlier, repeating) if repeating and repeating.unit == alone.unit else (after, alone)

    def _repeating(self, begin: int, last: _Cut, overlap: float) -> tuple[int, _Cut | None]:
        """Where the next window begins that repeats of the last one what it may, and its end if that fits."""
        for starts in self._starts(begin, last) if overlap > 0 else ():
            fitting = self._fitting(last.end, starts[::-1], 0, overlap)
            if fitting:
                return starts[-fitting], self._cut(starts[-fitting], last.end)
        return last.end, None

    def _cut(self, begin: int, after: int) -> _Cut | None:
        """The furthest place behind another where a window ends that fits."""
        for unit, ends in enumerate(self._ends(after)):
            first = bisect_right(ends, after)
            fitting = self._fitting(begin, ends, first, self._max_tokens)
            if fitting:
                return _Cut(ends[first + fitting - 1], unit)
        return None

    def _ends(self, after: int) -> Iterator[Sequence[int]]:
        """Where sentences end; words, in the sentence that is behind a place; characters, in the word that is there."""
        yield self._sentence_ends
        sentence_end = _first_after(self._sentence_ends, after)
        if self._word_ends[-1] != sentence_end:
            self._word_ends = [end for _, end in word_spans(self._text, after, sentence_end)]
        yield self._word_ends
        word_end = _first_after(self._word_ends, after)
        if self._grapheme_ends[-1] != word_end:
            self._grapheme_ends = grapheme_ends(self._text, self._after_blanks(after), word_end)
        yield self._grapheme_ends

    def _starts(self, begin: int, last: _Cut) -> Iterator[Sequence[int]]:
        """Where sentences begin in a window, if one ends with it; where words do; where characters do, in the last."""
        if last.unit == _SENTENCE:
            first, end = bisect_right(self._sentence_ends, begin), bisect_left(self._sentence_ends, last.end)
            yield [self._after_blanks(place) for place in self._sentence_ends[first:end]]
        starts = [start for start, _ in word_spans(self._text, begin, last.end)]
        yield starts[1:]
        yield grapheme_ends(self._text, starts[-1], last.end)[:-1]

    def _after_blanks(self, place: int) -> int:
        found = _NO_BLANK.search(self._text, place)
        return found.start() if found else len(self._text)

    def _fitting(self, origin: int, offsets: Sequence[int], first: int, most: float) -> int:
        """How many places, from the first one on, are near enough for the text between them and the origin to fit.

        The size of the longest text that fits is guessed: as long as the last one that was counted, but as many times
        longer or shorter as its tokens say. Nothing far longer than the guess is counted: if a part of a text is too
        long, so is all of it.
        """

        def distance(index: int) -> int:
            return abs(offsets[index] - origin)

        near, far, tries = first, len(offsets), 0
        guess = min(max(1.0, most * self._chars_per_token), len(self._text))
        while near < far:
            index = max(near, bisect_right(range(far), guess, lo=near, key=distance) - 1)
            size = min(distance(index), int(guess * _GUESS_MARGIN) + 1)
            is_ahead = offsets[index] > origin
            tokens = self._count(self._text[origin : origin + size] if is_ahead else self._text[origin - size : origin])
            if tokens > most:
                far = index
            elif size == distance(index):
                near = index + 1
            if tokens > 0 and tokens * _MAX_SPARSENESS >= most:
                self._chars_per_token = size / tokens
            tries += 1
            is_between = near < far < len(offsets)
            if tries >= _MAX_GUESSES and is_between:
                guess = distance((near + far) // 2)
            else:
                guess = size * min(most / tokens if tokens > 0 and tries < _MAX_GUESSES else _MAX_GROWTH, _MAX_GROWTH)
                guess = max(guess, size if tokens <= most else 1)
        return near - first


def _first_after(offsets: Sequence[int], place: int) -> int:
    return offsets[bisect_right(offsets, place)]
