"""How fast requests may follow one another on a route that counts them: its rate, found by where it refuses.

Services that limit by rate keep a token bucket or a window. Either is empty when it refuses, so what was let through
between two such moments, over the time between them, is the rate itself, whatever the bucket holds. Requests are then
spaced at a little less. What a wait left unused is made up for after it, as the bucket filled meanwhile; a service that
refuses this keeps a small bucket, and its rate is more than was seen, so the pace creeps up until it is refused again.
"""

from __future__ import annotations

_FEWEST = 5  # let through between two empty buckets, before their number says anything of the rate
_A_LITTLE_LESS = 0.99
_STEP_DOWN = 0.95
_WAITED_LITTLE = 0.35  # of the time between: more than that, and a small bucket may have run over meanwhile
_CREEP, _CREEP_UNSURE = 1.02, 1.1
_HOLD_SECONDS, _LONGEST_HOLD = 4.0, 640.0
_SAVED_SECONDS = 1.0
_SOON, _UNRULY = 20, 4
_UNRULY_SECONDS, _LONGEST_UNRULY = 120.0, 3600.0


class Pacer:
    """``rate`` is in requests a second, None while no limit of rate was seen. Times in seconds of one clock."""

    def __init__(self, learned: float | None = None) -> None:
        self.rate = learned
        self._sure = learned is not None
        self._next = float("-inf")
        self._saved = _SAVED_SECONDS
        self._let_through = 0  # sent and not refused, since the bucket was empty at ``_base``
        self._base: float | None = None
        self._waited = 0.0
        self._event: float | None = None  # an empty bucket that is still to be learned from, once sending goes on
        self._resume = float("-inf")
        self._crept = float("-inf")
        self._hold = _HOLD_SECONDS
        self._soon = 0
        self._unruly_until = float("-inf")
        self._unruly_seconds = _UNRULY_SECONDS

    def delay(self, now: float) -> float:
        """Seconds until the next request may go."""
        if self._event is not None and now >= self._resume:
            self._look_back(self._event)
        if self.rate is None:
            return 0.0
        if now - self._crept >= 1.0:
            self.rate *= _CREEP if self._sure else _CREEP_UNSURE
            self._crept = now
        return self._next - now

    def sent(self, now: float) -> None:
        """Note that a request goes now."""
        self._let_through += 1
        if self.rate is not None:
            self._next = max(self._next, now - self._saved) + 1 / self.rate

    def emptied(self, sent: float, resume: float, *, refused: bool) -> bool:
        """Note that nothing was left for, or after, what was sent at ``sent``, and when sending goes on.

        Whether that is news: what was out already when the first word of it came back adds to it.
        """
        self._let_through -= refused
        news = sent >= self._resume
        if sent < self._unruly_until:
            self._resume = max(self._resume, resume)
            return False
        self._event = sent if news or self._event is None else min(sent, self._event)
        self._resume = max(self._resume, resume)
        return news

    def is_unruly(self, now: float) -> bool:
        """Whether the service was seen to refuse for other reasons than its pace."""
        return now < self._unruly_until

    def _look_back(self, event: float) -> None:
        """Learn from what was let through until ``event``, now that all that was refused then has come back."""
        waited, self._waited = self._waited, self._waited + self._resume - event
        self._event = None
        if self.rate is not None:
            self._soon = self._soon + 1 if self._let_through < max(_SOON, self.rate) else 0
            if self._soon >= _UNRULY:
                self._forget(event)
                return
        if self._base is not None and self._let_through < _FEWEST:
            return
        if self._base is not None:
            span = event - self._base
            self._learn(self._let_through / span, event, mostly_let_through=waited < span * _WAITED_LITTLE)
        self._base, self._let_through, self._waited = event, 0, self._resume - event

    def _forget(self, now: float) -> None:
        """Refused soon again at whatever pace: this service refuses for other reasons, and slowing down is no cure."""
        self.rate = self._base = None
        self._soon = 0
        self._unruly_until = now + self._unruly_seconds
        self._unruly_seconds = min(self._unruly_seconds * 2, _LONGEST_UNRULY)

    def _learn(self, seen: float, event: float, *, mostly_let_through: bool) -> None:
        if mostly_let_through:
            self.rate, self._sure = seen * _A_LITTLE_LESS, True
        elif self.rate is None:
            self.rate = seen * _A_LITTLE_LESS
        elif event - self._next > 2 / self.rate:  # refused while making up for a wait
            self._saved /= 2
        else:
            self.rate *= _STEP_DOWN
        self._crept = self._resume
        if self._sure:
            self._crept += self._hold
            self._hold = min(self._hold * 2, _LONGEST_HOLD)
        # Saved up since then, less one turn, as clocks and networks are not exact.
        self._next = event + 1 / (self.rate or 1.0)
