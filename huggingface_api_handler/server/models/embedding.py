"""feature-extraction: a text's MiniLM vector."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..model_card import ModelCard
from ..protocol.errors import HTTPError, invalid_field
from ..protocol.parameters import get_bool, get_choice, reject_unknown
from ..protocol.request_body import parse_texts
from . import minilm


class EmbeddingModel:
    """Text to 384 floats."""

    def __init__(self, encoder: minilm.SentenceEncoder) -> None:
        self._encoder = encoder

    def predict(self, inputs: list[Any], parameters: Mapping[str, Any]) -> list[Any]:
        """`normalize` (default true), `truncate` (default true), `truncation_direction` (right or left)."""
        known = ("normalize", "truncate", "truncation_direction", "prompt_name")
        reject_unknown(parameters, CARD.task, known)
        if parameters.get("prompt_name") is not None:
            raise invalid_field("parameters.prompt_name", "this model has no prompts, leave it out")
        normalize = get_bool(parameters, "normalize", True)
        truncate_left = get_choice(parameters, "truncation_direction", ("right", "left")) == "left"
        if not get_bool(parameters, "truncate", True):
            self._refuse_long(inputs)
        return list(self._encoder.encode(inputs, normalize=normalize, truncate_left=truncate_left))

    def _refuse_long(self, inputs: list[str]) -> None:
        longest = max(map(len, self._encoder.tokenize(inputs)))
        if longest > minilm.MAX_TOKENS:
            # The words of Text Embeddings Inference, so that clients treat both alike.
            raise HTTPError(
                413,
                f"Input validation error: `inputs` must have less than {minilm.MAX_TOKENS} tokens. Given: {longest}",
                error_type="Validation",
            )


CARD = ModelCard(
    name="local/minilm-l6-v2-int8",
    task="feature-extraction",
    load=lambda: EmbeddingModel(minilm.shared_encoder()),
    parse_inputs=parse_texts,
    package=minilm.PACKAGE,
    version=minilm.PACKAGE_VERSION,
    license="Apache-2.0",
    quality=(
        "all-MiniLM-L6-v2 with weights rounded to 8 bits: 384 dimensions, text cut at 256 word pieces. "
        "Not measured against the float weights."
    ),
    sha=lambda: minilm.WEIGHTS_SHA256,
    hub_alias="sentence-transformers/all-MiniLM-L6-v2",
)
