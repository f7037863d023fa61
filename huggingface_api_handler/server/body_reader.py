"""Reads the body of a request, within a time and a size."""

from __future__ import annotations

import asyncio

from starlette.requests import Request

from .protocol.errors import HTTPError
from .protocol.request_body import MAX_BODY_BYTES

# For 10 MB, 0.7 Mbit/s.
BODY_TIMEOUT_S = 120.0
# More digits name no length that could be allowed, and int() would take long for millions of them.
_MAX_LENGTH_DIGITS = 20


async def read_body(request: Request) -> bytes:
    """Read the whole body.

    Args:
        request: The request.

    Returns:
        The body.

    Raises:
        HTTPError: 408 where it does not come in time, 413 as soon as it is known to be too large.
    """
    try:
        return await asyncio.wait_for(_read_stream(request), BODY_TIMEOUT_S)
    except asyncio.TimeoutError:
        raise HTTPError(408, f"The body did not come within {BODY_TIMEOUT_S:g} s.") from None


async def _read_stream(request: Request) -> bytes:
    advice = "Send fewer inputs in a request, or a smaller file."
    too_large = HTTPError(413, f"The body is larger than {MAX_BODY_BYTES} bytes. {advice}")
    content_length = request.headers.get("content-length", "")
    if content_length.isdecimal() and int(content_length[:_MAX_LENGTH_DIGITS]) > MAX_BODY_BYTES:
        raise too_large
    content = bytearray()
    async for chunk in request.stream():
        content += chunk
        if len(content) > MAX_BODY_BYTES:
            raise too_large
    return bytes(content)
