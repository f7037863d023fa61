"""One request and its response: encoded, sent, classified, decoded."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import NamedTuple

from huggingface_hub.inference._common import RequestParameters

from ...config.settings import ModelSettings
from ...redaction import leaks_secret
from ...tasks import Input
from ..failures import Failure, FailureKind, classify_exception, classify_response, error_in_answer, rejection_kind
from ..transport.client import Response, ResponseTooLarge
from ..transport.rate_limit_headers import RateLimitStatus, parse_rate_limit
from . import codec
from .routing import Route

Post = Callable[[str, bytes, "dict[str, str]", float], Awaitable[Response]]
"""Sends a POST: URL, body, headers and timeout in seconds (see ``transport.client.post``)."""

_LEAKED_KEY_MESSAGE = (
    "the answer repeats the key it was asked with, so it is neither shown nor stored. Unless the row itself holds the "
    "key, the server gives keys away: replace the key, and tell whoever runs the server"
)
_NO_HEADERS: Mapping[str, str] = {}


class RequestResult(NamedTuple):
    """The result of one request: an answer or a failure.

    Attributes:
        answer: The parsed JSON of the response, or ``Media``; None if the request failed.
        failure: Why there is no answer, else None.
        bytes_received: The size of the response body in bytes.
        headers: The response headers, empty if there was no response.
        rate_limit: The rate limit that the response headers announce, if any.
    """

    answer: object = None
    failure: Failure | None = None
    bytes_received: int = 0
    headers: Mapping[str, str] = _NO_HEADERS
    rate_limit: RateLimitStatus | None = None


def build_request(
    route: Route, model: ModelSettings, inputs: Sequence[Input]
) -> tuple[codec.Request, RequestParameters | None]:
    """Build the request for ``inputs``.

    Args:
        route: Where the request goes.
        model: The settings of the model.
        inputs: The inputs of one batch, media loaded. A provider takes one.

    Returns:
        The request, and what the provider's helper needs to read its answer, None on a route to no provider.

    Raises:
        TypeError: An input cannot be written as JSON.
        ValueError: An input cannot be sent to this server.
    """
    task = model.definition
    if route.provider is not None:
        return route.provider.encode(task, inputs, model)
    return codec.encode(route.url, route.headers, (route.body or task.body)(inputs, model)), None


async def send_request(
    post: Post,
    route: Route,
    model: ModelSettings,
    request: codec.Request,
    provider_request: RequestParameters | None,
    batch_size: int,
    timeout_s: float,
) -> RequestResult:
    """Send ``request`` and decode its response. Raises nothing but cancellation.

    Args:
        post: Sends the POST.
        route: The route that ``request`` was built for.
        model: The settings of the model.
        request: What to send.
        provider_request: What ``build_request`` gave beside ``request``.
        batch_size: The number of inputs in ``request``.
        timeout_s: Seconds until the whole response must be there.

    Returns:
        The answer or the failure, with the size and headers of the response.
    """
    try:
        response = await post(request.url, request.body, request.headers, timeout_s)
    except ResponseTooLarge:
        return RequestResult(failure=Failure(rejection_kind(batch_size), "the answer is too large to read"))
    except asyncio.CancelledError:
        raise
    except Exception as error:
        return RequestResult(failure=classify_exception(error, host=route.host))
    size, headers = len(response.body), response.headers
    rate_limit = parse_rate_limit(headers)
    if response.status != 200:
        wait = model.options.wait_for_model
        failure = classify_response(response.status, headers, response.body, batch_size=batch_size, wait_for_model=wait)
        return RequestResult(None, failure, size, headers, rate_limit)
    if leaks_secret(response.body):
        failure = Failure(rejection_kind(batch_size), _LEAKED_KEY_MESSAGE, response.status)
        return RequestResult(None, failure, size, headers, rate_limit)
    task = model.definition
    try:
        if route.provider is not None:
            answer = await route.provider.decode(task, provider_request, headers, response.body)
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
    except Exception as error:  # a provider's helper polls and fetches, so any HTTP error can come of it
        return RequestResult(None, classify_exception(error, host=route.host), size, headers, rate_limit)
    return RequestResult(answer, error_in_answer(answer, batch_size=batch_size), size, headers, rate_limit)
