"""Texts that are too long for the model: cut, asked in parts that are inputs like others, and answered as one.

A part has an index of its own, below zero, under which it is looked up, sent and tried again. Equal parts are one.
"""

from __future__ import annotations

import itertools
import math
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import cast

from ...config.settings import ModelSettings
from ...errors import InputError, UnreadableAnswer
from ...tasks import Input, Prediction
from ...tasks.chunking import Chunking, Part, Place
from ...tasks.input_types import text_length
from ...tasks.merging import with_parts
from ...tasks.text_windows import estimate_tokens
from ..failures import Failure, FailureKind
from ..flow_control.token_limit import MIN_TOKENS, Fit
from ..telemetry.usage import Usage
from ..transport.large_bodies import off_loop
from .chunked_text import ChunkedText, asks_in_parts, limit_for, places_of
from .context import Dependencies
from .input_stream import InputStream

_HALF = 0.55  # a little more, so that two parts are enough
_SHORTER = 0.9
_RESIFT = 0.95
_MAX_OPEN = 2048
_MAX_FIRST_OPEN = 256  # before any part was answered
_ANY_NUMBER = 1 << 60
_MAX_TRIES = 16  # each costs a request, and two parts little in that of others
_MAX_SAMPLES = 64
_SAMPLE_EVERY = 64
_MAX_RECENT = 256  # parts whose answers are held, since equal ones may follow before they are stored
_LARGE_CHARS = 200_000  # are cut within some milliseconds

Owners = list[tuple[ChunkedText, Place]]
"""The texts that a part is part of, and where."""


@dataclass
class _Search:
    """How the length of a route is looked for.

    Attributes:
        text: the one text that is asked meanwhile, part after part.
        sifted_at: the longest that was thought to be answered when inputs that wait were sifted.
        longest: the longest input that was answered.
        longest_chars: its length.
        max_open: open parts from which on no text is cut, since answers to these show how long others may be.
        tries: texts that went whole, and alone, since they may be too long.
        samples: answers in which the server said how many tokens it read.
    """

    text: ChunkedText | None = None
    sifted_at: float = 0.0
    longest: Input | None = None
    longest_chars: int = 0
    max_open: int = 1
    tries: int = 0
    samples: int = 0


class LongTexts:
    """The texts of one query that are asked in parts.

    Args:
        model: the checked arguments of the model.
        source: the inputs of the query, to which the parts are added.
        usage: counts texts and parts.
        dependencies: the route's profile, the stored answers, and how tokens are counted.
        read: reads the answer to an input.
        put: is given the index and the prediction of a row.
        fail: is given the index and the failure of a row.
        on_due: is called where there are texts to cut, so that somebody calls ``cut``.

    Attributes:
        limit: how long a text may be.
        is_on: whether texts that are too long are asked in parts.
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
        self.limit = limit_for(model, dependencies.profile.token_limit)
        self.filling = 0
        self._model, self._usage, self._deps = model, usage, dependencies
        self._read, self._put, self._fail, self._on_due = read, put, fail, on_due
        self._parts = source.inputs.parts
        self._parts.clear()  # of a provider that failed
        self._inputs = source.inputs
        self._pending: deque[ChunkedText] = deque()
        self._owners: dict[int, Owners] = {}
        self._indexes: dict[Input, int] = {}
        self._recent: dict[int, tuple[Input, object, Prediction]] = {}
        self._uncut: set[int] = set()
        self._numbers = itertools.count(-1, -1)
        self._search = _Search()

    def sift(self, indexes: Iterable[int]) -> tuple[list[int], list[int]]:
        """Take out the inputs that are too long, to be cut.

        Args:
            indexes: of inputs without a stored answer.

        Returns:
            The indexes of those that may go with others, and of those that may be too long, so that they go alone.
        """
        most = self.limit.most if self.is_on else None
        self._search.sifted_at = max(self._search.sifted_at, math.inf if most is None else most)
        if most is None:
            return list(indexes), []
        together: list[int] = []
        alone: list[int] = []
        for index in indexes:
            item = self._inputs[index]
            # Few texts have more tokens than characters, and to estimate the tokens of each takes its time.
            if text_length(item) <= most:
                together.append(index)
                continue
            if index < 0:  # parts are cut to fit, and alone each would cost a request
                together.append(index)
                continue
            fit = self.limit.fit(self.tokens(item))
            if fit is Fit.TOO_LONG and index in self._uncut:  # it is as short as it can be
                fit = Fit.ALONE
            elif fit is Fit.ALONE:
                self._search.tries += 1
                fit = Fit.ALONE if self._search.tries <= _MAX_TRIES else Fit.TOO_LONG
            if fit is Fit.TOO_LONG:
                self._pending.append(self._text(index))
            else:
                (together if fit is Fit.TOGETHER else alone).append(index)
        self._wake()
        return together, alone

    @property
    def must_sift(self) -> bool:
        """Whether inputs that were sifted may be too long by what was found since."""
        most = self.limit.most
        return self.is_on and most is not None and most < self._search.sifted_at * _RESIFT

    def begin_sifting(self) -> None:
        """Forget how all inputs were sifted that wait, since they are sifted again."""
        self._search.sifted_at = 0.0

    @property
    def is_due(self) -> bool:
        """Whether there is a text to cut: one after another while no length is settled, then some at a time."""
        search = self._search
        is_next = search.text is None or self.limit.is_settled
        return bool(self._pending) and is_next and len(self._owners) < search.max_open

    @property
    def is_busy(self) -> bool:
        """Whether parts may come into the queue without one more answer."""
        return self.filling > 0 or self.is_due

    @property
    def open_parts(self) -> int:
        """How many parts have neither answer nor failure."""
        return len(self._owners)

    def only_cached(self) -> None:
        """Cut all texts from now on, since parts without a stored answer are left aside."""
        self._search.max_open = _ANY_NUMBER
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
        search = self._search
        if search.max_open < _ANY_NUMBER:
            search.max_open = _MAX_OPEN if self.limit.calm else _MAX_FIRST_OPEN
        while self.is_due:
            text = self._pending.popleft()
            if not self.is_on:
                new.append(text.index)
                continue
            if not self.limit.is_settled:
                search.text = text
            try:
                new += await self._cut(text)
            except InputError as error:
                why = text.refusal or Failure(FailureKind.INPUT_REJECTED, "a text is too long for the model")
                self._end(text, replace(why, message=f"{why.message} ({error})"))
        if search.max_open < _ANY_NUMBER:
            search.max_open //= 2  # so that parts come many at a time, and fill their batches
        return new

    async def _cut(self, text: ChunkedText) -> list[int]:
        """The indexes of what is to be asked next of a text; its own where it proves short enough."""
        is_first = not text.is_counted
        arguments = self.limit, self._deps.tokenizer, self._model
        is_large = text_length(text.item) > _LARGE_CHARS
        places = await off_loop(text.cut, *arguments) if is_large else text.cut(*arguments)
        if is_first and text.is_uncut and text.most is None:
            self._leave(text)
            self._uncut.add(text.index)
            return [text.index]
        if not text.gaps and not text.is_plan_stored:
            text.is_plan_stored = True
            self._deps.answers.put(self._deps.answers.key(text.item), text.plan())
        text.is_counted = True
        self._usage.long_texts += is_first
        self._usage.parts += len(places)
        new = [index for place in places if (index := self._ask(text, place)) is not None]
        if text.is_answered:
            self._finish(text)
        return new

    def _ask(self, text: ChunkedText, place: Place) -> int | None:
        """The index of a new part; None where an equal one is on its way, or was answered a moment ago."""
        item = text.chunking.part(text.item, place)
        index = self._indexes.get(item)
        if index in self._recent:
            _, answer, prediction = self._recent[index]
            text.answers[place] = Part(place, item, answer), prediction
            return None
        if index is not None:
            self._owners[index].append((text, place))
            return None
        index = self._indexes[item] = next(self._numbers)
        self._parts[index], self._owners[index] = item, [(text, place)]
        return index

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
        item, counted = self._inputs[index], failure.stated_tokens
        estimate = self.tokens(item)
        self._begin_search()
        is_first_part = index < 0 and all(text.most is None for text, _ in self._owners[index])
        self.limit.on_refused(estimate, failure.stated_max_tokens, counted, is_part=is_first_part)
        if estimate * _HALF < MIN_TOKENS:  # so it is not its length
            self.limit.forget()
            self.is_on = False
            self._wake()
            return False
        ratio = counted / estimate if counted else None
        if index >= 0:
            text = self._text(index)
            text.most, text.ratio, text.refusal = estimate * _SHORTER, ratio, failure.without_request()
            self._pending.appendleft(text)
            self._wake()
            return True
        for text, place in self._take(index):
            if place in text.places:
                text.refusal = text.refusal or failure.without_request()
                text.cut_again(place, estimate * _HALF, ratio)
                self._resume(text)
        self._wake()
        return True

    def refused_together(self, indexes: Sequence[int], failure: Failure) -> None:
        """Learn of a batch in which an input is too long: where nothing was known, that is its longest.

        Args:
            indexes: of the inputs.
            failure: of the request.
        """
        self.limit.state(failure.stated_max_tokens)
        self.limit.refuses = True
        if self.limit.most is None:
            self._begin_search()
            longest = max((self._inputs[index] for index in indexes), key=text_length)
            self.limit.on_refused(self.tokens(longest), None, None, is_part=False)

    def _begin_search(self) -> None:
        if self.limit.most is None and self._search.longest is not None:
            self.limit.answered = self.tokens(self._search.longest)

    def answered(self, index: int, answer: object, prediction: Prediction) -> None:
        """Take the answer to a part.

        Args:
            index: of the part.
            answer: as the server sent it.
            prediction: what was read of it.
        """
        item, owners = self._parts.pop(index), self._owners.pop(index)
        self._recent[index] = item, answer, prediction
        if len(self._recent) > _MAX_RECENT:
            forgotten, _, _ = self._recent.pop(next(iter(self._recent)))
            del self._indexes[forgotten]
        for text, place in owners:
            if place in text.places:
                text.answers[place] = Part(place, item, answer), prediction
            if text.gaps:
                self._resume(text)
            elif text.is_answered and not text.is_failed:
                self._finish(text)
        self._wake()

    def failed(self, index: int, failure: Failure) -> None:
        """Give the failure of a part to the rows that it is part of.

        Args:
            index: of the part.
            failure: its reason.
        """
        for text, place in self._take(index):
            if place not in text.places or text.is_failed:
                continue
            of_all = f" of {len(text.places)}" if not text.gaps else ""
            where = f"part {text.places.index(place) + 1}{of_all} of a text that is too long for the model"
            self._end(text, replace(failure, message=f"{where}: {failure.message}"))
        self._wake()

    def _wake(self) -> None:
        if self.is_due and not self.filling:
            self._on_due()

    def _finish(self, text: ChunkedText) -> None:
        """Make one answer of those to the parts: the row's, or a text that is asked in its turn."""
        self._leave(text)
        try:
            answer = text.merge(self._model)
            ask_again, most = self._chunking.ask_again, self.limit.window
            shorter = ask_again(answer, most, estimate_tokens, self._model) if ask_again and most else None
            if shorter is not None and len(shorter) < text_length(text.item):
                text.ask_next(shorter)
                self._pending.append(text)
                return
            prediction = self._read(answer, text.whole)
        except UnreadableAnswer as error:
            self._end(text, Failure(FailureKind.INPUT_REJECTED, str(error)))
            return
        parts, predictions = text.read_parts
        left_out = self._chunking.left_out(text.whole, [part.place for part in parts], self._model)
        self._usage.left_out += bool(left_out)
        self._put(text.index, with_parts(prediction, parts, predictions, left_out))

    def _end(self, text: ChunkedText, failure: Failure) -> None:
        """Fail a row. Its parts that are on their way are stored where they are answered."""
        self._leave(text)
        text.is_failed = True
        self._fail(text.index, replace(failure, is_too_long=False))  # or it would be cut

    def _resume(self, text: ChunkedText) -> None:
        """Cut a text further."""
        self._leave(text)
        if not text.is_failed and text not in self._pending:
            self._pending.appendleft(text)

    def _leave(self, text: ChunkedText) -> None:
        """Let another text look for the length."""
        if self._search.text is text:
            self._search.text = None

    def _text(self, index: int) -> ChunkedText:
        item = self._inputs[index]
        return ChunkedText(index, item, item, self._chunking)

    def _take(self, index: int) -> Owners:
        """Whose a part is that is asked no more."""
        del self._indexes[self._parts.pop(index)]
        return self._owners.pop(index)

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
        recent = self._recent.get(index)
        return recent[2] if recent is not None else None

    def restore(self, index: int, stored: object) -> bool:
        """Go on with a text that an earlier query has asked in parts.

        Args:
            index: of the row's input.
            stored: what is stored for it.

        Returns:
            Whether that was a plan of parts. One that this query does not follow is left aside.
        """
        places = places_of(stored) if self.is_on else None
        if places is None or index < 0:
            return False
        text = self._text(index)
        if not all(map(_is_asked_about, (text.chunking.part(text.item, place) for place in places))):
            return False
        text.follow(places, self._model)
        self._pending.append(text)
        return True

    def note_answer(self, items: Sequence[Input], tokens: int) -> None:
        """Learn of an answer how long texts may be, and how many tokens they have.

        Args:
            items: that were answered.
            tokens: that the server says it read; 0 where it says nothing.
        """
        search, limit = self._search, self.limit
        longest = max(items, key=text_length) if len(items) > 1 else items[0]
        if text_length(longest) > search.longest_chars:
            search.longest, search.longest_chars = longest, text_length(longest)
        if limit.most is not None and text_length(longest) > (limit.room or 0.0):
            limit.on_answered(self.tokens(longest))
        if tokens and limit.most is not None and not self._chunking.writes:
            search.samples += 1
            if search.samples <= _MAX_SAMPLES or not search.samples % _SAMPLE_EVERY:
                limit.on_counted(sum(map(self.tokens, items)), tokens)

    def tokens(self, item: Input) -> float:
        """Estimate the length of an input.

        Args:
            item: the input.

        Returns:
            Tokens, with those that models put around a text.
        """
        return self._chunking.tokens(item, estimate_tokens, self._model)


def _is_asked_about(item: Input) -> bool:
    return any(isinstance(cell, str) and cell.strip() for cell in (item if isinstance(item, tuple) else (item,)))
