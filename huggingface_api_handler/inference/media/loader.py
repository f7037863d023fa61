"""Images, audio and video: from a cell to bytes, and from bytes to a cell, safely.

A query holds one cell's media for each of its requests in flight, so at most ``max_concurrency`` (16) times
``MediaPolicy.largest`` bytes. Requests are made of copies: twice that is needed in all, four times where it is base64.
"""

from __future__ import annotations

import asyncio
import binascii
import hashlib
from base64 import b64decode, b64encode
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote_to_bytes

from ...errors import MediaError
from ...tasks import Media
from .fetch import fetch
from .files import keep, read
from .sniffing import checked_type, content_type_of, extension_of

_SPACE = b" \t\r\n\f\v"
_PIECE = 256 * 1024
_MOST_PERCENT_ENCODED = 1024 * 1024  # taken apart, such text needs some twenty times its size


@dataclass(frozen=True)
class MediaPolicy:
    """What cells may name: files under ``media_dir``, private addresses, and how much of them (bytes, seconds)."""

    media_dir: Path | None = None
    allow_private: bool = False
    largest: int = 32 * 1024 * 1024
    seconds: float = 30.0


async def load(cell: str | bytes, kind: str, policy: MediaPolicy) -> Media:
    """The media that a cell holds or names: bytes, a ``data:`` URI, an https URL, or a path under ``media_dir``.

    ``kind`` is 'image', 'audio' or 'video'. Raises MediaError with the sentence that becomes the row's error, after
    ``policy.seconds`` at the latest, name look-up, redirects and disks that do not answer included.
    """
    try:
        data = await asyncio.wait_for(_bytes_of(cell, policy), policy.seconds)
    except asyncio.TimeoutError:
        raise MediaError(f"the {kind} did not come within {policy.seconds:g} seconds. Host it closer") from None
    if len(data) > policy.largest:
        raise MediaError(f"the {kind} is larger than {policy.largest:,} bytes")
    return Media(data, checked_type(data, kind))


async def _bytes_of(cell: str | bytes, policy: MediaPolicy) -> bytes:
    # What takes long and is not waiting for a connection runs on a thread: all requests share this one's loop.
    if isinstance(cell, bytes):
        return cell
    if cell[:5].lower() == "data:":
        return await asyncio.to_thread(_data_uri, cell, policy.largest)
    if "://" in cell[:16] or cell[:6].lower().startswith(("http:", "https:")):
        return await fetch(cell, allow_private=policy.allow_private, largest=policy.largest)
    if policy.media_dir is None:
        raise MediaError(
            "the cell names a file, and this engine has no media_dir. Set it in CREATE ML_ENGINE to the files' folder"
        )
    return await asyncio.to_thread(read, cell, policy.media_dir, policy.largest)


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
    if head.lower().rstrip().endswith(";base64"):
        try:
            return _from_base64(body)
        except (ValueError, binascii.Error):
            raise MediaError("the cell's data: URI is not valid base64") from None
    if len(body) > _MOST_PERCENT_ENCODED:
        raise MediaError("the cell's data: URI is large and not base64. Write it as data:...;base64,...")
    try:
        return unquote_to_bytes(body)
    except UnicodeEncodeError:
        raise MediaError("the cell's data: URI is not valid Unicode") from None


def _from_base64(text: str) -> bytes:
    """Piece by piece, since a decoder lets no other thread run until it is done. Raises ValueError."""
    data, rest = bytearray(), b""
    for start in range(0, len(text), _PIECE):
        rest += text[start : start + _PIECE].encode("ascii").translate(None, _SPACE)
        whole = (len(rest) - 1) // 4 * 4 if rest else 0
        if b"=" in rest[:whole]:  # which ends the data, and yet more came
            raise ValueError
        data += b64decode(rest[:whole], validate=True)
        rest = rest[whole:]
    return bytes(data + b64decode(rest, validate=True))
