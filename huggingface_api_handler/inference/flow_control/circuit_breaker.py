"""When a query stops early: its requests were paused for too long, or the request itself is wrong and not its rows."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import replace

from ...config.settings import ModelSettings
from ..failures import MAY_BE_OF_ONE_INPUT, Failure, FailureKind, rejection_kind
from ..transport.rate_limit_headers import RateLimitStatus
from .outage import Outage

MAX_STALL_S = 300.0
"""Seconds without any response, while the server asks to wait, after which a query stops."""

_STATUS_OK = 200
_MAX_IDENTICAL_REJECTIONS = 3  # of ordinary inputs with none answered: more would only repeat the message
_MAX_INPUT_REJECTIONS = 30  # the same where the server blames the input, as where all of a table are too long
MIN_WAITING_INPUTS = 8
"""For fewer inputs that wait a query does not stop: they may be the good ones."""

_MAX_REFUSALS_IN_A_ROW = 20  # after answers: then an input that was answered shows whether the key still holds
_MAX_TIMEOUTS_IN_A_ROW = 3  # rows, with all their attempts: a service that hangs would take hours for a table
_MAX_RETRYING = 3  # requests that are tried again before the first answer, as many as show that all would fail
_MAX_FIRST_REQUESTS = 4  # on a route that has answered earlier queries, until it has had time to refuse them
_FORBIDDEN = 403
_NUMBER = re.compile(r"\b(?=[0-9a-f-]*\d)[0-9a-f-]{6,}\b|\d+")


class CircuitBreaker:
    """Decides whether one query should stop.

    The methods that note a failure return the reason to stop, None where the query goes on.

    Attributes:
        has_answer: Whether any row was answered.
        outage: Whether the service is away.
        is_cautious: Whether the service may still refuse at once what was sent first.
        is_checking: Whether one request is out that shows whether all would be refused.
    """

    def __init__(self, model: ModelSettings, max_stall_s: float = MAX_STALL_S, max_away_s: float | None = None) -> None:
        """Start a query's breaker.

        Args:
            model: The model's settings, whose parameters are named in the reason.
            max_stall_s: Seconds without any response, while the server asks to wait, after which the query stops.
            max_away_s: Seconds for which errors of the server are borne, where another provider can be asked instead;
                None where there is no other.
        """
        self._model = model
        self._max_stall_s, self._max_away_s = max_stall_s, max_away_s
        self.has_answer = self.is_cautious = self.is_checking = False
        self.outage = Outage(max_stall_s, wait_for_model=model.options.wait_for_model, max_away_s=max_away_s)
        self._stalled_since: float | None = None
        self._rejections: Counter[str] = Counter()
        self._ordinary: set[int] = set()
        self._ordinary_rejections: Counter[str] = Counter()
        self._refusals_in_a_row = self._timeouts_in_a_row = 0
        self._retrying: set[int] = set()
        self._max_retrying = _MAX_RETRYING

    def on_response(self) -> None:
        """Note that a row was answered."""
        self.has_answer = True
        self._stalled_since = None
        self._refusals_in_a_row = self._timeouts_in_a_row = 0
        if self.outage.has_failures:
            self.outage.on_response()

    def holds_back(self, in_flight: int) -> bool:
        """Whether what would be sent now would likely fail, as what is out may show soon.

        Args:
            in_flight: How many requests are out.

        Returns:
            True while one request tries a service that is away; before the first answer also while one shows whether
            all would be refused, and while several are out for the first time, or tried again.
        """
        if self.has_answer:
            return self.outage.is_tried
        is_first = self.is_cautious and in_flight >= _MAX_FIRST_REQUESTS
        is_doubtful = self.is_checking or self.outage.is_tried
        return is_first or is_doubtful or len(self._retrying) >= self._max_retrying

    def may_retry(self, index: int, failure: Failure) -> bool:
        """Whether a request that failed may be sent again now.

        Args:
            index: Of its first input.
            failure: How it failed.

        Returns:
            False where nothing was answered yet and enough others are tried again: one while the service asks to wait.
        """
        if self.has_answer:
            return True
        self._max_retrying = 1 if failure.kind is FailureKind.RATE_LIMITED else _MAX_RETRYING
        if len(self._retrying) < self._max_retrying:
            self._retrying.add(index)
        return index in self._retrying

    def on_done(self, index: int) -> None:
        """Note that a request is not sent again now, whatever came of it.

        Args:
            index: Of its first input.
        """
        self._retrying.discard(index)

    def note_ordinary(self, indexes: Iterable[int]) -> None:
        """Note inputs that are like most others, by which a request can be judged.

        Args:
            indexes: Of the inputs.
        """
        self._ordinary.update(indexes)

    def judge(self, failure: Failure, batch_size: int, *, is_route_known: bool) -> Failure:
        """Say what a refusal is taken for, which may be of one input or of every request.

        Args:
            failure: Of the request.
            batch_size: The number of inputs that it carried.
            is_route_known: Whether the route has answered an earlier query.

        Returns:
            A rejection of the input where others were answered. Where none was, it is one too on a route that is known,
            and with 403, since services that look at what a row says answer with it: ordinary inputs decide then.
            Every other refusal is as it was, and so is one for which another provider can be asked.
        """
        if failure.input_message is None:
            return failure
        if self.has_answer:
            return failure.of_input(batch_size)
        if (is_route_known and self._max_away_s is None) or failure.status == _FORBIDDEN:
            return replace(failure, kind=rejection_kind(batch_size))
        return failure

    @property
    def wants_ordinary(self) -> bool:
        """Whether only odd inputs were refused so far, and ordinary ones should be asked to tell why."""
        largest = max(self._rejections.values(), default=0)
        return not self.has_answer and largest >= _MAX_IDENTICAL_REJECTIONS > len(self._ordinary)

    @property
    def doubts_route(self) -> bool:
        """Whether so many inputs in a row were refused, or not answered in time, that it may be for none of them."""
        is_hung = self._timeouts_in_a_row >= _MAX_TIMEOUTS_IN_A_ROW
        return is_hung or self._refusals_in_a_row >= _MAX_REFUSALS_IN_A_ROW

    def on_rate_limited(self, failure: Failure, now: float) -> Failure | None:
        """Note that the server asks to wait.

        Args:
            failure: The failure of the request, with the wait that the server announced.
            now: Seconds of a monotonic clock.

        Returns:
            The reason to stop where no response came for ``max_stall_s``, or none would until then.
        """
        if self._stalled_since is None:
            self._stalled_since = now
        stalled_s, announced_s = now - self._stalled_since, failure.retry_after_s or 0.0
        if stalled_s + (0.0 if failure.is_estimated else announced_s) <= self._max_stall_s:
            return None
        wait = f"it asks to wait {announced_s:.0f} s" if announced_s else f"no answer for {stalled_s:.0f} s"
        message = f"{failure.message} ({wait}). Try again later: what is answered is not asked again"
        return Failure(FailureKind.FATAL, message, failure.status)

    def on_batch_rejected(self, failure: Failure) -> None:
        """Note that a batch failed as a whole, one of its inputs perhaps at fault.

        Args:
            failure: Of the request.
        """
        if self.has_answer:  # a service that hangs is not to be asked for each part anew
            self._timeouts_in_a_row += failure.is_timeout
        if not self.has_answer and failure.kind is FailureKind.BATCH_REJECTED:
            self._rejections[alike(failure.own_words)] += 1

    def on_rejected(self, index: int, failure: Failure, waiting: int) -> Failure | None:
        """Note that a row failed for good.

        Args:
            index: Of the input.
            failure: The failure of the row.
            waiting: How many inputs wait to be sent.

        Returns:
            The reason to stop where the server gave the same reason for several ordinary inputs and answered none.
        """
        # Only what came of a request says something about it: a cell that was rejected here, before any request, says
        # something about its row only.
        is_of_request = failure.kind is FailureKind.TRANSIENT or (
            failure.kind is FailureKind.INPUT_REJECTED and failure.status is not None
        )
        if not is_of_request:
            return None
        if self.has_answer:
            self._refusals_in_a_row += failure.status in MAY_BE_OF_ONE_INPUT
            self._timeouts_in_a_row += failure.is_timeout
            return None
        words = alike(failure.own_words)
        self._rejections[words] += 1
        self._ordinary_rejections[words] += index in self._ordinary
        limit = _MAX_INPUT_REJECTIONS if failure.is_about_input else _MAX_IDENTICAL_REJECTIONS
        is_clear = self._ordinary_rejections[words] >= _MAX_IDENTICAL_REJECTIONS and self._rejections[words] >= limit
        if not is_clear or waiting < MIN_WAITING_INPUTS:
            return None
        return Failure(FailureKind.FATAL, self._reason(failure, self._rejections[words]), failure.status)

    def _reason(self, failure: Failure, rows: int) -> str:
        if failure.kind is FailureKind.TRANSIENT:
            return (
                f"{failure.message} (the same for {rows} different rows, each asked {failure.attempts} times, and no "
                "row answered: the service is down or this is not its address. Check the endpoint, and try again later)"
            )
        parameters = ", ".join(sorted(self._model.parameters)) or "none"
        return (
            f"{failure.message} (the same for {rows} different rows and no row answered, so the "
            f"request is at fault: check the model, its task, and the parameters sent: {parameters})"
        )


def limit_spent(rate_limit: RateLimitStatus | None, max_wait_s: float) -> Failure | None:
    """Why to stop where the service says with an answer that it gives no more of them for longer than a query waits.

    Args:
        rate_limit: What it announces; None where it announces nothing.
        max_wait_s: Seconds that a query waits.

    Returns:
        The reason; None where requests are left, or will be in time.
    """
    if rate_limit is None or rate_limit.remaining > 0 or rate_limit.reset_s <= max_wait_s:
        return None
    reason = (
        f"the service takes no more requests for {rate_limit.reset_s:.0f} s (its limit is used up). Run the query "
        "again then: what is answered is not asked again. Or let it wait: max_wait in CREATE ML_ENGINE"
    )
    return Failure(FailureKind.FATAL, reason, _STATUS_OK)


def alike(words: str) -> str:
    """Take from a message what differs where all else is the same.

    Args:
        words: The message.

    Returns:
        The words without numbers and the names of requests.
    """
    return _NUMBER.sub("#", words)
