"""Keys and passwords out of what is shown: servers, libraries and people repeat them in places nobody expects.

Every sentence of this package's (``errors``) goes through ``redact``, whoever wrote the words in it.
"""

from __future__ import annotations

import json
import re
import reprlib
import threading
from typing import Any
from urllib.parse import quote

SHORTEST = 8
"""Characters below which a key is no secret, and would be found in words that have nothing to do with it."""

_MOST = 16  # a process of MindsDB's serves one engine, so even keys that rotate are few
_LIKE_A_SECRET = re.compile(
    r"(?<=//)[^/@\s]*(?=@)"  # user:password@ of a URL
    r"|(?<![A-Za-z0-9])hf_(?=[a-z]*[A-Z0-9])[A-Za-z0-9]{10,}"  # but not a name such as hf_classification
)
_lock = threading.Lock()
_keys: dict[str, list[str]] = {}


def register_secret(key: str) -> None:
    """Know ``key`` from now on, as one that is never to be shown."""
    if len(key) < SHORTEST:
        return
    in_json = json.dumps(key)[1:-1]
    spellings = {key, in_json, in_json.replace("/", "\\/"), repr(key)[1:-1], quote(key), quote(key, safe="")}
    with _lock:
        _keys.pop(key, None)  # those used last are the last to be forgotten
        _keys[key] = sorted(spellings, key=len, reverse=True)
        while len(_keys) > _MOST:
            del _keys[next(iter(_keys))]


def redact(text: str) -> str:
    """``text`` with ``...`` for each key in use and for what looks like a key or a password."""
    for spelling in _spellings():
        text = text.replace(spelling, "...")
    return _LIKE_A_SECRET.sub("...", text)


def leaks_secret(body: bytes) -> bool:
    """Whether ``body`` holds a key in use."""
    return bool(_keys) and any(spelling.encode() in body for spelling in _spellings())


_SHORT = reprlib.Repr()
_SHORT.maxstring = _SHORT.maxother = _SHORT.maxlong = 80
_SHORT.maxlevel = 3


def preview(value: Any) -> str:
    """A value as an error shows it: in at most 80 characters, and without a password or key that can be told as one."""
    try:
        text = _SHORT.repr(redact(value) if isinstance(value, str) else value)
    except Exception:  # of anybody's __repr__, or of too large a number
        return f"a value of type {type(value).__name__[:40]}"
    text = redact(text)
    return text if len(text) <= 80 else f"{text[:77]}..."


def _spellings() -> list[str]:
    with _lock:
        return [spelling for spellings in _keys.values() for spelling in spellings]
