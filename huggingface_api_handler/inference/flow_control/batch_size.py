"""How many inputs a route takes in one request with profit: found by growing until it refuses or slows."""

from __future__ import annotations

from dataclasses import dataclass, field

FIRST = 32
GREATEST = 1024

_GAIN = 0.97  # a batch of twice the size is worth it where an input then takes less than this share of its time
_SHORT, _GAIN_IF_LONG = 0.5, 0.9  # a long batch makes a late end, so it must be worth more
_LONGEST = 4.0  # seconds: a larger batch than takes this long is not tried, since its last rows would come late
_LONGEST_GUESS = 10.0  # the same before the best size was seen, if the time of a few inputs were all theirs
_TELLING = 1.5  # times the size: of less the gain is lost among chance
_CLOSE = 1.15  # how near the size that is taken comes to one that was refused
_SPARED = 2  # requests that a larger size must spare among what waits, since about one trial in two is refused
_DOUBTED = 4  # refusals in a row of a size that was taken before: the service takes less than it did
_SURE = 2  # times that a larger size was slower: once it may have stood in line for longer
_TRIED_EVERY = 8  # batches, while nothing is heard of a trial: it may be told to wait, or end with its query
_MANY = 4  # batches of a size not seen yet: fewer would be better shared among places


@dataclass
class BatchSizeTuner:
    """``best`` is the size known to be good, ``refused`` the smallest that was not taken."""

    best: int = FIRST
    refused: int = GREATEST + 1
    settled: bool = False
    seconds: dict[int, float] = field(default_factory=dict)
    _tried: int = 0
    _since: int = 0
    _doubts: int = 0
    _heard: int = 0  # the size heard of last, of those near the best
    _slower: int = 0
    _told: bool = False

    def next_size(self, waiting: int) -> int:
        """The size of the next batch of so many ``waiting``: the best, or one more step for one in a few to try."""
        step = self._step()
        if step is None or not self._repays(step, waiting):
            return self.best
        self._since += 1
        if step == self._tried and self._since < _TRIED_EVERY:
            return self.best
        self._tried, self._since = step, 0
        return step

    def should_probe(self, waiting: int) -> bool:
        """Whether the next batch of so many ``waiting`` would be the first to tell of its size, and of a larger one."""
        step = self._step()
        return self._is_new and step is not None and self._repays(step, waiting)

    def on_success(self, size: int, seconds: float) -> None:
        """Note that a batch of ``size`` was answered in ``seconds``."""
        if size >= self.refused:  # so it was not the size that was refused
            self.refused = GREATEST + 1
        if size >= self.best:
            self._doubts = 0
        known, before = self.seconds.get(self._heard), self.seconds.get(size)
        self.seconds[size] = seconds if before is None else (before + seconds) / 2
        if size <= self.best:
            if 2 * size >= self.best:  # far smaller ones say little of the line that a larger one stands in
                self._heard = size
            return
        if self.settled:
            return
        gain = _GAIN if known is None or known < _SHORT else _GAIN_IF_LONG
        if known is None or seconds / size <= known / self._heard * gain:
            self.best, self._heard, self._slower = size, size, 0
        elif size >= self.best * _TELLING:
            self._slower += 1
            self.settled = self._slower >= _SURE

    def on_reject(self, size: int, most: int | None = None) -> bool:
        """Note that a list of ``size`` was not taken; ``most`` is what the service says that it takes.

        Whether its size is the reason. Where as many were taken it is one of its inputs, unless that repeats.
        """
        if most is not None and most < size:
            self.refused, self.best, self._told = min(self.refused, most + 1), max(1, most), True
            return True
        if any(taken >= size for taken in self.seconds):
            self._doubts += size >= self.best
            if self._doubts < _DOUBTED:
                if not self._told:  # the same input may have been in a larger list that was refused
                    self.refused = GREATEST + 1
                return False
            self.seconds = {taken: seconds for taken, seconds in self.seconds.items() if taken < size}
        self.refused = min(self.refused, size)
        if self.best >= self.refused:
            self.best = max(1, self.refused // 2, *self.seconds)
        return True

    @property
    def _is_new(self) -> bool:
        return not self.settled and self.best not in self.seconds

    def _repays(self, step: int, waiting: int) -> bool:
        if self._is_new:
            return waiting >= step * _MANY
        return waiting * (step - self.best) >= _SPARED * step * self.best

    def _guess(self, size: int) -> float:
        return min((seconds / few * size for few, seconds in self.seconds.items()), default=_LONGEST_GUESS + 1)

    def _step(self) -> int | None:
        if self.settled or self.seconds.get(self.best, 0.0) > _LONGEST:
            return None
        if self._is_new and (self._tried or self._guess(self.best * 4) > _LONGEST_GUESS):
            return None
        larger = self.best * (4 if self.best <= FIRST else 2)
        if larger >= self.refused:
            half = self.refused // 2
            larger = half if half >= self.best * _CLOSE else (self.best + self.refused) // 2
            if larger < self.best * _CLOSE or larger >= self.refused:
                return None
        return larger
