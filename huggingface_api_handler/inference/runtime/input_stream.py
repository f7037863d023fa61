"""The distinct inputs of a query on their way from the caller's thread to the event loop."""

from __future__ import annotations

import asyncio
import threading
from bisect import bisect_right
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from ...tasks import Input
from .results import Results

_LINGER_S = 0.02  # for more inputs, before those that wait go in a request that is not full

CallSoon = Callable[[Callable[[], None]], None]
"""Calls a function on the event loop, from any thread (see ``HttpClient.call_soon``)."""


class HeldInputs(Mapping[int, Input]):
    """The inputs that are held, by their index in the query: a list and where it begins, as small as can be.

    Attributes:
        parts: parts of long texts, whose indexes are below zero.
    """

    def __init__(self) -> None:
        self.parts: dict[int, Input] = {}
        self._items: list[Input] = []
        self._start = 0

    def __getitem__(self, index: int) -> Input:
        place = index - self._start
        if place < 0:
            return self.parts[index]
        try:
            return self._items[place]
        except IndexError:
            raise KeyError(index) from None

    def __setitem__(self, index: int, item: Input) -> None:
        self._items[index - self._start] = item

    def __contains__(self, index: object) -> bool:
        is_held = isinstance(index, int) and 0 <= index - self._start < len(self._items)
        return is_held or index in self.parts

    def __iter__(self) -> Iterator[int]:
        return iter(range(self._start, self._start + len(self._items)))

    def __len__(self) -> int:
        return len(self._items)

    def extend(self, inputs: Sequence[Input]) -> None:
        """Hold more inputs.

        Args:
            inputs: the next ones, in their order.
        """
        self._items += inputs

    def drop_before(self, index: int) -> None:
        """Forget the inputs before ``index``.

        Args:
            index: of the first input that is still needed.
        """
        del self._items[: index - self._start]
        self._start = index


class InputStream:
    """Inputs by their index, which is counted over the whole query.

    ``add``, ``end`` and ``drop_before`` are the caller's, the other methods the event loop's.

    Args:
        results: gets room for inputs as the loop takes them.
        call_soon: wakes the event loop; None where all inputs are there and the stream is ended before it runs.

    Attributes:
        results: what becomes of the inputs.
        inputs: those that are held. The loop may replace an input.
        count: how many were added.
        ended: whether no more will be added.
        is_starved: whether the loop has waited for inputs in vain, so that those that it has should go.
        closed: whether the query has ended, so that what is added is not sent.
    """

    def __init__(self, results: Results, call_soon: CallSoon | None = None) -> None:
        self.results = results
        self.inputs = HeldInputs()
        self.count = 0
        self.ended = self.closed = self.is_starved = False
        self._call_soon = call_soon
        self._next = 0
        self._again: deque[int] = deque()
        self._starts: list[int] = []
        self._dropped_parts = 0
        self._lock = threading.Lock()
        self._added = asyncio.Event()

    @classmethod
    def of(cls, inputs: Iterable[Input]) -> InputStream:
        """A stream that is ended.

        Args:
            inputs: all that is to be asked.

        Returns:
            The stream of them.
        """
        stream = cls(Results())
        stream.add(list(inputs))
        stream.end()
        return stream

    def add(self, inputs: Sequence[Input]) -> bool:
        """Ask for more inputs.

        Args:
            inputs: the next ones, in their order.

        Returns:
            Whether the query takes them; False once it has ended.
        """
        with self._lock:
            if not self.closed:
                self.inputs.extend(inputs)
                self._starts.append(self.count)
            self.count += len(inputs)
            is_taken = not self.closed
        self._wake()
        return is_taken

    def end(self) -> None:
        """Say that no more inputs come."""
        self.ended = True
        self._wake()

    def drop_before(self, index: int) -> None:
        """Forget the inputs before ``index``, which are answered.

        Args:
            index: of the first input that is still needed.
        """
        self.inputs.drop_before(index)
        dropped = self.part_of(index) - self._dropped_parts
        del self._starts[:dropped]
        self._dropped_parts += dropped

    def part_of(self, index: int) -> int:
        """With which others an input was added: those of one frame, for which the caller waits together.

        Args:
            index: of an input that is held.

        Returns:
            A number that is larger the later they were added.
        """
        return self._dropped_parts + bisect_right(self._starts, index) - 1

    @property
    def has_next(self) -> bool:
        """Whether there are inputs to take, or none will come."""
        return self.ended or self._next < self.count or bool(self._again)

    async def wait(self, on_starved: Callable[[], None]) -> None:
        """Wait until ``has_next``.

        Args:
            on_starved: is called where no inputs come for a while.
        """
        if self.has_next:
            return

        def starve() -> None:
            """Let what waits go in a request that is not full."""
            self.is_starved = True
            on_starved()

        # Not ``asyncio.wait_for``, which before Python 3.12 forgets that it was cancelled where inputs come then.
        timer = asyncio.get_running_loop().call_later(_LINGER_S, starve)
        try:
            await self._wait()
        finally:
            timer.cancel()
            self.is_starved = False

    async def _wait(self) -> None:
        while not self.has_next:
            self._added.clear()
            if not self.has_next:
                await self._added.wait()

    def peek(self) -> Input | None:
        """The next input, which stays there.

        Returns:
            The input; None where there is none to take.
        """
        return self.inputs.get(self._again[0] if self._again else self._next)

    def take(self, most: int) -> list[int]:
        """Take the next inputs.

        Args:
            most: how many at most.

        Returns:
            Their indexes; none at the end.
        """
        if self._again:
            return [self._again.popleft() for _ in range(min(most, len(self._again)))]
        first = self._next
        self._next = min(self.count, first + most)
        self.results.extend(self._next - first)
        return list(range(first, self._next))

    def begin_again(self) -> None:
        """Give the inputs once more that were taken, and have neither prediction nor failure."""
        self._again = deque(self.results.open_indexes())

    def close(self) -> int:
        """Take no more inputs.

        Returns:
            How many were added.
        """
        with self._lock:
            self.closed = True
            return self.count

    def _wake(self) -> None:
        if self._call_soon is not None:
            self._call_soon(self._added.set)
