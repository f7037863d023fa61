"""sentence-similarity: cosine of MiniLM vectors."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from ..model_card import Card
from ..protocol import parameters as read
from ..protocol.request_body import sentence_pairs
from . import embedding, minilm


class Similarity:
    """(source sentence, sentences) to one cosine, -1 to 1, for each sentence."""

    def __init__(self, encoder: minilm.Encoder) -> None:
        self._encoder = encoder

    def answer(self, inputs: list[Any], parameters: Mapping[str, Any]) -> list[Any]:
        """The task has no parameters."""
        read.only(parameters, CARD.task, ())
        return [self._cosines(source, sentences) for source, sentences in inputs]

    def _cosines(self, source: str, sentences: list[str]) -> list[float]:
        vectors = self._encoder.vectors([source, *sentences])
        return [float(vectors[0] @ vector) for vector in vectors[1:]]


CARD: Card = dataclasses.replace(
    embedding.CARD,
    task="sentence-similarity",
    load=lambda: Similarity(minilm.encoder()),
    read=sentence_pairs,
)
