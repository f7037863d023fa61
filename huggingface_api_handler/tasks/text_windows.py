"""Texts cut into windows: at sentences, else at words, never inside a character as people see it."""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple, TypeAlias

from .text_boundaries import grapheme_ends, sentence_ends, word_spans
from .token_estimate import estimate_tokens

__all__ = ["CountTokens", "estimate_tokens", "windows"]

CountTokens: TypeAlias = Callable[[str], float]
"""Counts the tokens of a text, or estimates them."""

_NO_BLANK = re.compile(r"\S")

_FIRST_CHARS_PER_TOKEN = 3.0
"""What is assumed before any text was counted."""

_MAX_GROWTH = 2
"""How many times as many characters as the last try the next one may have: what is counted stays within bounds."""

_MAX_GUESSES = 4
"""Tries that assume that all of the text is as dense. Later ones halve what is left to try."""

_MAX_SPARSENESS = 4
"""Of a text with fewer tokens than the share of what may be, nothing is learned about the next one."""

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

    A window ends with a sentence. A sentence that is too long is cut between words, a word between characters.

    Args:
        text: the whole text.
        most: tokens that a window may have. Only a single character may have more.
        count: counts the tokens of a text: of a longer one more, or about as many. It is given a few times as many
            characters as the text has.
        within: the part of the text that is to be cut, from a character to the one behind its last; None for all.
        overlap_in_sentences: tokens of a window that the next one repeats at most where the cut is within a sentence.
        overlap: the same where the cut is between two sentences. Neither makes a cut worse: where a sentence fits only
            with less repeated, less is.

    Returns:
        Where each window begins, and the character behind its end, in order. None is blank, or begins or ends with
        blanks, and each ends later than the one before. Beside blanks they cover all of the text.
    """
    start, end, _ = slice(*(within or (0, None))).indices(len(text))
    start, end = end - len(text[start:end].lstrip()), start + len(text[start:end].rstrip())
    if start >= end:
        return []
    cutter = _Cutter(text, most, count, start, end)
    begin, last = start, cutter.first_cut(start)
    found = [(begin, last.end)]
    while last.end < end:
        begin, last = cutter.next_window(begin, last, overlap if last.unit == _SENTENCE else overlap_in_sentences)
        found.append((begin, last.end))
    return found


class _Cut(NamedTuple):
    """Where a window ends, and what ends there."""

    end: int
    unit: int


class _Cutter:
    """A text that is being cut, and what is known of it."""

    def __init__(self, text: str, most: float, count: CountTokens, start: int, end: int) -> None:
        self._text = text
        self._most = most
        self._count = count
        self._sentence_ends = sentence_ends(text, start, end)
        # In the sentence, and in the word, that is being cut. That may be all of the text, so it is read once.
        self._word_ends: Sequence[int] = (start,)
        self._grapheme_ends: Sequence[int] = (start,)
        self._chars_per_token = _FIRST_CHARS_PER_TOKEN

    def first_cut(self, begin: int) -> _Cut:
        """Where a window ends that repeats nothing: behind its first character if even that is too long."""
        return self._cut(begin, begin) or _Cut(_first_behind(self._grapheme_ends, begin), _GRAPHEME)

    def next_window(self, begin: int, last: _Cut, overlap: float) -> tuple[int, _Cut]:
        """Where the window behind another one begins, and where it ends."""
        behind = self._behind_blanks(last.end)
        earlier, repeating = self._repeating(begin, last, overlap)
        if repeating and repeating.unit == _SENTENCE:
            return earlier, repeating
        alone = self.first_cut(behind)
        if earlier < last.end and alone.unit == _SENTENCE:
            sentence = self._text[behind : _first_behind(self._sentence_ends, behind)]
            earlier, repeating = self._repeating(begin, last, min(overlap, self._most - self._count(sentence)))
        return (earlier, repeating) if repeating and repeating.unit == alone.unit else (behind, alone)

    def _repeating(self, begin: int, last: _Cut, overlap: float) -> tuple[int, _Cut | None]:
        """Where the next window begins that repeats of the last one what it may, and its end if that fits."""
        for starts in self._starts(begin, last) if overlap > 0 else ():
            fitting = self._fitting(
                len(starts),
                lambda index, starts=starts: last.end - starts[-1 - index],  # type: ignore[misc]
                lambda size: self._text[last.end - size : last.end],
                overlap,
            )
            if fitting:
                return starts[-fitting], self._cut(starts[-fitting], last.end)
        return last.end, None

    def _cut(self, begin: int, behind: int) -> _Cut | None:
        """The furthest place behind another where a window ends that fits."""
        for unit, ends in enumerate(self._ends(behind)):
            first = bisect_right(ends, behind)
            fitting = self._fitting(
                len(ends) - first,
                lambda index, ends=ends, first=first: ends[first + index] - begin,  # type: ignore[misc]
                lambda size: self._text[begin : begin + size],
                self._most,
            )
            if fitting:
                return _Cut(ends[first + fitting - 1], unit)
        return None

    def _ends(self, behind: int) -> Iterator[Sequence[int]]:
        """Where sentences end; words, in the sentence that is behind a place; characters, in the word that is there."""
        yield self._sentence_ends
        sentence_end = _first_behind(self._sentence_ends, behind)
        if self._word_ends[-1] != sentence_end:
            self._word_ends = [end for _, end in word_spans(self._text, behind, sentence_end)]
        yield self._word_ends
        word_end = _first_behind(self._word_ends, behind)
        if self._grapheme_ends[-1] != word_end:
            self._grapheme_ends = grapheme_ends(self._text, self._behind_blanks(behind), word_end)
        yield self._grapheme_ends

    def _starts(self, begin: int, last: _Cut) -> Iterator[Sequence[int]]:
        """Where sentences begin in a window, if one ends with it; where words do; where characters do, in the last."""
        if last.unit == _SENTENCE:
            first, end = bisect_right(self._sentence_ends, begin), bisect_left(self._sentence_ends, last.end)
            yield [self._behind_blanks(place) for place in self._sentence_ends[first:end]]
        starts = [start for start, _ in word_spans(self._text, begin, last.end)]
        yield starts[1:]
        yield grapheme_ends(self._text, starts[-1], last.end)[:-1]

    def _behind_blanks(self, place: int) -> int:
        found = _NO_BLANK.search(self._text, place)
        return found.start() if found else len(self._text)

    def _fitting(
        self, candidates: int, size_of: Callable[[int], int], text_of: Callable[[int], str], most: float
    ) -> int:
        """How many of some texts fit, each of which is a part of the next one.

        The size of the last one that fits is guessed: as large as the last text that was counted, but as many times
        larger or smaller as its tokens say. No text is counted that is far larger than the guess: if a part of it is too
        long, so is all of it.
        """
        fitting, too_long, tries = 0, candidates, 0
        guess = max(1.0, most * self._chars_per_token)
        while fitting < too_long:
            sizes = range(fitting, too_long)
            index = fitting + max(0, bisect_right(sizes, guess, key=size_of) - 1)
            whole = size_of(index)
            size = min(whole, int(guess * _MAX_GROWTH))
            tokens = self._count(text_of(size))
            if tokens > most:
                too_long = index
            elif size == whole:
                fitting = index + 1
            if tokens > 0 and tokens * _MAX_SPARSENESS >= most:
                self._chars_per_token = size / tokens
            tries += 1
            growth = _MAX_GROWTH if tokens <= 0 else min(most / tokens, _MAX_GROWTH)
            if tokens <= most:
                guess = size * (max(growth, 1) if tries < _MAX_GUESSES else _MAX_GROWTH)
            else:
                guess = max(1.0, size * growth)
            if tries >= _MAX_GUESSES and fitting < too_long < candidates:
                guess = size_of((fitting + too_long) // 2)
        return fitting


def _first_behind(places: Sequence[int], place: int) -> int:
    return places[bisect_right(places, place)]
