"""Answers that point into a text, of parts that overlap: entities and the answers to questions.

Offsets count characters, as Python does. Those of a part become those of the whole text.
"""

from __future__ import annotations

import re
from bisect import bisect_right
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

    @property
    def span(self) -> tuple[int, int]:
        return self.start, self.end

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
        remaining = [[one for one in entities if _side(one, seams) == at] for at, entities in enumerate(found)]
        for at, (entities, others) in enumerate(pairwise(found)):
            instead = _better(entities, others)
            remaining[at] = [one for one in remaining[at] if not any(other.covers(one) for other in instead)]
            remaining[at + 1] = instead + [one for one in remaining[at + 1] if one not in instead]
        return [one.entity for one in _without_clashes(found, remaining)]

    return merge


def _seams(parts: Sequence[Part]) -> list[int]:
    """Where each part ends to count, but for the last one."""
    seams: list[int] = []
    for one, other in pairwise(parts):
        end, start = one.span[1], other.span[0]
        seams.append(max((start + end) // 2 if start < end else start, *seams[-1:], 0))
    return seams


def _side(one: _Found, seams: Sequence[int]) -> int:
    """Which part an entity belongs to."""
    return bisect_right(seams, one.start)


def _better(entities: Sequence[_Found], others: Sequence[_Found]) -> list[_Found]:
    """Of the entities of the next part those that cover one that reaches to where this part was cut."""
    at_cut = [one for one in entities if one.is_at_cut]
    return [other for other in others if any(other.covers(one) for one in at_cut)]


def _without_clashes(found: Sequence[Sequence[_Found]], remaining: Sequence[Sequence[_Found]]) -> list[_Found]:
    """The entities that remain, without those that overlap one of another part.

    Args:
        found: the entities of each part. Where one part has both, they stay.
        remaining: of these, those that belong to each part.
    """
    spans = [{one.span for one in entities} for entities in found]
    result: list[tuple[int, _Found]] = []
    for at, entities in enumerate(remaining):
        if not entities:
            continue
        start = min(one.start for one in entities)
        before = [(part, other) for part, other in result if other.end > start]
        for one in entities:
            clashing = [
                (part, other)
                for part, other in before
                if other.overlaps(one) and one.span not in spans[part] and other.span not in spans[at]
            ]
            if clashing and (one.is_at_cut or not all(other.is_at_cut for _, other in clashing)):
                continue
            before = [each for each in before if each not in clashing]
            result = [each for each in result if each not in clashing] if clashing else result
            result.append((at, one))
    return sorted((one for _, one in result), key=lambda one: one.start)


def _found(entities: Sequence[dict[str, Any]], part: Part, *, is_first: bool, is_last: bool) -> list[_Found]:
    """The entities of a part with their offsets in the whole text."""
    text, (begin, finish) = str(part.item), part.span
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
        # Within the part, so that it counts even where a server's offsets are not in characters.
        found.append(_Found(shifted, min(begin + start, finish - 1), min(begin + end, finish), is_at_cut))
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
            return _shifted_answers(parts[0].answer, parts[0].span[0])
        answers: list[dict[str, Any]] = []
        nothing: list[dict[str, Any]] = []  # the best of each part that says that it has no answer
        for part in in_order(parts):
            candidates = read(part.answer)
            best = max(candidates, key=_score)
            if _is_empty(best):
                nothing.append(best)
            answers += [_shifted(each, part.span[0]) for each in candidates if not _is_empty(each)]
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
