"""What a service announces of its limits in headers: how long to wait, and how much is left until when."""

from __future__ import annotations

import email.utils
import re
import time
from collections.abc import Mapping

LONGEST = 30 * 24 * 3600.0
"""Seconds above which an announcement is taken for a mistake and not heeded."""

_EPOCH = 1e9  # X-RateLimit-Reset is in seconds from now with some services and since 1970 with others


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
    return quota[1] if quota is not None and quota[0] == 0 else None


def left(headers: Mapping[str, str]) -> tuple[int, float] | None:
    """Requests left in the present window and seconds until it ends; None where the service does not say both.

    From ``RateLimit: "policy";r=LEFT;t=SECONDS`` (draft-ietf-httpapi-ratelimit-headers), from its older form
    ``RateLimit-Remaining`` and ``RateLimit-Reset``, or from ``X-RateLimit-Remaining`` and ``X-RateLimit-Reset``.
    """
    limit = headers.get("RateLimit")
    if limit is not None:
        remaining, reset = re.search(r"\br=(\d{1,12})", limit), re.search(r"\bt=(\d{1,12})", limit)
        return _window(remaining.group(1) if remaining else "0", reset.group(1) if reset else None)
    for prefix in ("RateLimit", "X-RateLimit"):
        remaining_text = headers.get(f"{prefix}-Remaining")
        if remaining_text is not None:
            return _window(remaining_text, headers.get(f"{prefix}-Reset"))
    return None


def _window(remaining: str, reset: str | None) -> tuple[int, float] | None:
    count, seconds = _number(remaining), _number(reset or "")
    if count is None or seconds is None:
        return None
    if seconds > _EPOCH:
        seconds -= time.time()
    return (max(0, int(count)), max(0.0, seconds)) if seconds <= LONGEST else None


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
