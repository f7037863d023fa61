"""What goes over the wire: a request's bytes from a task's body, an answer from a response's bytes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson

from ...tasks import Media, Task


@dataclass(frozen=True)
class Request:
    """One POST. The headers can hold the key, so they stay out of ``repr``."""

    url: str
    headers: dict[str, str] = field(repr=False)
    body: bytes = field(repr=False)


def encode(url: str, headers: dict[str, str], body: dict[str, Any] | Media) -> Request:
    """JSON, or the media itself with its content type. Raises TypeError or ValueError where an input is no JSON."""
    if isinstance(body, Media):
        return Request(url, {**headers, "content-type": body.content_type}, body.data)
    return Request(url, headers, orjson.dumps(body))


def decode(task: Task, headers: Mapping[str, str], body: bytes) -> Any:
    """The JSON of an answer, or the media where the task makes some. Raises ValueError where it is neither."""
    if task.makes_media:
        content_type = headers.get("Content-Type", "").partition(";")[0].strip().lower()
        if content_type.partition("/")[0] in ("image", "audio", "video"):
            return Media(body, content_type)
    return orjson.loads(body)
