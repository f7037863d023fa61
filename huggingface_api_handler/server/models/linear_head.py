"""The linear sentiment head: its file, and its logit for a text. numpy is all it needs."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ..weights import verify_sha256
from . import ngrams
from .minilm import Embeddings

HEAD_PATH = Path(__file__).with_name("sentiment_head.npz")
# Digest, accuracy and provenance, written by the training script together with the head.
METADATA_PATH = Path(__file__).with_name("sentiment_head.json")


def metadata() -> dict[str, Any]:
    """What the training script recorded: sha256, held-out accuracy, data, licence."""
    recorded: dict[str, Any] = json.loads(METADATA_PATH.read_text(encoding="utf-8"))
    return recorded


@dataclass(frozen=True)
class NgramWeights:
    """One family of n-grams: for each known n-gram its tf-idf factor and its coefficient."""

    table: dict[str, tuple[float, float]]

    def logit(self, grams: list[str]) -> float:
        """Dot product of the coefficients with the L2-normalised (1 + ln tf) * idf of `grams`.

        Sublinear tf-idf as scikit-learn's TfidfVectorizer(sublinear_tf=True, norm="l2") defines it.
        """
        total = square = 0.0
        for gram, count in Counter(grams).items():
            if entry := self.table.get(gram):
                value = (1.0 + math.log(count)) * entry[0]
                total += value * entry[1]
                square += value * value
        return total / math.sqrt(square) if square else 0.0


@dataclass(frozen=True)
class LinearHead:
    """logit = bias + vector part + word n-grams + character n-grams; above 0 is POSITIVE."""

    bias: float
    vector: npt.NDArray[np.float32]
    words: NgramWeights
    characters: NgramWeights

    def logits(self, texts: Sequence[str], vectors: Embeddings) -> list[float]:
        """Log-odds of POSITIVE for each text; `vectors` are the texts' normalised vectors, one a row."""
        # One dot product a row: a matrix product may round differently by the number of rows.
        return [
            self.bias
            + float(np.dot(vector, self.vector))
            + self.words.logit(ngrams.word_ngrams(text))
            + self.characters.logit(ngrams.character_ngrams(text))
            for text, vector in zip(texts, vectors, strict=True)
        ]


def load_head() -> LinearHead:
    """Read the head beside this file. Raises WeightsError unless its digest is the recorded one."""
    return read_head(verify_sha256(HEAD_PATH, metadata()["sha256"], "reinstall huggingface_api_handler"))


def read_head(path: Path) -> LinearHead:
    """Read a head file as `write_head` left it."""
    with np.load(path, allow_pickle=False) as arrays:
        return LinearHead(
            bias=float(arrays["bias"]),
            vector=arrays["vector"].astype(np.float32),
            words=_grams(arrays["words"], arrays["words_idf"], arrays["words_coefficient"]),
            characters=_grams(arrays["characters"], arrays["characters_idf"], arrays["characters_coefficient"]),
        )


def write_head(path: Path, head: LinearHead) -> None:
    """Write a head file: n-grams as lines of UTF-8, numbers as float16, compressed."""
    arrays: dict[str, npt.NDArray[Any]] = {
        "bias": np.array(head.bias, dtype=np.float32),
        "vector": head.vector.astype(np.float32),
    }
    for name, grams in (("words", head.words), ("characters", head.characters)):
        lines = "\n".join(grams.table).encode("utf-8")
        numbers = np.array(list(grams.table.values()), dtype=np.float16)
        arrays[name] = np.frombuffer(lines, dtype=np.uint8)
        arrays[f"{name}_idf"] = numbers[:, 0]
        arrays[f"{name}_coefficient"] = numbers[:, 1]
    np.savez_compressed(path, allow_pickle=False, **arrays)


def _grams(lines: npt.NDArray[np.uint8], idf: npt.NDArray[Any], coefficient: npt.NDArray[Any]) -> NgramWeights:
    names = lines.tobytes().decode("utf-8").split("\n")
    factors = zip(idf.astype(float).tolist(), coefficient.astype(float).tolist(), strict=True)
    return NgramWeights(dict(zip(names, factors, strict=True)))
