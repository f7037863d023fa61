"""feature-extraction: a text's MiniLM vector."""

from __future__ import annotations

from dataclasses import dataclass

from ..protocol.errors import invalid_field
from ..protocol.inputs import parse_texts
from ..protocol.json_types import Parameters
from ..protocol.outputs import Embedding
from ..protocol.parameters import get_bool, get_choice, reject_unknown
from . import minilm


@dataclass(frozen=True)
class EmbeddingModel:
    """A text to 384 numbers.

    Attributes:
        encoder: The loaded encoder.
    """

    encoder: minilm.SentenceEncoder

    def predict(self, inputs: list[str], parameters: Parameters) -> list[Embedding]:
        """Encode texts.

        Args:
            inputs: The texts.
            parameters: `normalize` (default true), `truncate` (default true), `truncation_direction` (right or left).

        Returns:
            One vector of shape (384,) for each text.

        Raises:
            HTTPError: 400 for bad parameters, 413 for a text of over 256 tokens when `truncate` is false.
        """
        reject_unknown(parameters, CARD.task, ("normalize", "truncate", "truncation_direction", "prompt_name"))
        if parameters.get("prompt_name") is not None:
            raise invalid_field("parameters.prompt_name", "this model has no prompts, leave it out")
        normalize = get_bool(parameters, "normalize", True)
        truncate_left = get_choice(parameters, "truncation_direction", ("right", "left")) == "left"
        if not get_bool(parameters, "truncate", True):
            self.encoder.reject_long(inputs)
        return list(self.encoder.encode(inputs, normalize=normalize, truncate_left=truncate_left))

    def count_tokens(self, inputs: list[str]) -> int:
        """Count the tokens that the model reads.

        Args:
            inputs: The texts.

        Returns:
            Tokens of all texts together.
        """
        return self.encoder.count_tokens(inputs)


CARD = minilm.model_card(
    "local/minilm-l6-v2-int8",
    "feature-extraction",
    EmbeddingModel,
    parse_texts,
    quality=(
        "all-MiniLM-L6-v2 with weights rounded to 8 bits: 384 dimensions, text cut at 256 word pieces. "
        "Not measured against the float weights."
    ),
    hub_alias="sentence-transformers/all-MiniLM-L6-v2",
)
