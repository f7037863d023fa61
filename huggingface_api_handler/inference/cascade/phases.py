"""Phases: what a cascade does now, and how far that is."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from typing import NamedTuple

from ..runtime.progress import Phase, Progress, with_phase


class Step(NamedTuple):
    """What is done in a phase.

    Attributes:
        name: In words.
        stage: Those of a later stage begin when nothing is asked any more in those before.
        is_large: Whether the large model is asked.
        has_rounds: Whether answers say how many are asked.
    """

    name: str
    stage: int
    is_large: bool
    has_rounds: bool = False


READS = Step("small model reads", 0, is_large=False)
VECTORS = Step("embedding model reads", 0, is_large=False, has_rounds=True)
LABELS = Step("large model labels examples", 0, is_large=True, has_rounds=True)
CHECKS = Step("large model checks", 1, is_large=True, has_rounds=True)
REST = Step("large model answers the rest", 2, is_large=True)
ALL = Step("large model answers", 2, is_large=True)
"""Where no proxy was asked."""

_LAST = REST.stage


@dataclass
class _Counts:
    """Of a phase: inputs that are done, the most that may be, and whether all that were asked about are."""

    done: int = 0
    most: int = 0
    seconds: float = 0.0
    is_whole: bool = True
    is_closed: bool = False


class Phases:
    """Tells how far the phases of a query are, and the query as a whole.

    The query as a whole counts an input twice where both models may be asked about it. Until it is known what is left
    for the large model that is every input, so that the share that is done never falls within a part, and is 1 at the
    end of a part only. Where the large model's query ends before that, what is told stays as it is.
    """

    def __init__(self, progress: Progress | None) -> None:
        """Tell nothing yet.

        Args:
            progress: Is called on the event loop's thread and on the caller's, never on both at once.
        """
        self._report = None if progress is None else with_phase(progress)
        self._lock = threading.Lock()
        self._before = 0  # done in earlier parts
        self._large_most = 0
        self._counts: dict[Step, _Counts] = {}
        self._step: Step | None = None
        self._asked = self._base = self._done_now = 0  # of what is asked now; of the model's query before; done of it
        self._began: float | None = None
        self._is_over = False  # the large model is asked no more about this part

    @property
    def has_begun(self) -> bool:
        """Whether anything was asked in this part."""
        return self._step is not None

    def begin_part(self, inputs: int) -> None:
        """Begin tables that are certified together.

        Args:
            inputs: Their distinct inputs.
        """
        with self._lock:
            self._before = self._done()
            self._large_most, self._counts, self._step = inputs, {}, None
            self._asked = self._done_now = 0
            self._is_over = False

    def expect(self, step: Step, most: int) -> None:
        """Say beforehand how many inputs a phase may ask about, which asks in several rounds.

        Args:
            step: What is done in it.
            most: The most inputs.
        """
        with self._lock:
            self._counts.setdefault(step, _Counts()).most = most

    def begin(self, step: Step, count: int, base: int) -> None:
        """Begin to ask a model about some inputs.

        Args:
            step: What for.
            count: How many inputs.
            base: How many its query was asked about before.
        """
        with self._lock:
            if self._is_over:
                return
            if self._step is not None and step.stage > self._step.stage:
                self._close(self._step)
            counts = self._counts.setdefault(step, _Counts())
            counts.most = max(counts.most, counts.done + count)
            if step.stage == _LAST:
                self._large_most = count + sum(each.done for large, each in self._counts.items() if large.is_large)
            self._step, self._asked, self._base, self._done_now = step, count, base, 0
            self._began = time.monotonic()
            self._tell()

    def tick(self, done: int, *, is_large: bool) -> None:
        """Take how far the query of a model is. What is told late, or of the other model, changes nothing.

        Args:
            done: How many of all its inputs are done.
            is_large: Whether it is the large model's.
        """
        with self._lock:
            if self._step is None or self._step.is_large != is_large or self._began is None:
                return
            self._done_now = max(self._done_now, min(done - self._base, self._asked))
            self._tell()

    def settle(self, done: int) -> None:
        """Note that what was asked about is done, or the query has ended.

        Args:
            done: How many inputs have an answer, or were refused for good.
        """
        with self._lock:
            if self._step is None or self._began is None:
                return
            counts = self._counts[self._step]
            counts.is_whole = counts.is_whole and done >= self._asked
            self._is_over = self._step.is_large and not counts.is_whole
            counts.done += max(done, self._done_now)
            counts.seconds += time.monotonic() - self._began
            self._asked = self._done_now = 0
            self._began = None
            self._tell()

    def end_part(self) -> None:
        """Note that nothing is asked any more about a part."""
        with self._lock:
            if self._step is not None and not self._is_over:
                self._large_most = 0
                self._close(self._step)

    def now(self) -> Phase | None:
        """The phase that is on; None before the first."""
        with self._lock:
            return self._phase()

    def _close(self, last: Step) -> None:
        """Ask nothing more in the phases so far, and tell of the last one, whose total is known now."""
        for step, counts in self._counts.items():
            counts.is_closed = counts.is_closed or step.stage <= last.stage
        self._tell()

    def _done(self) -> int:
        return self._before + sum(counts.done for counts in self._counts.values()) + self._done_now

    def _total(self) -> int:
        large = proxy = 0
        for step, counts in self._counts.items():
            if step.is_large:
                large += counts.done
            else:
                proxy += counts.done if counts.is_closed else counts.most
        return self._before + proxy + max(self._large_most, large)

    def _phase(self) -> Phase | None:
        if self._step is None:
            return None
        counts = self._counts[self._step]
        is_complete = counts.is_closed and counts.is_whole
        total = counts.done if is_complete else counts.most
        is_most = self._step.has_rounds and not is_complete
        seconds = counts.seconds + (0.0 if self._began is None else time.monotonic() - self._began)
        return Phase(self._step.name, counts.done + self._done_now, total, seconds, is_most)

    def _tell(self) -> None:
        if self._report is not None:
            self._report(self._done(), self._total(), phase=self._phase())
