"""JSON and media over the wire: a payload as bytes, and the bytes of a response as an answer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

import orjson

from ...errors import UnreadableAnswer
from ...tasks import JSON, Media, Task
from ..transport.client import Response
from .base import Body, Decoded, Split
from .reported_usage import reported_usage

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


def parse(task: Task, response: Response) -> Any:
    """Parse the body of a response of status 200.

    Args:
        task: The task that was asked for.
        response: The response.

    Returns:
        ``Media`` if the task makes media and the content type says so, else the parsed JSON.

    Raises:
        ValueError: The body is neither.
    """
    if task.makes_media:
        content_type = response.headers.get("Content-Type", "").partition(";")[0].strip().lower()
        if content_type.partition("/")[0] in ("image", "audio", "video"):
            return Media(response.body, content_type)
    return orjson.loads(response.body)


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
