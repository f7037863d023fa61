"""Text Embeddings Inference: asked on its own paths, in the form of batch that it reads correctly.

Its routes and shapes: https://huggingface.github.io/text-embeddings-inference. On ``/predict`` it reads
``["a", "b"]`` as one pair of sentences; several inputs go as ``[["a"], ["b"]]``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from ...tasks import JSON, Input, JSONObject, Settings, Task
from . import codec
from .addresses import api_url
from .base import Batching, Body
from .hf_inference import decode_by_form, form_of
from .hf_payloads import Encode, not_to_cut, ranking_payload, similarity_payload
from .json_server import JSONServer

DEFAULT_MAX_BATCH_SIZE = 32
"""The server's own default of ``--max-client-batch-size``, where ``/info`` does not say."""


_PREDICT_NAMES = {"truncation": "truncate"}
"""What the server calls a parameter of ``/predict``, where it is not as pipelines do."""


def predict_payload(inputs: Sequence[str], settings: Settings) -> JSONObject:
    """The payload of a request to ``/predict``.

    Args:
        inputs: One or several texts.
        settings: The settings of the model; its parameters and ``not_to_cut`` go beside the inputs.

    Returns:
        ``{"inputs": text}`` for one text, ``{"inputs": [[text], ...]}`` for several: one plain list of texts would be
        read as a pair.
    """
    parameters = {_PREDICT_NAMES.get(name, name): value for name, value in settings.parameters.items()}
    texts: JSON = [[text] for text in inputs] if len(inputs) > 1 else inputs[0]
    return {"inputs": texts, **parameters, **not_to_cut(settings)}


_PATHS = {
    "feature-extraction": "/embed",
    "text-classification": "/predict",
    "text-ranking": "/rerank",
    "sentence-similarity": "/similarity",
}
"""The path of each task that such a server answers."""

_ENCODERS: dict[str, Encode] = {
    "text-classification": predict_payload,
    "text-ranking": ranking_payload,
    "sentence-similarity": similarity_payload,
}
"""The tasks whose payload is another than hf-inference's."""


@dataclass(frozen=True)
class Tei(JSONServer):
    """A Text Embeddings Inference server.

    Attributes:
        max_batch_size: The maximum number of inputs in one request.
    """

    max_batch_size: int
    name: ClassVar[str] = "text-embeddings-inference"

    def supports(self, task: Task) -> bool:
        """Whether such a server answers a task.

        Args:
            task: The task to ask for.

        Returns:
            True for the tasks that have a path of their own.
        """
        return task.name in _PATHS

    def url(self, base: str, _model: str, task: Task) -> str:
        """The address of every request.

        Args:
            base: The endpoint as it was given.
            task: The task to ask for.

        Returns:
            ``base`` with the path of the task, as far as its path does not end so already.
        """
        return api_url(base, _PATHS[task.name], version="")

    def batching(self, _task: Task) -> Batching:
        """Whether several inputs may go in one request.

        Returns:
            ``NATIVE``, up to ``max_batch_size``.
        """
        return Batching.NATIVE

    def encode(self, task: Task, inputs: Sequence[Input], settings: Settings) -> Body:
        """Write the body of a request.

        Args:
            task: The task to ask for.
            inputs: The inputs of one batch.
            settings: The settings of the model.

        Returns:
            The body, ready to send.
        """
        encode = _ENCODERS.get(task.name, form_of(task).encode)
        return codec.encode(encode(inputs, settings))

    decode = staticmethod(decode_by_form)


def from_info(info: Mapping[str, object]) -> Tei | None:
    """Recognise the server by what it says at ``/info``.

    Args:
        info: What it says.

    Returns:
        The protocol, with the server's batch size; None for any other kind of server.
    """
    if "model_type" not in info or "model_id" not in info:
        return None
    size = info.get("max_client_batch_size")
    return Tei(size if type(size) is int and size > 0 else DEFAULT_MAX_BATCH_SIZE)
