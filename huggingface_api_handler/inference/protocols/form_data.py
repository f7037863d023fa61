"""A request body of fields and one file, as HTML forms send it: ``multipart/form-data`` (RFC 7578)."""

from __future__ import annotations

import secrets
from collections.abc import Sequence

from ...tasks import Media
from ..media.sniffing import extension_of
from .base import Body

_BOUNDARY_BYTES = 16  # drawn after the data is there, so that no data can hold it but by chance of one in 10**38

_OTHER_EXTENSIONS = {"weba": "webm"}
"""Extensions that servers of audio do not take, and those that they take for the same bytes."""


def encode_form(fields: Sequence[tuple[str, str]], file_field: str, media: Media) -> Body:
    """Write fields and a file as one body.

    aiohttp writes such bodies asynchronously only, and there is nothing to wait for here.

    Args:
        fields: Names and values, in their order. Names are of letters, brackets and underscores; values are any text.
        file_field: The name of the field that holds the file, which comes last.
        media: The file. Its name is made of its content type, since servers tell formats by the name.

    Returns:
        The body, ready to send.

    Raises:
        ValueError: A value is not valid Unicode.

    >>> encode_form([("model", "m")], "file", Media(b"fLaC", "audio/flac")).content_type[:30]
    'multipart/form-data; boundary='
    """
    extension = extension_of(media.content_type)
    boundary = secrets.token_hex(_BOUNDARY_BYTES)
    head = [
        f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n' for name, value in fields
    ]
    head.append(
        f'--{boundary}\r\nContent-Disposition: form-data; name="{file_field}"; '
        f'filename="{file_field}.{_OTHER_EXTENSIONS.get(extension, extension)}"\r\n'
        f"Content-Type: {media.content_type}\r\n\r\n"
    )
    data = b"".join(("".join(head).encode(), media.data, f"\r\n--{boundary}--\r\n".encode()))
    return Body(data, f"multipart/form-data; boundary={boundary}")
