"""Media in and out: raw bodies, base64 in JSON, and answers that are a file."""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass
from typing import Any

from .errors import Refusal, bad_field
from .request_body import Body, Inputs, parse

_RAW_TYPES = ("image/", "audio/", "video/", "application/octet-stream")

# The words of hf-inference for bytes it cannot decode.
BAD_SOUND = "Malformed soundfile"
BAD_IMAGE = "Invalid image: {}"


@dataclass(frozen=True)
class File:
    """An answer that is sent as it is, not as JSON."""

    content: bytes
    content_type: str


def body(raw: bytes, content_type: str) -> Body:
    """A request of any kind: with a media type the body is the input itself, else JSON (see request_body.parse).

    Raises Refusal 400 for JSON that is none.
    """
    if content_type.strip().lower().startswith(_RAW_TYPES):
        return Body(raw, {}, False)
    return parse(raw)


def sound(inputs: Any) -> Inputs:
    """One sound file, as bytes or base64. Raises Refusal 400."""
    return Inputs([_one(inputs, BAD_SOUND)], False, -1)


def image(inputs: Any) -> Inputs:
    """One image file, as bytes or base64. Raises Refusal 400."""
    return Inputs([_one(inputs, BAD_IMAGE)], False, -1)


def bad_sound() -> Refusal:
    """400 as recorded for a body that is no sound."""
    return bad_field("inputs", BAD_SOUND)


def bad_image() -> Refusal:
    """400 as recorded for a body that is no image."""
    return bad_field("inputs", BAD_IMAGE)


def _one(inputs: Any, undecodable: str) -> bytes:
    if isinstance(inputs, str):
        # A data URI's part before the comma names the type; the decoders find that out themselves.
        text = inputs.partition(",")[2] if inputs.startswith("data:") else inputs
        try:
            inputs = base64.b64decode("".join(text.split()), validate=True)
        except (binascii.Error, ValueError):
            raise bad_field("inputs", undecodable) from None
    if not isinstance(inputs, bytes):
        raise bad_field("inputs", "expected one file, as the raw body with its content type or as a base64 string")
    if not inputs:
        raise bad_field("inputs", undecodable)
    return inputs
