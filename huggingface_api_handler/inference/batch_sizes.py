"""How many inputs a route takes in one request with profit: found by growing until it refuses or slows."""

from __future__ import annotations

from dataclasses import dataclass, field

FIRST = 32
GREATEST = 1024

_GAIN = 0.97  # a batch of twice the size is worth it where an input then takes less than this share of its time
_SHORT, _GAIN_IF_LONG = 0.5, 0.9  # a long batch makes a late end, so it must be worth more
_LONGEST = 4.0  # seconds: a larger batch than takes this long is not tried, since its last rows would come late
_LONGEST_GUESS = 10.0  # the same before the best size was seen, if the time of a few inputs were all theirs
_CLOSE = 1.15  # how near the size that is taken comes to one that was refused
_TRIES = 2
_MANY = 4  # batches of a size not seen yet: fewer would be better shared among places


@dataclass
class BatchSizes:
    """``best`` is the size known to be good, ``refused`` the smallest that was not taken."""

    best: int = FIRST
    refused: int = GREATEST + 1
    settled: bool = False
    seconds: dict[int, float] = field(default_factory=dict)
    _trying: dict[int, int] = field(default_factory=dict)

    def untried(self, waiting: int) -> bool:
        """Whether the next batch would be the first to tell of a larger size, and so many inputs are enough for it."""
        step = self._step()
        return self._is_new and step is not None and step * _MANY <= waiting

    @property
    def _is_new(self) -> bool:
        return not self.settled and self.best not in self.seconds

    def next(self, waiting: int = _MANY * GREATEST) -> int:
        """The size of the next batch, where so many inputs wait: the best, or one more step to be tried."""
        step = self._step()
        if step is None or (self._is_new and step * _MANY > waiting) or self._trying.get(step, 0) >= _TRIES:
            return self.best
        self._trying[step] = self._trying.get(step, 0) + 1
        return step

    def took(self, size: int, seconds: float) -> None:
        """Note that a batch of ``size`` was answered in ``seconds``."""
        before = self.seconds.get(size)
        self.seconds[size] = seconds if before is None else (before + seconds) / 2
        if self.settled or size <= self.best:
            return
        known = self.seconds.get(self.best)
        gain = _GAIN if known is None or known < _SHORT else _GAIN_IF_LONG
        if known is not None and self.seconds[size] / size > known / self.best * gain:
            self.settled = True
        else:
            self.best = size

    def refuse(self, size: int, most: int | None = None) -> None:
        """Note that no list of ``size`` was taken; ``most`` is what the service says that it takes."""
        self.refused = min(self.refused, size if most is None else most + 1)
        if most is not None:
            self.best = max(1, min(most, GREATEST))
        elif self.best >= self.refused:
            taken = [known for known in self.seconds if known < self.refused]
            self.best = max(taken, default=max(1, self.refused // 2))

    def _guess(self, size: int) -> float:
        return min((seconds / few * size for few, seconds in self.seconds.items()), default=_LONGEST_GUESS + 1)

    def _step(self) -> int | None:
        if self.settled or self.seconds.get(self.best, 0.0) > _LONGEST:
            return None
        if self._is_new and (self._trying or self._guess(self.best * 4) > _LONGEST_GUESS):
            return None
        larger = self.best * (4 if self.best <= FIRST else 2)
        if larger >= self.refused:
            larger = (self.best + self.refused) // 2
            if larger < self.best * _CLOSE or larger >= self.refused:
                return None
        return larger
