"""JSON that strict parsers refuse, and that servers send all the same: NaN, half characters, other encodings."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from typing import Any

from ...printable import printable, shorten

MAX_LENIENT_BYTES = 8 * 1024 * 1024
"""Bytes of the largest body that is parsed so. It takes several times as long as strict parsing."""

_MAX_UNSIGNED_INT_DIGITS = 20
"""Python takes the square of its length to read a longer whole number."""

_MIN_INT = -(2**63)
_MAX_UNSIGNED_INT = 2**64 - 1
"""Other whole numbers are read as floats, as ``orjson`` does, which could not write them."""

_MAX_SHOWN_BYTES = 200
_MAX_SHOWN_CHARS = 80

_CHARSET = re.compile(r"charset\s*=\s*\"?([\w.:-]{1,40})", re.I | re.A)
_TEXT_ENCODING = re.compile(
    r"utf[-_]?(8|16|32)|us-ascii|ascii|iso[-_]?8859|latin|windows-\d|cp\d|koi8|shift[-_]?jis|euc|gb|big5", re.I | re.A
)
"""Encodings of web pages. Python has others, some of which take very long."""

_WIDE_ENCODING = re.compile(r"utf[-_]?(16|32)", re.I | re.A)
_BYTE_ORDER_MARKS = {b"\xff\xfe\x00\x00": "utf-32", b"\x00\x00\xfe\xff": "utf-32", b"\xff\xfe": "utf-16",
                     b"\xfe\xff": "utf-16", b"\xef\xbb\xbf": "utf-8-sig"}  # fmt: skip
_ESCAPE = re.compile(r"\\(?:u[dD][89abAB]\w\w\\u[dD][c-fC-F]\w\w|u[dD][89a-fA-F]\w\w|.)", re.S)
_ESCAPED_SURROGATE_CHARS = 6
_NOT_FINITE = re.compile(rb"-?\b(?:NaN|Infinity)\b")
_ENDS = {"{": "}", "[": "]", '"': '"'}


def with_null_for_nan(body: bytes) -> bytes:
    """Write null for numbers that are none.

    Args:
        body: Lists of numbers, in which nothing stands in quotes.

    Returns:
        The lists, with null for NaN and for infinity.

    >>> with_null_for_nan(b"[[1, NaN], [-Infinity]]")
    b'[[1, null], [null]]'
    """
    return _NOT_FINITE.sub(b"null", body)


def parse_leniently(body: bytes, headers: Mapping[str, str]) -> Any:
    """Parse JSON that a strict parser refused.

    Args:
        body: What may be JSON, in any encoding that its first bytes or the content type name.
        headers: Of the response.

    Returns:
        What it holds: null for a number that is not finite, and U+FFFD for half a character.

    Raises:
        ValueError: It is no JSON, or too large to be read so.
        RecursionError: It is nested deeply.

    >>> parse_leniently(b'[NaN, 1e400, "cut \\\\ud83d"]', {})
    [None, None, 'cut \N{REPLACEMENT CHARACTER}']
    """
    if len(body) > MAX_LENIENT_BYTES:
        raise ValueError("too large to be parsed so")
    return _parse(_text_of(body, headers))


def _parse(text: str) -> Any:
    if "\\ud" in text or "\\uD" in text:
        text = _ESCAPE.sub(_without_half, text)
    return json.loads(text, strict=False, parse_constant=_null, parse_float=_parse_float, parse_int=_parse_int)


def is_cut_off(body: bytes, headers: Mapping[str, str]) -> bool:
    """Whether a body that is no JSON ends where JSON cannot end, so that the rest of it is missing.

    Args:
        body: The body.
        headers: Of the response.

    Returns:
        True for one without a byte, and for one that is JSON up to its end.

    >>> is_cut_off(b'{"a": {"b": 1}', {}), is_cut_off(b'{"a": {"b": 1}, oh}', {})
    (True, False)
    """
    if len(body) > MAX_LENIENT_BYTES:
        body = body[:_MAX_SHOWN_BYTES] + body[-_MAX_SHOWN_BYTES:]
    text = _text_of(body, headers).strip()
    if not text or (text[0] in _ENDS and text[-1] != _ENDS[text[0]]):
        return True
    try:
        _parse(text)
    except json.JSONDecodeError as error:
        return text[0] in _ENDS and (error.pos >= len(text) or error.msg.startswith("Unterminated"))
    except (ValueError, RecursionError):
        pass
    return False


def beginning(body: bytes, headers: Mapping[str, str]) -> str:
    """What to show of a body that is no JSON.

    Args:
        body: The body.
        headers: Of the response.

    Returns:
        Its first words in quotes; its size where it is no text.
    """
    text = _text_of(body[:_MAX_SHOWN_BYTES], headers).strip()
    shown = printable(text)
    if "\N{REPLACEMENT CHARACTER}" in shown[:_MAX_SHOWN_CHARS] or "\0" in text:
        return f"{len(body):,} bytes that are no text"
    return f'"{shorten(shown, _MAX_SHOWN_CHARS)}"'


def _text_of(body: bytes, headers: Mapping[str, str]) -> str:
    mark = next((name for mark, name in _BYTE_ORDER_MARKS.items() if body.startswith(mark)), None)
    declared = _CHARSET.search(headers.get("Content-Type", ""))
    is_known = declared is not None and _TEXT_ENCODING.match(declared[1]) and not _WIDE_ENCODING.match(declared[1])
    name = mark or _wide_encoding(body) or (declared[1] if declared is not None and is_known else "utf-8")
    try:
        return body.decode(name, "replace")
    except LookupError:
        return body.decode("utf-8", "replace")


def _wide_encoding(body: bytes) -> str | None:
    """UTF-16 or UTF-32, which shows in the zeros of the first character: all that JSON begins with are ASCII."""
    if body[:1] == b"\0":
        return "utf-32-be" if body[1:2] == b"\0" else "utf-16-be"
    if body[1:2] == b"\0":
        return "utf-32-le" if body[2:4] == b"\0\0" else "utf-16-le"
    return None


def _without_half(escape: re.Match[str]) -> str:
    """An escape as it is, but for half of a pair that stands for one character."""
    is_surrogate = escape[0][1] == "u" and len(escape[0]) == _ESCAPED_SURROGATE_CHARS
    return "\\ufffd" if is_surrogate else escape[0]


def _null(_constant: str) -> None:
    return None


def _parse_float(digits: str) -> float | None:
    number = float(digits)
    return number if math.isfinite(number) else None


def _parse_int(digits: str) -> float | None:
    value = int(digits) if len(digits) <= _MAX_UNSIGNED_INT_DIGITS else None
    return value if value is not None and _MIN_INT <= value <= _MAX_UNSIGNED_INT else _parse_float(digits)
