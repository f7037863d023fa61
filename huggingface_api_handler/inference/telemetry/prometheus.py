"""Prometheus metrics of queries and their requests. Needs the extra ``metrics``.

A metric is made in ``PrometheusHook.__init__`` and counted in the method of an event; nothing else knows of it. Labels
are the host that requests go to and the task, and an outcome out of a short list. A model's name is no label, since it
is any text that a person writes.
"""

from __future__ import annotations

from functools import cache, partial

try:
    from prometheus_client import REGISTRY, CollectorRegistry, Counter, Gauge, Histogram
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(
        'Metrics need prometheus_client. Install it with: pip install "huggingface_api_handler[metrics]"',
        name=error.name,
    ) from None

from .events import QueryEnded, RequestAnswered, RequestFailed, RequestSent, RetryScheduled, RoutePaused
from .hooks import InferenceHook, register

ANSWERED = "answered"
"""The ``outcome`` of rows and requests that were answered. Of others it is the kind of failure."""

NULL = "null"
"""The ``outcome`` of rows without an input."""

_ROUTE = ("host", "task")
_OUTCOME = (*_ROUTE, "outcome")
_REQUEST_BUCKETS_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120)
_QUERY_BUCKETS_S = (0.1, 0.5, 1, 5, 10, 30, 60, 300, 600, 1800, 3600, 14400)


class PrometheusHook(InferenceHook):
    """Counts queries and requests for Prometheus. Make one for a registry, and ``register`` it.

    Args:
        registry: Where the metrics are; by default the one that ``prometheus_client.start_http_server`` serves.

    Raises:
        ValueError: There are such metrics in the registry already.

    Example:
        >>> from prometheus_client import CollectorRegistry, generate_latest
        >>> from huggingface_api_handler.inference import predict
        >>> import pandas as pd
        >>> registry = CollectorRegistry()
        >>> using = {"task": "text-classification", "column": "text", "target": "sentiment"}
        >>> out = predict(pd.DataFrame({"text": [None, " "]}), using, hooks=[PrometheusHook(registry)])
        >>> registry.get_sample_value(
        ...     "huggingface_api_rows_total",
        ...     {"host": "router.huggingface.co", "task": "text-classification", "outcome": "null"},
        ... )
        2.0
    """

    def __init__(self, registry: CollectorRegistry = REGISTRY) -> None:
        counter = partial(Counter, labelnames=_ROUTE, registry=registry)
        gauge = partial(Gauge, labelnames=_ROUTE, registry=registry)
        histogram = partial(Histogram, labelnames=_ROUTE, registry=registry)
        self._rows = counter(
            "huggingface_api_rows_total",
            "Rows of finished queries. The outcome is answered, null, or the kind of failure.",
            labelnames=_OUTCOME,
        )
        self._cache_hits = counter(
            "huggingface_api_cache_hits_total", "Inputs whose answer was stored. Equal ones count once."
        )
        self._requests = counter(
            "huggingface_api_requests_total",
            "Requests that ended. The outcome is answered, the kind of failure, or cancelled.",
            labelnames=_OUTCOME,
        )
        self._request_seconds = histogram(
            "huggingface_api_request_duration_seconds",
            "Time from sending a request to its answer or failure.",
            buckets=_REQUEST_BUCKETS_S,
        )
        # Without the modes, which are for several processes, each process would have a series of its own.
        self._in_flight = gauge(
            "huggingface_api_requests_in_flight", "Requests in flight.", multiprocess_mode="livesum"
        )
        self._slots = gauge(
            "huggingface_api_slots",
            "Requests that may be in flight on the route, as last found.",
            multiprocess_mode="livemostrecent",
        )
        self._tokens = counter("huggingface_api_tokens_total", "Tokens that services say they read and made.")
        self._retries = counter("huggingface_api_retries_total", "Requests sent again after a temporary failure.")
        self._pauses = counter("huggingface_api_pauses_total", "Requests that a service answered with a wait.")
        self._paused_seconds = counter(
            "huggingface_api_paused_seconds_total", "Time in which requests of finished queries waited for a pause."
        )
        self._query_seconds = histogram(
            "huggingface_api_query_duration_seconds",
            "Time from a query's begin to its end.",
            buckets=_QUERY_BUCKETS_S,
        )

    def on_request_sent(self, event: RequestSent) -> None:
        """Count a request in flight.

        Args:
            event: What it carries.
        """
        self._in_flight.labels(event.query.host, event.query.task).inc()
        if event.slots is not None:
            self._slots.labels(event.query.host, event.query.task).set(event.slots)

    def on_request_answered(self, event: RequestAnswered) -> None:
        """Count a request that was answered.

        Args:
            event: How it went.
        """
        self._on_request_ended(event, ANSWERED)

    def on_request_failed(self, event: RequestFailed) -> None:
        """Count a request that failed.

        Args:
            event: How it went.
        """
        self._on_request_ended(event, event.kind)

    def on_retry(self, event: RetryScheduled) -> None:
        """Count a retry.

        Args:
            event: What is sent again.
        """
        self._retries.labels(event.query.host, event.query.task).inc()

    def on_pause(self, event: RoutePaused) -> None:
        """Count a pause.

        Args:
            event: The wait that was asked for.
        """
        self._pauses.labels(event.query.host, event.query.task).inc()

    def on_query_ended(self, event: QueryEnded) -> None:
        """Count the rows of a query, and the time that it took.

        Args:
            event: Its usage.
        """
        host, task, usage = event.query.host, event.query.task, event.usage
        for outcome, rows in {ANSWERED: usage.answered, NULL: usage.nulls, **usage.errors}.items():
            if rows:
                self._rows.labels(host, task, outcome).inc(rows)
        self._cache_hits.labels(host, task).inc(usage.cache_hits)
        self._paused_seconds.labels(host, task).inc(usage.seconds_waited)
        self._query_seconds.labels(host, task).observe(usage.seconds)

    def _on_request_ended(self, event: RequestAnswered | RequestFailed, outcome: str) -> None:
        host, task = event.query.host, event.query.task
        self._in_flight.labels(host, task).dec()
        self._requests.labels(host, task, outcome).inc()
        self._request_seconds.labels(host, task).observe(event.seconds)
        self._tokens.labels(host, task).inc(event.tokens)


@cache
def register_default() -> PrometheusHook:
    """Count all queries of this process in Prometheus' default registry. Called again it does nothing more.

    Returns:
        The hook that is registered.
    """
    hook = PrometheusHook()
    register(hook)
    return hook
