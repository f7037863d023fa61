"""Texts that are too long for the model: cut, asked in parts that are inputs like others, and answered as one.

A part has an index of its own, below zero, under which it is looked up, sent and tried again.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import cast

from ...config.settings import ModelSettings
from ...errors import InputError, UnreadableAnswer
from ...tasks import Input, Prediction
from ...tasks.chunking import Chunking, Part, Span
from ...tasks.input_types import text_length
from ...tasks.merging import with_parts
from ...tasks.text_windows import estimate_tokens
from ..failures import Failure, FailureKind
from ..flow_control.token_limit import Fit, credible_ratio
from ..telemetry.usage import Usage
from ..transport.large_bodies import off_loop
from .asked_parts import AskedParts
from .chunked_text import ChunkedText, asks_in_parts, is_asked_about, limit_for, spans_of
from .context import Dependencies
from .input_stream import InputStream
from .length_search import LengthSearch

_HALF = 0.55  # a little more, so that two parts are enough
_SHORTER = 0.9
_MAX_SHORTENED = 0.8  # of a text: the next is asked in its turn, and each round costs requests
_MAX_OPEN = 1024
_MAX_FIRST_OPEN = 256  # before any part was answered
_ANY_NUMBER = 1 << 60
_LARGE_CHARS = 200_000  # are cut within some milliseconds


class LongTexts:
    """The texts of one query that are asked in parts.

    Args:
        model: the checked arguments of the model.
        source: the inputs of the query, to which the parts are added.
        usage: counts texts and parts.
        dependencies: the route's profile, the stored answers, and the model's tokenizer.
        read: reads the answer to an input.
        put: is given the index and the prediction of a row.
        fail: is given the index and the failure of a row.
        on_due: is called where there are texts to cut, so that somebody calls ``cut``.

    Attributes:
        is_on: whether texts that are too long are asked in parts.
        search: what is known of the length, and learned.
        filling: how many tasks look up parts at the moment.
    """

    def __init__(
        self,
        model: ModelSettings,
        source: InputStream,
        usage: Usage,
        dependencies: Dependencies,
        read: Callable[[object, Input], Prediction],
        put: Callable[[int, Prediction], None],
        fail: Callable[[int, Failure], None],
        on_due: Callable[[], object],
    ) -> None:
        self.is_on = asks_in_parts(model)
        known, chunking = dependencies.profile.token_limit, model.definition.chunking
        reads_only = chunking is not None and not chunking.writes
        ask = dependencies.ask_length if known.longest is None else None
        self.search = LengthSearch(limit_for(model, known), self._tokens, reads_only=reads_only, ask=ask)
        self.filling = 0
        self._model, self._usage, self._deps = model, usage, dependencies
        self._read, self._put, self._fail, self._on_due = read, put, fail, on_due
        self._inputs = source.inputs
        self._pending: deque[ChunkedText] = deque()
        self._parts = AskedParts(source.inputs.parts)
        self._searching: ChunkedText | None = None  # the one text that is asked while the length is looked for
        self._uncut: set[int] = set()

    async def ask_length(self, indexes: Iterable[int]) -> None:
        """Ask the server how long a text may be, once a query, where one is long and nobody has said it.

        Args:
            indexes: of inputs without a stored answer.
        """
        tokens = await self.search.ask(map(self._inputs.__getitem__, indexes)) if self.is_on else None
        if tokens is not None:
            limit = self.search.limit = self._deps.profile.token_limit  # where one was assumed, it was another
            limit.state(tokens)

    def sift(self, indexes: Iterable[int]) -> tuple[list[int], list[int]]:
        """Take out the inputs that are too long, to be cut.

        Args:
            indexes: of inputs without a stored answer.

        Returns:
            The indexes of those that may go with others, and of those that may be too long, so that they go alone.
        """
        chars = self.search.begin_fitting() if self.is_on else None
        if chars is None:
            return list(indexes), []
        together: list[int] = []
        alone: list[int] = []
        for index in indexes:
            item = self._inputs[index]
            if index < 0 or text_length(item) <= chars:  # parts are cut to fit, and alone each would cost a request
                together.append(index)
                continue
            is_uncut = index in self._uncut
            if is_uncut and not self.search.limit.is_settled:  # many may be, and alone each would cost a request
                together.append(index)
                continue
            fit = self.search.fit(item)
            if fit is Fit.TOO_LONG and not is_uncut:
                self._pending.append(self._text(index))
            else:
                self._uncut.discard(index)
                (together if fit is Fit.TOGETHER else alone).append(index)
        self._wake()
        return together, alone

    @property
    def must_sift(self) -> bool:
        """Whether inputs that were sifted may be too long by what was found since."""
        return self.is_on and self.search.is_shorter

    @property
    def is_due(self) -> bool:
        """Whether there is a text to cut: one after another while no length is settled, then some at a time."""
        is_next = self._searching is None or self.search.limit.is_settled or self._parts.max_open == _ANY_NUMBER
        return bool(self._pending) and is_next and not self._parts.is_full

    @property
    def is_busy(self) -> bool:
        """Whether parts may come into the queue without one more answer."""
        return self.filling > 0 or self.is_due

    @property
    def open_parts(self) -> int:
        """How many parts have neither answer nor failure."""
        return len(self._parts)

    def only_cached(self) -> None:
        """Cut all texts from now on, since parts without a stored answer are left aside."""
        self._parts.max_open = _ANY_NUMBER
        self._wake()

    def clear(self) -> None:
        """Cut nothing more."""
        self._pending.clear()

    async def cut(self) -> list[int]:
        """Cut the texts that are due.

        Returns:
            The indexes of the inputs that are to be asked: of parts, and of texts that proved short enough.
        """
        new: list[int] = []
        parts = self._parts
        if parts.max_open < _ANY_NUMBER:
            parts.max_open = _MAX_OPEN if self.search.limit.calm else _MAX_FIRST_OPEN
        while self.is_due:
            text = self._pending.popleft()
            if text.is_done:
                continue
            if not (self.is_on or text.is_plan_stored):
                text.is_done = True
                new.append(text.index)
                continue
            if not self.search.limit.is_settled:
                self._searching = text
            try:
                new += await self._cut(text)
            except InputError as error:
                why = text.refusal or Failure(FailureKind.INPUT_REJECTED, "a text is too long for the model")
                self._end(text, replace(why, message=f"{why.message} ({error})"))
        if parts.max_open < _ANY_NUMBER:
            parts.max_open //= 2  # so that parts come many at a time, and fill their batches
        return new

    async def _cut(self, text: ChunkedText) -> list[int]:
        """The indexes of what is to be asked next of a text; its own where it proves short enough."""
        is_first = not text.is_counted
        arguments = self.search.limit, self._deps.tokenizer, self._model
        is_large = text_length(text.item) > _LARGE_CHARS
        cuts = await off_loop(text.find_cuts, *arguments) if is_large else text.find_cuts(*arguments)
        if text.is_done:  # a part has failed meanwhile
            return []
        spans = text.cut(cuts, self._model, is_settled=self.search.limit.is_settled)
        if is_first and text.is_uncut and text.max_part is None:
            self._leave(text)
            self._uncut.add(text.index)
            return [text.index]
        if not (text.gaps or text.is_plan_stored or text.is_uncut):  # the answer to its only part is its own
            text.is_plan_stored = True
            self._deps.answers.put(self._deps.answers.key(text.item), text.plan())
        text.is_counted = True
        self._usage.long_texts += is_first
        self._usage.parts += len(spans)
        new = [index for span in spans if (index := self._ask(text, span)) is not None]
        if all(span in text.answers for span in text.spans):  # parts that were answered a moment ago
            self._go_on(text)
        return new

    def _ask(self, text: ChunkedText, span: Span) -> int | None:
        """The index of a new part; None where an equal one is on its way, or was answered a moment ago."""
        item = text.chunking.part(text.item, span)
        asked = self._parts.add(item, text, span)
        if asked is None or isinstance(asked, int):
            return asked
        text.answers[span] = Part(span, item, asked.answer), asked.prediction
        return None

    def refused(self, index: int, failure: Failure) -> bool:
        """Cut an input that the server refused as too long.

        Args:
            index: of the input, which may be a part.
            failure: of its request.

        Returns:
            Whether it is asked in parts now; False where it has failed.
        """
        if not (self.is_on and failure.is_too_long):
            return False
        is_first_part = index < 0 and all(text.max_part is None for text, _ in self._parts.owners(index))
        estimate = self.search.on_refused(self._inputs[index], failure, is_first_part=is_first_part)
        if estimate is None:
            if not self.search.has_answer:
                self._give_up()
            return False
        ratio = credible_ratio(failure.stated_tokens, estimate) if failure.stated_tokens else None
        if index >= 0:
            text = self._text(index)
            text.max_part, text.ratio, text.refusal = estimate * _SHORTER, ratio, failure.without_request()
            self._pending.appendleft(text)
            self._wake()
            return True
        for text, span in self._parts.drop(index):
            if span in text.spans:
                text.refusal = text.refusal or failure.without_request()
                text.cut_again(span, estimate * _HALF, ratio)
                self._resume(text)
        self._wake()
        return True

    def answered(self, index: int, answer: object, prediction: Prediction) -> None:
        """Take the answer to a part.

        Args:
            index: of the part.
            answer: as the server sent it.
            prediction: what was read of it.
        """
        part, owners = self._parts.on_answered(index, answer, prediction)
        for text, span in owners:
            if span in text.spans:
                text.answers[span] = Part(span, part.item, answer), prediction
            self._go_on(text)
        self._wake()

    def failed(self, index: int, failure: Failure) -> None:
        """Give the failure of a part to the rows that it is part of.

        Args:
            index: of the part.
            failure: its reason.
        """
        for text, span in self._parts.drop(index):
            if span not in text.spans or text.is_done:
                continue
            of_all = f" of {len(text.spans)}" if not text.gaps else ""
            where = f"part {text.spans.index(span) + 1}{of_all} of a text that is too long for the model"
            self._end(text, replace(failure, message=f"{where}: {failure.message}"))
        self._wake()

    def rows(self, indexes: Iterable[int]) -> list[int]:
        """Whose inputs are.

        Args:
            indexes: of inputs that are to be asked, parts among them.

        Returns:
            The indexes of rows' inputs: of each part one of those that it is part of.
        """
        return [index if index >= 0 else self._parts.owners(index)[0][0].index for index in indexes]

    def _wake(self) -> None:
        if self.is_due and not self.filling:
            self._on_due()

    def _go_on(self, text: ChunkedText) -> None:
        """Cut a text further, or make one answer of those to its parts."""
        if text.gaps:
            self._resume(text)
        elif text.is_answered and not text.is_done:
            self._finish(text)

    def _finish(self, text: ChunkedText) -> None:
        """Make one answer of those to the parts: the row's, or a text that is asked in its turn."""
        self._leave(text)
        try:
            answer = text.merge(self._model)
            ask_again, window = self._chunking.ask_again, self.search.limit.window
            shorter = ask_again(answer, window, estimate_tokens, self._model) if ask_again and window else None
            if shorter is not None and len(shorter) <= text_length(text.item) * _MAX_SHORTENED:
                text.ask_next(shorter)
                self._pending.append(text)
                return
            prediction = self._read(answer, text.whole)
        except UnreadableAnswer as error:
            self._end(text, Failure(FailureKind.INPUT_REJECTED, str(error)))
            return
        parts, predictions = text.read_parts
        left_out = self._chunking.left_out(text.whole, [part.span for part in parts], self._model)
        self._usage.left_out += bool(left_out)
        text.is_done = True
        self._put(text.index, with_parts(prediction, parts, predictions, left_out))

    def _end(self, text: ChunkedText, failure: Failure) -> None:
        """Fail a row. Its parts that are on their way are stored where they are answered."""
        self._leave(text)
        text.is_done = True
        self._fail(text.index, replace(failure, is_too_long=False))  # or it would be cut

    def _resume(self, text: ChunkedText) -> None:
        """Cut a text further."""
        self._leave(text)
        if not text.is_done and text not in self._pending:
            self._pending.appendleft(text)

    def _give_up(self) -> None:
        """Leave all texts as they are, where nothing is short enough for the server."""
        self.search.limit.forget()
        self.is_on = False
        self._wake()

    def _leave(self, text: ChunkedText) -> None:
        """Let another text look for the length."""
        if self._searching is text:
            self._searching = None

    def _text(self, index: int) -> ChunkedText:
        item = self._inputs[index]
        return ChunkedText(index, item, item, self._chunking)

    @property
    def _chunking(self) -> Chunking:
        return cast("Chunking", self._model.definition.chunking)

    def result(self, index: int) -> Prediction | None:
        """What was read of one of the last parts that were answered.

        Args:
            index: of the part.

        Returns:
            The prediction; None where it is not answered, or not one of the last.
        """
        return self._parts.result(index)

    def restore(self, index: int, stored: object) -> bool:
        """Go on with a text that an earlier query has asked in parts.

        Args:
            index: of the row's input.
            stored: what is stored for it.

        Returns:
            Whether that was a plan of parts. One that this query does not follow is left aside.
        """
        spans = spans_of(stored) if asks_in_parts(self._model) else None
        if spans is None or index < 0:
            return False
        text = self._text(index)
        if not all(map(is_asked_about, (text.chunking.part(text.item, span) for span in spans))):
            return False
        text.follow(spans, self._model)
        if text.is_uncut:  # it would be looked up again, and found again
            return False
        self._pending.append(text)
        return True

    def _tokens(self, item: Input) -> float:
        return self._chunking.tokens(item, estimate_tokens, self._model)
