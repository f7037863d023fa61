"""What goes over the wire: a task's body as the bytes of a request, and a response's bytes as an answer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import orjson

from ...tasks import Media, Task


@dataclass(frozen=True)
class Request:
    """One POST.

    Attributes:
        url: Where it goes.
        headers: Its headers. They can hold the key, so they stay out of ``repr``.
        body: Its body in bytes.
    """

    url: str
    headers: dict[str, str] = field(repr=False)
    body: bytes = field(repr=False)


def encode(url: str, headers: dict[str, str], body: Mapping[str, object] | Media) -> Request:
    """Encode a task's body: JSON, or the media itself with its content type.

    Args:
        url: Where the request goes.
        headers: The headers of a request with a JSON body.
        body: What the task made of its inputs.

    Returns:
        The request to send.

    Raises:
        TypeError: ``body`` holds a value that JSON cannot hold.
        ValueError: ``body`` holds text that is not valid Unicode.

    >>> encode("https://host/m", {}, {"inputs": "a cat"}).body
    b'{"inputs":"a cat"}'
    """
    if isinstance(body, Media):
        return Request(url, {**headers, "content-type": body.content_type}, body.data)
    return Request(url, headers, orjson.dumps(body))


def decode(task: Task, headers: Mapping[str, str], body: bytes) -> object:
    """Decode the body of a response of status 200.

    Args:
        task: The task that was asked for.
        headers: The response headers.
        body: The response body.

    Returns:
        ``Media`` if the task makes media and the content type says so, else the parsed JSON.

    Raises:
        ValueError: The body is neither.
    """
    if task.makes_media:
        content_type = headers.get("Content-Type", "").partition(";")[0].strip().lower()
        if content_type.partition("/")[0] in ("image", "audio", "video"):
            return Media(body, content_type)
    return orjson.loads(body)
