"""The linear sentiment head: its file, and the log-odds that it gives a text. It needs numpy alone."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict

import numpy as np
import numpy.typing as npt

from ..weights import verify_sha256
from . import ngrams
from .minilm import Embeddings

HEAD_PATH = Path(__file__).with_name("sentiment_head.npz")
METADATA_PATH = Path(__file__).with_name("sentiment_head.json")


class HeadMetadata(TypedDict):
    """What the training script records beside the head that it writes.

    Accuracy and calibration error are between 0 and 1, measured on the held-out sentences.
    """

    sha256: str
    held_out_accuracy: float
    held_out_calibration_error: float
    held_out_sentences: int
    training_sentences: int
    data: str
    also_trained_on: str
    data_licence: str


def metadata() -> HeadMetadata:
    """Read what the training script recorded.

    Returns:
        Digest, measured quality and provenance of the head in this folder.
    """
    recorded: HeadMetadata = json.loads(METADATA_PATH.read_text(encoding="utf-8"))
    return recorded


@dataclass(frozen=True)
class NgramWeights:
    """One family of n-grams.

    Attributes:
        table: For each known n-gram its tf-idf factor and its coefficient.
    """

    table: dict[str, tuple[float, float]]

    def log_odds(self, grams: list[str]) -> float:
        """Compute the dot product of the coefficients with the L2-normalised (1 + ln tf) * idf.

        Sublinear tf-idf as scikit-learn's TfidfVectorizer(sublinear_tf=True, norm="l2") defines it.

        Args:
            grams: The n-grams of a text, repeated ones included.

        Returns:
            This family's part of the log-odds; 0 where no n-gram is known.
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
    """log-odds = bias + vector part + word n-grams + character n-grams; above 0 is POSITIVE.

    Attributes:
        bias: The constant.
        vector: Coefficients of the text's vector, of shape (384,).
        words: Coefficients of word n-grams.
        characters: Coefficients of character n-grams.
    """

    bias: float
    vector: npt.NDArray[np.float32]
    words: NgramWeights
    characters: NgramWeights

    def log_odds(self, texts: Sequence[str], embeddings: Embeddings) -> list[float]:
        """Compute the log-odds of POSITIVE.

        Args:
            texts: The texts.
            embeddings: Their normalised vectors, of shape (len(texts), 384).

        Returns:
            One number for each text.
        """
        # One dot product a row: a matrix product may round differently by the number of rows.
        return [
            self.bias
            + float(np.dot(embedding, self.vector))
            + self.words.log_odds(ngrams.word_ngrams(text))
            + self.characters.log_odds(ngrams.character_ngrams(text))
            for text, embedding in zip(texts, embeddings, strict=True)
        ]


def load_head() -> LinearHead:
    """Read the head in this folder.

    Returns:
        The head.

    Raises:
        WeightsError: Its digest is not the recorded one.
    """
    return read_head(verify_sha256(HEAD_PATH, metadata()["sha256"], "reinstall huggingface_api_handler"))


def read_head(path: Path) -> LinearHead:
    """Read a file as `write_head` left it.

    Args:
        path: The file.

    Returns:
        The head.
    """
    with np.load(path, allow_pickle=False) as arrays:
        return LinearHead(
            bias=float(arrays["bias"]),
            vector=arrays["vector"].astype(np.float32),
            words=_ngram_weights(arrays["words"], arrays["words_idf"], arrays["words_coefficient"]),
            characters=_ngram_weights(arrays["characters"], arrays["characters_idf"], arrays["characters_coefficient"]),
        )


def write_head(path: Path, head: LinearHead) -> None:
    """Write a head, compressed: n-grams as lines of UTF-8, their numbers as float16.

    Args:
        path: The file to write.
        head: The head.
    """
    arrays: dict[str, npt.NDArray[np.float32] | npt.NDArray[np.float16] | npt.NDArray[np.uint8]] = {
        "bias": np.array(head.bias, dtype=np.float32),
        "vector": head.vector.astype(np.float32),
    }
    for name, weights in (("words", head.words), ("characters", head.characters)):
        lines = "\n".join(weights.table).encode("utf-8")
        numbers = np.array(list(weights.table.values()), dtype=np.float16)
        arrays[name] = np.frombuffer(lines, dtype=np.uint8)
        arrays[f"{name}_idf"] = numbers[:, 0]
        arrays[f"{name}_coefficient"] = numbers[:, 1]
    np.savez_compressed(path, allow_pickle=False, **arrays)


def _ngram_weights(
    lines: npt.NDArray[np.uint8], idf: npt.NDArray[np.float16], coefficient: npt.NDArray[np.float16]
) -> NgramWeights:
    grams = lines.tobytes().decode("utf-8").split("\n")
    factors = zip(idf.astype(float).tolist(), coefficient.astype(float).tolist(), strict=True)
    return NgramWeights(dict(zip(grams, factors, strict=True)))
