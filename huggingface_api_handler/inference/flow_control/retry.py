"""What is tried again after a failure: how often, after how long, and in how many pieces."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

from ..failures import Failure, FailureKind
from .circuit_breaker import MAX_STALL_S
from .route_profile import RouteProfile

MAX_ATTEMPTS = 5
"""Attempts for a row whose requests fail in passing, where the engine says nothing else."""


@dataclass
class Batch:
    """The inputs that go in one request, by their index.

    Attributes:
        indexes: of the inputs.
        attempts: how often the request failed in passing.
        rest: the other half of a batch that was rejected. If all of this half is answered, one of the rest is why.
        is_part: whether it is part of a batch that was rejected.
    """

    indexes: Sequence[int]
    attempts: int = 0
    rest: Sequence[int] = ()
    is_part: bool = False


@dataclass(frozen=True)
class Retry:
    """Send the same again, after so many seconds. Where the route pauses, the limiter waits and no attempt counts."""

    delay_s: float
    counts: bool = True


@dataclass(frozen=True)
class Split:
    """Send the inputs in smaller batches (see ``split``)."""


@dataclass(frozen=True)
class GiveUp:
    """Nothing more is tried: the inputs have failed, or with ``whole_query`` all that is left."""

    whole_query: bool = False


Decision: TypeAlias = Retry | Split | GiveUp


@dataclass(frozen=True)
class RetryPolicy:
    """What to do about a failed request.

    Attributes:
        max_attempts: for one input, of which each failed in passing.
        max_batch_attempts: for a batch: one bad input can fail it in passing ways too, so it is split before its
            attempts are used up.
        first_backoff_s: seconds before the second attempt; each further wait is twice as long.
        max_backoff_s: seconds of the longest of these waits.
        max_wait_s: seconds without any answer, while the service asks to wait, after which a query stops.
    """

    max_attempts: int = MAX_ATTEMPTS
    max_batch_attempts: int = 2
    first_backoff_s: float = 0.5
    max_backoff_s: float = 20.0
    max_wait_s: float = MAX_STALL_S

    def decide(self, failure: Failure, attempt: int, inputs: int) -> Decision:
        """Say what a failure calls for.

        Args:
            failure: of the request.
            attempt: how many attempts there were, this one included.
            inputs: that the request carried.

        Returns:
            Whether to send the same again, smaller batches, or nothing more.
        """
        if failure.kind is FailureKind.RATE_LIMITED:
            return Retry(0.0, counts=False)
        if failure.kind is FailureKind.FATAL:
            return GiveUp(whole_query=True)
        if failure.is_timeout and inputs > 1:  # as many would take as long again
            return Split()
        if failure.kind is FailureKind.TRANSIENT and attempt < self._attempts_for(inputs):
            return Retry(self._backoff_s(attempt))
        return Split() if inputs > 1 else GiveUp()

    def _attempts_for(self, inputs: int) -> int:
        return self.max_attempts if inputs == 1 else min(self.max_attempts, self.max_batch_attempts)

    def _backoff_s(self, attempt: int) -> float:
        """Exponential, with jitter."""
        return min(self.first_backoff_s * 2.0 ** (attempt - 1), self.max_backoff_s) * random.uniform(0.5, 1.0)


def singles(batch: Batch) -> list[Batch]:
    """A batch for each input of ``batch``, with all attempts before it.

    Args:
        batch: on a route that takes one input in a request.

    Returns:
        The new batches, in the order of the inputs.
    """
    return [Batch([index]) for index in (*batch.indexes, *batch.rest)]


def rest_of(batch: Batch) -> list[Batch]:
    """What is left of a batch that was rejected, once all of its first half is answered: one of the rest is why.

    Args:
        batch: the first half.

    Returns:
        The first half of the rest; the rest itself where it is one input; none where there is no rest.
    """
    if len(batch.rest) < 2:
        return [Batch(batch.rest, is_part=True)] if batch.rest else []
    return [_first_half(batch.rest)]


def _first_half(indexes: Sequence[int]) -> Batch:
    half = (len(indexes) + 1) // 2
    return Batch(indexes[:half], rest=indexes[half:], is_part=True)


def split(batch: Batch, failure: Failure, profile: RouteProfile) -> list[Batch]:
    """Smaller batches in place of one that failed as a whole.

    Args:
        batch: of two inputs at least.
        failure: why it failed. What it says of batches and their size is kept in ``profile``.
        profile: what the route has shown.

    Returns:
        Single inputs where the route takes no batches. Batches of the size that is known to be taken where the size
        was refused. Where an input may be at fault, the first half, which has the other as its rest. Else two halves.
        The rest of ``batch`` itself is left to the caller.
    """
    if failure.kind is FailureKind.BATCH_UNSUPPORTED:
        profile.accepts_batches = False
        return singles(Batch(batch.indexes))
    count, sizes = len(batch.indexes), profile.batch_size
    size = (count + 1) // 2
    if failure.kind is FailureKind.BATCH_REJECTED:
        if not (failure.is_batch_too_large and sizes.on_reject(count, failure.stated_max_batch_size)):
            if not batch.is_part:
                sizes.on_input_rejected(count)
            return [_first_half(batch.indexes)]
        size = sizes.best
    elif failure.is_timeout:
        if not batch.is_part:  # which is small, and says nothing of whole ones
            sizes.timely.on_timeout(count)
    elif failure.kind is FailureKind.TRANSIENT and count > sizes.best and sizes.on_reject(count):
        size = sizes.best
    parts = [batch.indexes[start : start + size] for start in range(0, count, size)]
    # A batch that used up its attempts does not get them anew in each part.
    return [Batch(part, batch.attempts - 1 if len(part) > 1 else 0) for part in parts]
