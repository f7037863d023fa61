"""How many inputs to send in one request: found by growing until the server rejects the size or gets no faster."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

INITIAL_BATCH_SIZE = 32
"""Inputs of the first batch on a new route: the most that Text Embeddings Inference takes by default."""
MAX_BATCH_SIZE = 1024
"""No larger batch is tried: by then a request's fixed cost is small for each input."""

_GAIN = 0.97  # a batch of twice the size is worth it where an input then takes less than this share of its time
_SHORT_BATCH_S = 0.5
_GAIN_OF_LONG_BATCHES = 0.9  # a long batch makes a late end, so it must be worth more
_MAX_LATENCY_S = 4.0  # no larger batch is tried than takes this long, since its last rows would come late
_MAX_LATENCY_OF_SINGLES = 1.5  # the same, where one input alone takes long: so many times that
_MAX_TIMEOUT_SHARE = 0.25  # the same, of the timeout: others may be ahead of it
_MAX_ESTIMATED_LATENCY_S = 10.0  # the same before the best size was measured, if time grew with the inputs
_COMPARABLE_FACTOR = 1.5  # of the size: a smaller step's gain is lost in chance
_MIN_STEP_FACTOR = 1.15  # of the best size: a step below this towards a rejected size is not worth a request
_MIN_SAVED_REQUESTS = 2  # that a larger size must save on what waits, since about one trial in two is rejected
_MAX_REPEATED_REJECTIONS = 4  # in a row of a size that was taken before: the server takes less than it did
_MAX_SLOWER_TRIALS = 2  # once, the batch may have waited in a queue for longer
_TRIAL_INTERVAL_BATCHES = 8  # while a trial has no response: it may be told to wait, or end with its query
_MIN_ANSWERS_TO_GROW = 8  # of the size that a timeout left, before a larger one; twice as many after each timeout
_GROWTH_OF_TIMELY_SIZE = 2
_MIN_BATCHES_OF_NEW_SIZE = 4  # fewer would be better shared among the slots
_RARE_REJECTION_BATCHES = 8  # as large as the rejected one, answered since the one before: a smaller size costs more
_GROWTH_OF_CLEAN_SIZE = 4  # measured: of 2 to 4 the one with the fewest requests, see bench/ideal_search.py


@dataclass
class TimelySize:
    """The most inputs of a batch that is answered in time, as far as some were given up.

    Attributes:
        size: Inputs; ``MAX_BATCH_SIZE`` where no batch was given up.
    """

    size: int = MAX_BATCH_SIZE
    _answers: int = 0  # to batches of this size or more
    _has_grown: bool = False  # since the last timeout
    _timeouts: int = 0  # less those after which batches grew and came in time

    def on_timeout(self, size: int) -> None:
        """Note a batch that was given up, since no answer came in time. The next are half as large.

        They grow again when some of that size were answered, since a service may stall whatever it was sent.

        Args:
            size: Inputs in the batch.
        """
        if size <= self.size:  # once, where many of a size are out
            self._timeouts += 1
        self.size = max(1, min(self.size, size // 2))
        self._answers, self._has_grown = 0, False

    def on_answer(self, size: int, is_too_slow: Callable[[int], bool]) -> None:
        """Note a batch that was answered.

        Args:
            size: Inputs in the batch.
            is_too_slow: Whether batches of a larger size would take too long to try it.
        """
        if size < self.size or self.size == MAX_BATCH_SIZE:
            return
        self._answers += 1
        larger = min(self.size * _GROWTH_OF_TIMELY_SIZE, MAX_BATCH_SIZE)
        if self._answers >= _MIN_ANSWERS_TO_GROW * 2 ** max(0, self._timeouts - 1) and not is_too_slow(larger):
            if self._has_grown:  # and what it had grown to came in time
                self._timeouts = max(0, self._timeouts - 1)
            self.size, self._answers, self._has_grown = larger, 0, True


@dataclass
class BatchSizeTuner:
    """The size of batches on one route. All sizes are in inputs.

    Attributes:
        best: The size known to be good.
        smallest_rejected: The smallest size that was not taken; more than ``MAX_BATCH_SIZE`` where none is.
        settled: Whether ``best`` is final, so that no larger size is tried.
        latencies_s: Seconds that a batch of each measured size takes.
        timeout_s: Seconds after which a request is given up.
        timely: The most inputs of a batch since one was given up.
        is_limited: Whether batches are smaller since inputs were rejected.

    Example:
        >>> tuner = BatchSizeTuner()
        >>> tuner.on_success(32, seconds=0.1)
        >>> tuner.next_size(waiting=10_000)
        128
        >>> tuner.on_reject(128, max_size=64)
        True
        >>> tuner.best
        64
    """

    best: int = INITIAL_BATCH_SIZE
    smallest_rejected: int = MAX_BATCH_SIZE + 1
    settled: bool = False
    latencies_s: dict[int, float] = field(default_factory=dict)
    timeout_s: float = float("inf")
    timely: TimelySize = field(default_factory=TimelySize)
    is_limited: bool = False
    _clean_size: int = MAX_BATCH_SIZE  # the most where rejected inputs are about
    _inputs_since_rejection: int = 0  # that were answered
    _single_s: float | None = None  # the least that one input alone took
    _input_s: float | None = None  # the least that each further input of a batch took
    _trial_size: int = 0
    _batches_since_trial: int = 0
    _repeated_rejections: int = 0
    _reference_size: int = 0  # measured last, of those near the best: what a larger size is compared with
    _slower_trials: int = 0
    _max_size_announced: bool = False

    def next_size(self, waiting: int) -> int:
        """The size of the next batch.

        Args:
            waiting: Inputs that wait to be sent, those of this batch included.

        Returns:
            The best size, or for one batch in a few a larger one, to try it. The first batch is no larger than should
            be answered soon by the seconds that one input took.
        """
        if self._is_unmeasured:
            self.best = self._first_size()
        if (limit := min(self._clean_size, self.timely.size)) <= self.best:
            return limit
        step = self._step()
        if step is None or not self._pays_off(step, waiting):
            return self.best
        self._batches_since_trial += 1
        if step == self._trial_size and self._batches_since_trial < _TRIAL_INTERVAL_BATCHES:
            return self.best
        self._trial_size, self._batches_since_trial = step, 0
        return step

    def should_probe(self, waiting: int) -> bool:
        """Whether to wait for the next batch before others are sent, as it is the first of its size.

        Args:
            waiting: Inputs that wait to be sent.

        Returns:
            True where no batch of the best size was measured yet, and a larger size would be worth a trial.
        """
        step = self._step()
        return self._is_unmeasured and step is not None and self._pays_off(step, waiting)

    def on_input_rejected(self, size: int) -> None:
        """Note a batch that was rejected for one of its inputs. The next are half as large, where that is not rare.

        So of all batches about half are rejected, by which a rejected input is found with the fewest requests.

        Args:
            size: Inputs in the batch.
        """
        is_rare = self._inputs_since_rejection >= _RARE_REJECTION_BATCHES * size
        self._inputs_since_rejection = 0
        if not self.is_limited:  # one such input says nothing of a size that was tried with it
            self._trial_size = 0
        if is_rare:
            return
        self._clean_size = max(1, min(self._clean_size, size // 2))  # once, where many of a size are out
        self.is_limited = True

    def on_no_input_rejected(self, size: int) -> None:
        """Note a batch of which no input was rejected. The next may be larger.

        Args:
            size: Inputs in the batch.
        """
        if size >= self._clean_size:
            self._clean_size = min(size * _GROWTH_OF_CLEAN_SIZE, MAX_BATCH_SIZE)
            self.is_limited = self._clean_size < MAX_BATCH_SIZE

    def on_single(self, seconds: float) -> None:
        """Note an input that was answered alone.

        Args:
            seconds: Latency of the request.
        """
        if self._single_s is None or seconds < self._single_s:
            self._single_s = seconds
        self.timely.on_answer(1, self._is_too_slow)

    def on_success(self, size: int, seconds: float) -> None:
        """Note a batch that was answered.

        Args:
            size: Inputs in the batch.
            seconds: Latency of the request.
        """
        self._inputs_since_rejection += size
        if size >= self.smallest_rejected:  # so the rejection was not for the size
            self.smallest_rejected = MAX_BATCH_SIZE + 1
        if size >= self.best:
            self._repeated_rejections = 0
        self.timely.on_answer(size, self._is_too_slow)
        reference_s, earlier_s = self.latencies_s.get(self._reference_size), self.latencies_s.get(size)
        self.latencies_s[size] = seconds if earlier_s is None else (earlier_s + seconds) / 2
        if self._single_s is not None and size > 1:
            input_s = max(0.0, seconds - self._single_s) / (size - 1)
            self._input_s = input_s if self._input_s is None else min(self._input_s, input_s)
        if size <= self.best:
            if 2 * size >= self.best:  # far smaller ones say little about the queue that a larger one waits in
                self._reference_size = size
            return
        if self.settled:
            return
        gain = _GAIN if reference_s is None or reference_s < _SHORT_BATCH_S else _GAIN_OF_LONG_BATCHES
        if reference_s is None or seconds / size <= reference_s / self._reference_size * gain:
            self.best, self._reference_size, self._slower_trials = size, size, 0
        elif size >= self.best * _COMPARABLE_FACTOR:
            self._slower_trials += 1
            self.settled = self._slower_trials >= _MAX_SLOWER_TRIALS

    def on_reject(self, size: int, max_size: int | None = None) -> bool:
        """Note a batch that was rejected, perhaps for its size.

        Args:
            size: Inputs in the batch.
            max_size: The largest size that the server says it takes; None where it says nothing.

        Returns:
            Whether the size is the reason. Where as many were taken before it is one of the inputs, unless that
            repeats.
        """
        if max_size is not None and max_size < size:
            self.smallest_rejected = min(self.smallest_rejected, max_size + 1)
            self.best, self._max_size_announced = max(1, max_size), True
            return True
        if any(measured >= size for measured in self.latencies_s):
            self._repeated_rejections += size >= self.best
            if self._repeated_rejections < _MAX_REPEATED_REJECTIONS:
                if not self._max_size_announced:  # the same input may have been in a larger batch that was rejected
                    self.smallest_rejected = MAX_BATCH_SIZE + 1
                return False
            self.latencies_s = {measured: s for measured, s in self.latencies_s.items() if measured < size}
        self.smallest_rejected = min(self.smallest_rejected, size)
        if self.best >= self.smallest_rejected:
            self.best = max(1, self.smallest_rejected // 2, *self.latencies_s)
        return True

    @property
    def _is_unmeasured(self) -> bool:
        return not self.settled and self.best not in self.latencies_s

    def _pays_off(self, step: int, waiting: int) -> bool:
        if self._is_unmeasured:
            return waiting >= step * _MIN_BATCHES_OF_NEW_SIZE
        return waiting * (step - self.best) >= _MIN_SAVED_REQUESTS * step * self.best

    def _estimated_latency_s(self, size: int) -> float:
        estimates = (seconds / measured * size for measured, seconds in self.latencies_s.items())
        return min(estimates, default=_MAX_ESTIMATED_LATENCY_S + 1)

    @property
    def _max_latency_s(self) -> float:
        single_s = self._single_s or 0.0
        return min(max(_MAX_LATENCY_S, _MAX_LATENCY_OF_SINGLES * single_s), _MAX_TIMEOUT_SHARE * self.timeout_s)

    def _first_size(self) -> int:
        """The best size, or less where it would take too long, if each input took as long as those measured."""
        if self._single_s is None:
            return self.best
        input_s = self._single_s if self._input_s is None else self._input_s
        further_s = max(0.0, self._max_latency_s - self._single_s)
        return self.best if self.best * input_s <= further_s else 1 + int(further_s / input_s)

    def _is_too_slow(self, size: int) -> bool:
        """Whether a batch of a size larger than the best is not to be tried, as it would take too long."""
        best_s = self.latencies_s.get(self.best, self.latencies_s.get(self._reference_size, 0.0))
        if self._single_s is None or self._input_s is None:
            return best_s > min(_MAX_LATENCY_S, _MAX_TIMEOUT_SHARE * self.timeout_s)
        expected_s = self._single_s + self._input_s * (size - 1)
        return expected_s > (self._max_latency_s if best_s > _MAX_LATENCY_S else _MAX_TIMEOUT_SHARE * self.timeout_s)

    def _step(self) -> int | None:
        """The larger size to try next, None where there is none."""
        if self.settled:
            return None
        if self._is_unmeasured and (
            self._trial_size or self._estimated_latency_s(self.best * 4) > _MAX_ESTIMATED_LATENCY_S
        ):
            return None
        larger = self.best * (4 if self.best <= INITIAL_BATCH_SIZE else 2)
        if larger >= self.smallest_rejected:
            half = self.smallest_rejected // 2
            larger = half if half >= self.best * _MIN_STEP_FACTOR else (self.best + self.smallest_rejected) // 2
            if larger < self.best * _MIN_STEP_FACTOR or larger >= self.smallest_rejected:
                return None
        larger = min(larger, self.timely.size)
        if larger < self.best * _MIN_STEP_FACTOR:
            return None
        return None if self._is_too_slow(larger) else larger
