"""How fast requests may follow one another on a route that counts them: its rate, found by where it refuses.

Services that limit by rate keep a token bucket or a window. Either is empty when it refuses, so what was let through
between two refusals, over the time between them, is the rate itself, whatever the bucket holds. Requests are then
spaced at a little less. Where the time between was partly a wait that the service had announced, a small bucket ran
over meanwhile and the rate is more than was seen: so it creeps up towards the pace that was refused.
"""

from __future__ import annotations

from bisect import bisect_left

_FEWEST = 5  # let through between two refusals, before their number says anything of the rate
_A_LITTLE_LESS = 0.98
_AGREE = 0.15
_CREEP_SECONDS = 1.0
_CREEP = 0.1
_HOLD_SECONDS, _LONGEST_HOLD = 20.0, 640.0
_REMEMBERED = 8192


class Pacer:
    """``rate`` is in requests a second, None while no limit of rate was seen. Times in seconds of one clock."""

    def __init__(self, learned: float | None = None) -> None:
        self.rate = learned
        self._refused_rate = float("inf")
        self._next = 0.0
        self._sent: list[float] = []
        self._base: float | None = None
        self._refused_since = 0
        self._resume = float("-inf")
        self._seen: float | None = None
        self._crept = 0.0
        self._hold_until = 0.0
        self._hold = _HOLD_SECONDS

    def reserve(self, now: float) -> float:
        """Take the next turn. Returns the seconds until it comes."""
        if self.rate is None:
            return 0.0
        self._creep(now)
        turn = max(self._next, now)
        self._next = turn + 1 / self.rate
        return turn - now

    def sent(self, now: float) -> None:
        """Note that a request goes now."""
        self._sent.append(now)
        if len(self._sent) > 2 * _REMEMBERED:
            del self._sent[:_REMEMBERED]

    def refused(self, sent: float, resume: float) -> bool:
        """Note a refusal of what was sent at ``sent``, and when sending goes on. Whether it is news."""
        self._refused_since += 1
        if sent < self._resume:  # out already when the refusal before it came back
            self._resume = max(self._resume, resume)
            return False
        self._resume = resume
        if self._base is None:
            self._start_from(sent)
            return True
        let_through = self._between(self._base, sent) - (self._refused_since - 1)
        if let_through < _FEWEST:
            return True
        self._learn(let_through / (sent - self._base), sent)
        self._start_from(sent)
        return True

    def _start_from(self, sent: float) -> None:
        self._base, self._refused_since = sent, 1

    def _between(self, begin: float, end: float) -> int:
        return bisect_left(self._sent, end) - bisect_left(self._sent, begin)

    def _learn(self, seen: float, now: float) -> None:
        if self.rate is not None:
            self._refused_rate = min(self._refused_rate, self.rate)
        sure = self._seen is not None and abs(seen / self._seen - 1) < _AGREE
        self._seen = seen
        # Spaced already and still refused: the pace itself is too fast, whatever went before.
        slower = seen if self.rate is None else min(self.rate, max(seen, self.rate / 2))
        self.rate = slower * _A_LITTLE_LESS
        if sure:
            self._hold_until, self._hold = now + self._hold, min(self._hold * 2, _LONGEST_HOLD)
            self._refused_rate = float("inf")
        self._crept = now
        self._next = 0.0

    def _creep(self, now: float) -> None:
        if self.rate is None or now < self._hold_until or now - self._crept < _CREEP_SECONDS:
            return
        self._crept = now
        towards = min(self._refused_rate * _A_LITTLE_LESS, self.rate * 2)
        self.rate = max(self.rate, self.rate + (towards - self.rate) * _CREEP)
