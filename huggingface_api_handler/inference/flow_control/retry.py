"""What is tried again after a failure: how often, after how long, and in how many pieces."""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from dataclasses import dataclass

from ..failures import Failure, FailureKind
from .route_profile import RouteProfile

MAX_ATTEMPTS = 5
"""Attempts for one input, of which each failed in passing."""

_MAX_BATCH_ATTEMPTS = 2  # one bad input can fail a batch in passing ways too, so it is halved before it is given up
_FIRST_BACKOFF_S = 0.5
_MAX_BACKOFF_S = 20.0
_STATED_MAXIMUM = re.compile(r"maximum\D{0,40}?(\d{1,5})", re.I)


@dataclass
class Batch:
    """The inputs that go in one request, by their index, and how often it failed in passing."""

    indexes: Sequence[int]
    attempts: int = 0


def max_attempts(batch: Batch) -> int:
    """Attempts that a batch has before it is split, or its only input given up.

    Args:
        batch: that is to be sent.
    """
    return MAX_ATTEMPTS if len(batch.indexes) == 1 else _MAX_BATCH_ATTEMPTS


def backoff_s(attempts: int) -> float:
    """Seconds to wait before the next attempt: exponential, with jitter.

    Args:
        attempts: that failed so far, at least 1.
    """
    return min(_FIRST_BACKOFF_S * 2.0 ** (attempts - 1), _MAX_BACKOFF_S) * random.uniform(0.5, 1.0)


def singles(batch: Batch) -> list[Batch]:
    """A batch for each input of ``batch``, with all attempts before it.

    Args:
        batch: on a route that takes one input in a request.
    """
    return [Batch([index]) for index in batch.indexes]


def split(batch: Batch, failure: Failure, profile: RouteProfile) -> list[Batch]:
    """Smaller batches in place of one that failed as a whole.

    Args:
        batch: of two inputs at least.
        failure: why it failed. What it says of batches and their size is kept in ``profile``.
        profile: what the route has shown.

    Returns:
        Single inputs where the route takes no batches, batches of the size that is known to be taken where the size
        was refused, else two halves.
    """
    if failure.kind is FailureKind.BATCH_UNSUPPORTED:
        profile.accepts_batches = False
        return singles(batch)
    count, sizes = len(batch.indexes), profile.batch_size
    size = (count + 1) // 2
    if failure.status == 413 or "batch size" in failure.message.lower():
        stated = _STATED_MAXIMUM.search(failure.message)
        if sizes.on_reject(count, int(stated.group(1)) if stated else None):
            size = sizes.best
    elif failure.kind is FailureKind.TRANSIENT and count > sizes.best and sizes.on_reject(count):
        size = sizes.best
    parts = [batch.indexes[start : start + size] for start in range(0, count, size)]
    # A batch that used up its attempts does not get them anew in each part.
    return [Batch(part, batch.attempts - 1 if len(part) > 1 else 0) for part in parts]
