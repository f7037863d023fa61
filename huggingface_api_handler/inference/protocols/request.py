"""One request and its response: encoded, sent, classified, decoded."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, NamedTuple

from ...config.settings import ModelSettings
from ...redaction import leaks_secret
from ..failures import Failure, FailureKind, classify_exception, classify_response, error_in_answer, rejection
from ..transport.client import Response, ResponseTooLarge
from ..transport.rate_limit_headers import RateLimitStatus, parse_rate_limit
from . import codec
from .routing import Route

Post = Callable[[str, bytes, "dict[str, str]", float], Awaitable[Response]]

_REPEATED = (
    "the answer repeats the key it was asked with, so it is neither shown nor stored. Unless the row itself holds the "
    "key, the server gives keys away: replace the key, and tell whoever runs the server"
)
_NO_HEADERS: Mapping[str, str] = {}


class RequestResult(NamedTuple):
    """What came of a request: an answer, or the failure that stands for it.

    ``left`` is what the service announced of its limit.
    """

    answer: Any = None
    failure: Failure | None = None
    bytes_received: int = 0
    headers: Mapping[str, str] = _NO_HEADERS
    rate_limit: RateLimitStatus | None = None


def build_request(route: Route, model: ModelSettings, inputs: Sequence[Any]) -> tuple[codec.Request, Any]:
    """The request for ``inputs``, and what a provider's helper needs to read its answer.

    Raises TypeError or ValueError where an input cannot be sent.
    """
    task = model.definition
    if route.provider is not None:
        return route.provider.request(task, inputs, model)
    return codec.encode(route.url, route.headers, (route.body or task.body)(inputs, model)), None


async def send_request(
    post: Post, route: Route, model: ModelSettings, request: codec.Request, made: Any, batch: int, timeout: float
) -> RequestResult:
    """Send ``request``, which carries ``batch`` inputs. Raises nothing but cancellation."""
    try:
        response = await post(request.url, request.body, request.headers, timeout)
    except ResponseTooLarge:
        return RequestResult(failure=Failure(rejection(batch), "the answer is too large to read"))
    except asyncio.CancelledError:
        raise
    except Exception as error:
        return RequestResult(failure=classify_exception(error, host=route.host))
    size, headers = len(response.body), response.headers
    rate_limit = parse_rate_limit(headers)
    if response.status != 200:
        wait = model.options.wait_for_model
        failure = classify_response(response.status, headers, response.body, batch=batch, wait_for_model=wait)
        return RequestResult(None, failure, size, headers, rate_limit)
    if leaks_secret(response.body):
        failure = Failure(rejection(batch), _REPEATED, response.status)
        return RequestResult(None, failure, size, headers, rate_limit)
    task = model.definition
    try:
        if route.provider is not None:
            answer = await route.provider.answer(task, made, headers, response.body)
        else:
            answer = codec.decode(task, headers, response.body)
    except ValueError:
        return RequestResult(
            None,
            Failure(FailureKind.TRANSIENT, "the answer is not JSON, or was cut off", 200),
            size,
            headers,
            rate_limit,
        )
    except Exception as error:  # a provider's helper polls and fetches, so anything of HTTP can come of it
        return RequestResult(None, classify_exception(error, host=route.host), size, headers, rate_limit)
    return RequestResult(answer, error_in_answer(answer, batch=batch), size, headers, rate_limit)
