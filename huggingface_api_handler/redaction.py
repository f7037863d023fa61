"""Keys and passwords are taken out of everything that people see: servers, libraries and users repeat them anywhere.

Every message of this package's own errors (``errors``) goes through ``redact``, whoever wrote the words in it.
"""

from __future__ import annotations

import json
import re
import reprlib
import threading
from urllib.parse import quote

MIN_SECRET_CHARS = 8
"""A shorter key is not treated as a secret, since it could be a part of ordinary words."""

_MAX_SECRETS = 16
"""Keys remembered. A process of MindsDB serves one engine, so even keys that rotate are few."""

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
_lock = threading.Lock()
_secrets: dict[str, list[str]] = {}
"""Each key with the forms it takes in JSON, in URLs and in ``repr``, the longest first."""


def register_secret(key: str) -> None:
    """Remember a key, so that ``redact`` and ``leaks_secret`` find it from now on. Call it before the key is used.

    Args:
        key: The key. Nothing happens where it is shorter than ``MIN_SECRET_CHARS``.
    """
    if len(key) < MIN_SECRET_CHARS:
        return
    in_json = json.dumps(key)[1:-1]
    forms = {key, in_json, in_json.replace("/", "\\/"), repr(key)[1:-1], quote(key), quote(key, safe="")}
    with _lock:
        _secrets.pop(key, None)  # so that the keys used last are the last to be forgotten
        _secrets[key] = sorted(forms, key=len, reverse=True)
        while len(_secrets) > _MAX_SECRETS:
            del _secrets[next(iter(_secrets))]


def redact(text: str) -> str:
    """Replace secrets in a text.

    Args:
        text: Any text.

    Returns:
        The text with ``...`` for each registered key, and for whatever looks like a Hugging Face key or like the user
        and password of a URL.

    >>> redact("no access to https://me:password@example.com with hf_AbcDefGhi123")
    'no access to https://...@example.com with ...'
    """
    for form in _secret_forms():
        text = text.replace(form, "...")
    return _SECRET_PATTERN.sub("...", text)


def leaks_secret(body: bytes) -> bool:
    """Whether a response holds a registered key, so that it must be neither shown nor stored.

    Args:
        body: The response's body.

    Returns:
        True where a key is in it, as it is or as JSON or a URL would spell it.
    """
    return bool(_secrets) and any(form.encode() in body for form in _secret_forms())


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


def _secret_forms() -> list[str]:
    with _lock:
        return [form for forms in _secrets.values() for form in forms]
