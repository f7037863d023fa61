"""What hooks are told: counts, times and names of a query and its requests. Never a key, an input or an answer."""

from __future__ import annotations

from typing import NamedTuple

from .usage import Usage

CANCELLED = "cancelled"
"""The ``kind`` of a request that was given up before its answer: its query was cancelled, or its time was up."""


class QueryInfo(NamedTuple):
    """The query that an event belongs to. All events of a query share it.

    Attributes:
        id: A number of its own in this process.
        task: The task's name.
        model: The model's name.
        host: The host that requests go to, and the port if there is one.
    """

    id: int
    task: str
    model: str
    host: str


class QueryStarted(NamedTuple):
    """A query begins.

    Attributes:
        query: The query.
        rows: Rows of its table; of ``predict_batches`` those of the first piece, as are the next two.
        nulls: Rows without an input, which are not sent.
        distinct: Different inputs.
    """

    query: QueryInfo
    rows: int
    nulls: int
    distinct: int


class RequestSent(NamedTuple):
    """A request goes out.

    Attributes:
        query: Its query.
        number: Its number in the query, from 1.
        inputs: Inputs that it carries: none for a look at a provider's job.
        bytes_sent: Size of its body.
        in_flight: Requests of this query in flight, this one included.
        slots: Requests that may be in flight on the route now; None where the limiter does not tell.
    """

    query: QueryInfo
    number: int
    inputs: int
    bytes_sent: int
    in_flight: int
    slots: float | None


class RequestAnswered(NamedTuple):
    """A request has its answer.

    Attributes:
        query: Its query.
        number: Its number in the query.
        inputs: Inputs that it carried.
        seconds: Time from sending to the last byte.
        status: The HTTP status.
        bytes_received: Size of the response's body.
        tokens: Tokens that the service says it read and generated.
    """

    query: QueryInfo
    number: int
    inputs: int
    seconds: float
    status: int
    bytes_received: int
    tokens: int


class RequestFailed(NamedTuple):
    """A request failed. What becomes of its rows is another matter: it may be sent again.

    Attributes:
        query: Its query.
        number: Its number in the query.
        inputs: Inputs that it carried.
        seconds: Time from sending to the failure.
        kind: The kind of failure, in the words of ``<target>_error``, or ``CANCELLED``.
        status: The HTTP status; None where there was no response.
        bytes_received: Size of the response's body.
        tokens: Tokens that the service says it read and generated.
    """

    query: QueryInfo
    number: int
    inputs: int
    seconds: float
    kind: str
    status: int | None
    bytes_received: int
    tokens: int


class RetryScheduled(NamedTuple):
    """Inputs are to be sent again after a temporary failure.

    Attributes:
        query: Their query.
        inputs: How many they are.
        attempt: Attempts that failed.
        delay_s: Seconds until the next one may go.
        status: The HTTP status; None where there was no response.
    """

    query: QueryInfo
    inputs: int
    attempt: int
    delay_s: float
    status: int | None


class RoutePaused(NamedTuple):
    """The service asked to wait, for all requests of the route. Requests in flight together may each bring one.

    Attributes:
        query: The query whose request was rejected.
        inputs: Inputs that it carried, which are sent again.
        delay_s: Seconds that the service announced; None where it announced nothing.
        status: The HTTP status.
    """

    query: QueryInfo
    inputs: int
    delay_s: float | None
    status: int | None


class QueryEnded(NamedTuple):
    """A query ends, with its last event.

    Attributes:
        query: The query.
        usage: What it sent, how long that took and what it saved: a copy.
        error: The class of the exception that the query raises; None where it gives a table.
    """

    query: QueryInfo
    usage: Usage
    error: str | None
