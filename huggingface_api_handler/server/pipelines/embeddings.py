"""Vectors of texts from a feature-extraction pipeline, pooled as the model's own folder says.

The files read are those of https://www.sbert.net: `modules.json`, `1_Pooling/config.json` and
`sentence_bert_config.json`. A model without them has no rule for pooling: its output is a vector for each token.
"""

from __future__ import annotations

import importlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..protocol.errors import invalid_field
from ..protocol.inputs import SimilarityInput
from ..protocol.json_types import Parameters
from ..protocol.outputs import Embedding
from ..protocol.parameters import get_bool, get_choice
from .text_length import NO_LIMIT_TOKENS
from .transformers_types import Pipeline

_MIN_NORM = 1e-12
_SUPPORTED_MODULES = {"Transformer", "Pooling", "Normalize"}
_POOLING_MODES = {"pooling_mode_mean_tokens": "mean", "pooling_mode_cls_token": "cls", "mean": "mean", "cls": "cls"}


@dataclass(frozen=True)
class Pooling:
    """How vectors of tokens become a text's.

    Attributes:
        mode: mean, cls or none.
        normalize: Give a text's vector the length 1.
        max_tokens: Most tokens of a text, where the model's folder says it.
    """

    mode: str = "none"
    normalize: bool = False
    max_tokens: int | None = None


def read_pooling(reference: str) -> Pooling:
    """Read the sentence-transformers files of a model.

    Args:
        reference: An id of the Hub, or a folder.

    Returns:
        What they say; no pooling where there are none.

    Raises:
        ValueError: The model pools in another way than mean and cls, or has steps after its pooling.
    """
    modules = _read_json(reference, "modules.json")
    if not isinstance(modules, list):
        return Pooling()
    types = [str(module.get("type", "")).rpartition(".")[2] for module in modules]
    folder = next(
        (str(module.get("path", "")) for module in modules if str(module.get("type")).endswith("Pooling")), ""
    )
    config = _read_object(reference, f"{folder}/config.json")
    max_tokens = _read_object(reference, "sentence_bert_config.json").get("max_seq_length")
    if unsupported := set(types) - _SUPPORTED_MODULES:
        raise ValueError(
            f"{reference} has steps after its pooling that are not done here: {', '.join(sorted(unsupported))}"
        )
    mode = _pooling_mode(reference, config)
    return Pooling(mode, "Normalize" in types, max_tokens if isinstance(max_tokens, int) else None)


def _pooling_mode(reference: str, config: dict[str, object]) -> str:
    modes = [name for name, value in config.items() if name.startswith("pooling_mode_") and value is True]
    mode = config.get("pooling_mode")
    modes = [mode] if isinstance(mode, str) else modes
    if len(modes) != 1 or modes[0] not in _POOLING_MODES:
        raise ValueError(f"{reference} pools by {modes}; mean and cls alone are done here")
    return _POOLING_MODES[modes[0]]


def _read_json(reference: str, name: str) -> object:
    hub: Any = importlib.import_module("transformers.utils.hub")
    path = hub.cached_file(reference, name, _raise_exceptions_for_missing_entries=False)
    return json.loads(Path(path).read_text("utf-8")) if path else None


def _read_object(reference: str, name: str) -> dict[str, object]:
    content = _read_json(reference, name)
    return content if isinstance(content, dict) else {}


def embed_text(pipeline: Pipeline, pooling: Pooling, text: str, parameters: Parameters) -> Embedding:
    """Encode a text.

    Args:
        pipeline: The loaded pipeline.
        pooling: How the model pools.
        text: The text.
        parameters: `truncate` (default true), `truncation_direction`, `normalize` (default as the model's folder
            says).

    Returns:
        A vector of shape (dimensions,), or (tokens, dimensions) where the model names no pooling.

    Raises:
        HTTPError: 400 for bad parameters.
    """
    if parameters.get("prompt_name") is not None:
        raise invalid_field("parameters.prompt_name", "prompts are not applied here: put the prompt before each text")
    normalize = get_bool(parameters, "normalize", pooling.normalize)
    if normalize and pooling.mode == "none":
        problem = "this model names no pooling, so its answer is a vector for each token"
        raise invalid_field("parameters.normalize", problem)
    pipeline.tokenizer.truncation_side = get_choice(parameters, "truncation_direction", ("right", "left"))
    truncate = get_bool(parameters, "truncate", True)
    return _pool(_token_vectors(pipeline, pooling, text, truncate), pooling.mode, normalize)


def cosine_similarities(pipeline: Pipeline, pooling: Pooling, item: SimilarityInput) -> list[float]:
    """Compare sentences; vectors of tokens are averaged where the model names no pooling.

    Args:
        pipeline: The loaded pipeline.
        pooling: How the model pools.
        item: A sentence, and those to compare it with.

    Returns:
        One cosine, -1 to 1, for each of the sentences.
    """
    mode = "mean" if pooling.mode == "none" else pooling.mode
    texts = (item.source_sentence, *item.sentences)
    first, *others = [_pool(_token_vectors(pipeline, pooling, text, True), mode, True) for text in texts]
    return [float(first @ other) for other in others]


def _token_vectors(pipeline: Pipeline, pooling: Pooling, text: str, truncate: bool) -> Embedding:
    max_tokens = pooling.max_tokens or pipeline.tokenizer.model_max_length
    options: dict[str, object] = {}
    if truncate and max_tokens < NO_LIMIT_TOKENS:
        options["tokenize_kwargs"] = {"truncation": True, "max_length": max_tokens}
    vectors: Embedding = np.asarray(pipeline(text, return_tensors=True, **options)[0].float(), dtype=np.float32)
    return vectors


def _pool(token_vectors: Embedding, mode: str, normalize: bool) -> Embedding:
    if mode == "none":
        return token_vectors
    vector: Embedding = token_vectors[0] if mode == "cls" else token_vectors.mean(axis=0)
    return vector / max(float(np.linalg.norm(vector)), _MIN_NORM) if normalize else vector
