"""Work on megabytes, piece by piece: one call over all of them would hold up every other thread until it is done.

Python's interpreter lock is free between two pieces. Where there are many, a thread also sleeps after each one, since
whoever wants the lock would else wait 5 ms for it, again and again.
"""

from __future__ import annotations

import binascii
import time
from base64 import b64decode, b64encode

LARGE_BYTES = 1024 * 1024
"""What is larger is worked on in pieces, with pauses between them, and not on an event loop."""

PIECE_BYTES = 256 * 1024
"""Bytes of one piece. The slowest work on it takes about a millisecond."""

_PAUSE_S = 0.0002
"""Time for other threads between two pieces. It need only be long enough for one of them to take the lock."""


def pause() -> None:
    """Let other threads run. Call it between two pieces, and never on an event loop."""
    time.sleep(_PAUSE_S)


def contains(body: bytes, part: bytes) -> bool:
    """Whether ``part in body``.

    Args:
        body: Bytes of any length.
        part: What to look for. It is much shorter than a piece.

    Returns:
        True where it is there.
    """
    if len(body) <= LARGE_BYTES:
        return part in body
    for start in range(0, len(body), PIECE_BYTES):
        if body.find(part, start, start + PIECE_BYTES + len(part) - 1) >= 0:
            return True
        pause()
    return False


def count(body: bytes, signs: bytes) -> int:
    """How often any of some bytes is in a body.

    Args:
        body: Bytes of any length.
        signs: The bytes to count.

    Returns:
        How many of all of them there are.
    """
    if len(body) <= LARGE_BYTES:
        return sum(map(body.count, signs))
    total = 0
    for start in range(0, len(body), PIECE_BYTES):
        total += sum(body.count(sign, start, start + PIECE_BYTES) for sign in signs)
        pause()
    return total


def decode_base64(text: str, ignored: bytes = b"") -> bytes:
    """Decode base64.

    Args:
        text: Base64 of any length.
        ignored: Characters that it may hold besides, such as whitespace.

    Returns:
        The bytes.

    Raises:
        ValueError: It is not valid base64.

    >>> decode_base64("aGVsbG8="), decode_base64("aGVs bG8=", ignored=b" ")
    (b'hello', b'hello')
    """
    data, pending, is_large = bytearray(), b"", len(text) > LARGE_BYTES
    try:
        for start in range(0, len(text), PIECE_BYTES):
            pending += text[start : start + PIECE_BYTES].encode("ascii").translate(None, ignored)
            complete = (len(pending) - 1) // 4 * 4 if pending else 0
            if b"=" in pending[:complete]:  # padding ends the data, and more follows
                raise ValueError("padding within base64")
            data += b64decode(pending[:complete], validate=True)
            pending = pending[complete:]
            if is_large:
                pause()
        data += b64decode(pending, validate=True)
        return bytes(data)
    except binascii.Error as error:
        raise ValueError(str(error)) from None


def encode_base64(data: bytes, head: str = "") -> str:
    """Encode bytes as base64.

    Args:
        data: Bytes of any length.
        head: What to put before it. Adding it later would copy all.

    Returns:
        The base64 in ASCII, behind ``head``.

    >>> encode_base64(b"hello")
    'aGVsbG8='
    """
    if len(data) <= LARGE_BYTES:
        return head + b64encode(data).decode("ascii")
    texts, step = [head], PIECE_BYTES // 3 * 3
    for start in range(0, len(data), step):
        texts.append(b64encode(data[start : start + step]).decode("ascii"))
        pause()
    return "".join(texts)
