"""Hooks for tests: one that keeps every event, and one that always raises."""

from __future__ import annotations

from typing import Any, NoReturn

from huggingface_api_handler.inference.telemetry.events import (
    QueryEnded,
    QueryInfo,
    QueryStarted,
    RequestAnswered,
    RequestFailed,
    RequestSent,
    RetryScheduled,
    RoutePaused,
)
from huggingface_api_handler.inference.telemetry.hooks import InferenceHook

QUERY = QueryInfo(1, "text-classification", "m", "h")
METHODS = tuple(name for name in vars(InferenceHook) if name.startswith("on_"))


class Recorder(InferenceHook):
    """Keeps every event, in order."""

    def __init__(self) -> None:
        self.events: list[Any] = []

    def of(self, *types: type) -> list[Any]:
        """The events of some types."""
        return [event for event in self.events if isinstance(event, types)]

    def on_query_started(self, event: QueryStarted) -> None:
        self.events.append(event)

    def on_request_sent(self, event: RequestSent) -> None:
        self.events.append(event)

    def on_request_answered(self, event: RequestAnswered) -> None:
        self.events.append(event)

    def on_request_failed(self, event: RequestFailed) -> None:
        self.events.append(event)

    def on_retry(self, event: RetryScheduled) -> None:
        self.events.append(event)

    def on_pause(self, event: RoutePaused) -> None:
        self.events.append(event)

    def on_query_ended(self, event: QueryEnded) -> None:
        self.events.append(event)


class Raising(InferenceHook):
    """Raises from every method.

    Args:
        error: What it raises.
    """

    def __init__(self, error: BaseException) -> None:
        self.error = error

    def __getattribute__(self, name: str) -> Any:
        if not name.startswith("on_"):
            return super().__getattribute__(name)

        def fail(event: object) -> NoReturn:
            raise self.error

        return fail
