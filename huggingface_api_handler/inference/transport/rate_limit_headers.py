"""What a service announces of its limits in headers: how long to wait, and how much is left until when."""

from __future__ import annotations

import email.utils
import re
import time
from collections.abc import Mapping
from typing import NamedTuple

LONGEST = 30 * 24 * 3600.0
"""Seconds above which an announcement is taken for a mistake and not heeded."""

_POLICY = re.compile(r"(?:\bq=)?\b(\d{1,12})\s*;\s*w=(\d{1,12})")
_FORMS = [
    tuple(f"{prefix}-{name}" for name in ("Remaining", "Limit", "Reset")) for prefix in ("RateLimit", "X-RateLimit")
]
_EPOCH = 1e9  # X-RateLimit-Reset is in seconds from now with some services and since 1970 with others


class Left(NamedTuple):
    """What is left of a limit: requests, and seconds until its present window ends.

    ``most`` is the requests of a whole window and ``window`` its seconds, None where the service does not say.
    """

    requests: int
    seconds: float
    most: int | None = None
    window: float | None = None


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds to wait before the next request, at least 0; None where nothing credible is announced.

    From ``Retry-After`` (RFC 9110 section 10.2.3: seconds or an HTTP date), else from a quota that is used up.
    """
    value = headers.get("Retry-After", "").strip()
    if value:
        seconds = _number(value)
        if seconds is None:
            seconds = _until(value)
        if seconds is not None and seconds <= LONGEST:
            return max(0.0, seconds)
    quota = left(headers)
    return quota.seconds if quota is not None and quota.requests == 0 else None


def left(headers: Mapping[str, str]) -> Left | None:
    """What is left of the service's limit; None where it does not say both how much and until when.

    From ``RateLimit: "policy";r=LEFT;t=SECONDS`` (draft-ietf-httpapi-ratelimit-headers), from its older form
    ``RateLimit-Remaining`` and ``RateLimit-Reset``, or from ``X-RateLimit-Remaining`` and ``X-RateLimit-Reset``.
    """
    limit = headers.get("RateLimit")
    if limit is not None:
        remaining, reset = re.search(r"\br=(\d{1,12})", limit), re.search(r"\bt=(\d{1,12})", limit)
        most, window = _policy(headers, named=limit.split(";")[0])
        return _left(remaining.group(1) if remaining else "0", reset.group(1) if reset else None, most, window)
    for remaining_in, limit_in, reset_in in _FORMS:
        remaining_text = headers.get(remaining_in)
        if remaining_text is not None:
            most, window = _policy(headers)
            told = _number(headers.get(limit_in, "").partition(",")[0])
            most = int(told) if told is not None and most is None else most
            return _left(remaining_text, headers.get(reset_in), most, window)
    return None


def _policy(headers: Mapping[str, str], named: str = "") -> tuple[int | None, float | None]:
    """Requests and seconds of a whole window, of the policy ``named`` where there are several."""
    told = headers.get("RateLimit-Policy", "")
    policies = [policy for policy in told.split(",") if named in policy] or [told]
    found = _POLICY.search(policies[0])
    return (int(found.group(1)), float(found.group(2))) if found else (None, None)


def _left(remaining: str, reset: str | None, most: int | None, window: float | None) -> Left | None:
    count, seconds = _number(remaining), _number(reset or "")
    if count is None or seconds is None:
        return None
    if seconds > _EPOCH:
        seconds -= time.time()
    return Left(max(0, int(count)), max(0.0, seconds), most, window) if seconds <= LONGEST else None


def _until(text: str) -> float | None:
    date = email.utils.parsedate_tz(text)
    try:
        return email.utils.mktime_tz(date) - time.time() if date is not None else None
    except (ValueError, OverflowError):  # such as the 99th of a month
        return None


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if abs(value) < 1e18 else None  # neither NaN nor infinite
