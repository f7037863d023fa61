"""What a process tells the elected one of its requests: when they went, and how they ended."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import orjson

from ..transport.rate_limit_headers import RateLimitStatus
from .outcome import Outcome


class Event(NamedTuple):
    """A moment of one request.

    Attributes:
        at: Seconds of a clock.
        outcome: How it ended; None where it went.
        is_cancelled: Whether it was not sent after all.
    """

    at: float
    outcome: Outcome | None = None
    is_cancelled: bool = False

    @property
    def is_sent(self) -> bool:
        """Whether it is the moment in which a request went."""
        return self.outcome is None and not self.is_cancelled


def encode(events: Iterable[Event], offset_s: float) -> bytes:
    """Write events as JSON.

    Args:
        events: Of this process's clock.
        offset_s: What the record's clock is ahead of it.

    Returns:
        JSON; empty where there are none.
    """
    values = [(event.at + offset_s, event.is_cancelled or _values(event.outcome)) for event in events]
    return orjson.dumps(values) if values else b""


def decode(data: bytes, offset_s: float) -> list[Event]:
    """Read what ``encode`` wrote.

    Args:
        data: JSON.
        offset_s: What the record's clock is ahead of this process's.

    Returns:
        Events of this process's clock; none where the text is none of ours.
    """
    try:
        return [_event(at - offset_s, what) for at, what in orjson.loads(data)]
    except (ValueError, TypeError, OverflowError):
        return []


def _values(outcome: Outcome | None) -> bool | tuple[object, ...]:
    if outcome is None:
        return False
    status = outcome.rate_limit
    return tuple(outcome if status is None else outcome._replace(rate_limit=tuple(status)))  # type: ignore[arg-type]


def _event(at: float, what: bool | list[object]) -> Event:
    if isinstance(what, bool):
        return Event(at, None, what)
    outcome = Outcome(*what)  # type: ignore[arg-type]
    status = outcome.rate_limit
    # Whatever else stands there: what is learned from it needs numbers.
    return Event(
        at,
        outcome._replace(
            seconds=float(outcome.seconds),
            retry_after_s=_number(outcome.retry_after_s),
            rate_limit=None if status is None else _status(*status),
            inputs=int(outcome.inputs),
        ),
    )


def _status(remaining: int, reset_s: float, limit: float | None, window_s: float | None) -> RateLimitStatus:
    return RateLimitStatus(int(remaining), float(reset_s), None if limit is None else int(limit), _number(window_s))


def _number(value: float | None) -> float | None:
    return None if value is None else float(value)
