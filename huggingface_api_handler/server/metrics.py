"""Prometheus metrics of what this server did. Needs the extra ``metrics``; without it `/metrics` is a 404 that says so.

Their names begin with `huggingface_api_server_`, so that they are not added to those of clients of the same name.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import TypeAlias

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from starlette.requests import Request
from starlette.responses import Response

from .protocol.errors import HTTPError

Endpoint: TypeAlias = Callable[[Request], Awaitable[Response]]

_STATUS_INTERNAL_ERROR = 500
_DURATION_BUCKETS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120)


class Metrics:
    """Metrics of one application, in a registry of their own. Labels are the task and the status of the response.

    The task is empty where a request was refused before it was known.

    Attributes:
        registry: The metrics, and the process's CPU and memory.
    """

    def __init__(self) -> None:
        """Begin to count."""
        self.registry = registry = CollectorRegistry()
        self._requests = Counter(
            "huggingface_api_server_requests_total",
            "Requests for inference. The status is that of the response.",
            ("task", "status"),
            registry=registry,
        )
        self._seconds = Histogram(
            "huggingface_api_server_request_duration_seconds",
            "Time from a request's arrival to its response.",
            ("task",),
            registry=registry,
            buckets=_DURATION_BUCKETS_S,
        )
        self._in_flight = Gauge(
            "huggingface_api_server_requests_in_flight",
            "Requests that a model is loaded for or works on.",
            ("task",),
            registry=registry,
        )
        self._inputs = Counter(
            "huggingface_api_server_inputs_total", "Inputs that were answered.", ("task",), registry=registry
        )
        self._tokens = Counter(
            "huggingface_api_server_tokens_total", "Tokens of chats, read and generated.", ("task",), registry=registry
        )
        ProcessCollector(registry=registry)

    def measured(self, endpoint: Endpoint) -> Endpoint:
        """Count the requests of an endpoint.

        Args:
            endpoint: Answers a request, or raises ``HTTPError``.

        Returns:
            The endpoint, whose requests are counted by task and status, and timed.
        """

        async def measure(request: Request) -> Response:
            """Answer one request, and count it."""
            status, started = _STATUS_INTERNAL_ERROR, time.perf_counter()
            request.state.task = ""
            try:
                response = await endpoint(request)
                status = response.status_code
            except HTTPError as error:
                status = error.status
                raise
            finally:
                self._requests.labels(request.state.task, status).inc()
                self._seconds.labels(request.state.task).observe(time.perf_counter() - started)
            return response

        return measure

    @contextmanager
    def running(self, request: Request, task: str, inputs: int) -> Iterator[None]:
        """Count a request as in flight while a model answers it, and its inputs once they are answered.

        Args:
            request: The request, whose task is known from here on.
            task: The task's name.
            inputs: Inputs that the request carries.

        Yields:
            Nothing.
        """
        request.state.task = task
        with self._in_flight.labels(task).track_inprogress():
            yield
        self._inputs.labels(task).inc(inputs)

    def on_tokens(self, task: str, tokens: int) -> None:
        """Count the tokens of a chat.

        Args:
            task: The task's name.
            tokens: Tokens that the model read and generated.
        """
        self._tokens.labels(task).inc(tokens)

    def response(self) -> Response:
        """Show the metrics.

        Returns:
            The response in Prometheus' text format.
        """
        return Response(generate_latest(self.registry), headers={"content-type": CONTENT_TYPE_LATEST})
