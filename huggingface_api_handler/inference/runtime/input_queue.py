"""Inputs on their way to requests, in bounded windows: media loaded, stored answers found, the rest batched."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Hashable, Sequence
from itertools import islice

from ...errors import MediaError
from ...tasks import Input, Task
from ...tasks.input_types import Conversation, media_in, text_length
from ..failures import Failure
from ..flow_control.batching import can_batch, next_batch
from ..flow_control.circuit_breaker import MIN_WAITING_INPUTS
from ..flow_control.prefix_queue import PrefixQueue
from ..flow_control.retry import Batch
from ..protocols.base import Batching
from .context import Dependencies
from .input_claims import InputClaims
from .input_stream import HeldInputs, InputStream
from .loaded_media import LoadedMedia
from .long_texts import LongTexts
from .stored_answers import StoredAnswers

_TEXT_WINDOW_ROWS = 2048
_MEDIA_WINDOW_ROWS = 8
_MAX_WAITING_ROWS = 8192
_MANY = 1 << 30
_CANDIDATES = 1000  # inputs among which ordinary ones are chosen


class InputQueue:
    """The inputs that are still to be asked, by their index, a few windows of them at a time.

    Args:
        task: whose inputs these are.
        batching: what the protocol says of several inputs in one request.
        source: where the distinct inputs of the query come from. ``replace_input`` changes them in place.
        dependencies: the route's profile, the stored answers, and how media is loaded.
        on_cached: is given the index and the stored part of an answer, and says whether it could be read.
        on_media_error: is given the index of an input whose media cannot be had, and why.
        on_change: is called whenever there may be more to take.
        long_texts: cuts the inputs that are too long for the model.

    Attributes:
        task: whose inputs these are.
        batching: what the protocol says of several inputs in one request.
        waiting: indexes of inputs that are ready to be sent.
        long_texts: cuts the inputs that are too long for the model.
        claims: the inputs that are not claimed yet, and those that other queries ask.
        is_provisional: whether batches are sent that no probe has shown to be answered rightly (see ``BatchTrial``).
    """

    def __init__(
        self,
        task: Task,
        batching: Batching,
        source: InputStream,
        dependencies: Dependencies,
        on_cached: Callable[[int, object], Awaitable[bool]],
        on_media_error: Callable[[int, MediaError], None],
        on_change: Callable[[], None],
        long_texts: LongTexts,
    ) -> None:
        self.batching, self.long_texts = batching, long_texts
        is_prompt = task.operation == "chat"
        self.waiting: deque[int] | PrefixQueue = PrefixQueue(source.inputs, source.part_of) if is_prompt else deque()
        self.is_provisional = False
        self.task, self._deps = task, dependencies
        self._source, self._on_change = source, on_change
        self._media = LoadedMedia(source.inputs, dependencies.load, on_media_error)
        self._parts: deque[Batch] = deque()
        self._stored = stored = StoredAnswers(dependencies.answers, self.items, on_cached, self.drop)
        sending = lambda: len(self.waiting) + len(self._parts), self._add, self._take_back, on_change
        self.claims = InputClaims(stored, dependencies, *sending)
        self._is_drained = self._only_cached = False
        self._room = asyncio.Event()

    @property
    def inputs(self) -> HeldInputs:
        """The inputs of the query by their index."""
        return self._source.inputs

    def start(self, start: Callable[[Coroutine[None, None, None]], object]) -> None:
        """Look inputs up and claim them from now on.

        Args:
            start: runs a task until it or the query ends.
        """
        start(self._fill())
        start(self.claims.run())

    async def _fill(self) -> None:
        """Add window after window, as fast as they are taken."""
        while indexes := await self._next_window():
            if self._media.is_needed:
                indexes = await self._media.load(indexes)
            elif self._deps.check_link is not None and isinstance(self.inputs[indexes[0]], Conversation):
                indexes = await self._media.check_links(indexes, self._deps.check_link)
            uncached = await self._stored.look_up(indexes)
            await self.long_texts.ask_length(uncached)
            self._claim(uncached)
            await self.fill_parts()
        self._is_drained = True
        self._on_change()

    async def fill_parts(self) -> None:
        """Add the parts of texts that are too long, as far as they are known."""
        long_texts = self.long_texts
        long_texts.filling += 1
        try:
            if long_texts.must_sift and not self._only_cached:
                long_texts.search.restart()
                waiting = list(self.waiting)
                self.waiting.clear()
                self._add(waiting)
            while long_texts.is_due:
                self._claim(await self._stored.look_up(await long_texts.cut()))
        finally:
            long_texts.filling -= 1
        self._on_change()

    def _claim(self, indexes: Sequence[int]) -> None:
        """Let inputs be claimed before they wait to be sent, where answers are claimed."""
        if self.claims.is_on and not self._only_cached:
            waiting = self.waiting  # a claim is for about a second's work: its prompts should begin alike
            prompts = waiting.in_order(indexes) if isinstance(waiting, PrefixQueue) else indexes
            self.claims.add(self._in_order(prompts))
        else:
            self._add(indexes)

    def _add(self, indexes: Sequence[int]) -> None:
        """Let inputs wait to be sent that no stored answer serves, but for those that are too long."""
        together, alone = self._sift(indexes)
        if self._only_cached:
            for index in (*together, *alone):
                self.drop(index)
            self._room.set()
            return
        self.waiting.extend(self._in_order(together))
        self._parts.extend(Batch([index]) for index in alone)
        self._room.set()
        self._on_change()

    def _take_back(self, indexes: set[int]) -> list[int]:
        """Those of some inputs that wait to be sent, which they do not any more."""
        waiting = list(self.waiting)
        self.waiting.clear()
        self.waiting.extend(index for index in waiting if index not in indexes)
        return [index for index in waiting if index in indexes]

    def _sift(self, indexes: Sequence[int]) -> tuple[list[int], list[int]]:
        """As ``LongTexts.sift``. No answer is stored for a text that is asked in parts."""
        together, alone = self.long_texts.sift(indexes)
        if len(together) + len(alone) < len(indexes):
            for index in set(indexes).difference(together, alone):
                self._stored.forget(index)
        return together, alone

    @property
    def finished(self) -> bool:
        """Whether nothing more will be added to ``waiting`` before another answer."""
        return self._is_drained and not (self.long_texts.is_busy or self.claims.is_busy)

    @property
    def _is_all_waiting(self) -> bool:
        """Whether nothing more will be added to ``waiting`` soon: others may have claimed the rest."""
        if self.claims.is_claiming:
            return False
        return self._source.is_starved or (self._is_drained and not self.long_texts.is_busy)

    async def _next_window(self) -> list[int]:
        """The next inputs, once there is room for them; none at the end."""
        source = self._source
        while not self._only_cached and self._is_full():
            self._room.clear()
            await self._room.wait()
        await source.wait(self._on_change)
        first = source.peek()
        if first is not None:  # else it is the end, and media of earlier windows are still on their way
            self._media.is_needed = media_in(first) is not None
        return source.take(_MEDIA_WINDOW_ROWS if self._media.is_needed else _TEXT_WINDOW_ROWS)

    def _is_full(self) -> bool:
        return len(self.waiting) + len(self.claims) >= _MAX_WAITING_ROWS or self._media.is_full

    def only_cached(self) -> None:
        """From now on add nothing to ask, and look only for stored answers.

        Media would have to be loaded to be looked for, so of media nothing more is found.
        """
        self._stored.release([*self.waiting, *(index for batch in self._parts for index in batch.indexes)])
        if self._media.is_needed or self._deps.answers.is_known_empty:
            self._is_drained = True
            self.long_texts.clear()
            self.claims.clear()
        else:
            self._only_cached = True
            self.long_texts.only_cached()
            self.claims.only_cached()
            self._room.set()

    def release_claims(self) -> None:
        """Let others ask for all that has no answer, since nothing of it is sent any more."""
        self._stored.release_all()

    @property
    def can_batch(self) -> bool:
        """Whether several inputs may go in one request, by the protocol and by what the route has shown."""
        return can_batch(self.batching, self._deps.profile, is_provisional=self.is_provisional)

    def ready(self) -> bool:
        """Whether a part of a split batch can be taken, a whole batch, or what remains at the end."""
        if self._parts:
            return True
        if self.waiting:
            if self._is_all_waiting or len(self.waiting) >= 2 * self._deps.profile.batch_size.best:
                return True
            if not self.can_batch or self._is_full():
                return True
        self.long_texts.wake()  # another query may have found how long a text may be
        self.claims.on_change()  # a larger batch than before may be best by now
        return False

    @property
    def unsent(self) -> int:
        """How many inputs wait to be sent, or to be claimed before."""
        return len(self.waiting) + self.claims.unclaimed

    def open_inputs(self, done: int) -> int:
        """How many inputs have neither answer nor failure.

        Args:
            done: how many have.

        Returns:
            The number; many where more inputs may come.
        """
        return self._source.count - done + self.long_texts.open_parts if self._source.ended else _MANY

    @property
    def is_starved(self) -> bool:
        """Whether all inputs so far were looked up, and more are waited for in vain."""
        return self._source.is_starved

    @property
    def has_parts(self) -> bool:
        """Whether parts of split batches are to be asked, which go first."""
        return bool(self._parts)

    def bring_forward(self, count: int) -> list[int]:
        """Ask some ordinary inputs next, each alone: of middle length, like most of those that wait.

        Args:
            count: how many.

        Returns:
            The indexes of their rows, of a part one of those that it is part of; none where so few wait that all are
            asked, in their order.
        """
        if len(self.waiting) < MIN_WAITING_INPUTS:
            return []
        spread = islice(self.waiting, 0, None, -(-len(self.waiting) // _CANDIDATES))  # since neighbours are alike
        candidates = sorted(spread, key=lambda index: text_length(self.inputs[index]))
        ranks = {len(candidates) * (number + 1) // (count + 1) for number in range(count)}
        chosen = [candidates[rank] for rank in sorted(ranks)]
        for index in chosen:
            self.waiting.remove(index)
        self._parts.extendleft(Batch([index]) for index in reversed(chosen))
        return self.long_texts.rows(chosen)

    def take(self) -> Batch:
        """The batch of the next request."""
        if self._parts:
            self.claims.on_change()
            return self._parts.popleft()
        profile, waiting = self._deps.profile, self.waiting
        if isinstance(waiting, PrefixQueue):
            batch = Batch([waiting.popleft()])
        else:
            batch = Batch(next_batch(self.task, self._source.inputs, waiting, profile, together=self.can_batch))
        self._room.set()
        self.claims.on_change()
        return batch

    def isolate_long(self, batch: Batch, failure: Failure) -> list[Batch] | None:
        """Smaller batches in place of one in which an input is too long.

        Args:
            batch: of two inputs at least.
            failure: by which it was refused.

        Returns:
            The others together, and those alone that may be too long; None where nothing tells which that are, or long
            texts are not asked in parts.
        """
        if batch.is_part or not self.long_texts.is_on:
            return None
        items = [self.inputs[index] for index in batch.indexes]
        self.long_texts.search.on_batch_rejected(items, failure)
        together, alone = self._sift(batch.indexes)
        if len(together) == len(batch.indexes):
            return None
        parts = [Batch([index], is_part=True) for index in alone]
        return [*parts, Batch(together, is_part=True)] if together else parts

    def put_back(self, parts: Sequence[Batch]) -> None:
        """Ask for these next.

        Args:
            parts: what a batch left to be asked again.
        """
        self._parts.extend(parts)

    def put_first(self, indexes: Sequence[int]) -> None:
        """Ask for these next, together with others.

        Args:
            indexes: of inputs that were taken, and never sent.
        """
        self.waiting.extendleft(reversed(indexes))

    def put_off(self, batch: Batch) -> None:
        """Ask for these after all others.

        Args:
            batch: what is to be asked again.
        """
        self.waiting.extend([*batch.indexes, *batch.rest])

    def items(self, indexes: Sequence[int]) -> list[Input]:
        """Inputs as they are sent (see ``LoadedMedia.items``).

        Args:
            indexes: of the inputs.

        Returns:
            The inputs with their media.
        """
        return self._media.items(indexes)

    def replace_input(self, index: int, item: Input) -> None:
        """Ask something else for this input. Its answer is still stored under what was asked first.

        Args:
            index: of the input.
            item: what is asked instead.
        """
        self.inputs[index] = item

    def answered(self, index: int, part: object) -> None:
        """Store the answer of an input, and forget all else of it.

        Args:
            index: of the input.
            part: its part of the server's answer.
        """
        self._forget_prompt(index)
        self._stored.put(index, part)
        if self._media.is_needed and self._media.drop(index):
            self._room.set()

    async def store_large(self, index: int, part: object) -> None:
        """Store the answer of an input as ``answered`` does, without holding up the event loop.

        Args:
            index: of the input.
            part: its part of the server's answer, a large one.
        """
        await self._stored.put_large(index, part)

    def drop(self, index: int) -> None:
        """Forget all of an input that is done with.

        Args:
            index: of the input.
        """
        self._forget_prompt(index)
        self._stored.forget(index)
        self.claims.on_change()
        if self._media.drop(index):
            self._room.set()

    def _forget_prompt(self, index: int) -> None:
        if isinstance(self.waiting, PrefixQueue):
            self.waiting.on_done(index)

    def _in_order(self, indexes: Sequence[int]) -> Sequence[int]:
        """Inputs of one group together, and like lengths together, since a batch is as slow as its longest."""
        if self.batching is Batching.NEVER or self._deps.profile.accepts_batches is False:
            return indexes
        group, inputs = self.task.group, self.inputs
        groups: dict[Hashable, list[int]] = {}
        for index in indexes:
            groups.setdefault(group(inputs[index]), []).append(index)
        for members in groups.values():
            if len(members) > self._deps.profile.batch_size.best:
                members.sort(key=lambda index: text_length(inputs[index]))
        return [index for members in groups.values() for index in members]
