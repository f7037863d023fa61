"""One text that is asked in parts: which of it is cut, asked and answered, and what the answers make."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

from ...config.settings import ModelSettings
from ...errors import InputError, UnreadableAnswer
from ...printable import MAX_MESSAGE_CHARS, shorten
from ...tasks import Input, Prediction
from ...tasks.chunking import Chunking, Part, Span, cutting_parameter
from ...tasks.input_types import media_in, text_length
from ...tasks.text_windows import MAX_CHARS_PER_TOKEN, CountTokens, estimate_tokens
from ..failures import Failure
from ..flow_control.token_limit import ASSUMED_TOKENS, Fit, TokenLimit

logger = logging.getLogger(__name__)

_TOO_LARGE = 413
LARGE_CHARS = 200_000
"""Characters of a text that is cut on another thread: it takes more than some milliseconds."""

_TO_THE_END = sys.maxsize
_SLACK_TOKENS = 2  # some servers take less than they say, by one or two
_ROOM_OF_OWN_RATIO = 0.95  # parts of one text differ less than texts do
_PLAN = "spans of parts"

Gap = Span | None
"""What of an input is still to be cut: from one character to another; None for all of it."""

FoundCuts = tuple[Gap, list[Span]]
"""What is to be cut, and the spans of its parts."""


@dataclass(eq=False)
class ChunkedText:
    """A text on its way through its parts.

    Attributes:
        index: of the row's input.
        whole: the row's input.
        item: what is asked in parts: ``whole``, or the text that the answers to its parts made.
        chunking: of the task.
        max_part: the estimate that a part may have at most, since more was refused; None where nothing was.
        ratio: as of ``TokenLimit``, of this text alone, where the server counted it; else None.
        spans: of the parts, in order.
        gaps: what is still to be cut, in order.
        planned: spans that an earlier query has asked, and this one has not yet.
        is_plan_stored: whether the spans of all parts are stored as they are.
        answers: the answers to parts, with what was read of them, by their spans.
        refused: spans of parts that were refused as too long.
        is_counted: whether usage has counted it.
        is_done: whether its row has its answer or its failure. Parts may still be on their way.
        of_whole: the parts of ``whole`` and what was read of them, once ``item`` is another text.
        refusal: why it is not asked whole; None where that was known before.
    """

    index: int
    whole: Input
    item: Input
    chunking: Chunking
    max_part: float | None = None
    ratio: float | None = None
    spans: list[Span] = field(default_factory=list)
    gaps: list[Gap] = field(default_factory=lambda: [None])
    planned: list[Span] = field(default_factory=list)
    is_plan_stored: bool = False
    answers: dict[Span, tuple[Part, Prediction]] = field(default_factory=dict)
    refused: set[Span] = field(default_factory=set)
    is_counted: bool = False
    is_done: bool = False
    of_whole: tuple[list[Part], list[Prediction]] | None = None
    refusal: Failure | None = None

    def find_cuts(self, limit: TokenLimit, tokenizer: CountTokens | None, model: ModelSettings) -> list[FoundCuts]:
        """Find where to cut what is to be cut. Changes nothing, so that it may run on another thread.

        Args:
            limit: how long a part may be.
            tokenizer: counts the tokens of a text as the model does; None where there is none at hand.
            model: the checked arguments of the model.

        Returns:
            What is to be cut, with the spans of its parts, for ``cut``.

        Raises:
            InputError: no part is short enough.
        """
        window, count = self._window(limit, tokenizer)
        gaps = self.gaps if limit.is_settled else self.gaps[:1]
        return [(gap, self._cuts_of(gap, window, count, model)) for gap in list(gaps)]

    def _cuts_of(self, gap: Gap, window: float, count: CountTokens, model: ModelSettings) -> list[Span]:
        """The spans of the parts of a gap; of a very long one about as many as may be asked."""
        most = self._max_parts(model)
        chars = int(window * MAX_CHARS_PER_TOKEN) * (most + 1)
        start, end = gap or (0, _TO_THE_END)
        while self.chunking.reads_all and 0 < start + chars < min(end, text_length(self.item)):
            found = self.chunking.cut(self.item, window, count, model, (start, start + chars))
            if len(found) > most:
                return found[:-1]  # the last one ends in the middle of something
            chars *= 4
        return self.chunking.cut(self.item, window, count, model, gap)

    def cut(self, cuts: Sequence[FoundCuts], model: ModelSettings, *, is_settled: bool) -> list[Span]:
        """Cut what is to be cut: all of it where the length of parts is settled, else one part.

        Args:
            cuts: as ``find_cuts`` found them. What was cut otherwise since then stays as it is.
            model: the checked arguments of the model.
            is_settled: whether the length of parts is.

        Returns:
            The spans of the parts to ask, those of an earlier query among them.

        Raises:
            InputError: no part is short enough.
        """
        new, self.planned = self.planned, []
        for gap, found in cuts:
            if gap not in self.gaps:
                continue
            self.is_plan_stored = False
            if is_settled or len(found) <= 1:
                self.gaps.remove(gap)
                new += found
            else:
                self.gaps[self.gaps.index(gap)] = found[1][0], _TO_THE_END if gap is None else gap[1]
                new.append(found[0])
        self._keep({*self.spans, *new}, model)
        if (self.max_part is not None and self.is_uncut) or not self.refused.isdisjoint(self.spans):
            raise InputError("it cannot be cut any shorter")
        return [span for span in new if span in self.spans]

    def _keep(self, spans: Iterable[Span], model: ModelSettings) -> None:
        """Ask no more parts than the person allows."""
        count = self._max_parts(model)
        self.spans = sorted(spans)
        if len(self.spans) + len(self.gaps) < count:
            return
        gaps = [gap for gap in self.gaps if gap is not None]
        first = sorted([*self.spans, *gaps])[:count]  # what is still to be cut makes one part at least
        self.spans = [span for span in self.spans if span in first]
        self.gaps = [gap for gap in gaps if gap in first]

    def _max_parts(self, model: ModelSettings) -> int:
        return 1 if model.long_text == "truncate" or not self.chunking.reads_all else model.max_chunks

    def _window(self, limit: TokenLimit, tokenizer: CountTokens | None) -> tuple[float, CountTokens]:
        """How many tokens a part may have, and what counts them."""
        if tokenizer is not None and limit.tokens is not None and self.max_part is None:
            return limit.tokens - _SLACK_TOKENS, tokenizer
        window = limit.window or ASSUMED_TOKENS
        if self.ratio is not None and limit.tokens is not None:
            window = limit.tokens / self.ratio * _ROOM_OF_OWN_RATIO
        return window if self.max_part is None else min(window, self.max_part), estimate_tokens

    def cut_again(self, span: Span, max_part: float, ratio: float | None) -> None:
        """Cut a part further, since it was refused as too long.

        Args:
            span: of the part.
            max_part: the estimate that its parts may have.
            ratio: of the tokens that the server counted in it to those that were estimated; None where it did not.
        """
        self.max_part = max_part if self.max_part is None else min(self.max_part, max_part)
        self.ratio = ratio or self.ratio
        self.spans.remove(span)
        self.refused.add(span)
        self.gaps = [*sorted([span, *(gap for gap in self.gaps if gap is not None)])]
        at = self.gaps.index(span)
        following = next((gap for gap in self.gaps[at + 1 :] if gap is not None and gap[0] >= span[1]), None)
        if (
            self.chunking.reads_all
            and following is not None
            and not any(span < other < following for other in self.spans)
        ):
            self.gaps[at : self.gaps.index(following) + 1] = [(span[0], following[1])]

    @property
    def is_answered(self) -> bool:
        """Whether every part is."""
        return not self.gaps and bool(self.spans) and all(span in self.answers for span in self.spans)

    @property
    def is_uncut(self) -> bool:
        """Whether its only part is all of it, but for blanks around it."""
        if len(self.spans) != 1:
            return False
        part = self.chunking.part(self.item, self.spans[0])
        return part == self.item or (isinstance(self.item, str) and part == self.item.strip())

    def merge(self, model: ModelSettings) -> object:
        """Make one answer of those to the parts.

        Args:
            model: the checked arguments of the model.

        Returns:
            The answer to ``item``, as ``Task.read`` takes it.

        Raises:
            UnreadableAnswer: the answers do not make one.
        """
        try:
            return self.chunking.merge([self.answers[span][0] for span in self.spans], self.item, model)
        except UnreadableAnswer:
            raise
        except Exception as error:  # the row's reason, and never the query's end
            logger.debug("the answers to the parts of a text could not be merged", exc_info=True)
            why = f"the server's answers to the parts of the text cannot be merged ({type(error).__name__})"
            raise UnreadableAnswer(why) from None

    def ask_next(self, text: str) -> None:
        """Go on with another text, which the answers to the parts made.

        Args:
            text: that is to be asked, in parts where it is too long.
        """
        self.of_whole = self.of_whole or self.read_parts
        self.item, self.spans, self.gaps, self.answers, self.refused = text, [], [None], {}, set()
        self.planned, self.is_plan_stored, self.max_part, self.ratio = [], False, None, None

    @property
    def read_parts(self) -> tuple[list[Part], list[Prediction]]:
        """The parts of ``whole``, and what was read of their answers."""
        if self.of_whole is not None:
            return self.of_whole
        pairs = [self.answers[span] for span in self.spans]
        return [part for part, _ in pairs], [prediction for _, prediction in pairs]

    def plan(self) -> object:
        """What is stored in place of the answer to the whole text, so that a later query asks for the same parts."""
        return {_PLAN: [list(span) for span in self.spans]}

    def follow(self, spans: Sequence[Span], model: ModelSettings) -> None:
        """Ask for the parts that an earlier query has asked. What comes after them is still to be cut.

        Args:
            spans: of these parts.
            model: the checked arguments of the model.
        """
        left_out = self.chunking.reads_all and self.chunking.left_out(self.item, spans, model)
        self.gaps = [(spans[-1][1], _TO_THE_END)] if left_out else []
        self._keep(spans, model)
        self.planned, self.is_plan_stored = list(self.spans), True


def is_plan(stored: object) -> bool:
    """Whether what is stored for a text are the spans of its parts, and no answer.

    Args:
        stored: what is stored.

    Returns:
        True for what ``ChunkedText.plan`` wrote.
    """
    return type(stored) is dict and _PLAN in stored


def spans_of(stored: object) -> list[Span] | None:
    """Read what ``ChunkedText.plan`` wrote.

    Args:
        stored: what is stored for a text: a plan, or an answer.

    Returns:
        The spans of its parts; None where it is no plan.
    """
    found = stored.get(_PLAN) if isinstance(stored, dict) else None
    if not isinstance(found, list) or not found:
        return None
    spans = [(span[0], span[1]) for span in found if _is_span(span)]
    return spans if len(spans) == len(found) and spans == sorted(set(spans)) else None


def _is_span(span: object) -> bool:
    return isinstance(span, list) and len(span) == 2 and all(type(each) is int and each >= 0 for each in span)


def asks_in_parts(model: ModelSettings) -> bool:
    """Whether texts that are too long are asked in parts.

    Args:
        model: the checked arguments of the model.

    Returns:
        False where the task cannot, where the person does not want it, and where the server is asked to cut.
    """
    is_wanted = model.long_text != "error" and cutting_parameter(model) is None
    return is_wanted and model.definition.chunking is not None


def limit_for(model: ModelSettings, limit: TokenLimit) -> TokenLimit:
    """How long a text may be.

    Args:
        model: the checked arguments of the model.
        limit: what is known of the route.

    Returns:
        The same limit; another one where parts are wanted and nothing is known.
    """
    if model.long_text != "chunk" or limit.longest is not None:
        return limit
    assumed = replace(limit)
    assumed.state(ASSUMED_TOKENS)
    return assumed


def inputs_to_ask(
    item: Input, stored: object, model: ModelSettings, limit: TokenLimit, tokenizer: CountTokens | None
) -> list[Input]:
    """What a query would ask of an input, as far as that is known before it is asked.

    Args:
        item: the input.
        stored: the plan of parts that is stored for it; None where there is none.
        model: the checked arguments of the model.
        limit: how long a text may be.
        tokenizer: as of ``ChunkedText.find_cuts``.

    Returns:
        The input itself, or its parts.
    """
    chunking = model.definition.chunking
    if chunking is None or not asks_in_parts(model):
        return [item]
    text = ChunkedText(0, item, item, chunking)
    spans = spans_of(stored)
    if spans is not None:
        text.follow(spans, model)
    elif not limit.is_settled or limit.fit(chunking.tokens(item, estimate_tokens, model)) is not Fit.TOO_LONG:
        return [item]
    try:
        text.cut(text.find_cuts(limit, tokenizer, model), model, is_settled=limit.is_settled)
    except InputError:  # its row fails without a request
        return []
    return [chunking.part(item, span) for span in text.spans]


def is_asked_about(item: Input) -> bool:
    """Whether there is anything to ask about.

    Args:
        item: a part, or what a plan from elsewhere says is one.

    Returns:
        False where it has no text, or only blanks.
    """
    return any(isinstance(cell, str) and cell.strip() for cell in (item if isinstance(item, tuple) else (item,)))


def with_advice(failure: Failure, item: Input, model: ModelSettings) -> Failure:
    """Say why an input that the server refused as too long is not asked in parts, where it could not or must not be.

    Args:
        failure: of its request.
        item: the input.
        model: the checked arguments of the model.

    Returns:
        The failure, whose message ends with what people can do.
    """
    task = model.definition
    advice = task.long_text_advice
    if task.chunking is not None and model.long_text == "error":
        becomes = "asked in parts" if task.chunking.reads_all else "cut to what the model reads"
        advice = f"Leave long_text = 'error' out, and it is {becomes}"
    is_of_bytes = failure.status == _TOO_LARGE and failure.stated_max_tokens is None
    if not advice or (is_of_bytes and media_in(item) is not None):  # an image may be too large
        return failure
    words = shorten(failure.message, MAX_MESSAGE_CHARS - len(advice) - 2).rstrip(".")
    return replace(failure, message=f"{words}. {advice}")
