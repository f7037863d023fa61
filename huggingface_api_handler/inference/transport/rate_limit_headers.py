"""What a service announces of its limits in headers: how long to wait, and how much is left until when."""

from __future__ import annotations

import email.utils
import re
import time
from collections.abc import Mapping
from typing import NamedTuple

MAX_WAIT_S = 30 * 24 * 3600.0
"""Seconds above which an announcement is taken for a mistake and not heeded."""

_POLICY = re.compile(r"(?:\bq=)?\b(\d{1,12})\s*;\s*w=(\d{1,12})")
_FORMS = [
    tuple(f"{prefix}-{name}" for name in ("Remaining", "Limit", "Reset")) for prefix in ("RateLimit", "X-RateLimit")
]
_EPOCH = 1e9  # X-RateLimit-Reset is in seconds from now with some services and since 1970 with others


class RateLimitStatus(NamedTuple):
    """What is left of a limit: requests, and seconds until its present window ends.

    ``most`` is the requests of a whole window and ``window`` its seconds, None where the service does not say.
    """

    remaining: int
    reset_s: float
    limit: int | None = None
    window_s: float | None = None


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds to wait before the next request, at least 0; None where nothing credible is announced.

    From ``Retry-After`` (RFC 9110 section 10.2.3: seconds or an HTTP date), else from a quota that is used up.
    """
    value = headers.get("Retry-After", "").strip()
    if value:
        seconds = _number(value)
        if seconds is None:
            seconds = _until(value)
        if seconds is not None and seconds <= MAX_WAIT_S:
            return max(0.0, seconds)
    quota = parse_rate_limit(headers)
    return quota.reset_s if quota is not None and quota.remaining == 0 else None


def parse_rate_limit(headers: Mapping[str, str]) -> RateLimitStatus | None:
    """What is left of the service's limit; None where it does not say both how much and until when.

    From ``RateLimit: "policy";r=LEFT;t=SECONDS`` (draft-ietf-httpapi-ratelimit-headers), from its older form
    ``RateLimit-Remaining`` and ``RateLimit-Reset``, or from ``X-RateLimit-Remaining`` and ``X-RateLimit-Reset``.
    """
    status = headers.get("RateLimit")
    if status is not None:
        remaining, reset = re.search(r"\br=(\d{1,12})", status), re.search(r"\bt=(\d{1,12})", status)
        limit, window_s = _policy(headers, named=status.split(";")[0])
        return _status(remaining.group(1) if remaining else "0", reset.group(1) if reset else None, limit, window_s)
    for remaining_in, limit_in, reset_in in _FORMS:
        remaining_text = headers.get(remaining_in)
        if remaining_text is not None:
            limit, window_s = _policy(headers)
            told = _number(headers.get(limit_in, "").partition(",")[0])
            limit = int(told) if told is not None and limit is None else limit
            return _status(remaining_text, headers.get(reset_in), limit, window_s)
    return None


def _policy(headers: Mapping[str, str], named: str = "") -> tuple[int | None, float | None]:
    """Requests and seconds of a whole window, of the policy ``named`` where there are several."""
    told = headers.get("RateLimit-Policy", "")
    policies = [policy for policy in told.split(",") if named in policy] or [told]
    found = _POLICY.search(policies[0])
    return (int(found.group(1)), float(found.group(2))) if found else (None, None)


def _status(remaining: str, reset: str | None, limit: int | None, window_s: float | None) -> RateLimitStatus | None:
    count, reset_s = _number(remaining), _number(reset or "")
    if count is None or reset_s is None:
        return None
    if reset_s > _EPOCH:
        reset_s -= time.time()
    return RateLimitStatus(max(0, int(count)), max(0.0, reset_s), limit, window_s) if reset_s <= MAX_WAIT_S else None


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
