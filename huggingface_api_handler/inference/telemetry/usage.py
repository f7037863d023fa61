"""The receipt of a query: what was asked, what it took, what it spared."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from ...redaction import redact

_STEPS = 8  # of latency in a doubling: a quantile is right to within 5 %


@dataclass
class Usage:
    """Counts of one query, or of many added up. Times in seconds, sizes in bytes of body.

    ``latencies`` counts requests by latency, in eighths of a doubling of a second.
    """

    task: str
    model: str
    host: str
    queries: int = 1
    rows: int = 0
    nulls: int = 0
    distinct: int = 0
    stored: int = 0
    answered: int = 0
    requests: int = 0
    batches: int = 0
    retries: int = 0
    repairs: int = 0
    waits: int = 0
    seconds_waited: float = 0.0
    seconds: float = 0.0
    bytes_sent: int = 0
    bytes_received: int = 0
    compute_seconds: float = 0.0
    compute_characters: int = 0
    tokens: int = 0
    request_id: str | None = None
    sha: str | None = None
    errors: Counter[str] = field(default_factory=Counter)
    latencies: Counter[int] = field(default_factory=Counter)

    def record_request(self, inputs: int, size: int) -> None:
        """Count a request of ``inputs`` inputs and ``size`` bytes."""
        self.requests += 1
        self.batches += inputs > 1
        self.bytes_sent += size

    def record_response(self, seconds: float, size: int, headers: Mapping[str, str], answer: Any = None) -> None:
        """Count its response, and what the service says of its own work: time, characters, tokens, and, of the last
        request, its name and the model's revision (``x-request-id``, ``x-sha``).
        """
        self.latencies[round(math.log2(max(seconds, 1e-6)) * _STEPS)] += 1
        self.bytes_received += size
        if "x-compute-time" in headers:
            self.compute_seconds += _seconds(headers["x-compute-time"])
        if "x-compute-characters" in headers:
            self.compute_characters += int(_number(headers["x-compute-characters"]))
        self.tokens += _tokens(headers, answer)
        if "x-request-id" in headers:
            self.request_id = redact(headers["x-request-id"])[:100]
        if "x-sha" in headers:
            self.sha = redact(headers["x-sha"])[:100]

    def add(self, other: Usage) -> None:
        """Add another receipt to this one."""
        for each in fields(self):
            mine, more = getattr(self, each.name), getattr(other, each.name)
            if isinstance(mine, Counter):
                mine.update(more)
            elif isinstance(mine, (int, float)):
                setattr(self, each.name, mine + more)
            else:
                setattr(self, each.name, more or mine)

    def latency(self, share: float) -> float | None:
        """Seconds within which this share of the requests came back; None where there were none."""
        left = share * sum(self.latencies.values())
        for step, count in sorted(self.latencies.items()):
            left -= count
            if left <= 0:
                return float(2 ** (step / _STEPS))
        return None

    def as_dict(self) -> dict[str, Any]:
        """The receipt with plain values, as it stands in ``DataFrame.attrs["usage"]``."""
        plain = {name: value for name, value in vars(self).items() if name not in ("errors", "latencies")}
        return {
            **plain,
            "requests_avoided": max(0, self.rows - self.nulls - self.requests),
            "errors": dict(self.errors),
            "p50_seconds": self.latency(0.5),
            "p95_seconds": self.latency(0.95),
        }


def _seconds(told: str) -> float:
    # hf-inference tells seconds with decimals, Text Generation and Text Embeddings Inference whole milliseconds.
    return _number(told) if "." in told else _number(told) / 1000


def _tokens(headers: Mapping[str, str], answer: Any) -> int:
    """Tokens read and made, as an answer tells in ``usage``, or else the headers of those two servers."""
    usage = answer.get("usage") if isinstance(answer, dict) else None
    if isinstance(usage, dict):
        either = _number(usage.get("prompt_tokens")) + _number(usage.get("completion_tokens"))
        return int(_number(usage.get("total_tokens")) or either)
    told = headers.get("x-total-tokens") or headers.get("x-compute-tokens")
    return int(_number(told)) if told else 0


def _number(told: Any) -> float:
    try:
        value = float(told or 0)
    except (ValueError, TypeError):
        return 0.0
    return value if 0 <= value < 1e12 else 0.0
