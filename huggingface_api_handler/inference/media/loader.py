"""Images, audio and video: from a cell to bytes, and from bytes to a cell, safely.

A query holds the media of its requests in flight, so at most ``max_concurrency`` (16) times ``MediaPolicy.max_bytes``
bytes. A request copies its media: a query needs twice that memory in all, four times if the request is base64.
"""

from __future__ import annotations

import asyncio
import hashlib
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote_to_bytes

from ...errors import MediaError
from ...pieces import decode_base64, encode_base64
from ...tasks import Media
from ..name_resolver import NameResolver
from ..threads import Threads
from .fetch import fetch, judge
from .files import read_file, write_file
from .sniffing import content_type_of, extension_of, validate_media

_WHITESPACE = b" \t\r\n\f\v"
_MAX_PERCENT_ENCODED_CHARS = 1024 * 1024  # decoding such text needs some twenty times its size
_MAX_CHARS_PER_BYTE = 3  # of a data: URI: percent-encoding takes three, base64 fewer


@dataclass(frozen=True)
class MediaPolicy:
    """What cells may name.

    Attributes:
        media_dir: The folder whose files may be read, or None for no files at all.
        allow_private: Whether URLs may name private addresses, other ports and http://.
        max_bytes: The maximum size of one cell's media in bytes.
        timeout_s: Seconds to load one cell's media.
    """

    media_dir: Path | None = None
    allow_private: bool = False
    max_bytes: int = 32 * 1024 * 1024
    timeout_s: float = 30.0


async def load(cell: str | bytes, kind: str, policy: MediaPolicy, threads: Threads | None = None) -> Media:
    """Load the media that a cell holds or names.

    Args:
        cell: The bytes themselves, a ``data:`` URI, an https URL, or a path under ``policy.media_dir``.
        kind: ``image``, ``audio`` or ``video``.
        policy: What the cell may name. Its time limit includes name resolution, redirects and slow disks.
        threads: Those of whose cell it is, on which work is done that blocks; None for threads of this call's own.

    Returns:
        The media, with the content type that its bytes show.

    Raises:
        MediaError: The media cannot be loaded or is not of ``kind``. The text becomes the row's error.
    """
    try:
        data = await asyncio.wait_for(_read_cell(cell, policy, threads or Threads(1)), policy.timeout_s)
    except asyncio.TimeoutError:
        raise MediaError(f"the {kind} did not come within {policy.timeout_s:g} seconds. Host it closer") from None
    if len(data) > policy.max_bytes:
        raise MediaError(f"the {kind} is larger than {policy.max_bytes:,} bytes")
    return Media(data, validate_media(data, kind))


async def check_link(link: str, policy: MediaPolicy) -> None:
    """Check an address that the model server is to fetch for itself, as part of a chat's messages.

    It is held to what cells may name, so that a table's author gets no further by way of the model server. No file may
    be named: it would be one of the server's.

    Args:
        link: The address as the messages hold it.
        policy: What cells may name.

    Raises:
        MediaError: The address may not be named. The text becomes the row's error.
    """
    try:
        await asyncio.wait_for(judge(link, allow_private=policy.allow_private), policy.timeout_s)
    except asyncio.TimeoutError:
        raise MediaError("the host of an address in the messages could not be looked up in time") from None
    except MediaError as error:
        raise MediaError(f"the messages name what the model server may not be sent to: {error}") from None


async def _read_cell(cell: str | bytes, policy: MediaPolicy, threads: Threads) -> bytes:
    # Slow work that blocks runs on another thread: all requests share this one's event loop.
    if isinstance(cell, bytes):
        return cell
    if cell[:5].lower() == "data:":
        return await threads.run(_decode_data_uri, cell, policy.max_bytes)
    if "://" in cell[:16] or cell[:6].lower().startswith(("http:", "https:")):
        resolver = NameResolver(lambda _host: threads)
        return await fetch(cell, allow_private=policy.allow_private, max_bytes=policy.max_bytes, resolver=resolver)
    if policy.media_dir is None:
        raise MediaError(
            "the cell names a file, and this engine has no media_dir. Set it in CREATE ML_ENGINE to the files' folder"
        )
    return await threads.run(read_file, cell, policy.media_dir, policy.max_bytes)


def save(media: Media, output_dir: Path | None) -> str:
    """Make the cell for media that a model generated.

    The content type is the one that the bytes show: a type that a server declares could make a browser run them. The
    name of a file is a hash of its content, so the same media is stored once and no other file is overwritten.

    Args:
        media: The generated media.
        output_dir: The folder for its file, or None for no file.

    Returns:
        The path of the file in ``output_dir``, or a ``data:`` URI without one.

    Raises:
        MediaError: The file cannot be written.

    >>> save(Media(b"GIF89a", "image/gif"), None)
    'data:image/gif;base64,R0lGODlh'
    """
    content_type = content_type_of(media.data)
    if output_dir is None:
        return encode_base64(media.data, f"data:{content_type};base64,")
    name = f"{hashlib.sha256(media.data).hexdigest()[:32]}.{extension_of(content_type)}"
    try:
        return write_file(media.data, name, output_dir)
    except OSError as error:
        raise MediaError(
            f"the {content_type} cannot be kept in output_dir {output_dir} "
            f"({error.strerror or type(error).__name__}). It must be a folder that MindsDB may write to"
        ) from None


def _decode_data_uri(uri: str, max_bytes: int) -> bytes:
    head, comma, body = uri.partition(",")
    if not comma:
        raise MediaError("the cell's data: URI has no comma, and so no data")
    if len(body) > _MAX_CHARS_PER_BYTE * max_bytes:
        raise MediaError(f"the cell's data: URI holds more than {max_bytes:,} bytes")
    if head.lower().rstrip().endswith(";base64"):
        try:
            return decode_base64(body, ignored=_WHITESPACE)
        except ValueError:
            raise MediaError("the cell's data: URI is not valid base64") from None
    if len(body) > _MAX_PERCENT_ENCODED_CHARS:
        raise MediaError("the cell's data: URI is large and not base64. Write it as data:...;base64,...")
    try:
        return unquote_to_bytes(body)
    except UnicodeEncodeError:
        raise MediaError("the cell's data: URI is not valid Unicode") from None
