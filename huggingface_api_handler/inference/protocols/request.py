"""One request and its response: sent, classified, decoded."""

from __future__ import annotations

import asyncio
import functools
import json
import logging
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from ...config.settings import ModelSettings
from ...errors import MediaError, UnreadableAnswer
from ...pieces import LARGE_BYTES
from ...tasks import Media
from ..advice import advice_for
from ..echoes import ServerError
from ..failures import (
    Failure,
    FailureKind,
    classify_error_in_answer,
    classify_exception,
    classify_response,
    rejection_kind,
)
from ..pricing.reported_usage import ReportedUsage
from ..public_addresses import PrivateAddress
from ..transport.client import Response, proxy_url
from ..transport.large_bodies import ResponseTooLarge, off_loop
from ..transport.rate_limit_headers import RateLimitStatus, parse_rate_limit
from .addresses import shown_url
from .base import JSON_TYPE, AnswerCutOffError, AnswerTooLarge, Body, Decoded
from .codec import failure_of_unread, reason_to_refuse
from .endpoint_policy import refusal
from .jobs import Fetch, JobRefusedError, JobTimeoutError, follow
from .reported_usage import reported_usage
from .routing import Evidence, Route

logger = logging.getLogger(__name__)

Post = Callable[[str, bytes, "dict[str, str]", float], Awaitable[Response]]
"""Sends a POST: URL, body, headers and timeout in seconds (see ``transport.client.post``)."""

_LEAKED_KEY_MESSAGE = (
    "the answer repeats the key it was asked with, so it is neither shown nor stored. Unless the row itself holds the "
    "key, the server gives keys away: replace the key, and tell whoever runs the server"
)
_NOT_THERE = (404, 405)
_UNFIT_BODY = (400, 422)
_LACKS_FIELD = re.compile(r"missing|required", re.I)
_WITHOUT_ANSWER = {
    202: "the server took it as a job and sent no answer (202 Accepted). Give an endpoint that answers at once",
    204: "the server sent no answer (204 No Content)",
}
"""What to say of statuses that mean success, and that nothing is answered."""

_NO_HEADERS: Mapping[str, str] = {}


class RequestResult(NamedTuple):
    """The result of one request: an answer or a failure.

    Attributes:
        parts: The answer to each input, in the order of the inputs. Empty where there is none.
        failure: Why there is no answer, else None.
        unreadable: Why it cannot be told which part of an answer is whose, else None.
        usage: What the service reports of its own work, None where it reports nothing.
        bytes_received: The size of the response body in bytes.
        headers: The response headers, empty if there was no response.
        rate_limit: The rate limit that the response headers announce, if any.
    """

    parts: Sequence[Any] = ()
    failure: Failure | None = None
    unreadable: UnreadableAnswer | None = None
    usage: ReportedUsage | None = None
    bytes_received: int = 0
    headers: Mapping[str, str] = _NO_HEADERS
    rate_limit: RateLimitStatus | None = None


async def send_request(
    post: Post, fetch: Fetch, route: Route, model: ModelSettings, body: Body, batch_size: int, timeout_s: float
) -> RequestResult:
    """Send a request and decode its response. Raises nothing but cancellation.

    Args:
        post: Sends the POST.
        fetch: Sends what else a provider's job takes.
        route: The route that ``body`` was encoded for.
        model: The settings of the model.
        body: What to send.
        batch_size: The number of inputs in ``body``.
        timeout_s: Seconds until the whole response must be there, and again until a job is done.

    Returns:
        The parts of the answer or the failure, with the size and headers of the response.
    """
    sent_headers = route.headers
    if body.content_type != JSON_TYPE:
        sent_headers = {**sent_headers, "content-type": body.content_type}
    try:
        response = await post(route.url, body.data, sent_headers, timeout_s)
    except ResponseTooLarge:
        words = f"the answer is too large to read{model.definition.advice_if_too_large}"
        return RequestResult(failure=Failure(rejection_kind(batch_size), words))
    except PrivateAddress as found:
        refused = refusal(found.host, found.reason)
        return RequestResult(failure=Failure(FailureKind.FATAL, str(refused)))
    except asyncio.CancelledError:
        raise
    except Exception as error:
        return RequestResult(failure=_unsent(error, route))
    size, headers = len(response.body), response.headers
    try:
        if route.protocol.blocks and response.is_success:
            read_job = functools.partial(_read_job, response, route, model, body)
            outcome = await _follow(read_job, fetch, route.host, timeout_s)
        elif size > LARGE_BYTES:
            outcome = await off_loop(_read, response, route, model, body, batch_size)
        else:
            outcome = _read(response, route, model, body, batch_size)
        rate_limit = parse_rate_limit(headers)
        if isinstance(outcome, Failure):
            return RequestResult((), outcome, None, reported_usage(headers), size, headers, rate_limit)
        usage = _with_images(outcome) if model.definition.makes_media else outcome.usage
        return RequestResult(outcome.parts, None, outcome.unreadable, usage, size, headers, rate_limit)
    except Exception as error:  # whatever a server makes us stumble over is this request's failure alone
        logger.debug("a response of %s could not be read", route.host, exc_info=True)
        message = f"the server's response cannot be read ({type(error).__name__})"
        return RequestResult((), Failure(rejection_kind(batch_size), message, response.status), bytes_received=size)
    finally:
        if response.free is not None:
            response.free()


def _with_images(decoded: Decoded) -> ReportedUsage | None:
    """The reported usage, with the images of an answer, which services send and seldom count."""
    media = [each for part in decoded.parts for each in (part if isinstance(part, list) else [part])]
    images = sum(isinstance(each, Media) and each.content_type.startswith("image/") for each in media)
    return (decoded.usage or ReportedUsage())._replace(images=images) if images else decoded.usage


def _unsent(error: Exception, route: Route) -> Failure:
    """The failure of a request without a response."""
    failure = classify_exception(error, host=route.host)
    if not (failure.is_unreachable and route.is_public_only and proxy_url(route.url)):
        return failure
    advice = (
        "The endpoint of a model is asked without the proxy of this machine. Give the engine this endpoint, or set "
        "allow_private_endpoints = true there: the proxy then decides which addresses are reached"
    )
    return replace(failure, message=f"{failure.message}. {advice}")


def _with_address(failure: Failure, route: Route) -> Failure:
    """The failure with the address that was asked, where that may be wrong, and the protocol, where that may be."""
    status, error = failure.status or 0, failure.error
    is_address = 300 <= status < 400 or status in _NOT_THERE
    lacks_field = status in _UNFIT_BODY and error is not None and error.search(_LACKS_FIELD) is not None
    message = f"{failure.message}. Asked at {shown_url(route.url)}" if is_address else failure.message
    if route.endpoint and route.evidence is Evidence.ASSUMED and (status in _NOT_THERE or lacks_field):
        message += (
            f". The server was taken for protocol = {route.kind.name!r}, since nothing shows another. If it is "
            "another, say so with protocol in CREATE ML_ENGINE"
        )
    return replace(failure, message=message) if message != failure.message else failure


async def _follow(
    read: Callable[[], Decoded | Failure], fetch: Fetch, host: str, timeout_s: float
) -> Decoded | Failure:
    """What comes of a response that may name a job."""
    try:
        return await follow(read, fetch, timeout_s)
    except JobTimeoutError:
        message = (
            f"the job at {host} was not done within {timeout_s:g} s. It is not begun again, since that would be paid "
            "for again. Raise timeout in CREATE ML_ENGINE if it needs longer"
        )
        return Failure(FailureKind.INPUT_REJECTED, message)
    except RuntimeError:
        return Failure(FailureKind.TRANSIENT, "this machine starts no more threads, so the answer cannot be read")


def _read_job(response: Response, route: Route, model: ModelSettings, body: Body) -> Decoded | Failure:
    """As ``_read``, where the answer need not be in the response. Runs on a thread."""
    outcome = _read(response, route, model, body, 1)
    secret, parts = route.secret, outcome.parts if isinstance(outcome, Decoded) else []
    found = [part.data if isinstance(part, Media) else json.dumps(part).encode() for part in parts]
    if secret is not None and any(map(secret.is_in, found)):
        return Failure(FailureKind.INPUT_REJECTED, _LEAKED_KEY_MESSAGE, response.status)
    return outcome


def _read(response: Response, route: Route, model: ModelSettings, body: Body, batch_size: int) -> Decoded | Failure:
    """What a response says: the parts of an answer, or why there are none."""
    protocol, task, secret, status = route.protocol, model.definition, route.secret, response.status
    is_success = response.is_success
    if is_success and secret is not None and secret.is_in(response.body):
        return Failure(rejection_kind(batch_size), _LEAKED_KEY_MESSAGE, status)
    if is_success and (reason := reason_to_refuse(task, response, batch_size)) is not None:
        return Failure(rejection_kind(batch_size), reason, status, is_batch_too_large=batch_size > 1)
    error = protocol.error(response)
    if error is not None or not is_success:
        error = ServerError("") if error is None else replace(error, sent=body.data)
        return _refused(response, error, route, model, batch_size)
    if status != 200 and status in _WITHOUT_ANSWER and not protocol.blocks:
        return Failure(rejection_kind(batch_size), _WITHOUT_ANSWER[status], status)
    try:
        return protocol.decode(task, response, batch_size)
    except UnreadableAnswer as unreadable:
        return Decoded([], reported_usage(response.headers), unreadable)
    except AnswerTooLarge as size:
        words = f"the answer is too large to read: {size}"
        return Failure(rejection_kind(batch_size), words, status, is_batch_too_large=batch_size > 1)
    except JobRefusedError as refused:
        return refused.failure
    except MediaError as error:  # the file that a job made
        return Failure(FailureKind.INPUT_REJECTED, f"the answer names a file that cannot be had: {error}", status)
    except AnswerCutOffError as cut_off:
        return Failure(FailureKind.TRANSIENT, str(cut_off), status)
    except ValueError as error:
        return failure_of_unread(task, response, batch_size, error)
    except Exception as failed:
        if protocol.blocks:  # it polls and fetches, so that any HTTP error can come
            return classify_exception(failed, host=route.host)
        logger.debug("a response could not be taken apart", exc_info=True)
        words = f"the server's answer to {task.name} cannot be read ({type(failed).__name__})"
        return Decoded([], reported_usage(response.headers), UnreadableAnswer(words))


def _refused(response: Response, error: ServerError, route: Route, model: ModelSettings, batch_size: int) -> Failure:
    """What a response says in place of an answer, whatever its status."""
    headers, wait = response.headers, model.options.wait_for_model
    advice = advice_for(route.url, has_key=route.has_key, bill_to=route.headers.get("x-hf-bill-to"))
    if response.is_success:
        return classify_error_in_answer(error, headers, batch_size=batch_size, wait_for_model=wait, advice=advice)
    failure = classify_response(
        response.status, headers, error, batch_size=batch_size, wait_for_model=wait, advice=advice
    )
    if response.status == 401 and route.key_advice:
        return replace(failure, message=f"{failure.message}. {route.key_advice}")
    return _with_address(failure, route) if route.endpoint or not route.protocol.blocks else failure
