"""What services report of their own work: tokens, computing time and characters, in headers or in the answer."""

from __future__ import annotations

from collections.abc import Mapping

from .base import ReportedUsage

_MAX_REPORTED_NUMBER = 1e12
"""Counts and times from a server above this are taken for a mistake."""


def reported_usage(headers: Mapping[str, str], answer: object = None) -> ReportedUsage | None:
    """Read what a service reports with a response.

    Args:
        headers: The response headers. Reads ``x-compute-time``, ``x-compute-characters``, and ``x-total-tokens`` or
            ``x-compute-tokens``, as hf-inference, Text Generation Inference and Text Embeddings Inference send them.
        answer: The parsed body. Its ``usage``, as OpenAI's chat completions have it, comes before the headers.

    Returns:
        The counts, 0 where one is missing or cannot be right. None where nothing is reported.

    >>> reported_usage({"x-compute-time": "0.5", "x-compute-tokens": "31"})
    ReportedUsage(tokens=31, compute_seconds=0.5, compute_characters=0)
    """
    usage = answer.get("usage") if isinstance(answer, dict) else None
    if isinstance(usage, dict):
        both = _parse_number(usage.get("prompt_tokens")) + _parse_number(usage.get("completion_tokens"))
        tokens = int(_parse_number(usage.get("total_tokens")) or both)
    else:
        text = headers.get("x-total-tokens") or headers.get("x-compute-tokens")
        tokens = int(_parse_number(text)) if text else 0
    seconds, characters = headers.get("x-compute-time"), headers.get("x-compute-characters")
    if seconds is None and characters is None:
        return ReportedUsage(tokens) if tokens else None
    return ReportedUsage(
        tokens,
        0.0 if seconds is None else _compute_seconds(seconds),
        0 if characters is None else int(_parse_number(characters)),
    )


def _compute_seconds(text: str) -> float:
    # hf-inference sends seconds with decimals, Text Generation and Text Embeddings Inference whole milliseconds.
    seconds = _parse_number(text)
    return seconds if "." in text else seconds / 1000


def _parse_number(value: object) -> float:
    """A count or time from a server; 0 where it is missing or cannot be right."""
    if not isinstance(value, (str, int, float)):
        return 0.0
    try:
        number = float(value or 0)
    except (ValueError, OverflowError):  # OverflowError: a whole number of more than 300 digits
        return 0.0
    return number if 0 <= number < _MAX_REPORTED_NUMBER else 0.0
