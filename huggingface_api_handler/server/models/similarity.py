"""sentence-similarity: cosine of MiniLM vectors."""

from __future__ import annotations

from dataclasses import dataclass

from ..protocol.inputs import SimilarityInput, parse_similarity_input
from ..protocol.json_types import Parameters
from ..protocol.parameters import get_bool, reject_unknown
from . import embedding, minilm


@dataclass(frozen=True)
class SimilarityModel:
    """A sentence and others to the cosine, -1 to 1, of each of them with it.

    Attributes:
        encoder: The loaded encoder.
    """

    encoder: minilm.SentenceEncoder

    def predict(self, inputs: list[SimilarityInput], parameters: Parameters) -> list[list[float]]:
        """Compare sentences.

        Args:
            inputs: Sentences and what to compare them with.
            parameters: `truncate` (default true).

        Returns:
            For each input one cosine for each of its `sentences`.

        Raises:
            HTTPError: 400 for other parameters, 413 for a sentence of over 256 tokens when `truncate` is false.
        """
        reject_unknown(parameters, CARD.task, ("truncate",))
        if not get_bool(parameters, "truncate", True):
            self.encoder.reject_long([text for item in inputs for text in (item.source_sentence, *item.sentences)])
        return [self._cosines(item.source_sentence, item.sentences) for item in inputs]

    def count_tokens(self, inputs: list[SimilarityInput]) -> int:
        """Count the tokens that the model reads.

        Args:
            inputs: Sentences and what to compare them with.

        Returns:
            Tokens of all sentences together.
        """
        return sum(self.encoder.count_tokens([item.source_sentence, *item.sentences]) for item in inputs)

    def _cosines(self, source_sentence: str, sentences: list[str]) -> list[float]:
        embeddings = self.encoder.encode([source_sentence, *sentences])
        return [float(embeddings[0] @ other) for other in embeddings[1:]]


CARD = minilm.model_card(
    embedding.CARD.name,
    "sentence-similarity",
    SimilarityModel,
    parse_similarity_input,
    quality=embedding.CARD.quality,
    hub_alias="sentence-transformers/all-MiniLM-L6-v2",
)
