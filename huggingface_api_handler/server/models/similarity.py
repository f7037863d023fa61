"""sentence-similarity: cosine of MiniLM vectors."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from ..model_card import ModelCard
from ..protocol.parameters import reject_unknown
from ..protocol.request_body import parse_sentence_pair
from . import embedding, minilm


class SimilarityModel:
    """(source sentence, sentences) to one cosine, -1 to 1, for each sentence."""

    def __init__(self, encoder: minilm.SentenceEncoder) -> None:
        self._encoder = encoder

    def predict(self, inputs: list[Any], parameters: Mapping[str, Any]) -> list[Any]:
        """The task has no parameters."""
        reject_unknown(parameters, CARD.task, ())
        return [self._cosines(source, sentences) for source, sentences in inputs]

    def _cosines(self, source: str, sentences: list[str]) -> list[float]:
        vectors = self._encoder.encode([source, *sentences])
        return [float(vectors[0] @ vector) for vector in vectors[1:]]


CARD: ModelCard = dataclasses.replace(
    embedding.CARD,
    task="sentence-similarity",
    load=lambda: SimilarityModel(minilm.shared_encoder()),
    parse_inputs=parse_sentence_pair,
)
