"""Prompts that wait to be sent, in an order by which a server computes their common beginnings as seldom as can be.

Servers of language models store what they computed of a prompt, and compute another one only from where it differs
(vLLM's automatic prefix caching, https://docs.vllm.ai/en/latest/design/prefix_caching.html; llama.cpp's
``cache_prompt``). What is stored is soon lost to other prompts, so those that begin alike should follow one another.
And it is there only once a request is answered, in llama.cpp only for the slot that answered it. So what is out at the
same time should begin differently.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain, groupby, takewhile

from ...tasks import Input
from ...tasks.input_types import prompt_text


@dataclass(eq=False)
class _Run:
    """Prompts that are sent one after another, in the order of the alphabet.

    Attributes:
        part: the part of the query that they are of.
        waiting: those that were not taken, at least one.
        is_out: whether the one that was taken last has no answer yet.
    """

    part: int
    waiting: deque[int]
    is_out: bool = False


class PrefixQueue:
    """Indexes of prompts, of which ``popleft`` gives the one that follows an answered one by its beginning.

    The prompts are cut into as many runs as requests are out, where possible between two that have little in common.

    Args:
        inputs: the inputs of the query by their index.
        part_of: gives the number of the part of the query that an input is of. Parts go out in the order in which they
            were added: who waits for one does not wait for those behind it.
    """

    def __init__(self, inputs: Mapping[int, Input], part_of: Callable[[int], int]) -> None:
        self._inputs, self._part_of = inputs, part_of
        self._first: deque[int] = deque()
        self._runs: list[_Run] = []
        self._out: dict[int, _Run] = {}
        self._in_runs = 0  # since each request asks for the length, and frames of one row are a run each

    def __len__(self) -> int:
        return len(self._first) + self._in_runs

    def __iter__(self) -> Iterator[int]:
        return chain(self._first, *(run.waiting for run in self._runs))

    def extend(self, indexes: Iterable[int]) -> None:
        """Add prompts behind all others.

        Args:
            indexes: of them.
        """
        for part, members in groupby(self.in_order(indexes), self._part_of):
            self._runs.append(run := _Run(part, deque(members)))
            self._in_runs += len(run.waiting)

    def in_order(self, indexes: Iterable[int]) -> list[int]:
        """Sort prompts by their beginnings, those of each part of the query for themselves.

        Args:
            indexes: of them.

        Returns:
            The indexes in order.
        """
        return [index for _, members in groupby(indexes, self._part_of) for index in sorted(members, key=self._prompt)]

    def extendleft(self, indexes: Iterable[int]) -> None:
        """Add prompts before all others, as ``deque.extendleft`` does.

        Args:
            indexes: of them, the last one that is to go first.
        """
        self._first.extendleft(indexes)

    def remove(self, index: int) -> None:
        """Take one out.

        Args:
            index: of a prompt that waits.
        """
        if index in self._first:
            self._first.remove(index)
            return
        run = next(run for run in self._runs if index in run.waiting)
        run.waiting.remove(index)
        self._in_runs -= 1
        if not run.waiting:
            self._runs.remove(run)

    def clear(self) -> None:
        """Take all out."""
        self._first.clear()
        self._runs.clear()
        self._out.clear()
        self._in_runs = 0

    def popleft(self) -> int:
        """Take the prompt that is to be sent next.

        Returns:
            Its index.
        """
        if self._first:
            return self._first.popleft()
        part = self._runs[0].part
        runs = list(takewhile(lambda run: run.part == part, self._runs))
        run = next((run for run in runs if not run.is_out), None) or self._split(max(runs, key=_length))
        index = run.waiting.popleft()
        self._in_runs -= 1
        self._out[index], run.is_out = run, True
        if not run.waiting:
            self._runs.remove(run)
        return index

    def on_done(self, index: int) -> None:
        """Note that a prompt has its answer or its failure, so that the next of its run may go.

        Args:
            index: of the prompt.
        """
        run = self._out.pop(index, None)
        if run is not None:
            run.is_out = False

    def _split(self, run: _Run) -> _Run:
        """Cut off the end of a run: in the middle half, where two neighbours have the least in common."""
        waiting, count = list(run.waiting), len(run.waiting)
        first, last = count // 4, count - 1 - count // 4
        # In the order of the alphabet, the least that two neighbours have in common is what the ends have in common.
        pairs = zip(self._prompt(waiting[first]), self._prompt(waiting[last]), strict=False)
        differs_by = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs)) + 1

        def beginning(index: int) -> str:
            """What tells a prompt from those behind the cut."""
            return self._prompt(index)[:differs_by]

        middle = beginning(waiting[count // 2])
        cuts = [cut(waiting, middle, first, last + 1, key=beginning) for cut in (bisect_left, bisect_right)]
        half = count // 2
        at = min((cut for cut in cuts if first < cut <= last), key=lambda cut: abs(cut - half), default=half)
        new = _Run(run.part, deque(waiting[at:]))
        run.waiting = deque(waiting[:at])
        place = self._runs.index(run)
        self._runs[place : place + 1] = [run, new] if run.waiting else [new]
        return new

    def _prompt(self, index: int) -> str:
        return prompt_text(self._inputs[index])


def _length(run: _Run) -> int:
    return len(run.waiting)
