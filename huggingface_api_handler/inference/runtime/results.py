"""What became of each distinct input, kept in columns.

An object of Python for each of a million inputs would cost more memory than their table, and more of the garbage
collector's time than all the other work on a row.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeGuard

from ...tasks import Prediction
from ..failures import Failure, FailureKind

_NO_SCORE = float("nan")
_OPEN = 0
_ANSWERED = 1
_FAILED = 2
_IS_ANSWERED = bytes(state == _ANSWERED for state in range(256))

_ENDED = (FailureKind.NOT_SENT, FailureKind.FATAL)
"""Failures of inputs that nothing was found out about: the query ended before them, or the model refuses everybody."""

Result = Prediction | Failure | None


def is_known(result: Result) -> TypeGuard[Prediction | Failure]:
    """Whether it was found out what a model says to an input.

    Args:
        result: what became of the input.

    Returns:
        False where the query ended before it, or the model refuses everybody.
    """
    return isinstance(result, Prediction) or (result is not None and result.kind not in _ENDED)


class Results(Sequence[Result]):
    """One item for each input: its prediction, its failure, or None while there is neither.

    Inputs are numbered over the whole query. Those of frames that were given back are dropped, so that a query of any
    length holds no more than a window. Belongs to one thread at a time.

    Args:
        size: the number of inputs to begin with.

    Attributes:
        start: the index of the first input that is held.
        values: the target of each input, None where it has none.
        scores: the confidence of each input, NaN where it has none.
        explains: the parts of each input's answer, None where it has none.
        failures: the failures, by the index of their input.
    """

    def __init__(self, size: int = 0) -> None:
        self.start = 0
        self.values: list[Any] = []
        self.scores = array("d")
        self.explains: list[Any] = []
        self.failures: dict[int, Failure] = {}
        self._states = bytearray()
        self._dropped_answers = 0
        self._watched = self._watched_stop = -1
        self._on_done: Callable[[], None] = _nothing
        self.extend(size)

    @property
    def answered(self) -> int:
        """How many inputs have a prediction, those that were dropped included."""
        return self._dropped_answers + self._states.count(_ANSWERED)

    @property
    def done(self) -> int:
        """How many inputs have a prediction or a failure, those that were dropped included."""
        return len(self) - self._states.count(_OPEN)

    def __len__(self) -> int:
        return self.start + len(self.values)

    def __getitem__(self, index: Any) -> Any:  # Sequence asks for slices too, which nobody here takes
        place = index - self.start
        if self._states[place] != _ANSWERED:
            return self.failures.get(index)
        score = self.scores[place]
        return Prediction(self.values[place], None if score != score else score, self.explains[place])

    def __iter__(self) -> Iterator[Result]:
        return (self[index] for index in range(self.start, len(self)))

    def extend(self, count: int) -> None:
        """Make room for more inputs.

        Args:
            count: how many.
        """
        self.values += [None] * count
        self.scores.extend(array("d", [_NO_SCORE]) * count)
        self.explains += [None] * count
        self._states += bytes(count)

    def drop_before(self, index: int) -> None:
        """Forget the inputs before ``index``.

        Args:
            index: of the first input that is still needed.
        """
        count = index - self.start
        self._dropped_answers += self._states.count(_ANSWERED, 0, count)
        for column in (self.values, self.scores, self.explains, self._states):
            del column[:count]
        for failed in [failed for failed in self.failures if failed < index]:
            del self.failures[failed]
        self.start = index

    def put(self, index: int, prediction: Prediction) -> None:
        """Keep the prediction of an input, in place of its failure.

        Args:
            index: of the input.
            prediction: what its answer was read as.
        """
        place = index - self.start
        self.values[place], score, self.explains[place] = prediction
        self.scores[place] = _NO_SCORE if score is None else score
        self._states[place] = _ANSWERED
        if self.failures:
            self.failures.pop(index, None)

    def fail(self, index: int, failure: Failure) -> None:
        """Keep the failure of an input, unless it has a prediction.

        Args:
            index: of the input.
            failure: its reason.
        """
        place = index - self.start
        if self._states[place] != _ANSWERED:
            self._states[place] = _FAILED
            self.failures[index] = failure

    def fail_remaining(self, failure: Failure) -> None:
        """Give ``failure`` to all inputs that have neither prediction nor failure.

        Args:
            failure: the reason of all of them.
        """
        place = self._states.find(_OPEN)
        while place >= 0:
            self.fail(self.start + place, failure)
            place = self._states.find(_OPEN, place)
        self.notify()

    @property
    def answered_flags(self) -> bytes:
        """One byte for each input that there is room for: 1 where it has a prediction, else 0."""
        return bytes(self._states).translate(_IS_ANSWERED)

    def open_indexes(self) -> list[int]:
        """Inputs that have neither prediction nor failure, of those that there is room for.

        Returns:
            Their indexes, in their order.
        """
        return [self.start + place for place, state in enumerate(self._states) if state == _OPEN]

    def reopen(self, is_undone: Callable[[Failure], bool]) -> None:
        """Forget failures, so that these inputs can be asked again. Those that ``when_done`` has told of stay.

        Args:
            is_undone: whether a failure is to be forgotten.
        """
        first = self._watched_stop if self._watched < 0 else self.start
        for index in [each for each, failure in self.failures.items() if each >= first and is_undone(failure)]:
            del self.failures[index]
            self._states[index - self.start] = _OPEN
        if self._watched >= 0:
            self._watched = self.start

    def when_done(self, stop: int, on_done: Callable[[], None]) -> None:
        """Call a function once all inputs before ``stop`` have their prediction or failure. One at a time is watched.

        Args:
            stop: the index behind the last of these inputs, which are all held or dropped.
            on_done: what to call.
        """
        self._watched, self._watched_stop, self._on_done = self.start, stop, on_done
        self.notify()

    def notify(self) -> None:
        """Look whether what ``when_done`` waits for is done. Call it after each answer, not for each of its inputs."""
        if self._watched < 0:
            return
        place, stop = self._watched - self.start, self._watched_stop - self.start
        if place < stop:
            place = self._states.find(_OPEN, place, stop)
            if place < 0 and stop > len(self._states):
                place = len(self._states)
            if place >= 0:
                self._watched = self.start + place
                return
        self._watched = -1
        self._on_done()


def _nothing() -> None:
    """What is called where nobody watches."""
