"""Hooks, which are told of queries and their requests: for logs, metrics and traces of your own.

Write a subclass of ``InferenceHook``, and hand an object of it to ``predict(..., hooks=[...])``, or ``register`` it for
all queries of the process. ``telemetry.events`` says what hooks are told.
"""

from __future__ import annotations

import copy
import itertools
import logging
import traceback
import weakref
from collections.abc import Sequence
from typing import NamedTuple

from ...errors import InputError
from ...redaction import redact
from ..failures import Failure
from .events import (
    CANCELLED,
    QueryEnded,
    QueryInfo,
    QueryStarted,
    RequestAnswered,
    RequestFailed,
    RequestSent,
    RetryScheduled,
    RoutePaused,
)
from .usage import Usage

logger = logging.getLogger(__name__)

_STATUS_OK = 200


class InferenceHook:
    """Is told of queries and requests. Override what you need; all methods do nothing by themselves.

    The methods run on the thread of the event loop, between requests: they must not block. Hand anything slow to
    another thread. An exception of a method is logged once, and costs no row: the hook is told of later events, and
    so are other hooks. Exceptions that are no ``Exception``, such as ``KeyboardInterrupt``, end the query.

    Example:
        >>> from huggingface_api_handler.inference import predict
        >>> import pandas as pd
        >>> class Rows(InferenceHook):
        ...     def on_query_ended(self, event: QueryEnded) -> None:
        ...         print(event.query.task, event.usage.rows, event.usage.nulls, event.usage.requests)
        >>> using = {"task": "text-classification", "column": "text", "target": "sentiment"}
        >>> out = predict(pd.DataFrame({"text": [None, " "]}), using, hooks=[Rows()])
        text-classification 2 2 0
    """

    def on_query_started(self, event: QueryStarted) -> None:
        """A query begins, and has sent nothing.

        Args:
            event: What is known of it.
        """

    def on_request_sent(self, event: RequestSent) -> None:
        """A request goes out.

        Args:
            event: What it carries. One ``on_request_answered`` or ``on_request_failed`` follows, with its number.
        """

    def on_request_answered(self, event: RequestAnswered) -> None:
        """A request has its answer.

        Args:
            event: How it went.
        """

    def on_request_failed(self, event: RequestFailed) -> None:
        """A request failed.

        Args:
            event: How it went.
        """

    def on_retry(self, event: RetryScheduled) -> None:
        """Inputs are to be sent again after a temporary failure.

        Args:
            event: How often they were sent, and when the next attempt may go.
        """

    def on_pause(self, event: RoutePaused) -> None:
        """The service asked to wait.

        Args:
            event: How long, where it says so.
        """

    def on_query_ended(self, event: QueryEnded) -> None:
        """A query ends. ``predict`` returns after this.

        Args:
            event: Its usage.
        """


_registered: list[InferenceHook] = []
_reported: set[tuple[int, str]] = set()
_query_ids = itertools.count(1)


def register(hook: InferenceHook) -> None:
    """Tell a hook of all queries of this process that begin from now on, as where MindsDB calls ``predict``.

    Args:
        hook: The hook. One that is registered already is not told twice.

    Raises:
        InputError: It is no ``InferenceHook``.
    """
    _check(hook)
    if not any(each is hook for each in _registered):
        _registered.append(hook)


def unregister(hook: InferenceHook) -> None:
    """Tell a hook of no more queries. Those that have begun still tell it.

    Args:
        hook: The hook. One that is not registered is ignored.
    """
    _registered[:] = [each for each in _registered if each is not hook]


def hooks_of(given: Sequence[InferenceHook], usage: Usage) -> Hooks | None:
    """Find who is told of a query.

    Args:
        given: The hooks of this query. Those that are registered come before them.
        usage: The query's usage, which names its task, model and host.

    Returns:
        The hooks of the query; None where there are none.

    Raises:
        InputError: One of them is no ``InferenceHook``.
    """
    if not given and not _registered:
        return None
    for hook in given:
        _check(hook)
    every = [*_registered, *(hook for hook in given if not any(each is hook for each in _registered))]
    return Hooks(every, QueryInfo(next(_query_ids), usage.task, usage.model, usage.host))


class Hooks:
    """The hooks of one query. Makes the events and tells each hook of them.

    Args:
        hooks: Who is told, in this order.
        query: The query.
    """

    def __init__(self, hooks: Sequence[InferenceHook], query: QueryInfo) -> None:
        self._hooks, self._query = tuple(hooks), query

    def of_query(self, usage: Usage) -> Hooks:
        """The same hooks for another query that belongs to this one.

        Args:
            usage: Of that query.

        Returns:
            Its hooks.
        """
        return Hooks(self._hooks, QueryInfo(next(_query_ids), usage.task, usage.model, usage.host))

    def query_started(self, usage: Usage) -> None:
        """Tell that the query begins.

        Args:
            usage: Its usage so far.
        """
        self._tell("on_query_started", QueryStarted(self._query, usage.rows, usage.nulls, usage.distinct))

    def request_sent(self, number: int, inputs: int, bytes_sent: int, in_flight: int, slots: float | None) -> None:
        """Tell that a request goes out.

        Args:
            number: Its number in the query.
            inputs: Inputs that it carries.
            bytes_sent: Size of its body.
            in_flight: Requests of the query in flight, this one included.
            slots: Requests that may be in flight on the route; None where that is not known.
        """
        self._tell("on_request_sent", RequestSent(self._query, number, inputs, bytes_sent, in_flight, slots))

    def request_ended(
        self, number: int, inputs: int, seconds: float, failure: Failure | None, bytes_received: int, tokens: int
    ) -> None:
        """Tell that a request was answered or failed.

        Args:
            number: Its number in the query.
            inputs: Inputs that it carried.
            seconds: Its latency.
            failure: Why there is no answer; None where there is one.
            bytes_received: Size of the response's body.
            tokens: Tokens that the service says it read and generated.
        """
        request = self._query, number, inputs, seconds
        if failure is None:
            self._tell("on_request_answered", RequestAnswered(*request, _STATUS_OK, bytes_received, tokens))
        else:
            failed = RequestFailed(*request, failure.kind.value, failure.status, bytes_received, tokens)
            self._tell("on_request_failed", failed)

    def request_cancelled(self, number: int, inputs: int, seconds: float) -> None:
        """Tell that a request was given up before its answer.

        Args:
            number: Its number in the query.
            inputs: Inputs that it carried.
            seconds: Time that it was out.
        """
        self._tell("on_request_failed", RequestFailed(self._query, number, inputs, seconds, CANCELLED, None, 0, 0))

    def retry(self, failure: Failure, attempt: int, inputs: int, delay_s: float) -> None:
        """Tell that inputs are to be sent again.

        Args:
            failure: Why.
            attempt: Attempts that failed.
            inputs: How many inputs.
            delay_s: Seconds until the next attempt may go.
        """
        self._tell("on_retry", RetryScheduled(self._query, inputs, attempt, delay_s, failure.status))

    def pause(self, failure: Failure, inputs: int) -> None:
        """Tell that the service asked to wait.

        Args:
            failure: The rejection, with the announced wait.
            inputs: Inputs of the rejected request.
        """
        self._tell("on_pause", RoutePaused(self._query, inputs, failure.retry_after_s, failure.status))

    def query_ended(self, usage: Usage, error: BaseException | None) -> None:
        """Tell that the query ends.

        Args:
            usage: Its usage, which is copied.
            error: What it raises; None where it gives a table.
        """
        name = None if error is None else type(error).__name__
        self._tell("on_query_ended", QueryEnded(self._query, copy.deepcopy(usage), name))

    def _tell(self, method: str, event: NamedTuple) -> None:
        for hook in self._hooks:
            try:
                getattr(hook, method)(event)
            except Exception as error:
                _report(hook, method, error)


def _check(hook: object) -> None:
    if not isinstance(hook, InferenceHook):
        raise InputError(f"a hook is an object of a subclass of InferenceHook, and not {type(hook).__name__}")


def _report(hook: InferenceHook, method: str, error: Exception) -> None:
    """Log the first exception of a method of a hook."""
    key = id(hook), method
    if key in _reported:
        return
    _reported.add(key)
    weakref.finalize(hook, _reported.discard, key)  # another object may get the same id
    text = redact("".join(traceback.format_exception(error)))
    logger.warning("%s of the hook %s failed. No row is lost. Told once.\n%s", method, type(hook).__name__, text)
