"""Keys and passwords are taken out of everything that people see: servers, libraries and users repeat them anywhere.

Every message of this package's own errors (``errors``) goes through ``redact``, whoever wrote the words in it. A key is
known where its own requests are made and nowhere else (``secret_in_use``): it is never forgotten while one of them is
out, and a word in another person's error is never taken for it.
"""

from __future__ import annotations

import json
import re
import reprlib
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cached_property
from urllib.parse import quote, unquote_to_bytes

from .pieces import LARGE_BYTES, PIECE_BYTES, contains, pause

MIN_SECRET_CHARS = 8
"""A shorter key is not treated as a secret, since it could be a part of ordinary words."""

_MAX_NESTED_ESCAPES = 8
"""Backslashes before one character: JSON within JSON within JSON has seven."""

_MAX_ESCAPED_BYTES = _MAX_NESTED_ESCAPES + len("u0041")
"""Bytes of one character in an escaped key."""

_PREVIEW_CHARS = 80
"""Length of ``preview``: a line of a terminal."""

_PREVIEW_DEPTH = 3
"""Nested containers that ``preview`` shows."""

_MAX_TYPE_NAME_CHARS = 40
"""Length of a type's name in ``preview``."""

_SECRET_PATTERN = re.compile(
    r"(?<=//)[^/@\s]*(?=@)"  # user:password@ of a URL
    r"|(?<![A-Za-z0-9])hf_(?=[a-z]*[A-Z0-9])[A-Za-z0-9]{10,}"  # but not a name such as hf_classification
)
_ESCAPES = (b"\\", b"%")
_PERCENT_ASCII = re.compile(rb"%[2-7][0-9A-Fa-f]")
_ESCAPED_ASCII = re.compile(rb"\\u00[2-7]")


class Secret:
    """One key, in the forms in which answers and messages may repeat it. No ``repr`` shows it.

    Args:
        key: The key.

    >>> secret = Secret("hf_example+key")
    >>> secret.is_in(rb'[{"label": "\u0068f_example\u002bkey"}]'), secret.is_in(b'[{"label": "hf_example"}]')
    (True, False)
    """

    def __init__(self, key: str) -> None:
        in_json = json.dumps(key)[1:-1]
        forms = {key, in_json, in_json.replace("/", "\\/"), repr(key)[1:-1], quote(key), quote(key, safe="")}
        self._key = key
        self._forms = sorted(forms, key=len, reverse=True)
        self._encoded = tuple(form.encode() for form in self._forms)
        self._encoded_key = key.encode()

    @classmethod
    def of(cls, key: str | None) -> Secret | None:
        """The secret that a key is.

        Args:
            key: The key, if there is one.

        Returns:
            The secret, None where there is no key or it is shorter than ``MIN_SECRET_CHARS``.
        """
        return cls(key) if key is not None and len(key) >= MIN_SECRET_CHARS else None

    def is_in(self, body: bytes) -> bool:
        """Whether a response holds the key, so that it must be neither shown nor stored.

        Args:
            body: The response's body.

        Returns:
            True where the key is in it: as it is, or with any escapes of a URL's or of JSON's.
        """
        for form in self._encoded:
            if contains(body, form):
                return True
        if len(body) > LARGE_BYTES:
            return any(contains(body, sign) for sign in _ESCAPES) and self._is_escaped_in_pieces(body)
        # Most answers hold neither sign, and are spared the call.
        return (b"\\" in body or b"%" in body) and self._is_escaped_in(body)

    def mask(self, text: str) -> str:
        """Take the key out of a text.

        Args:
            text: Any text.

        Returns:
            The text with ``...`` for each place where the key was.
        """
        for form in self._forms:
            text = text.replace(form, "...")
        return self._escaped.sub("...", text) if "\\" in text or "%" in text else text

    def _is_escaped_in_pieces(self, body: bytes) -> bool:
        longest = len(self._key) * _MAX_ESCAPED_BYTES
        for start in range(0, len(body), PIECE_BYTES):
            piece = body[start : start + PIECE_BYTES + longest]
            if self._is_escaped_in(piece):
                return True
            pause()
        return False

    def _is_escaped_in(self, body: bytes) -> bool:
        if b"%" in body and _PERCENT_ASCII.search(body) is not None and self._encoded_key in unquote_to_bytes(body):
            return True
        return b"\\" in body and self._is_escaped_in_json(body)

    def _is_escaped_in_json(self, body: bytes) -> bool:
        if b"\\/" not in body and _ESCAPED_ASCII.search(body) is None:
            return False
        for sign in set(self._key):  # a few dozen searches in C: no parser is faster, and a broken body has none
            if sign.isascii():
                body = body.replace(b"\\u00%02x" % ord(sign), sign.encode())
                body = body.replace(b"\\u00%02X" % ord(sign), sign.encode())
        # Within JSON within JSON there are more backslashes, and no key that CREATE ML_ENGINE takes has one.
        return self._key.replace("\\", "").encode() in body.replace(b"\\", b"")

    @cached_property
    def _escaped(self) -> re.Pattern[str]:
        """The key with any escapes of JSON's or of a URL's. Only messages are searched with it: it is slow."""
        backslashes = rf"\\{{0,{_MAX_NESTED_ESCAPES}}}"
        signs = ((re.escape(sign), ord(sign)) for sign in self._key)
        return re.compile(
            "".join(rf"{backslashes}(?:{s}|(?<=\\)u(?i:{code:04x})|%(?i:{code:02x}))" for s, code in signs)
        )


_secret_in_use: ContextVar[Secret | None] = ContextVar("secret in use", default=None)


@contextmanager
def secret_in_use(secret: Secret | None) -> Iterator[None]:
    """Take a key out of all messages that are made in this block, and in the tasks and threads that it starts.

    Args:
        secret: The key that the requests of the block are sent with; None where they are sent without.

    Yields:
        Nothing.
    """
    token = _secret_in_use.set(secret)
    try:
        yield
    finally:
        _secret_in_use.reset(token)


def redact(text: str) -> str:
    """Replace secrets in a text.

    Args:
        text: Any text.

    Returns:
        The text with ``...`` for the key that is in use here (``secret_in_use``), and for whatever looks like a Hugging
        Face key or like the user and password of a URL.

    >>> redact("no access to https://me:password@example.com with hf_AbcDefGhi123")
    'no access to https://...@example.com with ...'
    """
    secret = _secret_in_use.get()
    if secret is not None:
        text = secret.mask(text)
    return _SECRET_PATTERN.sub("...", text)


_repr = reprlib.Repr()
_repr.maxstring = _repr.maxother = _repr.maxlong = _PREVIEW_CHARS
_repr.maxlevel = _PREVIEW_DEPTH


def preview(value: object) -> str:
    """Show a value as an error message does.

    Args:
        value: Any value, such as a table's cell or an argument.

    Returns:
        Its ``repr`` in at most 80 characters, redacted. Its type where the ``repr`` fails.

    >>> preview(["text", "https://me:password@example.com"])
    "['text', 'https://...@example.com']"
    """
    try:
        text = _repr.repr(redact(value) if isinstance(value, str) else value)
    except Exception:  # of anybody's __repr__, or of too large a number
        return f"a value of type {type(value).__name__[:_MAX_TYPE_NAME_CHARS]}"
    text = redact(text)
    return text if len(text) <= _PREVIEW_CHARS else f"{text[: _PREVIEW_CHARS - 3]}..."
