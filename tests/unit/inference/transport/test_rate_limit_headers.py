"""What services announce of their limits, in the forms that are in use."""

from __future__ import annotations

import pytest
from multidict import CIMultiDict

from huggingface_api_handler.inference.transport.rate_limit_headers import parse_rate_limit, retry_after


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"Retry-After": "7"}, 7.0),
        ({"Retry-After": "2s"}, 2.0),
        ({"Retry-After": "1.5s"}, 1.5),
        ({"Retry-After": "2 S"}, 2.0),
        ({"Retry-After": "1M 30 S"}, 90.0),
        ({"RateLimit": '"api";r=3;t=2, "day";r=0;t=9'}, 9.0),
        ({"RateLimit": '"api";r=0;t=2'}, 2.0),
        ({"RateLimit": "limit=10, remaining=0, reset=2"}, 2.0),
        ({"Retry-After": "6m0s"}, 360.0),
        ({"Retry-After": "1h"}, 3600.0),
        ({"Retry-After": "250ms"}, 0.25),
        ({"retry-after-ms": "1200"}, 1.2),
        ({"retry-after-ms": "1200", "Retry-After": "2"}, 1.2),
        ({"retry-after-ms": "soon", "Retry-After": "2"}, 2.0),
        ({"retry-after-ms": "-1", "Retry-After": "2"}, 2.0),
        ({"Retry-After": "soon"}, None),
        ({"Retry-After": ""}, None),
        ({"RateLimit": "limit=10, remaining=0, reset=2"}, 2.0),
        ({"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "1m20s"}, 80.0),
        ({"X-RateLimit-Remaining": "-1", "X-RateLimit-Reset": "3000"}, None),
    ],
)
def test_waits_are_read(headers: dict[str, str], seconds: float | None) -> None:
    assert retry_after(CIMultiDict(headers)) == seconds


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"RateLimit": "limit=10, remaining=4, reset=2"}, (4, 2.0, 10, None)),
        ({"RateLimit": "limit=10, remaining=4, reset=2", "RateLimit-Policy": "10;w=60"}, (4, 2.0, 10, 60.0)),
        ({"RateLimit": '"default";r=50;t=30', "RateLimit-Policy": '"default";q=100;w=60'}, (50, 30.0, 100, 60.0)),
        (
            {"RateLimit": '"a";r=5;t=3, "b";r=1;t=60', "RateLimit-Policy": '"a";q=10;w=5, "b";q=100;w=70'},
            (1, 60.0, 100, 70.0),
        ),
        ({"x-ratelimit-remaining": "-1", "x-ratelimit-reset": "0"}, None),
        ({"x-ratelimit-remaining": "1e30", "x-ratelimit-reset": "0"}, None),
        ({"x-ratelimit-remaining": "3", "x-ratelimit-reset": "1s"}, (3, 1.0, None, None)),
        ({"x-ratelimit-remaining": "3"}, None),
    ],
)
def test_what_remains_is_read(headers: dict[str, str], status: tuple[object, ...] | None) -> None:
    assert parse_rate_limit(CIMultiDict(headers)) == status
