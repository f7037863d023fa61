"""Rate limit headers of a response: how long to wait, how many requests remain, and when the limit is full again."""

from __future__ import annotations

import email.utils
import re
import time
from collections.abc import Mapping
from typing import NamedTuple

MAX_WAIT_S = 30 * 24 * 3600.0
"""A longer wait is taken for a server's mistake and ignored. No known limit is counted over more than a month."""

_MIN_EPOCH_S = 1e9
"""``X-RateLimit-Reset`` is in seconds from now with some services and since 1970 with others. Larger means 1970."""

_MAX_HEADER_NUMBER = 1e18
"""Larger numbers, infinity and NaN are taken for a server's mistake."""

_MAX_HEADER_CHARS = 1000
"""Of a header only so much is searched: headers of 64 KB are read."""

_POLICY_PATTERN = re.compile(r"(?:\bq=)?\b(\d{1,12})\s*;\s*w=(\d{1,12})")
_REMAINING = re.compile(r"\b(?:r|remaining)=(\d{1,12})")
_RESET = re.compile(r"\b(?:t|reset)=(\d{1,12})")
_LIMIT = re.compile(r"\blimit=(\d{1,12})")
_DURATION = re.compile(r"(?:(\d{1,6})h)?(?:(\d{1,6})m(?!s))?(?:(\d{1,9}(?:\.\d+)?)s)?(?:(\d{1,9}(?:\.\d+)?)ms)?")
_UNITS_S = (3600.0, 60.0, 1.0, 0.001)
"""Seconds of each unit of ``_DURATION``."""

_HEADER_NAMES = [
    tuple(f"{prefix}-{name}" for name in ("Remaining", "Limit", "Reset")) for prefix in ("RateLimit", "X-RateLimit")
]


class RateLimitStatus(NamedTuple):
    """What a service says of its rate limit.

    Attributes:
        remaining: Requests that may still be sent in the present window.
        reset_s: Seconds until the window ends.
        limit: Requests of a whole window; None where the service does not say.
        window_s: Seconds of a whole window; None where the service does not say.
    """

    remaining: int
    reset_s: float
    limit: int | None = None
    window_s: float | None = None


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Read how long to wait before the next request.

    Taken from ``retry-after-ms`` (as OpenAI sends it), else ``Retry-After`` (RFC 9110 section 10.2.3: seconds or an
    HTTP date, and, as some send it, ``1m30s``), else from a rate limit with no request remaining.

    Args:
        headers: A response's headers, looked up without regard to case.

    Returns:
        Seconds, at least 0. None where the headers say nothing, or more than ``MAX_WAIT_S``.

    >>> retry_after({"Retry-After": "7"})
    7.0
    >>> retry_after({"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "20"})
    20.0
    """
    milliseconds = _parse_number(headers.get("retry-after-ms", ""))
    if milliseconds is not None and 0 <= milliseconds <= MAX_WAIT_S * 1000:
        return milliseconds / 1000
    text = headers.get("Retry-After", "")[:_MAX_HEADER_CHARS].strip()
    if text:
        seconds = _parse_duration(text)
        if seconds is None:
            seconds = _seconds_until(text)
        if seconds is not None and seconds <= MAX_WAIT_S:
            return max(0.0, seconds)
    status = parse_rate_limit(headers)
    return status.reset_s if status is not None and status.remaining == 0 else None


def parse_rate_limit(headers: Mapping[str, str]) -> RateLimitStatus | None:
    """Read the rate limit from a response's headers.

    Taken from ``RateLimit: "policy";r=REMAINING;t=SECONDS`` (draft-ietf-httpapi-ratelimit-headers), from its older
    forms ``RateLimit: limit=10, remaining=5, reset=2`` and ``RateLimit-Remaining`` with ``RateLimit-Reset``, or from
    ``X-RateLimit-Remaining`` and ``X-RateLimit-Reset``.

    Args:
        headers: A response's headers, looked up without regard to case.

    Returns:
        The status. None where the headers do not say both how many requests remain and until when. A negative number
        that remains, such as -1, means that there is no limit, so that is None too.

    >>> parse_rate_limit({"RateLimit": '"default";r=50;t=30', "RateLimit-Policy": '"default";q=100;w=60'})
    RateLimitStatus(remaining=50, reset_s=30.0, limit=100, window_s=60.0)
    """
    value = headers.get("RateLimit")
    if value is not None:
        value = value[:_MAX_HEADER_CHARS]
        value = _tightest(value) if "," in value and ";" in value else value
        remaining, reset = _REMAINING.search(value), _RESET.search(value)
        limit, window_s = _parse_policy(headers, name=value.split(";")[0].strip() if ";" in value else "")
        stated_limit = _LIMIT.search(value)
        if limit is None and stated_limit is not None:
            limit = int(stated_limit.group(1))
        return _to_status(remaining.group(1) if remaining else "0", reset.group(1) if reset else None, limit, window_s)
    for remaining_name, limit_name, reset_name in _HEADER_NAMES:
        remaining_text = headers.get(remaining_name)
        if remaining_text is not None:
            limit, window_s = _parse_policy(headers)
            header_limit = _parse_number(headers.get(limit_name, "").partition(",")[0])
            if header_limit is not None and limit is None:
                limit = int(header_limit)
            return _to_status(remaining_text, headers.get(reset_name), limit, window_s)
    return None


def _tightest(value: str) -> str:
    """Of several policies, the one with the fewest requests that remain."""
    policies = [(match, policy) for policy in value.split(",") if (match := _REMAINING.search(policy)) is not None]
    return min(policies, key=lambda each: int(each[0].group(1)))[1] if policies else value


def _parse_policy(headers: Mapping[str, str], name: str = "") -> tuple[int | None, float | None]:
    """Requests and seconds of a whole window, by the policy of this name or the first one."""
    text = headers.get("RateLimit-Policy", "")[:_MAX_HEADER_CHARS]
    policies = [policy for policy in text.split(",") if name in policy] or [text]
    match = _POLICY_PATTERN.search(policies[0])
    return (int(match.group(1)), float(match.group(2))) if match else (None, None)


def _to_status(
    remaining_text: str, reset_text: str | None, limit: int | None, window_s: float | None
) -> RateLimitStatus | None:
    remaining, reset_s = _parse_number(remaining_text), _parse_duration(reset_text or "")
    if remaining is None or remaining < 0 or reset_s is None:
        return None
    if reset_s > _MIN_EPOCH_S:
        reset_s -= time.time()
    if reset_s > MAX_WAIT_S:
        return None
    return RateLimitStatus(int(remaining), max(0.0, reset_s), limit, window_s)


def _seconds_until(http_date: str) -> float | None:
    date = email.utils.parsedate_tz(http_date)
    try:
        return email.utils.mktime_tz(date) - time.time() if date is not None else None
    except (ValueError, OverflowError):  # such as the 99th of a month
        return None


def _parse_duration(text: str) -> float | None:
    """Seconds: a plain number, or one with units, such as ``6m0s`` or ``20ms``."""
    seconds = _parse_number(text)
    match = _DURATION.fullmatch(text.replace(" ", "").lower()) if seconds is None and text else None
    if match is None:
        return seconds
    return sum(float(part or 0) * unit_s for part, unit_s in zip(match.groups(), _UNITS_S, strict=True))


def _parse_number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if abs(value) < _MAX_HEADER_NUMBER else None
