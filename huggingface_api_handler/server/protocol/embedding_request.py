"""Embedding requests and responses in OpenAI's form (`/v1/embeddings`).

Protocol: https://platform.openai.com/docs/api-reference/embeddings
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from .chat_completion import read_model
from .errors import batch_too_large, invalid_field
from .json_types import JSON
from .outputs import Embedding
from .parameters import get_choice, get_positive_int, split_known
from .request_body import json_type_name, parse_object

TASK = "feature-extraction"
# That of OpenAI. Clients such as LangChain's send 1,000 at once.
MAX_EMBEDDED_TEXTS = 2_048
_FIELDS = ("model", "input", "encoding_format", "dimensions", "user")
_TOKENS_ADVICE = (
    "lists of token ids are not read here, since they belong to OpenAI's models: send texts "
    "(LangChain's OpenAIEmbeddings does with check_embedding_ctx_length=False)"
)


@dataclass(frozen=True)
class EmbeddingRequest:
    """An embedding request, checked.

    Attributes:
        model: The model that the body names, or None.
        texts: The texts.
        as_base64: Vectors go as base64 of float32, little-endian, not as lists of numbers.
        dimensions: The length that vectors must have, or None.
        ignored: Names of fields that are not known.
    """

    model: str | None
    texts: list[str]
    as_base64: bool
    dimensions: int | None
    ignored: Sequence[str]


def parse_embedding_request(raw: bytes) -> EmbeddingRequest:
    """Parse the body of OpenAI's embeddings.

    Args:
        raw: The whole body.

    Returns:
        The parts of the request.

    Raises:
        HTTPError: 400 for another form, 413 for more than 2,048 texts.
    """
    content = parse_object(raw, "input")
    fields, ignored = split_known(content, _FIELDS)
    as_base64 = get_choice(fields, "encoding_format", ("float", "base64")) == "base64"
    texts = _parse_input(fields.get("input"))
    return EmbeddingRequest(read_model(fields), texts, as_base64, get_positive_int(fields, "dimensions"), ignored)


def _parse_input(value: object) -> list[str]:
    if isinstance(value, str):
        return [value]
    if not isinstance(value, list) or not value:
        raise invalid_field("input", "expected a text, or a list of at least one text")
    if len(value) > MAX_EMBEDDED_TEXTS:
        raise batch_too_large(len(value), MAX_EMBEDDED_TEXTS)
    texts = []
    for position, text in enumerate(value):
        if not isinstance(text, str):
            problem = f"expected a string, got {json_type_name(text)}"
            raise invalid_field(f"input.{position}", _TOKENS_ADVICE if isinstance(text, int | list) else problem)
        texts.append(text)
    return texts


def embedding_response(
    request: EmbeddingRequest, model_id: str, embeddings: Sequence[Embedding], tokens: int | None
) -> Mapping[str, object]:
    """Build the response.

    Args:
        request: The request.
        model_id: The id that the request named.
        embeddings: A vector for each text.
        tokens: Tokens that the model read, or None where it does not tell.

    Returns:
        The JSON body; its vectors are numpy's, unless they are base64.

    Raises:
        HTTPError: 400 where the model's vectors are of tokens, or have another length than was asked for.
    """
    for embedding in embeddings:
        _check_shape(embedding, request.dimensions)
    data = [
        {
            "object": "embedding",
            "index": index,
            "embedding": _base64(embedding) if request.as_base64 else embedding,
        }
        for index, embedding in enumerate(embeddings)
    ]
    usage: JSON = {"prompt_tokens": tokens or 0, "total_tokens": tokens or 0}
    return {"object": "list", "data": data, "model": model_id, "usage": usage}


def _check_shape(embedding: Embedding, dimensions: int | None) -> None:
    if embedding.ndim != 1:
        problem = "this model has a vector for each token and none for a text: it names no pooling"
        raise invalid_field("model", problem)
    if dimensions not in (None, embedding.size):
        problem = f"vectors of this model have {embedding.size} numbers, and were not trained to be cut: leave it out"
        raise invalid_field("dimensions", problem)


def _base64(embedding: Embedding) -> str:
    return base64.b64encode(np.asarray(embedding, dtype="<f4").tobytes()).decode("ascii")
