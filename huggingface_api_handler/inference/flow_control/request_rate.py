"""How fast requests may follow one another on a route that limits their rate: found by where it rejects.

Servers that limit a rate keep a token bucket or a window. Either is empty when the server rejects. So the requests that
it took between two such moments, over the time between them, are the rate, as long as the bucket did not overflow.
Requests are then spaced at a little less than this rate. After a pause the tokens that it saved are spent as a burst. A
server that rejects the burst has a small bucket: it overflowed, so the rate is higher than measured, and the estimate
rises slowly until the next rejection.

A server that announces its limit and the window in headers is trusted: requests go at that rate from its first response
on, until it rejects what it said it would take, or shows that it would take more.
"""

from __future__ import annotations

from dataclasses import dataclass

from ..transport.rate_limit_headers import RateLimitStatus
from .rate_increase import RateIncrease

_MIN_REQUESTS = 5  # between empty buckets, from which their number says something
_RELIABLE_REQUESTS = 20  # from which it says it well
_MIN_SAMPLE_S = 0.5  # between empty buckets: a moment of overload is no rate
_SAFETY_FACTOR = 0.99  # of the measured rate, so that small errors cause no rejections
_DECREASE_FACTOR = 0.95  # of the rate after a rejection, at least
_EARLY_DECREASE_FACTOR = 0.7  # after the second early rejection in a row
_PROVEN_BURST_REQUESTS = 2  # requests of a burst that were taken: then the bucket saved the tokens of the pause
_INITIAL_BURST_S = 10.0  # seconds of tokens that a bucket is taken to save until it is seen to save less
_BURST_DECREASE_FACTOR = 0.8
_RESERVE_TOKENS_AFTER_REJECTION = 1.5  # left in the bucket, as clocks and networks are not exact
_RESERVE_TOKENS_OF_HEADERS = 2
_MAX_RATE = 1e5  # requests a second: a server that announces more announces no limit that matters
_MAX_WINDOW_S = 300.0  # a day's quota is not spread over the day
_MAX_FULL_RESPONSES = 8  # in a row that announce a full bucket although requests were held back: the headers are wrong
_MAX_EARLY_REJECTIONS = 8  # by then the rate fell to a tenth
_FORGIVEN_EARLY_REJECTIONS = 2  # by one that came late, as some do where they come by chance
_MIN_SHARE_OF_TAKEN_RATE = 0.1  # what is rejected at less of a rate that was taken before is not rejected for its rate
_SETTLED_REQUESTS = 400  # taken in a row at a rate, from which it is the one that counts
_INITIAL_NON_RATE_LIMITED_S = 120.0
_MAX_NON_RATE_LIMITED_S = 3600.0  # it doubles up to here while the server goes on to reject for other reasons


class RateEstimator:
    """The rate at which requests may go on one route.

    Attributes:
        rate: Requests a second; None while no limit of the rate was seen.
        corrections: How many times it was found anew when the next request is due, other than by those that went.

    Example:
        >>> estimator = RateEstimator()
        >>> estimator.delay(now=0.0)
        0.0
        >>> estimator.on_send(now=0.0)
        >>> status = RateLimitStatus(remaining=0, reset_s=10.0, limit=100, window_s=10.0)
        >>> estimator.on_quota_headers(now=0.1, sent_at=0.0, status=status, other_requests=0)
        >>> estimator.rate
        10.0
    """

    def __init__(self, initial_rate: float | None = None) -> None:
        """Start an estimate.

        Args:
            initial_rate: Requests a second that an earlier query found; None on a new route.
        """
        self.rate = initial_rate
        self.corrections = 0
        self._is_certain = initial_rate is not None
        self._bucket = _TokenBucket()
        self._headers = _HeaderTrust()
        self._exhaustion = _Exhaustion()
        self._sample = _Sample()
        self._increase = RateIncrease()
        self._rejections = _Rejections()

    @property
    def next_at(self) -> float:
        """When the next request is due, in seconds of the clock; earlier than now where tokens are saved."""
        return self._bucket.next_at

    @property
    def burst_s(self) -> float:
        """How many seconds of the rate the server saves as tokens."""
        return self._bucket.burst_s

    def delay(self, now: float) -> float:
        """How long the next request has to wait.

        Args:
            now: Seconds of a monotonic clock, the same one for all methods.

        Returns:
            Seconds; 0.0 or less where it may go now.
        """
        event_at = self._exhaustion.event_at
        if event_at is not None and now >= self._exhaustion.resume_at:
            self._resume(event_at)
        if self.rate is None:
            return 0.0
        next_at = self._bucket.next_at
        # The rate rises only while it holds requests back: otherwise it is not too low.
        if not self._headers.are_trusted and next_at > now:
            self.rate = self._increase.raised(self.rate, now, is_certain=self._is_certain)
        return next_at - now

    def on_send(self, now: float) -> None:
        """Note that a request goes now.

        Args:
            now: Seconds of the clock.
        """
        self._sample.sent += 1
        if self.rate is not None:
            self._bucket.take(now, self.rate)

    def on_send_cancelled(self) -> None:
        """Note that the request of the last ``on_send`` was not sent, so that the next one may have its token."""
        self._sample.sent -= 1
        if self.rate is not None:
            self._bucket.put_back(self.rate)

    def on_quota_headers(self, now: float, sent_at: float, status: RateLimitStatus, other_requests: int) -> None:
        """Note what the server announces of its limit.

        Where it names no window, the longest time that it announced until the end of one stands in for it.

        Args:
            now: Seconds of the clock.
            sent_at: When the request went that this is the response to.
            status: What the headers say.
            other_requests: Requests in flight but for this one.
        """
        headers, bucket = self._headers, self._bucket
        if status.limit is None or headers.are_distrusted:
            return
        window_s = status.window_s or max(headers.window_s, status.reset_s)
        if not 0 < window_s <= _MAX_WINDOW_S or status.limit < 1:
            return
        if window_s == headers.window_s and (headers.are_applied or sent_at < self._exhaustion.resume_at):
            is_full = bucket.next_at > now and status.remaining >= status.limit - 1
            headers.full_responses = headers.full_responses + 1 if is_full else 0
            if headers.full_responses >= _MAX_FULL_RESPONSES:
                self._distrust_headers()
            return
        headers.are_trusted = headers.are_applied = self._is_certain = True
        headers.window_s, self.rate = window_s, min(status.limit / window_s, _MAX_RATE)
        reserve_tokens = 1 + _RESERVE_TOKENS_OF_HEADERS  # one more request goes as the last saved token is spent
        bucket.burst_s = max(0, status.limit - reserve_tokens) / self.rate
        bucket.next_at = now - max(0, status.remaining - other_requests - reserve_tokens) / self.rate
        self.corrections += 1

    def on_exhausted(self, sent_at: float, resume_at: float, *, rejected: bool) -> bool:
        """Note that the server's bucket is empty.

        Args:
            sent_at: When the request went whose response says so.
            resume_at: When sending goes on.
            rejected: Whether this request was rejected; False where it was the last one that was taken.

        Returns:
            Whether this is news. It is none where the request was in flight already as the first such response came.
        """
        exhaustion, headers = self._exhaustion, self._headers
        self._sample.sent -= rejected
        is_news = sent_at >= exhaustion.resume_at
        exhaustion.resume_at = max(exhaustion.resume_at, resume_at)
        if sent_at < self._rejections.non_rate_limited_until:
            return False
        if headers.are_trusted:
            headers.are_applied = False
            if not rejected:
                self._bucket.next_at = max(self._bucket.next_at, resume_at)
                self.corrections += 1
                return is_news
            self._distrust_headers()
        if is_news:
            exhaustion.event_at = sent_at
            self._bucket.reserve_tokens = _RESERVE_TOKENS_AFTER_REJECTION if rejected else _RESERVE_TOKENS_OF_HEADERS
        elif exhaustion.event_at is not None:  # otherwise it is a late response about what was measured already
            exhaustion.event_at = min(sent_at, exhaustion.event_at)
        return is_news

    def is_non_rate_limited(self, now: float) -> bool:
        """Whether the server was seen to reject for other reasons than the rate.

        Args:
            now: Seconds of the clock.

        Returns:
            True for some minutes after so many rejections that no rate explains them.
        """
        return now < self._rejections.non_rate_limited_until

    def _distrust_headers(self) -> None:
        """The server does not keep the limit it announces: find its rate as if there were no headers."""
        self._headers.are_trusted, self._headers.are_distrusted = False, True
        self.rate, self._is_certain, self._bucket.burst_s = None, False, _INITIAL_BURST_S

    def _resume(self, event_at: float) -> None:
        """Measure up to ``event_at``, now that all that was rejected then has come back."""
        sample, bucket = self._sample, self._bucket
        resume_at = self._exhaustion.resume_at
        self._exhaustion.event_at = None
        measured = None
        if sample.started_at is not None and event_at > sample.started_at:
            measured = self._measure(event_at, event_at - sample.started_at)
            if self.is_non_rate_limited(event_at):
                return
        if sample.started_at is None or sample.is_reliable(event_at - sample.started_at):
            sample.started_at, sample.sent, sample.overflow_s = event_at, 0, 0.0
        sample.overflow_s += max(0.0, resume_at - event_at - bucket.burst_s)
        sample.resumed_at, sample.sent_before_resume, bucket.burst_requests = resume_at, sample.sent, 0
        certain_rate = self.rate if self._is_certain else None
        self._increase.on_rejected(resume_at, resume_at - event_at, certain_rate, measured)
        if self.rate is not None:
            bucket.next_at = event_at + bucket.reserve_tokens / self.rate
            self.corrections += 1

    def _measure(self, event_at: float, span_s: float) -> float | None:
        """Set the rate by a sample. Returns what the server took a second, None where too few requests say it."""
        sample, bucket, rejections = self._sample, self._bucket, self._rejections
        measured = sample.sent / max(span_s - sample.overflow_s, 1e-3)
        sent_since_resume = sample.sent - sample.sent_before_resume
        if self.rate is None:
            if sample.sent >= _MIN_REQUESTS and span_s >= _MIN_SAMPLE_S:
                self.rate = measured * _SAFETY_FACTOR
            return None
        if event_at <= bucket.burst_at:  # rejected within the burst: the bucket saves less than the pause brought
            saved_s = max(0.0, (sent_since_resume - 1) / self.rate - max(0.0, event_at - sample.resumed_at))
            bucket.burst_s = min(bucket.burst_s, saved_s) * _BURST_DECREASE_FACTOR
            return None
        is_early = sent_since_resume < max(_RELIABLE_REQUESTS, self.rate)
        lower, previous = measured * _SAFETY_FACTOR, self.rate
        rejections.note(sent_since_resume, previous, is_early=is_early)
        if rejections.are_non_rate_limited(previous):
            self._give_up(event_at)
            return None
        is_proven = bucket.burst_requests >= _PROVEN_BURST_REQUESTS
        self.rate = lower if is_proven else max(previous * _DECREASE_FACTOR, lower)
        if rejections.early_in_a_row > 1:
            self.rate = min(self.rate, previous * _EARLY_DECREASE_FACTOR)
        self._is_certain = True
        return lower if sample.is_reliable(span_s) else None

    def _give_up(self, now: float) -> None:
        """Rejected early at whatever rate: this server rejects for other reasons, and sending slower does not help."""
        self.rate = self._sample.started_at = None
        rejections = self._rejections
        rejections.early = rejections.early_in_a_row = 0
        rejections.taken_rate = 0.0
        rejections.non_rate_limited_until = now + rejections.non_rate_limited_s
        rejections.non_rate_limited_s = min(rejections.non_rate_limited_s * 2, _MAX_NON_RATE_LIMITED_S)


@dataclass(slots=True)
class _TokenBucket:
    """The server's bucket as we see it: ``next_at`` is when the next token is due, earlier where some are saved."""

    next_at: float = float("-inf")
    burst_s: float = _INITIAL_BURST_S  # tokens that it saves, in seconds of the rate
    reserve_tokens: float = _RESERVE_TOKENS_AFTER_REJECTION  # that we leave in it
    burst_at: float = float("-inf")  # when the last request went on a saved token
    burst_requests: int = 0  # that went on saved tokens since sending was resumed

    def take(self, now: float, rate: float) -> None:
        if now - max(self.next_at, now - self.burst_s) > 1 / rate:
            self.burst_at, self.burst_requests = now, self.burst_requests + 1
        self.next_at = max(self.next_at, now - self.burst_s) + 1 / rate

    def put_back(self, rate: float) -> None:
        self.next_at -= 1 / rate


@dataclass(slots=True)
class _HeaderTrust:
    """Whether the limit that the server announces in headers is the one that it keeps."""

    are_trusted: bool = False
    are_distrusted: bool = False
    are_applied: bool = False  # the bucket was set from headers since it was last empty
    window_s: float = 0.0
    full_responses: int = 0  # in a row, while requests were held back


@dataclass(slots=True)
class _Exhaustion:
    """The last time that the bucket was empty."""

    event_at: float | None = None  # None once it was measured up to here
    resume_at: float = float("-inf")


@dataclass(slots=True)
class _Sample:
    """What the server took since its bucket was empty at ``started_at``."""

    started_at: float | None = None
    sent: int = 0  # and not rejected
    sent_before_resume: int = 0  # of these, until the bucket was last empty
    overflow_s: float = 0.0  # in which the bucket was full, so that tokens overflowed
    resumed_at: float = float("-inf")

    def is_reliable(self, span_s: float) -> bool:
        return self.sent >= _RELIABLE_REQUESTS and span_s >= _MIN_SAMPLE_S


@dataclass(slots=True)
class _Rejections:
    """Whether the rate is why the server rejects. It is not where that happens soon after sending was resumed, at rate
    after rate, or at a rate far below one that was taken before.
    """

    early: int = 0  # soon after sending was resumed, less those that came late
    early_in_a_row: int = 0
    taken_rate: float = 0.0  # the highest since the rate settled
    non_rate_limited_until: float = float("-inf")
    non_rate_limited_s: float = _INITIAL_NON_RATE_LIMITED_S

    def note(self, taken: int, rate: float, *, is_early: bool) -> None:
        self.early_in_a_row = self.early_in_a_row + 1 if is_early else 0
        self.early = self.early + 1 if is_early else max(0, self.early - _FORGIVEN_EARLY_REJECTIONS)
        self.taken_rate = rate if taken >= _SETTLED_REQUESTS else max(self.taken_rate, rate)

    def are_non_rate_limited(self, rate: float) -> bool:
        return self.early >= _MAX_EARLY_REJECTIONS or rate < _MIN_SHARE_OF_TAKEN_RATE * self.taken_rate
