"""How fast requests may follow one another on a route that counts them: its rate, found by where it refuses.

Services that limit by rate keep a token bucket or a window. Either is empty when it refuses, so what was let through
between two such moments, over the time between them, is the rate itself, as long as the bucket did not run over.
Requests are then spaced at a little less. What a wait left unused is made up for after it, as the bucket filled
meanwhile. A service that refuses this keeps a small bucket: it ran over, so its rate is more than was seen, and the
pace creeps up until it is refused again.

A service that tells its limit and the window of it is believed, and asked at that rate from its first answer on, until
it refuses what it said it would take, or lets on that it would take more.
"""

from __future__ import annotations

from ..transport.rate_limit_headers import RateLimitStatus

_FEWEST, _ENOUGH = 5, 20  # let through between empty buckets, before their number says something, and says it well
_A_LITTLE_LESS = 0.99
_STEP_DOWN, _STEP_IF_SOON = 0.95, 0.7
_SHORTEST = 0.5  # seconds between them: a moment of overload is no rate
_PROVEN = 2  # requests by which a wait was made up for, and so the bucket kept it
_CREEP, _CREEP_UNSURE = 1.02, 1.15
_HOLD_SECONDS, _LONGEST_HOLD = 4.0, 640.0
_SAVED_SECONDS, _LESS_SAVED = 10.0, 0.8
_KEPT_IF_REFUSED, _KEPT_IF_TOLD = 1.5, 2  # tokens left in the bucket, as clocks and networks are not exact
_LONGEST_WINDOW = 300.0  # seconds: a day's quota is not spread over the day
_FULL = 8  # answers in a row that told of a bucket as good as full, though requests were held back
_UNRULY = 8  # times refused soon again: by then the pace fell to a tenth
_UNRULY_SECONDS, _LONGEST_UNRULY = 120.0, 3600.0


class RateEstimator:
    """``rate`` is in requests a second, None while no limit of rate was seen. Times in seconds of one clock."""

    def __init__(self, learned: float | None = None) -> None:
        self.rate = learned
        self._sure = learned is not None
        self._next = float("-inf")
        self._burst_s = _SAVED_SECONDS
        self._let_through = 0  # sent and not refused, since the bucket was empty at ``_base``
        self._before = 0  # of these, until it was last empty
        self._base: float | None = None
        self._overflow_s = 0.0  # seconds of it in which the bucket was full
        self._making_up, self._made_up = float("-inf"), 0
        self._event: float | None = None  # an empty bucket that is still to be learned from, once sending goes on
        self._resume = self._resumed = float("-inf")
        self._reserve_tokens = _KEPT_IF_REFUSED
        self._crept = float("-inf")
        self._hold = _HOLD_SECONDS
        self._soon = 0
        self._non_rate_limited_until = float("-inf")
        self._non_rate_limited_s = _UNRULY_SECONDS
        self._trusts_headers = self._distrusts_headers = False
        self._window = 0.0
        self._full = 0
        self._counted = False  # what is left was told since it was last used up

    def delay(self, now: float) -> float:
        """Seconds until the next request may go."""
        if self._event is not None and now >= self._resume:
            self._look_back(self._event)
        if self.rate is None:
            return 0.0
        if (
            not self._trusts_headers and now - self._crept >= 1.0 and self._next > now
        ):  # where nothing is held back, the pace is not too low
            self.rate *= _CREEP if self._sure else _CREEP_UNSURE
            self._crept = now
        return self._next - now

    def on_send(self, now: float) -> None:
        """Note that a request goes now."""
        self._let_through += 1
        if self.rate is not None:
            if now - max(self._next, now - self._burst_s) > 1 / self.rate:
                self._making_up, self._made_up = now, self._made_up + 1
            self._next = max(self._next, now - self._burst_s) + 1 / self.rate

    def on_send_cancelled(self) -> None:
        """Note that what was to go did not go: its turn is the next one's."""
        self._let_through -= 1
        if self.rate is not None:
            self._next -= 1 / self.rate

    def on_quota_headers(self, now: float, sent: float, status: RateLimitStatus, others: int) -> None:
        """Note what the service says of its limit in answer to what was sent at ``sent``, ``others`` in flight.

        Where it names no window, the longest that it was seen to leave until the end of one is taken for it.
        """
        if status.limit is None or self._distrusts_headers:
            return
        window = status.window_s or max(self._window, status.reset_s)
        if not 0 < window <= _LONGEST_WINDOW or status.limit < 1:
            return
        if window == self._window and (self._counted or sent < self._resume):
            self._full = self._full + 1 if self._next > now and status.remaining >= status.limit - 1 else 0
            if self._full >= _FULL:
                self._distrust_headers()
            return
        self._trusts_headers = self._sure = self._counted = True
        self._window, self.rate = window, status.limit / window
        kept = 1 + _KEPT_IF_TOLD  # one more goes at the moment at which nothing is saved any more
        self._burst_s = max(0, status.limit - kept) / self.rate
        self._next = now - max(0, status.remaining - others - kept) / self.rate

    def on_exhausted(self, sent: float, resume: float, *, refused: bool) -> bool:
        """Note that nothing was left for, or after, what was sent at ``sent``, and when sending goes on.

        Whether that is news: what was out already when the first word of it came back adds to it.
        """
        self._let_through -= refused
        news = sent >= self._resume
        self._resume = max(self._resume, resume)
        if sent < self._non_rate_limited_until:
            return False
        if self._trusts_headers:
            self._counted = False
            if not refused:
                self._next = max(self._next, resume)
                return news
            self._distrust_headers()
        if news:
            self._event, self._reserve_tokens = sent, _KEPT_IF_REFUSED if refused else _KEPT_IF_TOLD
        elif self._event is not None:  # or it is a late word of what was learned from already
            self._event = min(sent, self._event)
        return news

    def is_non_rate_limited(self, now: float) -> bool:
        """Whether the service was seen to refuse for other reasons than its pace."""
        return now < self._non_rate_limited_until

    def _distrust_headers(self) -> None:
        """What the service says of its limit is not what it keeps: find its rate as if nothing had been told."""
        self._trusts_headers, self._distrusts_headers = False, True
        self.rate, self._sure, self._burst_s = None, False, _SAVED_SECONDS

    def _look_back(self, event: float) -> None:
        """Learn from what was let through until ``event``, now that all that was refused then has come back."""
        self._event = None
        if self._base is not None and event > self._base:
            self._learn(event, event - self._base)
            if self.is_non_rate_limited(event):
                return
        if self._base is None or (self._let_through >= _ENOUGH and event - self._base >= _SHORTEST):
            self._base, self._let_through, self._overflow_s = event, 0, 0.0
        self._overflow_s += max(0.0, self._resume - event - self._burst_s)
        self._resumed, self._before, self._made_up = self._resume, self._let_through, 0
        self._crept = self._resume
        if self._sure:
            self._crept += self._hold
            self._hold = min(self._hold * 2, _LONGEST_HOLD)
        if self.rate is not None:
            self._next = event + self._reserve_tokens / self.rate

    def _learn(self, event: float, span: float) -> None:
        seen = self._let_through / max(span - self._overflow_s, 1e-3)
        lately = self._let_through - self._before
        if self.rate is None:
            if self._let_through >= _FEWEST and span >= _SHORTEST:
                self.rate = seen * _A_LITTLE_LESS
            return
        if event <= self._making_up:  # the bucket keeps less than the wait brought
            kept = max(0.0, (lately - 1) / self.rate - max(0.0, event - self._resumed))
            self._burst_s = min(self._burst_s, kept) * _LESS_SAVED
            return
        self._soon = self._soon + 1 if lately < max(_ENOUGH, self.rate) else 0
        if self._soon >= _UNRULY:
            self._forget(event)
        else:
            less = seen * _A_LITTLE_LESS
            self.rate, before = less if self._made_up >= _PROVEN else max(self.rate * _STEP_DOWN, less), self.rate
            if self._soon > 1:
                self.rate = min(self.rate, before * _STEP_IF_SOON)
            self._sure = True

    def _forget(self, now: float) -> None:
        """Refused soon again at whatever pace: this service refuses for other reasons, and slowing down is no cure."""
        self.rate = self._base = None
        self._soon = 0
        self._non_rate_limited_until = now + self._non_rate_limited_s
        self._non_rate_limited_s = min(self._non_rate_limited_s * 2, _LONGEST_UNRULY)
