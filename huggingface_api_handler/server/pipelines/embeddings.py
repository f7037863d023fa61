"""Vectors of texts from a feature-extraction pipeline, pooled as the model's own folder says.

The files read are those of https://www.sbert.net: `modules.json`, `1_Pooling/config.json` and
`sentence_bert_config.json`. A model without them has no rule for pooling: its answer is a vector for each token.
"""

from __future__ import annotations

import importlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ..protocol.errors import invalid_field
from ..protocol.parameters import get_bool, get_choice

Embeddings = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Pooling:
    """How token vectors become a text's. `mode` is mean, cls or none."""

    mode: str = "none"
    normalize: bool = False
    max_tokens: int | None = None


def read_pooling(reference: str) -> Pooling:
    """What the sentence-transformers files of a model say. Raises ValueError for a pooling unknown here."""
    modules = _json(reference, "modules.json")
    if not isinstance(modules, list):
        return Pooling()
    kinds = [str(module.get("type", "")).rpartition(".")[2] for module in modules]
    folder = next(
        (str(module.get("path", "")) for module in modules if str(module.get("type")).endswith("Pooling")), ""
    )
    config = _json(reference, f"{folder}/config.json") or {}
    limit = (_json(reference, "sentence_bert_config.json") or {}).get("max_seq_length")
    known = {"Transformer", "Pooling", "Normalize"}
    if unknown := set(kinds) - known:
        raise ValueError(
            f"{reference} has steps after its pooling that are not done here: {', '.join(sorted(unknown))}"
        )
    return Pooling(_mode(reference, config), "Normalize" in kinds, limit if isinstance(limit, int) else None)


def _mode(reference: str, config: Mapping[str, Any]) -> str:
    modes = [name for name, value in config.items() if name.startswith("pooling_mode_") and value is True]
    modes = [config["pooling_mode"]] if isinstance(config.get("pooling_mode"), str) else modes
    names = {"pooling_mode_mean_tokens": "mean", "pooling_mode_cls_token": "cls", "mean": "mean", "cls": "cls"}
    if len(modes) != 1 or modes[0] not in names:
        raise ValueError(f"{reference} pools by {modes}; mean and cls alone are done here")
    return names[modes[0]]


def _json(reference: str, name: str) -> Any:
    hub: Any = importlib.import_module("transformers.utils.hub")
    found = hub.cached_file(reference, name, _raise_exceptions_for_missing_entries=False)
    return json.loads(Path(found).read_text("utf-8")) if found else None


def embed_text(pipeline: Any, pooling: Pooling, text: str, parameters: Mapping[str, Any]) -> Embeddings:
    """One vector, or one for each token where the model names no pooling.

    `truncate` (default true), `truncation_direction`, `normalize` (default as the model's folder says).
    """
    if parameters.get("prompt_name") is not None:
        raise invalid_field("parameters.prompt_name", "prompts are not applied here: put the prompt before each text")
    normalize = get_bool(parameters, "normalize", pooling.normalize)
    if normalize and pooling.mode == "none":
        raise invalid_field(
            "parameters.normalize", "this model names no pooling, so its answer is a vector for each token"
        )
    pipeline.tokenizer.truncation_side = get_choice(parameters, "truncation_direction", ("right", "left"))
    truncate = get_bool(parameters, "truncate", True)
    return _pooled(_tokens(pipeline, pooling, text, truncate), pooling.mode, normalize)


def cosine_similarities(pipeline: Any, pooling: Pooling, source: str, sentences: list[str]) -> list[float]:
    """Cosine of each sentence's vector with the source's, token vectors averaged where the model names no pooling."""
    mode = "mean" if pooling.mode == "none" else pooling.mode
    first, *others = [_pooled(_tokens(pipeline, pooling, text, True), mode, True) for text in (source, *sentences)]
    return [float(first @ other) for other in others]


def _tokens(pipeline: Any, pooling: Pooling, text: str, truncate: bool) -> Embeddings:
    limit = pooling.max_tokens or pipeline.tokenizer.model_max_length
    options: dict[str, Any] = {}
    # A tokenizer without a limit of its own says 10^30.
    if truncate and limit < 1_000_000:
        options["tokenize_kwargs"] = {"truncation": True, "max_length": limit}
    tokens: Embeddings = np.asarray(pipeline(text, return_tensors=True, **options)[0].float(), dtype=np.float32)
    return tokens


def _pooled(tokens: Embeddings, mode: str, normalize: bool) -> Embeddings:
    if mode == "none":
        return tokens
    vector: Embeddings = tokens[0] if mode == "cls" else tokens.mean(axis=0)
    return vector / max(float(np.linalg.norm(vector)), 1e-12) if normalize else vector
