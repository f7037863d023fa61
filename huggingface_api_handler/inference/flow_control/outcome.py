"""How a request went, as flow control needs it."""

from __future__ import annotations

from typing import NamedTuple

from ..transport.rate_limit_headers import RateLimitStatus


class Outcome(NamedTuple):
    """How a request went.

    Attributes:
        seconds: Latency of the request.
        answered: Whether it succeeded.
        rate_limited: Whether the server rejected it and asks for a pause (429, or a 503 of a busy or loading server).
        retry_after_s: Seconds that the server announced, None where it announced nothing.
        estimated: Whether these seconds are only the server's guess, as those of a model that loads.
        rate_limit: What the headers say remains of the server's limit, None where they say nothing.
        inputs: Inputs that the request carried.
        timed_out: Whether it was given up, since no answer came in time.
    """

    seconds: float
    answered: bool
    rate_limited: bool = False
    retry_after_s: float | None = None
    estimated: bool = False
    rate_limit: RateLimitStatus | None = None
    inputs: int = 1
    timed_out: bool = False
