"""Texts ranked by how well they fit a query: requests and responses of `/rerank` in two forms.

Cohere, Jina, vLLM, infinity and llama.cpp: `{"query", "documents"}`, answered `{"results": [{"index",
"relevance_score"}, ...]}`. Text Embeddings Inference: `{"query", "texts"}`, answered `[{"index", "score"}, ...]`.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass

from .chat_completion import read_model
from .errors import batch_too_large, invalid_field
from .json_types import JSON
from .parameters import get_bool, get_positive_int, split_known
from .request_body import json_type_name, parse_object

TASK = "sentence-similarity"
MAX_RANKED_TEXTS = 1_000
_FIELDS = ("model", "query", "documents", "texts", "top_n", "return_documents", "return_text")


@dataclass(frozen=True)
class RerankRequest:
    """A ranking request, checked.

    Attributes:
        model: The model that the body names, or None.
        query: What the texts should fit.
        texts: The texts.
        top_n: How many of them are wanted.
        with_texts: The response repeats the texts.
        as_list: Answer in the form of Text Embeddings Inference.
        truncate: Cut texts that are too long, in place of refusing them.
        ignored: Names of fields that are not known.
    """

    model: str | None
    query: str
    texts: list[str]
    top_n: int
    with_texts: bool
    as_list: bool
    truncate: bool
    ignored: Sequence[str]


def parse_rerank_request(raw: bytes) -> RerankRequest:
    """Parse a ranking request of either form.

    Args:
        raw: The whole body.

    Returns:
        The parts of the request.

    Raises:
        HTTPError: 400 for another form, 413 for more than 1,000 texts.
    """
    content = parse_object(raw, "query", "documents")
    as_list = content.get("texts") is not None
    fields, ignored = split_known(content, (*_FIELDS, "truncate") if as_list else _FIELDS)
    query, documents, texts = fields.get("query"), fields.get("documents"), fields.get("texts")
    if not isinstance(query, str):
        raise invalid_field("query", f"expected a string, got {json_type_name(query)}")
    if (documents is None) == (texts is None):
        raise invalid_field("documents", "expected a list of texts as `documents`, or as `texts`, and not both")
    candidates = _parse_texts("texts", texts) if as_list else _parse_texts("documents", documents)
    return RerankRequest(
        model=read_model(fields),
        query=query,
        texts=candidates,
        top_n=min(get_positive_int(fields, "top_n") or len(candidates), len(candidates)),
        with_texts=get_bool(fields, "return_text" if as_list else "return_documents", False),
        as_list=as_list,
        truncate=get_bool(fields, "truncate", True),
        ignored=ignored,
    )


def _parse_texts(field: str, values: object) -> list[str]:
    if not isinstance(values, list) or not values:
        raise invalid_field(field, "expected a list of at least one text")
    if len(values) > MAX_RANKED_TEXTS:
        raise batch_too_large(len(values), MAX_RANKED_TEXTS)
    texts = []
    for position, value in enumerate(values):
        text = value.get("text") if isinstance(value, dict) else value
        if not isinstance(text, str):
            raise invalid_field(f"{field}.{position}", f"expected a text, got {json_type_name(value)}")
        texts.append(text)
    return texts


def rerank_response(request: RerankRequest, model_id: str, scores: Sequence[float], tokens: int | None) -> JSON:
    """Build the response, the best text first; of equal scores the earlier text.

    Args:
        request: The request.
        model_id: The id that the request named.
        scores: A score for each text.
        tokens: Tokens that the model read, or None where it does not tell.

    Returns:
        The JSON body, in the form of the request.
    """
    best = sorted(range(len(scores)), key=lambda index: scores[index], reverse=True)[: request.top_n]
    if request.as_list:
        return [
            {"index": index, "score": scores[index], **({"text": request.texts[index]} if request.with_texts else {})}
            for index in best
        ]
    results: list[JSON] = [
        {
            "index": index,
            "relevance_score": scores[index],
            **({"document": {"text": request.texts[index]}} if request.with_texts else {}),
        }
        for index in best
    ]
    usage: JSON = {"prompt_tokens": tokens or 0, "total_tokens": tokens or 0}
    return {"id": f"rerank-{secrets.token_hex(12)}", "model": model_id, "results": results, "usage": usage}
