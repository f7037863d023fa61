"""How many tokens one input of a model may have, as its server says it or its configuration on the Hub.

What is read here may be of anybody, so it is believed only as far as it can be true.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from typing import NamedTuple, TypedDict
from urllib.parse import quote, urljoin

import orjson

from ...config.settings import EngineSettings
from ...tasks import Task
from ...urls import is_same_origin
from ..input_lengths import sane_tokens
from ..transport.client import HttpClient, Response
from .key_policy import RequestKind, key_for

_STATUS_OK = 200
_SERVER_ERROR = 500
_REDIRECTS = (301, 302, 303, 307, 308)
_MAX_FILE_BYTES = 1024 * 1024
_MAX_MODELS = 1000
_MAX_DESCRIBED_TOKENS = 1_000_000
"""Tokenizers that have no limit name a number beyond."""

_FIELDS = (
    "max_input_length",  # Text Embeddings Inference, Text Generation Inference, the local server
    "max_input_tokens",
    "max_model_len",  # vLLM, SGLang
    "max_context_length",
    "context_length",
    "context_window",
)
"""Where servers say the length, in what describes the server or one of its models."""

_CONFIG = "config.json"
_TOKENIZER_CONFIG = "tokenizer_config.json"
_SENTENCE_CONFIG = "sentence_bert_config.json"
_POSITIONS = ("max_position_embeddings", "n_positions", "max_source_positions", "max_encoder_position_embeddings")

_POSITIONS_AFTER_PADDING = 2
_PADDED_TYPES = {
    "roberta",
    "xlm-roberta",
    "xlm-roberta-xl",
    "roberta-prelayernorm",
    "camembert",
    "data2vec-text",
    "ibert",
    "xmod",
    "luke",
    "mluke",
    "longformer",
    "mpnet",
    "layoutlmv3",
    "lilt",
    "markuplm",
}
"""Types of models whose positions begin after that of the padding, so that two have no token."""

_EMBEDDING_TASKS = ("feature-extraction", "sentence-similarity", "text-ranking")
"""Tasks that sentence-transformers serves, which reads a file of its own."""


class ModelLength(NamedTuple):
    """How long one input may be.

    Attributes:
        tokens: With the special tokens.
        source: Where it is said.
    """

    tokens: int
    source: str


class StoredLength(TypedDict):
    """The length as it is stored with a model.

    Attributes:
        url: The endpoint; empty where Hugging Face serves the model.
        model: The model's name there.
        task: The task that it was found for.
        max_input_tokens: Of ``ModelLength.tokens``; None where nobody says it.
        source: Of ``ModelLength``.
    """

    url: str
    model: str
    task: str
    max_input_tokens: int | None
    source: str


def restored(stored: StoredLength) -> tuple[tuple[str, str, str], ModelLength | None] | None:
    """Read what was stored.

    Args:
        stored: As another version of this package may have stored it.

    Returns:
        Endpoint, model and task, with the length, or None where nobody says it; None where it cannot be read.
    """
    place = (str(stored.get("url", "")), str(stored.get("model", "")), str(stored.get("task", "")))
    stored_tokens = stored.get("max_input_tokens", 0)
    tokens = sane_tokens(stored_tokens)
    if tokens is not None:
        return place, ModelLength(tokens, str(stored.get("source", "")))
    return (place, None) if stored_tokens is None else None


def from_server(path: str, info: Mapping[str, object], model: str) -> ModelLength | None:
    """Read what a server says of a model's length.

    Args:
        path: Where it says it, such as ``/info``.
        info: The JSON object.
        model: The model's name; servers with one model may call it otherwise.

    Returns:
        The length; None where none is said.

    >>> from_server("/info", {"model_id": "m", "max_input_length": 512}, "m")
    ModelLength(tokens=512, source='max_input_length of /info')
    """
    described = _described(info, model)
    found = [(sane_tokens(described.get(name)), name) for name in _FIELDS]
    meta = described.get("meta")
    if isinstance(meta, Mapping) and (window := sane_tokens(meta.get("n_ctx"))) is not None:  # llama.cpp's, of a slot
        found.append((min(window, sane_tokens(meta.get("n_ctx_train")) or window), "meta.n_ctx"))
    return next((ModelLength(tokens, f"{name} of {path}") for tokens, name in found if tokens is not None), None)


def _described(info: Mapping[str, object], model: str) -> Mapping[str, object]:
    """What describes one model, among what a server says."""
    for listed in (info.get("data"), info.get("models")):
        if isinstance(listed, list):
            models = [each for each in listed[:_MAX_MODELS] if isinstance(each, Mapping)]
            own = next((each for each in models if model in (each.get("id"), each.get("root"))), None)
            return own or (models[0] if len(models) == 1 else {})
    return info


async def from_hub(
    http: HttpClient, engine: EngineSettings, model: str, task: Task, timeout: float
) -> tuple[ModelLength | None, bool]:
    """Read the length from the configuration of a model on the Hub.

    Args:
        http: Sends the requests. Await this on its event loop.
        engine: The settings of the engine, for its key.
        model: The model's name on the Hub.
        task: The task to ask for.
        timeout: Seconds for all of it.

    Returns:
        The least that applies, None where none is named; and whether the Hub has answered.
    """
    from huggingface_hub import constants

    if constants.HF_HUB_OFFLINE:
        return None, False
    names = [_CONFIG, _TOKENIZER_CONFIG, *([_SENTENCE_CONFIG] if task.name in _EMBEDDING_TASKS else [])]
    asked = asyncio.gather(*(_file(http, engine, model, name, timeout) for name in names))
    try:
        files = await asyncio.wait_for(asked, timeout)
    except asyncio.TimeoutError:
        return None, False
    length = from_files({name: file for name, file in zip(names, files, strict=True) if file is not None})
    return length, length is not None or None not in files


def from_files(files: Mapping[str, Mapping[str, object]]) -> ModelLength | None:
    """Read the length from the files of a model.

    Args:
        files: The JSON objects in ``config.json``, ``tokenizer_config.json`` and ``sentence_bert_config.json``, as far
            as there are any.

    Returns:
        The least of those that they name; None where they name none.

    >>> from_files({"config.json": {"model_type": "roberta", "max_position_embeddings": 514}})
    ModelLength(tokens=512, source='max_position_embeddings of config.json')
    """
    return min(_lengths_in(files), default=None)


def _lengths_in(files: Mapping[str, Mapping[str, object]]) -> Iterator[ModelLength]:
    for file, name in ((_TOKENIZER_CONFIG, "model_max_length"), (_SENTENCE_CONFIG, "max_seq_length")):
        tokens = sane_tokens(files.get(file, {}).get(name))
        if tokens is not None and tokens < _MAX_DESCRIBED_TOKENS:
            yield ModelLength(tokens, f"{name} of {file}")
    config = files.get(_CONFIG, {})
    for name in _POSITIONS:
        if (tokens := sane_tokens(config.get(name))) is not None:
            is_padded = config.get("model_type") in _PADDED_TYPES
            yield ModelLength(tokens - _POSITIONS_AFTER_PADDING * is_padded, f"{name} of {_CONFIG}")


async def _file(
    http: HttpClient, engine: EngineSettings, model: str, name: str, timeout: float
) -> Mapping[str, object] | None:
    """The JSON object in a file of a model, an empty one where there is no such file; None where it cannot be had."""
    from huggingface_hub import constants

    url = f"{constants.ENDPOINT}/{quote(model, safe='/')}/resolve/main/{name}"
    try:
        response = await _get(http, engine, url, timeout)
        if response.status in _REDIRECTS:  # to where the Hub keeps it
            target = urljoin(url, response.headers.get("Location", ""))
            if not is_same_origin(url, target):
                return None
            response = await _get(http, engine, target, timeout)
    except Exception:  # whatever HTTP raises: nothing depends on it
        return None
    return object_in(response) if response.status < _SERVER_ERROR else None


async def _get(http: HttpClient, engine: EngineSettings, url: str, timeout: float) -> Response:
    headers = key_for(url, engine, RequestKind.HUB).headers
    return await http.get(url, headers, timeout, max_bytes=_MAX_FILE_BYTES)


def object_in(response: Response) -> Mapping[str, object]:
    """Read what a server says of itself.

    Args:
        response: The response to a GET.

    Returns:
        The JSON object of a response of status 200; an empty one where it has none.
    """
    try:
        info = orjson.loads(response.body) if response.status == _STATUS_OK else None
    except ValueError:
        return {}
    return info if isinstance(info, dict) else {}
