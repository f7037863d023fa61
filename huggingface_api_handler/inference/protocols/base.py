"""What a wire protocol is: how a server is addressed, how it is asked, and how its response is taken apart.

A task says what an answer means (``Task.read``). A protocol says what goes over the wire: to serve a new kind of
server, write one more implementation in a module of this package and name it in ``servers.KINDS``.
``json_server.JSONServer`` has what most of them have in common.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from enum import Enum
from typing import Any, NamedTuple, Protocol, TypeAlias

from ...errors import UnreadableAnswer
from ...tasks import Input, Settings, Task
from ..echoes import ServerError
from ..failures import Failure
from ..pricing.reported_usage import ReportedUsage
from ..transport.client import Response

JSON_TYPE = "application/json"
"""The content type of a request, where its body says no other."""

Split: TypeAlias = Callable[[object, int], list[Any]]
"""``split(answer, count)`` gives each of ``count`` inputs its part of the parsed JSON, or raises UnreadableAnswer."""


class AnswerTooLarge(ValueError):  # noqa: N818 - read as what happened
    """An answer, of status 200, would take too much memory. A batch is asked again in parts."""


class AnswerCutOffError(ValueError):
    """A response begins as an answer and does not end as one, so that the rest of it is missing."""


class Batching(Enum):
    """Whether several inputs may go in one request."""

    NEVER = "never"
    PROBE = "probe"  # only on a route whose answers to a batch were those to its inputs alone
    NATIVE = "native"  # the protocol itself carries many


class Body(NamedTuple):
    """The body of one request.

    Attributes:
        data: The bytes to send. They can hold what a row holds, so they stay out of ``repr``.
        content_type: What they are.
    """

    data: bytes
    content_type: str = JSON_TYPE

    def __repr__(self) -> str:
        return f"Body({len(self.data)} bytes of {self.content_type})"


class Decoded(NamedTuple):
    """A response whose status means success, taken apart.

    Attributes:
        parts: The answer to each input, in the order of the inputs: parsed JSON or ``Media``, as ``Task.read`` takes
            it and as it is stored; an ``UnreadableAnswer``, which is not stored, where that of one input cannot be
            used. Empty where the answer is unreadable.
        usage: What the service reports of its work, None where it reports nothing.
        unreadable: Why it cannot be told which part is whose, else None.
    """

    parts: list[Any]
    usage: ReportedUsage | None = None
    unreadable: UnreadableAnswer | None = None


class WireProtocol(Protocol):
    """What a server speaks. Implementations hold no state, so that threads and queries can share one."""

    @property
    def name(self) -> str:
        """The name, as ``DESCRIBE`` shows it."""
        ...

    @property
    def max_batch_size(self) -> int | None:
        """The most inputs in one request, where the server told it."""
        ...

    @property
    def blocks(self) -> bool:
        """Whether ``decode`` may wait for the network: then it is called on a thread."""
        ...

    def supports(self, task: Task) -> bool:
        """Whether such a server answers a task.

        Args:
            task: The task to ask for.

        Returns:
            True where ``encode`` and ``decode`` know the task.
        """
        ...

    def url(self, base: str, model: str, task: Task) -> str:
        """The address of every request.

        Args:
            base: The endpoint as it was given, or where Hugging Face serves this protocol.
            model: The model's name.
            task: The task to ask for.

        Returns:
            The URL to POST to.
        """
        ...

    def headers(self, task: Task) -> Mapping[str, str]:
        """Headers of every request that only this protocol needs.

        Args:
            task: The task to ask for.

        Returns:
            The headers by lower-case name, empty for most protocols. The key is added by ``routing``.
        """
        ...

    def batching(self, task: Task) -> Batching:
        """Whether several inputs may go in one request.

        Args:
            task: The task to ask for.

        Returns:
            The rule for this task.
        """
        ...

    def encode(self, task: Task, inputs: Sequence[Input], settings: Settings) -> Body:
        """Write the body of a request.

        Args:
            task: The task to ask for.
            inputs: The inputs of one batch, of one ``Task.group``, media loaded. One where ``batching`` is ``NEVER``.
            settings: The settings of the model.

        Returns:
            The body, ready to send.

        Raises:
            TypeError: An input cannot be written as JSON.
            ValueError: The server cannot take this input or these parameters.
        """
        ...

    def decode(self, task: Task, response: Response, count: int) -> Decoded:
        """Take a response whose status means success apart, in which ``error`` found none.

        Args:
            task: The task that was asked for.
            response: The response.
            count: The number of inputs that the request carried.

        Returns:
            A part for each input, or in ``unreadable`` why there is none.

        Raises:
            AnswerTooLarge: What it holds would take too much memory.
            AnswerCutOffError: The body is the beginning of an answer.
            ValueError: The body is not what the protocol sends, or was cut off.
            Exception: Whatever comes of waiting for the network, where ``blocks``.
        """
        ...

    def fallback(self, task: Task, settings: Settings, failure: Failure, *, is_first: bool) -> WireProtocol | None:
        """How to ask once a request was refused for how it asks, and not for what.

        Args:
            task: The task that was asked for.
            settings: The settings of the model.
            failure: Of the request.
            is_first: Whether nothing was answered in this way yet, so that any refusal may be of it.

        Returns:
            The same protocol in another form; None where there is none, or the refusal is of something else.
        """
        ...

    def error(self, response: Response) -> ServerError | None:
        """Read the error that a response tells.

        Args:
            response: The response, of any status.

        Returns:
            The server's words and code. None for a response that means success and is no error.
        """
        ...
