"""How sure a text model was of a value, from the log probabilities of the tokens that it wrote."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

_MAX_LOGPROB = 1e-3
"""Rounding may make the logarithm of a probability a little more than 0."""

_END_TOKEN = re.compile(rb"<[|/]?\w+\|?>")
"""A token that ends the answer and is no part of it, such as ``</s>``, in which a short label would be found."""

_DECODER = json.JSONDecoder()


def field_confidence(logprobs: Sequence[Any] | None, source: str, field: str) -> float | None:
    """The probability of a field's value: the product of those of the tokens that are within it.

    Args:
        logprobs: ``[{"token", "logprob", "bytes"}, ...]`` of all that was generated; None where the server sent none.
        source: the JSON object in the answer.
        field: a field of it whose value is a text, a number, a boolean or null.

    Returns:
        The probability in [0, 1]. None where it cannot be told which tokens wrote the value.

    >>> written = [('{"a": "', -1.0), ("b", -0.5), ("c", -0.5), ('"}', -1.0)]
    >>> tokens = [{"token": token, "logprob": logprob} for token, logprob in written]
    >>> field_confidence(tokens, '{"a": "bc"}', "a") == math.exp(-1.0)
    True
    """
    span = _value_span(source, field) if logprobs else None
    return None if span is None else span_confidence(logprobs, source, *span)


def span_confidence(logprobs: Sequence[Any] | None, text: str, start: int, end: int) -> float | None:
    """The probability of a part of a text.

    Args:
        logprobs: as of ``field_confidence``.
        text: the end of the answer, or the last part of it that reads so.
        start: where the part begins in ``text``.
        end: where it ends.

    Returns:
        As of ``field_confidence``.
    """
    tokens = [_bytes_of(token) for token in logprobs or ()]
    written = len(tokens)
    while written and _END_TOKEN.fullmatch(tokens[written - 1]):
        written -= 1
    at = b"".join(tokens[:written]).rfind(text.encode(errors="replace"))
    if at < 0 or start >= end:
        return None
    first, last = at + len(text[:start].encode()), at + len(text[:end].encode())
    total, begin = 0.0, 0
    for token, entry in zip(tokens, logprobs or (), strict=True):
        if begin < last and begin + len(token) > first:
            logprob = entry.get("logprob")
            if not isinstance(logprob, (int, float)) or isinstance(logprob, bool) or not logprob <= _MAX_LOGPROB:
                return None
            total += logprob
        begin += len(token)
    return min(1.0, math.exp(total))


def _bytes_of(token: object) -> bytes:
    """What a token wrote. A character may be of several tokens, whose texts do not show it."""
    if not isinstance(token, Mapping):
        return b""
    written = token.get("bytes")
    if isinstance(written, list):
        try:
            return bytes(written)
        except (TypeError, ValueError):
            return b"\0"
    text = token.get("token")
    return text.encode(errors="replace") if isinstance(text, str) else b"\0"


def _value_span(source: str, field: str) -> tuple[int, int] | None:
    """Where the value of a field stands, without its quotes. None where more than one place may be it."""
    names = {json.dumps(field), json.dumps(field, ensure_ascii=False)}
    found = list(re.finditer(f"(?:{'|'.join(map(re.escape, names))})\\s*:\\s*", source))
    if len(found) != 1:
        return None
    start = found[0].end()
    try:
        value, end = _DECODER.raw_decode(source, start)
    except ValueError:
        return None
    return (start + 1, end - 1) if isinstance(value, str) else (start, end)
