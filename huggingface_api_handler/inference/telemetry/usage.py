"""Usage of a query: what it sent, what that took, and what it saved."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any

from ...redaction import redact
from ..pricing.history import History
from ..pricing.reported_usage import ReportedUsage
from ..pricing.spending import Range, Spending
from .cascade_usage import CascadeUsage

_BUCKETS_PER_DOUBLING = 8
"""Histogram buckets between a latency and its double. With eight, a quantile is right to within 5 %."""

_MIN_LATENCY_S = 1e-6
"""Shorter latencies are counted as this one, since zero has no logarithm."""

_MAX_ID_CHARS = 100
"""Characters kept of a request's id and of a model's revision. Real ones are shorter."""

_PUBLIC_NAMES = {"rate_limit_waits": "waits", "cache_hits": "stored"}
"""Fields that have another name in ``DataFrame.attrs["usage"]``, in DESCRIBE and in the store."""

_COUNTERS = ("errors", "failovers", "latencies", "spending", "history", "cascade")
"""Fields that are shown in another form, or are only for estimates."""

_LATER = ("long_texts", "parts", "left_out")
"""Fields that came later than 0.1.0, and so stand behind what it had."""

_TOKEN_KINDS = ("input_tokens", "output_tokens", "cached_tokens", "reasoning_tokens")

_LATEST = (*_TOKEN_KINDS, "images")
"""Fields that came later still."""

_OF_REQUESTS = (
    *(
        "requests",
        "batches",
        "retries",
        "repairs",
        "rate_limit_waits",
        "seconds_waited",
        "bytes_sent",
        "bytes_received",
    ),
    *("compute_seconds", "compute_characters", "tokens", *_LATEST),
)
"""Fields that are sums over requests, beside counters."""

UsageValue = int | float | str | dict[str, int] | dict[int, int] | dict[str, Any] | None
"""A value of ``Usage.as_dict()`` and ``Usage.to_record()``."""


@dataclass
class Usage:
    """Counts of one query, or the sums of many. Times are in seconds, sizes in bytes of body.

    Attributes:
        task: The task's name.
        model: The model's name.
        host: The host that requests go to.
        queries: Queries counted here.
        rows: Rows of their tables.
        nulls: Rows without an input, which are not sent.
        distinct: Different inputs.
        cache_hits: Inputs whose answer was stored. Public as ``stored``.
        answered: Rows that have a prediction.
        requests: Requests sent, each look at a provider's job among them.
        batches: Those of them with more than one input.
        retries: Requests sent again after a transient failure.
        repairs: Requests that asked for an answer in another form.
        rate_limit_waits: Times that a service asked to wait. Public as ``waits``.
        seconds_waited: Time in which requests waited for the limiter.
        seconds: Time from the query's begin to its end.
        bytes_sent: Size of all request bodies.
        bytes_received: Size of all response bodies.
        compute_seconds: Time that the service says it computed.
        compute_characters: Characters that the service says it read.
        tokens: Tokens that the service says it read and generated. Their kinds follow below, where it tells them apart.
        request_id: The service's name for the last request.
        sha: The model's revision, as the last response named it.
        errors: Rows without a prediction, by the kind of failure.
        latencies: Requests by latency: bucket ``n`` holds those of about ``2 ** (n / 8)`` seconds.
        failovers: Times that a provider failed for everybody and the next one was asked, by their names and the reason.
        long_texts: Inputs that were asked in parts, since they are too long for the model.
        parts: Parts that they were asked in, those with a stored answer among them.
        left_out: Long texts of which not all was read.
        input_tokens: Tokens that the service says it read.
        output_tokens: Tokens that it says it generated.
        cached_tokens: Those of the ones read that it took from its prefix cache.
        reasoning_tokens: Those of the generated ones that are no part of an answer.
        images: Images that it made.
        spending: What the requests cost.
        history: What the answered ones took, for estimates.
        cascade: What a cascade did; None without one.
    """

    task: str
    model: str
    host: str
    queries: int = 1
    rows: int = 0
    nulls: int = 0
    distinct: int = 0
    cache_hits: int = 0
    answered: int = 0
    requests: int = 0
    batches: int = 0
    retries: int = 0
    repairs: int = 0
    rate_limit_waits: int = 0
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
    failovers: Counter[str] = field(default_factory=Counter)
    long_texts: int = 0
    parts: int = 0
    left_out: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cached_tokens: int = 0
    reasoning_tokens: int = 0
    images: int = 0
    spending: Spending = field(default_factory=Spending)
    history: History = field(default_factory=History)
    cascade: CascadeUsage | None = None

    def record_request(self, inputs: int, size: int) -> None:
        """Count a request that is sent.

        Args:
            inputs: How many inputs it carries.
            size: Size of its body in bytes.
        """
        self.requests += 1
        self.batches += inputs > 1
        self.bytes_sent += size

    def record_response(
        self, seconds: float, size: int, headers: Mapping[str, str], reported: ReportedUsage | None = None
    ) -> None:
        """Count the response to a request, and what the service says there of its own work.

        Args:
            seconds: The request's latency.
            size: Size of the response's body in bytes.
            headers: The response's headers. Reads ``x-request-id`` and ``x-sha``.
            reported: What the protocol read there of the service's own work.
        """
        self.latencies[round(math.log2(max(seconds, _MIN_LATENCY_S)) * _BUCKETS_PER_DOUBLING)] += 1
        self.bytes_received += size
        if reported is not None:
            self.tokens += reported.tokens
            self.compute_seconds += reported.compute_seconds or 0.0
            self.compute_characters += reported.compute_characters or 0
            for name in _LATEST:
                setattr(self, name, getattr(self, name) + (getattr(reported, name) or 0))
        if "x-request-id" in headers:
            self.request_id = redact(headers["x-request-id"])[:_MAX_ID_CHARS]
        if "x-sha" in headers:
            self.sha = redact(headers["x-sha"])[:_MAX_ID_CHARS]

    def add(self, other: Usage) -> None:
        """Add the usage of other queries to this one.

        Args:
            other: What to add. Its texts replace those of this usage, where it has any.
        """
        for each in fields(self):
            value, other_value = getattr(self, each.name), getattr(other, each.name)
            if isinstance(value, Counter):
                value.update(other_value)
            elif isinstance(value, (Spending, History)):
                value.add(other_value)
            elif isinstance(other_value, CascadeUsage):
                self.cascade = replace(self.cascade) if self.cascade else CascadeUsage()
                self.cascade.add(other_value)
            elif isinstance(value, (int, float)):
                setattr(self, each.name, value + other_value)
            else:
                setattr(self, each.name, other_value or value)

    def add_requests(self, other: Usage) -> None:
        """Add the requests of another query that belongs to this one, and neither its rows nor its inputs.

        Args:
            other: Of the other query, as it ended.
        """
        for name in _OF_REQUESTS:
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.latencies.update(other.latencies)
        self.failovers.update(other.failovers)
        self.spending.add(replace(other.spending, estimated=self.spending.estimated and Range(0.0, 0.0)))

    def latency_quantile(self, quantile: float) -> float | None:
        """Latency within which a part of the requests came back.

        Args:
            quantile: The part, in [0, 1]: 0.5 for the median.

        Returns:
            Seconds, right to within 5 %. None where there were no requests.

        >>> usage = Usage("text-classification", "m", "host")
        >>> for seconds in (0.1, 0.2, 1.0):
        ...     usage.record_response(seconds, 10, {})
        >>> usage.latency_quantile(1.0)
        1.0
        """
        remaining = quantile * sum(self.latencies.values())
        for bucket, count in sorted(self.latencies.items()):
            remaining -= count
            if remaining <= 0:
                return float(2 ** (bucket / _BUCKETS_PER_DOUBLING))
        return None

    def as_dict(self) -> dict[str, UsageValue]:
        """Return the usage as it stands in ``DataFrame.attrs["usage"]``.

        Returns:
            Plain values by their public names: the fields, with ``latencies`` as the quantiles ``p50_seconds`` and
            ``p95_seconds``, and ``requests_avoided``, the rows with an input that took no request. ``usd`` is a
            float, or None where no cost of any request is known, and ``usd_note`` says what is not in it. Beside it
            stand ``usd_estimated_low`` and ``usd_estimated_high``: what was estimated before the query, None where
            nothing was. Kinds of tokens are None where tokens were counted and their kinds were not.
        """
        record, (low, high) = self._by_public_names(), self.spending.estimated or (None, None)
        plain = {name: value for name, value in record.items() if name not in _COUNTERS + _LATER + _LATEST}
        has_kinds = not self.tokens or any(record[name] for name in _TOKEN_KINDS)
        kinds = {name: record[name] if has_kinds else None for name in _TOKEN_KINDS}
        return {
            **plain,
            "requests_avoided": max(0, self.rows - self.nulls - self.requests),
            "errors": dict(self.errors),
            "p50_seconds": self.latency_quantile(0.5),
            "p95_seconds": self.latency_quantile(0.95),
            "failovers": dict(self.failovers),
            **{name: record[name] for name in _LATER},
            **kinds,
            "images": record["images"],
            "usd": self.spending.shown(self.requests),
            "usd_note": self.spending.note(self.requests),
            "usd_estimated_low": low,
            "usd_estimated_high": high,
            "cascade": self.cascade and self.cascade.as_dict(),
        }

    def to_record(self) -> dict[str, UsageValue]:
        """Return all fields by their public names, as the store keeps them.

        Returns:
            The fields in their order. Counters are this usage's own.
        """
        cascade = self.cascade and vars(self.cascade)
        sums = {"spending": self.spending.to_record(), "history": self.history.to_record(), "cascade": cascade}
        return {**self._by_public_names(), **sums}

    def _by_public_names(self) -> dict[str, Any]:
        return {_PUBLIC_NAMES.get(name, name): value for name, value in vars(self).items()}

    @classmethod
    def from_record(cls, record: Mapping[str, object]) -> Usage:
        """Read what ``to_record`` wrote, in this version or an older one.

        Args:
            record: Fields by their public names, as parsed JSON. Missing ones get their defaults, unknown ones are
                ignored.

        Returns:
            The usage.

        Raises:
            TypeError: Where the record names no task, model or host, or is no mapping; or its sums are no lists.
            ValueError: Where a bucket of ``latencies`` or the dollars are no number.
            AttributeError: Where ``latencies`` is no mapping.
        """
        names = {each.name: _PUBLIC_NAMES.get(each.name, each.name) for each in fields(cls)}
        values: dict[str, Any] = {name: record[public] for name, public in names.items() if public in record}
        values["errors"] = Counter(values.get("errors", {}))
        values["failovers"] = Counter(values.get("failovers", {}))
        values["spending"] = Spending.from_record(values.get("spending", {}))
        values["cascade"] = CascadeUsage.from_record(values["cascade"]) if values.get("cascade") else None
        values["history"] = History.from_record(values.get("history", {}))
        values["latencies"] = Counter({int(bucket): count for bucket, count in values.get("latencies", {}).items()})
        return cls(**values)
