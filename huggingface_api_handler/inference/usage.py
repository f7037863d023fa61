"""The receipt of a query: what was asked, what it took, what it spared."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from statistics import quantiles
from typing import Any


@dataclass
class Receipt:
    """Counts of one query. Times in seconds, sizes in bytes of body."""

    task: str
    model: str
    host: str
    rows: int = 0
    nulls: int = 0
    distinct: int = 0
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
    latencies: list[float] = field(default_factory=list)

    def read_headers(self, headers: Mapping[str, str]) -> None:
        """Add what the service says of its own work (``x-compute-time``, ``x-compute-characters``), and keep what names
        the last request and the model's revision (``x-request-id``, ``x-sha``).
        """
        self.compute_seconds += _number(headers.get("x-compute-time"))
        self.compute_characters += int(_number(headers.get("x-compute-characters")))
        self.request_id = (headers.get("x-request-id") or "")[:100] or self.request_id
        self.sha = (headers.get("x-sha") or "")[:100] or self.sha

    def as_dict(self) -> dict[str, Any]:
        """The receipt with plain values, as it stands in ``DataFrame.attrs["usage"]``."""
        cuts = quantiles(self.latencies, n=20, method="inclusive") if len(self.latencies) > 1 else self.latencies * 19
        plain = {name: value for name, value in vars(self).items() if name not in ("errors", "latencies")}
        return {
            **plain,
            "requests_avoided": max(0, self.rows - self.nulls - self.requests),
            "errors": dict(self.errors),
            "p50_seconds": cuts[9] if cuts else None,
            "p95_seconds": cuts[18] if cuts else None,
        }


def _number(text: str | None) -> float:
    try:
        value = float(text or 0)
    except ValueError:
        return 0.0
    return value if 0 <= value < 1e12 else 0.0
