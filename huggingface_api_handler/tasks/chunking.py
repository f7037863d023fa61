"""How a text that is too long for a model is asked in parts, and the answers to these become one.

All functions here are pure. A span says which part of an input is asked: where it begins and ends in the text, in
characters; of a pair of texts, where each of the two ends.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, Protocol, TypeAlias

from ..errors import InputError
from .input_types import ContextQuestion, Input, LabelledText, TextPair
from .task_settings import Settings
from .text_windows import MAX_CHARS_PER_TOKEN, CountTokens, windows

Span: TypeAlias = tuple[int, int]

SPECIAL_TOKENS = 2
"""Tokens that models put around a text: its begin and its end."""

_MIN_ROOM_TOKENS = 8
"""Tokens of a text that a part must have room for, beside what goes along with each part."""


class Part(NamedTuple):
    """A part of a long text, and what the server answered.

    Attributes:
        span: where it is in the whole input.
        item: what was asked.
        answer: as ``Task.read`` takes it.
    """

    span: Span
    item: Input
    answer: object


class Cut(Protocol):
    """How an input is cut into parts that are short enough."""

    def __call__(
        self, item: Any, most: float, count: CountTokens, settings: Settings, within: Span | None = None
    ) -> list[Span]:
        """Cut an input.

        Args:
            item: the whole input.
            most: tokens that a part may have, with what goes along with it.
            count: counts the tokens of a text.
            settings: of the model.
            within: the part that is to be cut further; None for all of the input.

        Returns:
            The spans of the parts, in order, none of them blank.

        Raises:
            InputError: no part is short enough, since what goes along with each is too long.
        """
        ...


@dataclass(frozen=True)
class Chunking:
    """How the inputs of a task are asked in parts.

    Attributes:
        tokens: ``tokens(input, count, settings)`` is how many tokens the model would read of the whole.
        cut: cuts an input into parts.
        part: ``part(input, span)`` is the input that is asked for a part.
        merge: ``merge(parts, input, settings)`` makes the answer to the whole of the answers to its parts, in the form
            of one that a server sent. Raises UnreadableAnswer.
        left_out: ``left_out(input, spans, settings)`` names by column the character from which on nothing is read.
        ask_again: ``ask_again(answer, most, count, settings)`` is the text to ask about next where the answer that was
            merged is too long itself; None where it stands.
        reads_all: whether all parts of an input are asked; else it is only cut to what the model takes.
        writes: whether the model writes text, so that the tokens that a server reports are not those of the input.
    """

    tokens: Callable[[Any, CountTokens, Settings], float]
    cut: Cut
    part: Callable[[Any, Span], Input]
    merge: Callable[[Sequence[Part], Any, Settings], object]
    left_out: Callable[[Any, Sequence[Span], Settings], dict[str, int]]
    ask_again: Callable[[object, float, CountTokens, Settings], str | None] | None = None
    reads_all: bool = True
    writes: bool = False


class Overlap(NamedTuple):
    """How much of a part the next one repeats, as a share of it. ``Settings.parameters`` may say it in tokens.

    Attributes:
        in_sentences: where a sentence was too long, and is cut between words.
        at_sentences: where the cut is between two sentences.
        parameter: the request parameter by which a person gives the tokens for both; None where there is none.
    """

    in_sentences: float = 0.0
    at_sentences: float = 0.0
    parameter: str | None = None


LongText = Literal["auto", "chunk", "truncate", "error"]
"""What becomes of a text that is too long for the model, as a person says it."""

WHERE_NEEDED: LongText = "auto"
"""It is asked in parts where the server refuses it, or where the length is known."""

NO_OVERLAP = Overlap()

_CUTTING_PARAMETERS = ("truncation", "truncate")
_NOT_CUTTING = (None, False, 0, "do_not_truncate")


def cutting_parameter(settings: Settings) -> str | None:
    """Find the request parameter by which the server cuts a text that is too long.

    Args:
        settings: of the model.

    Returns:
        Its name; None where the server is not told to cut.
    """
    return next((name for name in _CUTTING_PARAMETERS if settings.parameters.get(name) not in _NOT_CUTTING), None)


def must_refuse(settings: Settings) -> bool:
    """Whether a server has to be told that it must not cut a text that is too long.

    Args:
        settings: of the model.

    Returns:
        True where such a text is its row's error, and no request parameter says what the server does with it.
    """
    if settings.long_text != "error":
        return False
    return all(settings.parameters.get(name) is None for name in _CUTTING_PARAMETERS)


@dataclass(frozen=True)
class _OneText:
    """Inputs of which one text is cut, and the rest goes along with each part."""

    text: Callable[[Any], str]
    replace: Callable[[Any, str], Input]
    beside: Callable[[Any, Settings], Sequence[str]]
    overlap: Overlap
    column: str

    def tokens(self, item: Any, count: CountTokens, settings: Settings) -> float:
        return count(self.text(item)) + self._tokens_beside(item, count, settings)

    def _tokens_beside(self, item: Any, count: CountTokens, settings: Settings) -> float:
        return SPECIAL_TOKENS + sum(count(text) + 1 for text in self.beside(item, settings))

    def cut(
        self, item: Any, most: float, count: CountTokens, settings: Settings, within: Span | None = None
    ) -> list[Span]:
        room = most - self._tokens_beside(item, count, settings)
        if room < _MIN_ROOM_TOKENS:
            raise InputError("what goes along with the text is too long itself, so that its parts have no room")
        given = settings.parameters.get(self.overlap.parameter) if self.overlap.parameter else None
        tokens = given if isinstance(given, int) and not isinstance(given, bool) else None
        in_sentences = self.overlap.in_sentences * room if tokens is None else min(tokens, room / 2)
        at_sentences = self.overlap.at_sentences * room if tokens is None else min(tokens, room / 2)
        return windows(
            self.text(item), room, count, within=within, overlap_in_sentences=in_sentences, overlap=at_sentences
        )

    def part(self, item: Any, span: Span) -> Input:
        return self.replace(item, self.text(item)[slice(*span)])

    def left_out(self, item: Any, spans: Sequence[Span], settings: Settings) -> dict[str, int]:
        end = spans[-1][1]
        if not self.text(item)[end:].strip():
            return {}
        return {str(settings.columns.get(self.column, self.column)): end}


def _itself(item: str) -> str:
    return item


def _replaced(_item: str, text: str) -> Input:
    return text


def _nothing(_item: Input, _settings: Settings) -> Sequence[str]:
    return ()


def text_chunking(
    merge: Callable[[Sequence[Part], Any, Settings], object],
    *,
    overlap: Overlap = NO_OVERLAP,
    ask_again: Callable[[object, float, CountTokens, Settings], str | None] | None = None,
    writes: bool = False,
) -> Chunking:
    """The chunking of inputs that are a text.

    Args:
        merge: of ``Chunking``.
        overlap: how much of a part the next one repeats.
        ask_again: of ``Chunking``.
        writes: of ``Chunking``.

    Returns:
        The chunking.
    """
    one = _OneText(_itself, _replaced, _nothing, overlap, "column")
    return Chunking(one.tokens, one.cut, one.part, merge, one.left_out, ask_again, writes=writes)


def labelled_text_chunking(
    merge: Callable[[Sequence[Part], Any, Settings], object],
    labels: Callable[[Any, Settings], Sequence[str]],
) -> Chunking:
    """The chunking of texts that are each compared with one label after another.

    Args:
        merge: of ``Chunking``.
        labels: ``labels(input, settings)`` gives the labels.

    Returns:
        The chunking: with each part goes the sentence that the longest label makes.
    """

    def text(item: str | LabelledText) -> str:
        return item if isinstance(item, str) else item.text

    def replace(item: str | LabelledText, part: str) -> Input:
        return part if isinstance(item, str) else item._replace(text=part)

    def beside(item: Input, settings: Settings) -> Sequence[str]:
        longest = max(labels(item, settings), key=len, default="")
        template = settings.parameters.get("hypothesis_template") or "This example is {}."
        return (str(template), longest)

    one = _OneText(text, replace, beside, NO_OVERLAP, "column")
    return Chunking(one.tokens, one.cut, one.part, merge, one.left_out)


def context_chunking(merge: Callable[[Sequence[Part], Any, Settings], object], overlap: Overlap) -> Chunking:
    """The chunking of questions with the text that holds the answer: the question goes with each part.

    Args:
        merge: of ``Chunking``.
        overlap: how much of a part the next one repeats.

    Returns:
        The chunking.
    """

    def context(item: ContextQuestion) -> str:
        return item.context

    def replace(item: ContextQuestion, part: str) -> Input:
        return item._replace(context=part)

    def question(item: ContextQuestion, _settings: Settings) -> Sequence[str]:
        return (item.question,)

    one = _OneText(context, replace, question, overlap, "context_column")
    return Chunking(one.tokens, one.cut, one.part, merge, one.left_out)


def pair_chunking(*, is_read_together: bool) -> Chunking:
    """The chunking of pairs of texts: no answers to parts make one to the pair, so the texts are cut.

    Args:
        is_read_together: whether the model reads both texts as one, so that they share its length.

    Returns:
        The chunking, of one part.
    """

    def tokens(item: TextPair, count: CountTokens, _settings: Settings) -> float:
        sides = [count(text) + SPECIAL_TOKENS for text in item]
        return sum(sides) if is_read_together else max(sides)

    def cut(
        item: TextPair, most: float, count: CountTokens, settings: Settings, within: Span | None = None
    ) -> list[Span]:
        ends = within or (len(item.source), len(item.text))
        room = most - SPECIAL_TOKENS
        source_end = _cut_to(item.source[: ends[0]], room / 2 if is_read_together else room, count)
        used = count(item.source[:source_end]) + SPECIAL_TOKENS if is_read_together else 0.0
        return [(source_end, _cut_to(item.text[: ends[1]], room - used, count))]

    return Chunking(tokens, cut, _cut_pair, _only_answer, _cut_columns, reads_all=False)


def _cut_to(text: str, most: float, count: CountTokens) -> int:
    """Where the first window of a text ends, which may be all of it."""
    if most < _MIN_ROOM_TOKENS:
        raise InputError("the other text of the pair is too long itself, so that this one has no room")
    if count(text) <= most:
        return len(text)
    start = len(text) - len(text.lstrip())
    found = windows(text, most, count, within=(0, start + int(most * MAX_CHARS_PER_TOKEN)))
    return found[0][1] if found else len(text)


def _cut_pair(item: TextPair, span: Span) -> Input:
    return TextPair(item.source[: span[0]], item.text[: span[1]])


def _only_answer(parts: Sequence[Part], _item: Input, _settings: Settings) -> object:
    return parts[0].answer


def _cut_columns(item: TextPair, spans: Sequence[Span], settings: Settings) -> dict[str, int]:
    arguments = ("column", "column2")
    return {
        str(settings.columns.get(argument, argument)): end
        for argument, text, end in zip(arguments, item, spans[0], strict=True)
        if text[end:].strip()
    }
