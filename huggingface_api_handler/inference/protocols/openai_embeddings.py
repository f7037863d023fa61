"""OpenAI's embeddings, which most servers of embedding models speak: many texts in a request, a vector for each.

Base64 is asked for: a vector takes a third of the bytes, and is read in a third of the time. OpenAI's own clients ask
for it too. A server that sends lists of numbers all the same is read as well.
https://platform.openai.com/docs/api-reference/embeddings
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

from ...errors import UnreadableAnswer
from ...pieces import LARGE_BYTES, PIECE_BYTES, pause
from ...tasks import Input, JSONObject, Settings, Task
from ...tasks.input_types import TextPair
from ..echoes import ServerError
from ..transport.client import Response
from . import codec
from .addresses import api_url
from .base import AnswerTooLarge, Batching, Body, Decoded
from .indexed_parts import by_index_or_order, objects_under
from .json_server import JSONServer
from .parameters import supported_parameters
from .server_errors import read_error
from .vectors import Vector, cosine, read_vector

PATH = "/embeddings"
"""The path of the operation."""

_PARAMETERS = ("dimensions", "encoding_format", "normalize")
_FORMATS = ("base64", "float")
_MAX_BYTES = codec.MAX_JSON_VALUES * 16 // 3
"""Bytes of an answer: as many numbers in base64 as may come in lists."""

_ABOUT_FORMAT = re.compile(r"base64|encoding.?format", re.I)
_FORMAT_ADVICE = "If the server sends no base64, set encoding_format = 'float'"


def embeddings_payload(task: Task, inputs: Sequence[Input], settings: Settings) -> JSONObject:
    """The texts of which vectors are wanted.

    Args:
        task: The task to ask for.
        inputs: Texts; for sentence-similarity pairs of one source, which goes before their texts.
        settings: The settings of the model.

    Returns:
        ``{"model", "input": [text, ...], "encoding_format"}``, with ``dimensions`` where they are given.

    Raises:
        ValueError: A parameter, or ``pooling``, is nothing that such a server can be asked for.
    """
    pairs = [item for item in inputs if isinstance(item, TextPair)]
    texts = [pairs[0].source, *(pair.text for pair in pairs)] if pairs else list(inputs)
    payload: JSONObject = {"model": settings.model, "input": texts, "encoding_format": "base64"}  # type: ignore[dict-item]
    if task.name == "feature-extraction":
        payload.update(_parameters(settings))
    return payload


def _parameters(settings: Settings) -> JSONObject:
    if settings.pooling != "mean":
        raise ValueError(
            f"an OpenAI-compatible server pools by itself, so pooling = {settings.pooling!r} has no effect"
        )
    if not settings.parameters:
        return {}
    parameters = supported_parameters(settings, _PARAMETERS, "an OpenAI-compatible server")
    if parameters.get("encoding_format", "float") not in _FORMATS:
        raise ValueError(f"encoding_format must be one of {', '.join(_FORMATS)}")
    if parameters.pop("normalize", True) is False:
        raise ValueError("an OpenAI-compatible server cannot be told to leave vectors as they are: normalize = false")
    return parameters


def _read_part(item: Mapping[str, Any]) -> Vector | UnreadableAnswer:
    """The vector of one input, or why it has none, which says nothing of the others."""
    try:
        return read_vector(item.get("embedding"))
    except UnreadableAnswer as reason:
        return reason


def _split(task: Task, answer: object, count: int, pieces: int) -> list[Any]:
    """A vector for each of ``count`` texts. Other threads run between the pieces of a large answer."""
    parts: list[Any] = []
    items = by_index_or_order(objects_under(answer, "data", task.name), count)
    step = -(-count // pieces)
    for start in range(0, count, step):
        parts += map(_read_part, items[start : start + step])
        if pieces > 1:
            pause()
    return parts


def _compared(parts: list[Any]) -> list[Any]:
    """The likeness of the first vector and each of the others, or why there is none."""
    source, *others = parts
    return [_likeness(source, other) for other in others]


def _likeness(one: Vector | UnreadableAnswer, other: Vector | UnreadableAnswer) -> float | UnreadableAnswer:
    if isinstance(one, UnreadableAnswer):
        return one
    if isinstance(other, UnreadableAnswer):
        return other
    try:
        return cosine(one, other)
    except UnreadableAnswer as reason:
        return reason


@dataclass(frozen=True)
class OpenAIEmbeddings(JSONServer):
    """Embeddings: ``{"model", "input": [text, ...]}``, answered with ``{"data": [{"index", "embedding"}], "usage"}``.

    Attributes:
        version: What comes between the base address and ``PATH`` where the base names no version of an API. Empty for
            infinity, whose own path is ``/embeddings``.
    """

    version: str = "/v1"
    name: ClassVar[str] = "openai-embeddings"
    max_batch_size: ClassVar[None] = None

    def supports(self, task: Task) -> bool:
        """Whether such a server answers a task.

        Args:
            task: The task to ask for.

        Returns:
            True for vectors, and for the likeness of two texts, which their vectors tell.
        """
        return task.name in ("feature-extraction", "sentence-similarity")

    def url(self, base: str, _model: str, _task: Task) -> str:
        """The address of every request.

        Args:
            base: The endpoint as it was given.

        Returns:
            ``base`` with the version and ``PATH``, as far as it does not end so already.
        """
        return api_url(base, PATH, self.version)

    def batching(self, _task: Task) -> Batching:
        """Whether several inputs may go in one request.

        Returns:
            ``NATIVE``. How many a server takes, its refusals tell.
        """
        return Batching.NATIVE

    def encode(self, task: Task, inputs: Sequence[Input], settings: Settings) -> Body:
        """Write the body of a request.

        Args:
            task: The task to ask for.
            inputs: The inputs of one batch, of one source where the task compares.
            settings: The settings of the model.

        Returns:
            The body, ready to send.

        Raises:
            ValueError: A parameter, or ``pooling``, is nothing that such a server can be asked for.
        """
        return codec.encode(embeddings_payload(task, inputs, settings))

    def decode(self, task: Task, response: Response, count: int) -> Decoded:
        """Take a response apart.

        Args:
            task: The task that was asked for.
            response: The response, of status 200.
            count: The number of inputs that the request carried.

        Returns:
            For each input its vector, or its likeness to the source, and the usage. An ``UnreadableAnswer`` stands for
            that of an input whose vector cannot be used. In ``unreadable`` why it cannot be told which is whose.

        Raises:
            ValueError: The body is no JSON.
            AnswerTooLarge: The vectors would take too much memory.
        """
        size = len(response.body)
        if size > _MAX_BYTES:
            raise AnswerTooLarge(f"{size:,} bytes of vectors for {count} inputs, of at most {_MAX_BYTES:,}")
        pieces = 1 + size // PIECE_BYTES if size > LARGE_BYTES else 1  # a smaller one is read on the event loop

        def split(answer: object, count: int) -> list[Any]:
            if task.name == "feature-extraction":
                return _split(task, answer, count, pieces)
            return _compared(_split(task, answer, count + 1, pieces))

        return codec.take_apart(codec.parse(task, response), count, split, response.headers)

    def error(self, response: Response) -> ServerError | None:
        """Read the error that a response tells.

        Args:
            response: The response, of any status.

        Returns:
            The server's words and code, with advice where it does not take base64. None where there is no error.
        """
        error = read_error(response)
        if error is None or not _ABOUT_FORMAT.search(error.message):
            return error
        return replace(error, message=f"{error.message.rstrip('.')}. {_FORMAT_ADVICE}")
