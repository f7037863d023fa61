"""Responses with the headers of hf-inference."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from typing import Any

import orjson
from starlette.responses import Response

from .protocol.errors import HTTPError
from .protocol.media_inputs import MediaFile


def json_response(content: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """`content` (numpy arrays included) as JSON, with a request id."""
    body = orjson.dumps(content, option=orjson.OPT_SERIALIZE_NUMPY)
    names = {"x-request-id": secrets.token_urlsafe(16), **(headers or {})}
    return Response(body, status, names, media_type="application/json")


def output_response(answer: Any, headers: Mapping[str, str]) -> Response:
    """A model's answer: a MediaFile as its bytes, anything else as JSON."""
    if isinstance(answer, MediaFile):
        names = {"x-request-id": secrets.token_urlsafe(16), **headers}
        return Response(answer.content, 200, names, media_type=answer.content_type)
    return json_response(answer, headers=headers)


def error_response(refusal: HTTPError, headers: Mapping[str, str] | None = None) -> Response:
    """A refusal as its status and JSON body."""
    return json_response(refusal.body, refusal.status, headers)
