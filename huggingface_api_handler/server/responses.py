"""Responses with the headers of hf-inference."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from typing import TypeAlias

import orjson
from starlette.responses import Response

from .protocol.chat_completion import ChatCompletion
from .protocol.errors import HTTPError
from .protocol.outputs import MediaFile, Output

Content: TypeAlias = "Output | Sequence[Output] | ChatCompletion | Mapping[str, object]"
"""What a response may carry: one output, the outputs of a batch, or a whole object around them."""


def json_response(content: Content, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """Build a JSON response with a request id.

    Args:
        content: The body; numpy arrays become lists.
        status: HTTP status code.
        headers: Further headers.

    Returns:
        The response.
    """
    body = orjson.dumps(content, option=orjson.OPT_SERIALIZE_NUMPY)
    all_headers = {"x-request-id": secrets.token_urlsafe(16), **(headers or {})}
    return Response(body, status, all_headers, media_type="application/json")


def output_response(output: Content, headers: Mapping[str, str]) -> Response:
    """Build the response for a model's output: a file as its bytes, anything else as JSON.

    Args:
        output: One output, or the outputs of a batch.
        headers: Further headers.

    Returns:
        The response.
    """
    if isinstance(output, MediaFile):
        all_headers = {"x-request-id": secrets.token_urlsafe(16), **headers}
        return Response(output.content, 200, all_headers, media_type=output.content_type)
    return json_response(output, headers=headers)


def error_response(error: HTTPError, headers: Mapping[str, str] | None = None) -> Response:
    """Build the response for an error.

    Args:
        error: Its status and its JSON body.
        headers: Further headers.

    Returns:
        The response.
    """
    return json_response(error.body, error.status, headers)
