"""Answers that point into a text, of parts that overlap: entities and the answers to questions.

Offsets count characters, as Python does. Those of a part become those of the whole text.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

from ..errors import UnreadableAnswer
from .base import Read, number
from .chunking import Part
from .merging import Merge, given_top_k, in_order, whole_number
from .task_settings import Settings

_WORD_PIECE_MARKS = re.compile("^(##|\u2581|\u0120)+")
"""What tokenizers put before a piece of a word, or before a word."""


class _Found(NamedTuple):
    """An entity, and where it is in the whole text."""

    entity: dict[str, Any]
    start: int
    end: int
    is_at_cut: bool

    def overlaps(self, other: _Found) -> bool:
        return self.start < other.end and other.start < self.end

    def covers(self, other: _Found) -> bool:
        return self.start <= other.start and other.end <= self.end


def merge_entities(read: Read) -> Merge:
    """Merge the entities of parts.

    Where two parts overlap, the middle of the overlap is the seam: an entity that begins before it is taken from the
    first part, and one that begins behind it from the second. One that reaches to where its part was cut gives way to
    one of the other part that covers it. No two entities overlap unless one part itself had them so.

    Args:
        read: gives the entities of an answer.

    Returns:
        The function for ``Chunking.merge``. It makes the list of entities, in the order of the text, with ``start`` and
        ``end`` in the whole. Those without offsets are looked for in the text, to tell which are the same. ``index``,
        which counts the tokens of a part, is left out where there are several parts.
    """

    def merge(parts: Sequence[Part], _item: str, settings: Settings) -> object:
        ordered = in_order(parts)
        last = len(ordered) - 1
        found = [
            _found(read(part.answer, part.item, settings).value, part, is_first=at == 0, is_last=at == last)
            for at, part in enumerate(ordered)
        ]
        if not last:
            return [one.entity for one in found[0]]
        seams = _seams(ordered)
        kept = [
            [one for one in entities if (at == 0 or one.start >= seams[at - 1]) and _is_before(one, seams, at)]
            for at, entities in enumerate(found)
        ]
        for at in range(len(kept) - 1):
            first, second = kept[at], kept[at + 1]
            kept[at], moved_on = _given_way(first, found[at + 1])
            second, moved_back = _given_way(second, found[at])
            kept[at] += [one for one in moved_back if one not in kept[at]]
            kept[at + 1] = [one for one in moved_on if one not in second] + second
        return [one.entity for one in _without_clashes(ordered, kept)]

    return merge


def _seams(parts: Sequence[Part]) -> list[int]:
    """Where each part ends to count, but for the last one."""
    seams: list[int] = []
    for one, other in pairwise(parts):
        end, start = one.place[1], other.place[0]
        seams.append(max((start + end) // 2 if start < end else start, *seams[-1:], 0))
    return seams


def _is_before(one: _Found, seams: Sequence[int], at: int) -> bool:
    return at == len(seams) or one.start < seams[at]


def _given_way(kept: Sequence[_Found], others: Sequence[_Found]) -> tuple[list[_Found], list[_Found]]:
    """What stays of the entities of a part, and those of its neighbour that take the place of the rest."""
    stay: list[_Found] = []
    instead: list[_Found] = []
    for one in kept:
        covering = [other for other in others if other.covers(one)] if one.is_at_cut else []
        if not covering:
            stay.append(one)
        instead += [other for other in covering if other not in instead]
    return stay, instead


def _without_clashes(parts: Sequence[Part], kept: Sequence[Sequence[_Found]]) -> list[_Found]:
    result: list[_Found] = []
    for part, entities in zip(parts, kept, strict=True):
        start = part.place[0]
        before = [one for one in result if one.end > start]
        for one in entities:
            clashing = [other for other in before if other.overlaps(one)]
            if clashing and (one.is_at_cut or not all(other.is_at_cut for other in clashing)):
                continue
            for other in clashing:
                before.remove(other)
                result.remove(other)
            result.append(one)
    return sorted(result, key=lambda one: one.start)


def _found(entities: Sequence[dict[str, Any]], part: Part, *, is_first: bool, is_last: bool) -> list[_Found]:
    """The entities of a part with their offsets in the whole text."""
    text, (begin, finish) = str(part.item), part.place
    found = []
    cursor = 0
    for entity in entities:
        shifted = {key: value for key, value in entity.items() if key != "index" or (is_first and is_last)}
        start, end = whole_number(entity.get("start")), whole_number(entity.get("end"))
        if start is None or end is None:
            start, end = _find(entity["word"], text, cursor)
            cursor = end
        else:
            shifted["start"], shifted["end"] = begin + start, begin + end
        is_at_cut = (start <= 0 and not is_first) or (begin + end >= finish and not is_last)
        found.append(_Found(shifted, begin + start, begin + end, is_at_cut))
    return found


def _find(word: str, text: str, cursor: int) -> tuple[int, int]:
    """Where a word is in a text, behind ``cursor`` if it is there.

    Models without case write it in small letters, and tokenizers put blanks around signs.
    """
    word = _WORD_PIECE_MARKS.sub("", word.strip())
    if not word:
        return cursor, cursor
    start = text.find(word, cursor)
    if start >= 0:
        return start, start + len(word)
    pattern = re.compile(r"\s*".join(re.escape(character) for character in word if not character.isspace()), re.I)
    match = pattern.search(text, cursor) or pattern.search(text)
    return match.span() if match else (cursor, cursor)


def merge_answers(read: Callable[[object], Sequence[dict[str, Any]]]) -> Merge:
    """Take the best of the answers to a question in the parts of a text.

    Args:
        read: gives the candidates ``{"answer", "score", "start", "end"}`` of an answer.

    Returns:
        The function for ``Chunking.merge``. It makes one such candidate, with ``start`` and ``end`` in the whole text;
        with the parameter ``top_k``, a list of them, best first, each span once. One without an answer is among them
        only where every part says that it has none; its score is that of the part which is the least sure. It raises
        UnreadableAnswer where several parts have answers, and one has no score.
    """

    def merge(parts: Sequence[Part], _item: Any, settings: Settings) -> object:
        if len(parts) == 1:
            return _shifted_answers(parts[0].answer, parts[0].place[0])
        answers: list[dict[str, Any]] = []
        nothing: list[dict[str, Any]] = []  # the best of each part that says that it has no answer
        for part in in_order(parts):
            candidates = read(part.answer)
            best = max(candidates, key=_score)
            if _is_empty(best):
                nothing.append(best)
            answers += [_shifted(each, part.place[0]) for each in candidates if not _is_empty(each)]
        if len(answers) > 1 and any(number(each.get("score")) is None for each in answers):
            raise UnreadableAnswer(
                "the text is too long for the model, and the server sent no score for the answer in a part of it, so "
                "that the best is not known"
            )
        best_first = _each_once(sorted(answers, key=_score, reverse=True))
        if len(nothing) == len(parts):
            least = min(nothing, key=_score)
            best_first = [least, *(each for each in best_first if _score(each) <= _score(least))]
        top_k = given_top_k(settings) or 1
        return best_first[:top_k] if top_k > 1 else best_first[0]

    return merge


def _score(candidate: dict[str, Any]) -> float:
    return number(candidate.get("score")) or 0.0


def _is_empty(candidate: dict[str, Any]) -> bool:
    return not (candidate["answer"] or "").strip()


def _shifted(candidate: dict[str, Any], by: int) -> dict[str, Any]:
    moved = {key: at + by for key in ("start", "end") if (at := whole_number(candidate.get(key))) is not None}
    return {**candidate, **moved}


def _shifted_answers(answer: object, by: int) -> object:
    """The answer to the only part, in the shape in which it came."""
    if isinstance(answer, list):
        return [_shifted_answers(each, by) for each in answer]
    if not isinstance(answer, dict) or not isinstance(answer.get("answer"), str) or _is_empty(answer):
        return answer
    return _shifted(answer, by)


def _each_once(answers: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    found: dict[object, dict[str, Any]] = {}
    for each in answers:
        start, end = whole_number(each.get("start")), whole_number(each.get("end"))
        found.setdefault(each["answer"] if start is None or end is None else (start, end), each)
    return list(found.values())
