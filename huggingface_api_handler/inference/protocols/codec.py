"""JSON and media over the wire: a payload as bytes, and the bytes of a response as an answer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

import orjson

from ...errors import UnreadableAnswer
from ...pieces import LARGE_BYTES
from ...pieces import count as count_in
from ...tasks import JSON, Media, Task
from ...tasks.base import MAX_DEPTH, is_deeper_than
from ..failures import Failure, FailureKind, rejection_kind
from ..media.sniffing import made_type
from ..transport.client import Response
from .base import Body, Decoded, Split
from .lenient_json import beginning, is_cut_off, parse_leniently, with_null_for_nan
from .number_lists import TOO_DEEP, is_number_lists, parse_number_lists
from .reported_usage import reported_usage
from .server_errors import web_page

MAX_JSON_BYTES = 32 * 1024 * 1024
"""Bytes of the largest JSON, whatever the task: 1.5 million numbers, or an image in base64."""

MAX_JSON_CONTAINERS = 100_000
"""Lists and objects in an answer: with more of them, three bytes each, a megabyte would take a second to parse."""

MAX_JSON_VALUES = 1_500_000
"""Values in an answer that is lists of numbers: they take 50 MB. Such answers are parsed in pieces."""

MAX_MIXED_JSON_VALUES = 500_000
"""Values in any other answer: so many are parsed in 0.03 s, in which nothing else in the process runs."""

_MAX_LEADING_CHARS = 64

Payload: TypeAlias = Mapping[str, JSON] | Media
"""What a request carries: a JSON object, or media alone."""


def encode(payload: Payload) -> Body:
    """Write a payload as bytes.

    Args:
        payload: A JSON object, or the media itself, which goes with its own content type.

    Returns:
        The body to send.

    Raises:
        TypeError: ``payload`` holds a value that JSON cannot hold.
        ValueError: ``payload`` holds text that is not valid Unicode.

    >>> encode({"inputs": "a cat"}).data
    b'{"inputs":"a cat"}'
    """
    if isinstance(payload, Media):
        return Body(payload.data, payload.content_type)
    return Body(orjson.dumps(payload))


def reason_to_refuse(task: Task, response: Response, count: int) -> str | None:
    """Say why an answer is too large to be parsed. It is looked at, and costs no memory.

    Args:
        task: The task that was asked for.
        response: The response.
        count: The number of inputs that the request carried.

    Returns:
        The reason; None where no more came than the task can need.
    """
    body = response.body
    if len(body) <= MAX_JSON_CONTAINERS or is_media(task, response):
        return None
    max_bytes = min(max(count * task.max_answer_bytes, LARGE_BYTES), MAX_JSON_BYTES)
    if len(body) > max_bytes:
        size = f"{len(body):,} bytes for {count} inputs, of at most {max_bytes:,}"
    elif (containers := count_in(body, b"[{")) > MAX_JSON_CONTAINERS:
        size = f"too many values for {count} inputs: more than {MAX_JSON_CONTAINERS:,} lists and objects"
    elif len(body) > LARGE_BYTES:
        max_values = MAX_JSON_VALUES if is_number_lists(body) else MAX_MIXED_JSON_VALUES
        if containers + count_in(body, b",") <= max_values:
            return None
        size = f"too many values for {count} inputs: more than {max_values:,}"
    else:
        return None
    return f"the answer is too large to read: {size}{task.advice_if_too_large}"


def is_media(task: Task, response: Response) -> bool:
    """Whether a response is the media itself that a task makes, and no JSON.

    Args:
        task: The task that was asked for.
        response: The response.

    Returns:
        True where its bytes show so, or its content type says so and its bytes are no text.
    """
    return _media_type(task, response) is not None


def _media_type(task: Task, response: Response) -> str | None:
    return made_type(response.body, response.headers.get("Content-Type", "")) if task.makes_media else None


def parse(task: Task, response: Response) -> Any:
    """Parse the body of a response whose status means success.

    Args:
        task: The task that was asked for.
        response: The response.

    Returns:
        ``Media`` if the task makes media and this is some (see ``is_media``), else the parsed JSON.

    Raises:
        UnreadableAnswer: The JSON is nested deeper than any answer.
        ValueError: The body is neither (see ``failure_of_unread``).
    """
    body = response.body
    if (media_type := _media_type(task, response)) is not None:
        return Media(body, media_type)
    if len(body) > LARGE_BYTES and is_number_lists(body):
        return parse_number_lists(with_null_for_nan(body) if b"N" in body or b"I" in body else body)
    try:
        answer = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        if "recursion" in error.msg:
            raise UnreadableAnswer(TOO_DEEP) from None
        try:
            answer = parse_leniently(body, response.headers)
        except RecursionError:
            raise UnreadableAnswer(TOO_DEEP) from None
        check_depth(answer)
    if type(answer) is str:
        answer = _parsed_twice(answer)
    if len(body) > LARGE_BYTES or body.count(b"[") + body.count(b"{") > MAX_DEPTH:
        check_depth(answer)
    return answer


def _parsed_twice(text: str) -> Any:
    """The JSON that a text holds, as of servers that encode an answer twice; else the text."""
    try:
        return orjson.loads(text) if text[:_MAX_LEADING_CHARS].lstrip()[:1] in ("{", "[") else text
    except orjson.JSONDecodeError as error:
        if "recursion" in error.msg:
            raise UnreadableAnswer(TOO_DEEP) from None
        return text


def failure_of_unread(task: Task, response: Response, batch_size: int, error: ValueError) -> Failure:
    """The failure of a response that is not what the protocol sends.

    Args:
        task: The task that was asked for.
        response: The response, whose status means success.
        batch_size: The number of inputs that the request carried.
        error: What ``WireProtocol.decode`` raised.

    Returns:
        One to be tried again for what a gateway sends in passing, such as a web page or other words, and for an answer
        that was cut off. An object or a list that came whole is rejected, since the next would be no other; so is
        whatever came of a generation, which was paid for.
    """
    body, headers, status = response.body, response.headers, response.status
    if (page := web_page(body)) is not None:
        return Failure(FailureKind.TRANSIENT, page, status)
    if not isinstance(error, orjson.JSONDecodeError) and _is_json(body):
        return Failure(rejection_kind(batch_size), f"the server's answer cannot be read: {error}", status)
    if is_cut_off(body, headers):
        words = "the answer was cut off" if body else "the answer is empty"
        return Failure(FailureKind.TRANSIENT, words, status)
    may_pass = task.deterministic and not task.makes_media and not body.lstrip().startswith((b"{", b"["))
    kind = FailureKind.TRANSIENT if may_pass else rejection_kind(batch_size)
    return Failure(kind, f"the answer is not JSON, but {beginning(body, headers)}", status)


def _is_json(body: bytes) -> bool:
    try:
        orjson.loads(body)
    except orjson.JSONDecodeError:
        return False
    return True


def check_depth(answer: object) -> None:
    """Refuse an answer that functions which call themselves could not follow.

    Args:
        answer: The parsed JSON.

    Raises:
        UnreadableAnswer: It is nested deeper than any answer.
    """
    if is_deeper_than(answer, MAX_DEPTH):
        raise UnreadableAnswer(TOO_DEEP)


def take_apart(answer: object, count: int, split: Split, headers: Mapping[str, str]) -> Decoded:
    """Give each input its part of an answer.

    Args:
        answer: The answer, as ``parse`` gave it.
        count: The number of inputs that the request carried.
        split: Splits the answer, or raises ``UnreadableAnswer``.
        headers: The response headers, for the usage that they report.

    Returns:
        The parts and the reported usage, which counts even where the parts cannot be told apart.
    """
    usage = reported_usage(headers, answer)
    try:
        return Decoded(split(answer, count), usage)
    except UnreadableAnswer as error:
        return Decoded([], usage, error)
