"""OpenTelemetry spans of queries and their requests. Needs the extra ``tracing``.

Names of attributes are those of the semantic conventions (https://opentelemetry.io/docs/specs/semconv), for generative
AI on the span of a query and for HTTP clients on that of a request. What they have no name for begins with
``huggingface_api.``.
"""

from __future__ import annotations

from urllib.parse import urlsplit

try:
    from opentelemetry import trace
    from opentelemetry.trace import Span, SpanKind, Status, StatusCode, TracerProvider
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(
        'Tracing needs opentelemetry-api. Install it with: pip install "huggingface_api_handler[tracing]"',
        name=error.name,
    ) from None

from ..._version import __version__
from ...tasks import TASKS
from . import events
from .hooks import InferenceHook

_PROVIDER = "huggingface"
_STATUS_OK = 200

_USAGE = ("answered", "requests", "batches", "retries", "rate_limit_waits", "cache_hits", "tokens")


class OpenTelemetryHook(InferenceHook):
    """Makes a span of each query, a child of the caller's span, and below it a span of each request.

    Retries and pauses are events of the query's span.

    Args:
        tracer_provider: Where spans go; by default the process's own provider.
    """

    def __init__(self, tracer_provider: TracerProvider | None = None) -> None:
        self._tracer = trace.get_tracer("huggingface_api_handler", __version__, tracer_provider)
        self._queries: dict[int, Span] = {}
        self._requests: dict[tuple[int, int], Span] = {}

    def on_query_started(self, event: events.QueryStarted) -> None:
        """Begin the span of a query.

        Args:
            event: What is known of it.
        """
        query = event.query
        operation = TASKS[query.task].operation or query.task
        attributes = {
            "gen_ai.operation.name": operation,
            "gen_ai.provider.name": _PROVIDER,
            "gen_ai.request.model": query.model,
            "huggingface_api.task": query.task,
            "huggingface_api.rows": event.rows,
            "huggingface_api.nulls": event.nulls,
            "huggingface_api.distinct": event.distinct,
            **_server(query),
        }
        self._queries[query.id] = self._tracer.start_span(f"{operation} {query.model}", attributes=attributes)

    def on_request_sent(self, event: events.RequestSent) -> None:
        """Begin the span of a request.

        Args:
            event: What it carries.
        """
        query = self._queries.get(event.query.id)
        attributes = {
            "http.request.method": "POST",
            "http.request.body.size": event.bytes_sent,
            "huggingface_api.inputs": event.inputs,
            **_server(event.query),
        }
        self._requests[event.query.id, event.number] = self._tracer.start_span(
            "POST",
            trace.set_span_in_context(query) if query is not None else None,
            kind=SpanKind.CLIENT,
            attributes=attributes,
        )

    def on_request_answered(self, event: events.RequestAnswered) -> None:
        """End the span of a request.

        Args:
            event: How it went.
        """
        self._end_request(event, event.status)

    def on_request_failed(self, event: events.RequestFailed) -> None:
        """End the span of a request with an error.

        Args:
            event: How it went.
        """
        self._end_request(event, event.status, event.kind)

    def on_retry(self, event: events.RetryScheduled) -> None:
        """Add an event to the span of the query.

        Args:
            event: What is sent again, and when.
        """
        facts = {"inputs": event.inputs, "attempt": event.attempt, "delay_s": event.delay_s}
        self._add_event(event.query, "huggingface_api.retry", facts)

    def on_pause(self, event: events.RoutePaused) -> None:
        """Add an event to the span of the query.

        Args:
            event: The wait that was asked for.
        """
        facts = {} if event.delay_s is None else {"delay_s": event.delay_s}
        self._add_event(event.query, "huggingface_api.pause", {"inputs": event.inputs, **facts})

    def on_query_ended(self, event: events.QueryEnded) -> None:
        """End the span of a query, with its usage.

        Args:
            event: Its usage, and the error that it raises.
        """
        span = self._queries.pop(event.query.id, None)
        if span is None:
            return
        for name in _USAGE:
            span.set_attribute(f"huggingface_api.{name}", getattr(event.usage, name))
        if event.error is not None:
            span.set_attribute("error.type", event.error)
            span.set_status(Status(StatusCode.ERROR))
        span.end()

    def _end_request(
        self, event: events.RequestAnswered | events.RequestFailed, status: int | None, kind: str | None = None
    ) -> None:
        span = self._requests.pop((event.query.id, event.number), None)
        if span is None:
            return
        if status is not None:
            span.set_attribute("http.response.status_code", status)
        span.set_attribute("http.response.body.size", event.bytes_received)
        if kind is not None:
            span.set_attribute("error.type", kind if status in (None, _STATUS_OK) else str(status))
            span.set_attribute("huggingface_api.failure", kind)
            span.set_status(Status(StatusCode.ERROR, kind))
        span.end()

    def _add_event(self, query: events.QueryInfo, name: str, facts: dict[str, int | float]) -> None:
        if (span := self._queries.get(query.id)) is not None:
            span.add_event(name, {f"huggingface_api.{key}": value for key, value in facts.items()})


def _server(query: events.QueryInfo) -> dict[str, str | int]:
    """The address and the port, where it is not the usual one."""
    parts = urlsplit(f"//{query.host}")
    address: dict[str, str | int] = {"server.address": parts.hostname or query.host}
    return address if parts.port is None else {**address, "server.port": parts.port}
