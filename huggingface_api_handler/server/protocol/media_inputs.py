"""Media in and out: raw bodies, base64 in JSON, and answers that are a file."""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass
from typing import Any

from .errors import HTTPError, invalid_field
from .request_body import ModelInputs, RequestBody, parse_json_body

_RAW_TYPES = ("image/", "audio/", "video/", "application/octet-stream")

# The words of hf-inference for bytes it cannot decode.
INVALID_AUDIO = "Malformed soundfile"
INVALID_IMAGE = "Invalid image: {}"


@dataclass(frozen=True)
class MediaFile:
    """An answer that is sent as it is, not as JSON."""

    content: bytes
    content_type: str


def parse_request_body(raw: bytes, content_type: str) -> RequestBody:
    """A request of any kind: with a media type the body is the input itself, else JSON.

    Raises HTTPError 400 for JSON that is none.
    """
    if content_type.strip().lower().startswith(_RAW_TYPES):
        return RequestBody(raw, {}, False)
    return parse_json_body(raw)


def parse_audio(inputs: Any) -> ModelInputs:
    """One sound file, as bytes or base64. Raises HTTPError 400."""
    return ModelInputs([_one(inputs, INVALID_AUDIO)], False, -1)


def parse_image(inputs: Any) -> ModelInputs:
    """One image file, as bytes or base64. Raises HTTPError 400."""
    return ModelInputs([_one(inputs, INVALID_IMAGE)], False, -1)


def invalid_audio() -> HTTPError:
    """400 as recorded for a body that is no sound."""
    return invalid_field("inputs", INVALID_AUDIO)


def invalid_image() -> HTTPError:
    """400 as recorded for a body that is no image."""
    return invalid_field("inputs", INVALID_IMAGE)


def _one(inputs: Any, undecodable: str) -> bytes:
    if isinstance(inputs, str):
        # A data URI's part before the comma names the type; the decoders find that out themselves.
        text = inputs.partition(",")[2] if inputs.startswith("data:") else inputs
        try:
            inputs = base64.b64decode("".join(text.split()), validate=True)
        except (binascii.Error, ValueError):
            raise invalid_field("inputs", undecodable) from None
    if not isinstance(inputs, bytes):
        raise invalid_field("inputs", "expected one file, as the raw body with its content type or as a base64 string")
    if not inputs:
        raise invalid_field("inputs", undecodable)
    return inputs
