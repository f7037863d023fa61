"""What services report of their own work, by kind, in headers or in the answer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from ..pricing.reported_usage import ReportedUsage

_MAX_REPORTED_NUMBER = 1e12
"""Counts and times from a server above this are taken for a mistake."""

_SECOND_DECIMALS = 9
"""Shorter times than a nanosecond are none: no clock tells them, and their squares are zero."""

_INPUT = ("prompt_tokens", "input_tokens")
_OUTPUT = ("completion_tokens", "output_tokens")
_TOTAL = ("total_tokens",)
_INPUT_DETAILS = ("prompt_tokens_details", "input_tokens_details")
_OUTPUT_DETAILS = ("completion_tokens_details", "output_tokens_details")
_CACHED = ("cached_tokens", "prompt_cache_hit_tokens")
_REASONING = ("reasoning_tokens",)
"""Names of OpenAI's chat completions, then of its newer APIs and of DeepSeek."""

_TOKEN_HEADERS = ("x-total-tokens", "x-compute-tokens")
_HEADERS = ("x-prompt-tokens", "x-generated-tokens", *_TOKEN_HEADERS, "x-compute-time", "x-compute-characters")


def reported_usage(headers: Mapping[str, str], answer: object = None) -> ReportedUsage | None:
    """Read what a service reports with a response.

    Args:
        headers: The response headers. Reads ``x-compute-time``, ``x-compute-characters``, ``x-prompt-tokens``,
            ``x-generated-tokens``, and ``x-total-tokens`` or ``x-compute-tokens``, as hf-inference, Text Generation
            Inference and Text Embeddings Inference send them.
        answer: The parsed body. Its ``usage``, as OpenAI's chat completions have it, comes before the headers.

    Returns:
        The counts, None where one is missing or cannot be right. None where nothing is reported.

    >>> reported_usage({"x-compute-time": "0.5", "x-compute-tokens": "31"}).compute_seconds
    0.5
    >>> usage = {"prompt_tokens": 9, "completion_tokens": 4, "prompt_tokens_details": {"cached_tokens": 8}}
    >>> reported_usage({}, {"usage": usage}).cached_tokens
    8
    """
    usage = answer.get("usage") if isinstance(answer, dict) else None
    if isinstance(usage, dict):
        reported = _from_body(usage)
    elif headers.keys().isdisjoint(_HEADERS):  # as of most servers: reading them one by one costs ten times as much
        return None
    else:
        read, written = _count(headers.get("x-prompt-tokens")), _count(headers.get("x-generated-tokens"))
        total = next((headers[name] for name in _TOKEN_HEADERS if headers.get(name)), None)
        reported = _of_tokens(read, written, _count(total))
    seconds = headers.get("x-compute-time")
    reported = reported._replace(
        compute_seconds=None if seconds is None else _compute_seconds(seconds),
        compute_characters=_count(headers.get("x-compute-characters")),
    )
    return reported if any(each is not None for each in reported[1:]) or reported.tokens else None


def _from_body(usage: Mapping[object, object]) -> ReportedUsage:
    read, written = _first(usage, _INPUT), _first(usage, _OUTPUT)
    reported = _of_tokens(read, written, _first(usage, _TOTAL))
    cached = _first({**usage, **_details(usage, _INPUT_DETAILS)}, _CACHED)
    reasoning = _first(_details(usage, _OUTPUT_DETAILS), _REASONING)
    return reported._replace(
        cached_tokens=_part_of(cached, reported.input_tokens),
        reasoning_tokens=_part_of(reasoning, reported.output_tokens),
    )


def _of_tokens(read: int | None, written: int | None, total: int | None) -> ReportedUsage:
    """The counts of tokens, where one of three may be missing."""
    if total is None:
        total = (read or 0) + (written or 0)
    elif read is not None and written is None:
        written = total - read if total >= read else None
    elif read is not None and written is not None:
        # Some services leave the tokens of reasoning out of those that were generated, and bill them all the same.
        written = max(written, total - read)
    return ReportedUsage(total, read, written)


def _part_of(part: int | None, whole: int | None) -> int | None:
    """A count that cannot be larger than another one."""
    return part if part is None or whole is None or part <= whole else None


def _details(usage: Mapping[object, object], names: tuple[str, ...]) -> Mapping[object, object]:
    found = (details for name in names if isinstance(details := usage.get(name), dict))
    return next(found, {})


def _first(values: Mapping[object, object], names: tuple[str, ...]) -> int | None:
    counts: Iterator[int | None] = (_count(values[name]) for name in names if name in values)
    return next((count for count in counts if count is not None), None)


def _count(value: object) -> int | None:
    number = _number(value)
    return int(number) if number is not None and number.is_integer() else None


def _compute_seconds(text: str) -> float | None:
    # hf-inference sends seconds with decimals, Text Generation and Text Embeddings Inference whole milliseconds.
    seconds = _number(text)
    return None if seconds is None else round(seconds if "." in text else seconds / 1000, _SECOND_DECIMALS)


def _number(value: object) -> float | None:
    """A count or time from a server; None where it is missing or cannot be right."""
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):  # OverflowError: a whole number of more than 300 digits
        return None
    return number if 0 <= number < _MAX_REPORTED_NUMBER else None
