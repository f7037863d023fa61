"""Hooks for tests: they keep every event, cancel the query, or always raise."""

from __future__ import annotations

import asyncio
import threading
from typing import Any, NoReturn

from huggingface_api_handler.inference.telemetry.events import QueryInfo
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

    def _keep(self, event: Any) -> None:
        self.events.append(event)

    on_query_started = on_request_sent = on_request_answered = on_request_failed = _keep
    on_retry = on_pause = on_query_ended = _keep


class Cancelling(InferenceHook):
    """Cancels its query as soon as a request is sent.

    Args:
        cancel: What the query was given to be cancelled with.
    """

    def __init__(self, cancel: threading.Event) -> None:
        self.cancel = cancel

    def on_request_sent(self, event: object) -> None:
        self.cancel.set()


async def no_answer(*_: object) -> None:
    """Keep a request waiting until it is given up: the answer of a service."""
    await asyncio.Event().wait()


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
