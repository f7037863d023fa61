"""feature-extraction: a text's MiniLM vector."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..model_card import Card
from ..protocol import parameters as read
from ..protocol.errors import Refusal, bad_field
from ..protocol.request_body import texts
from . import minilm


class Embedding:
    """Text to 384 floats."""

    def __init__(self, encoder: minilm.Encoder) -> None:
        self._encoder = encoder

    def answer(self, inputs: list[Any], parameters: Mapping[str, Any]) -> list[Any]:
        """`normalize` (default true), `truncate` (default true), `truncation_direction` (right or left)."""
        known = ("normalize", "truncate", "truncation_direction", "prompt_name")
        read.only(parameters, CARD.task, known)
        if parameters.get("prompt_name") is not None:
            raise bad_field("parameters.prompt_name", "this model has no prompts, leave it out")
        normalize = read.flag(parameters, "normalize", True)
        keep_end = read.choice(parameters, "truncation_direction", ("right", "left")) == "left"
        if not read.flag(parameters, "truncate", True):
            self._refuse_long(inputs)
        return list(self._encoder.vectors(inputs, normalize=normalize, keep_end=keep_end))

    def _refuse_long(self, inputs: list[str]) -> None:
        longest = max(map(len, self._encoder.pieces(inputs)))
        if longest > minilm.MAX_WORD_PIECES:
            # The words of Text Embeddings Inference, so that clients treat both alike.
            raise Refusal(
                413,
                f"Input validation error: `inputs` must have less than {minilm.MAX_WORD_PIECES} tokens. "
                f"Given: {longest}",
                error_type="Validation",
            )


CARD = Card(
    name="local/minilm-l6-v2-int8",
    task="feature-extraction",
    load=lambda: Embedding(minilm.encoder()),
    read=texts,
    package=minilm.PACKAGE,
    version=minilm.PACKAGE_VERSION,
    licence="Apache-2.0",
    quality=(
        "all-MiniLM-L6-v2 with weights rounded to 8 bits: 384 dimensions, text cut at 256 word pieces. "
        "Not measured against the float weights."
    ),
    digest=lambda: minilm.WEIGHTS_SHA256,
    stands_in_for="sentence-transformers/all-MiniLM-L6-v2",
)
