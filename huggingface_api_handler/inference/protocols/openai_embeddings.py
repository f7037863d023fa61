"""OpenAI's embeddings, which most servers of embedding models speak: many texts in a request, a vector for each.

Base64 is asked for: a vector takes a third of the bytes, and is read in a third of the time. OpenAI's own clients ask
for it too. A server that sends lists of numbers all the same is read as well.
https://platform.openai.com/docs/api-reference/embeddings
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

from ...errors import UnreadableAnswer
from ...pieces import LARGE_BYTES, PIECE_BYTES, pause
from ...tasks import JSONObject, Settings, Task
from ..echoes import ServerError
from ..transport.client import Response
from . import codec
from .base import AnswerTooLarge, Decoded
from .indexed_parts import by_index_or_order, objects_under
from .operations import JSONOperation
from .parameters import SilentCut, supported_parameters
from .server_errors import read_error
from .vectors import Vector, cosine, read_vector

_PARAMETERS = ("dimensions", "encoding_format", "normalize")
_FORMATS = ("base64", "float")
_MAX_BYTES = codec.MAX_JSON_VALUES * 16 // 3
"""Bytes of an answer: as many numbers in base64 as may come in lists."""

_ABOUT_FORMAT = re.compile(r"base64|encoding.?format", re.I)
_FORMAT_ADVICE = "If the server sends no base64, set encoding_format = 'float'"


def _parameters(settings: Settings) -> JSONObject:
    if settings.pooling != "mean":
        raise ValueError(
            f"an OpenAI-compatible server pools by itself, so pooling = {settings.pooling!r} has no effect. vLLM "
            "gives a vector for each token where the endpoint ends in /pooling"
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


def _vectors(task: Task, answer: object, count: int, pieces: int) -> list[Any]:
    """A vector for each of ``count`` texts. Other threads run between the pieces of a large answer."""
    parts: list[Any] = []
    items = by_index_or_order(objects_under(answer, "data", task.name), count)
    step = -(-count // pieces)
    for start in range(0, count, step):
        parts += map(_read_part, items[start : start + step])
        if pieces > 1:
            pause()
    return parts


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
class OpenAIEmbeddings(JSONOperation):
    """Embeddings: ``{"model", "input": [text, ...]}``, answered with ``{"data": [{"index", "embedding"}], "usage"}``.

    The likeness of two texts is that of their vectors.

    Attributes:
        version: What comes between the base address and the path where the base names no version of an API. Empty for
            infinity.
        silent_cut: What the server is told that would cut a text; None of one that refuses it, or is not known.
    """

    version: str = "/v1"
    # Not compared: which server it is matters for long texts only, and is not worth a request to find out.
    silent_cut: SilentCut | None = field(default=None, compare=False)
    name: ClassVar[str] = "openai-embeddings"
    path: ClassVar[str] = "/embeddings"
    tasks: ClassVar[tuple[str, ...]] = ("feature-extraction", "sentence-similarity")

    def payload(self, task: Task, inputs: Sequence[Any], settings: Settings) -> JSONObject:
        """The texts of which vectors are wanted.

        Args:
            task: The task to ask for.
            inputs: Texts; for sentence-similarity pairs of one source, which goes before their texts.
            settings: The settings of the model.

        Returns:
            ``{"model", "input": [text, ...], "encoding_format"}``, with ``dimensions`` where they are given, and what
            keeps the server from cutting.

        Raises:
            ValueError: A parameter, or ``pooling``, is nothing that such a server can be asked for, or the server cuts
                texts that are to be refused.
        """
        is_of_pairs = task.name != "feature-extraction"
        texts = [inputs[0].source, *(pair.text for pair in inputs)] if is_of_pairs else list(inputs)
        payload: JSONObject = {"model": settings.model, "input": texts, "encoding_format": "base64"}
        if not is_of_pairs:
            payload.update(_parameters(settings))
        if self.silent_cut is not None:
            payload.update(self.silent_cut.not_to_cut(settings))
        return payload

    def split(self, task: Task, answer: object, count: int, pieces: int = 1) -> list[Any]:
        """Give each input its vector, or its likeness to the source.

        Args:
            task: The task that was asked for.
            answer: The answer, as parsed JSON.
            count: The number of inputs that the request carried.
            pieces: In how many pieces to work. Other threads run between them.

        Returns:
            ``count`` parts; an ``UnreadableAnswer`` stands for that of an input whose vector cannot be used.

        Raises:
            UnreadableAnswer: It cannot be told which vector is whose.
        """
        if task.name == "feature-extraction":
            return _vectors(task, answer, count, pieces)
        source, *others = _vectors(task, answer, count + 1, pieces)
        return [_likeness(source, other) for other in others]

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
            AnswerTooLarge: The vectors would take too much memory.
        """
        size = len(response.body)
        if size > _MAX_BYTES:
            raise AnswerTooLarge(f"{size:,} bytes of vectors for {count} inputs, of at most {_MAX_BYTES:,}")
        pieces = 1 + size // PIECE_BYTES if size > LARGE_BYTES else 1  # a smaller one is read on the event loop

        def split(answer: object, count: int) -> list[Any]:
            return self.split(task, answer, count, pieces)

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
