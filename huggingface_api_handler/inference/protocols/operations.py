"""One operation of an OpenAI-like server, at a path of its own."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from ...tasks import Input, JSONObject, Settings, Task
from ..transport.client import Response
from . import codec
from .addresses import api_url
from .base import Batching, Body, Decoded
from .json_server import JSONServer


@dataclass(frozen=True)
class Operation(JSONServer, ABC):
    """What such operations have in common. One of them says its name, path and tasks, ``encode`` and ``split``.

    Attributes:
        version: What comes between the base address and the path where the base names no version of an API.
    """

    version: str = "/v1"
    name: ClassVar[str]
    path: ClassVar[str]
    tasks: ClassVar[tuple[str, ...]]
    batch_rule: ClassVar[Batching] = Batching.NATIVE
    max_batch_size: ClassVar[None] = None

    @abstractmethod
    def split(self, task: Task, answer: object, count: int) -> list[Any]:
        """Give each input its part of an answer.

        Args:
            task: The task that was asked for.
            answer: The answer, as parsed JSON.
            count: The number of inputs that the request carried.

        Returns:
            ``count`` parts; an ``UnreadableAnswer`` where that of one input cannot be used.

        Raises:
            UnreadableAnswer: It cannot be told which part is whose.
        """

    def supports(self, task: Task) -> bool:
        """Whether such a server answers a task.

        Args:
            task: The task to ask for.

        Returns:
            True for the tasks of this operation.
        """
        return task.name in self.tasks

    def url(self, base: str, _model: str, _task: Task) -> str:
        """The address of every request.

        Args:
            base: The endpoint as it was given.

        Returns:
            ``base`` with the version and the path, as far as it does not end so already.
        """
        return api_url(base, self.path, self.version)

    def batching(self, _task: Task) -> Batching:
        """Whether several inputs may go in one request.

        Returns:
            ``batch_rule``: where a request may carry many, the server's refusals tell how many.
        """
        return self.batch_rule

    def decode(self, task: Task, response: Response, count: int) -> Decoded:
        """Take a response apart.

        Args:
            task: The task that was asked for.
            response: The response, whose status means success.
            count: The number of inputs that the request carried.

        Returns:
            The parts as of ``split``, or in ``unreadable`` why there are none, and the reported usage.

        Raises:
            ValueError: The body is no JSON.
        """
        answer = self.parse(task, response)
        return codec.take_apart(answer, count, lambda found, total: self.split(task, found, total), response.headers)

    def parse(self, task: Task, response: Response) -> Any:
        """What a response holds, before it is told whose it is.

        Args:
            task: The task that was asked for.
            response: The response, whose status means success.

        Returns:
            Parsed JSON, or media.

        Raises:
            ValueError: The body is neither.
        """
        return codec.parse(task, response)


@dataclass(frozen=True)
class JSONOperation(Operation, ABC):
    """An operation that is asked with a JSON object. One of them says its ``payload`` in the place of ``encode``."""

    @abstractmethod
    def payload(self, task: Task, inputs: Sequence[Any], settings: Settings) -> JSONObject:
        """What a request carries.

        Args:
            task: The task to ask for.
            inputs: The inputs of one batch, of one ``Task.group``.
            settings: The settings of the model.

        Returns:
            A JSON object.

        Raises:
            ValueError: The server cannot take these parameters.
        """

    def encode(self, task: Task, inputs: Sequence[Input], settings: Settings) -> Body:
        """Write the body of a request.

        Args:
            task: The task to ask for.
            inputs: The inputs of one batch, of one ``Task.group``.
            settings: The settings of the model.

        Returns:
            The body, ready to send.

        Raises:
            ValueError: The server cannot take these parameters.
        """
        return codec.encode(self.payload(task, inputs, settings))
