"""Images, audio and video: from a cell to bytes, and from bytes to a cell, safely."""

from __future__ import annotations

import asyncio
import binascii
import hashlib
from base64 import b64decode, b64encode
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote_to_bytes

from ..failures import MediaError
from ..tasks import Media
from .media_fetch import fetch
from .media_files import keep, read
from .media_types import checked_type, content_type_of, extension_of


@dataclass(frozen=True)
class MediaPolicy:
    """What cells may name: files under ``media_dir``, private addresses, and how much of them (bytes, seconds)."""

    media_dir: Path | None = None
    allow_private: bool = False
    largest: int = 32 * 1024 * 1024
    seconds: float = 30.0


async def load(cell: str | bytes, kind: str, policy: MediaPolicy) -> Media:
    """The media that a cell holds or names: bytes, a ``data:`` URI, an https URL, or a path under ``media_dir``.

    ``kind`` is 'image', 'audio' or 'video'. Raises MediaError with the sentence that becomes the row's error.
    """
    if isinstance(cell, bytes):
        data = cell
    elif cell[:5].lower() == "data:":
        data = _data_uri(cell, policy.largest)
    elif "://" in cell[:16] or cell[:6].lower().startswith(("http:", "https:")):
        data = await fetch(cell, allow_private=policy.allow_private, largest=policy.largest, seconds=policy.seconds)
    elif policy.media_dir is None:
        raise MediaError(
            "the cell names a file, and this engine has no media_dir. Set it in CREATE ML_ENGINE to the files' folder"
        )
    else:
        data = await asyncio.to_thread(read, cell, policy.media_dir, policy.largest)
    if len(data) > policy.largest:
        raise MediaError(f"the {kind} is larger than {policy.largest:,} bytes")
    return Media(data, checked_type(data, kind))


def save(media: Media, output_dir: Path | None) -> str:
    """The cell for media that a model made: a ``data:`` URI, or, with ``output_dir``, the path of a file there.

    The type is the one that the bytes show, since what a server declares could be a program for a browser. The file's
    name derives from its content, so the same media is kept once, and nothing else is written over. Raises MediaError.
    """
    content_type = content_type_of(media.data)
    if output_dir is None:
        return f"data:{content_type};base64,{b64encode(media.data).decode('ascii')}"
    name = f"{hashlib.sha256(media.data).hexdigest()[:32]}.{extension_of(content_type)}"
    try:
        return keep(media.data, name, output_dir)
    except OSError as error:
        raise MediaError(
            f"the {content_type} cannot be kept in output_dir {output_dir} "
            f"({error.strerror or type(error).__name__}). It must be a folder that MindsDB may write to"
        ) from None


def _data_uri(uri: str, largest: int) -> bytes:
    head, comma, body = uri.partition(",")
    if not comma:
        raise MediaError("the cell's data: URI has no comma, and so no data")
    if len(body) > 3 * largest:
        raise MediaError(f"the cell's data: URI holds more than {largest:,} bytes")
    if not head.lower().rstrip().endswith(";base64"):
        return unquote_to_bytes(body)
    try:
        return b64decode("".join(body.split()), validate=True)
    except (ValueError, binascii.Error):
        raise MediaError("the cell's data: URI is not valid base64") from None
