"""Tasks whose answer is numbers: embeddings, similarity and ranking."""

from __future__ import annotations

from collections.abc import Hashable
from functools import partial

from ..errors import UnreadableAnswer
from .base import (
    MEGABYTE,
    TEXT,
    Column,
    Prediction,
    Settings,
    Task,
    number_value,
    overflowed,
    read_number,
    unreadable,
)
from .input_types import Input, TextPair


def read_vector(answer: object, _input: Input, settings: Settings) -> Prediction:
    """One vector.

    Args:
        answer: numbers, 1 to 4 lists deep: a vector, or one for each token.
        settings: of which ``pooling`` ('mean', 'cls', 'none') says what is made of token vectors.

    Returns:
        The vector for the target, a list of numbers; with ``pooling = 'none'`` a list of them, one for each token, or
        the one that the server pooled. No confidence and no ``explain``.

    Raises:
        UnreadableAnswer: the answer holds anything but numbers, or vectors of several lengths.
    """
    while isinstance(answer, list) and len(answer) == 1 and isinstance(answer[0], list):
        answer = answer[0]
    if isinstance(answer, list) and answer and all(isinstance(item, list) for item in answer):
        width = len(answer[0])
        if width == 0 or any(len(token) != width or not _all_numbers(token) for token in answer):
            raise _no_vector(answer)
        if settings.pooling == "none":
            return Prediction(answer)
        if settings.pooling == "cls":
            return Prediction(answer[0])
        count = len(answer)
        return Prediction([sum(dimension) / count for dimension in zip(*answer, strict=True)])
    if not isinstance(answer, list) or not answer or not _all_numbers(answer):
        raise _no_vector(answer)
    return Prediction([answer] if settings.pooling == "none" else answer)


def _no_vector(answer: object) -> UnreadableAnswer:
    vectors = answer if isinstance(answer, list) and any(isinstance(each, list) for each in answer) else [answer]
    has_null = any(None in vector for vector in vectors if isinstance(vector, list))
    return overflowed("feature-extraction") if has_null else unreadable("feature-extraction", answer)


def vector_value(settings: Settings) -> str:
    """The SQL type of the target of ``read_vector``.

    Args:
        settings: of which ``pooling`` is read.

    Returns:
        FLOAT[]; JSON with ``pooling = 'none'``, which gives a list of vectors.
    """
    return "JSON" if settings.pooling == "none" else "FLOAT[]"


def _all_numbers(values: list[object]) -> bool:
    return all(type(value) is float or type(value) is int for value in values)


def _source(item: TextPair) -> Hashable:
    return item.source


_pair_task = partial(
    Task,
    columns=(*TEXT, Column("column2")),
    combine=TextPair,
    read=read_number("sentence-similarity"),
    value_type=number_value,
    max_answer_bytes=16 * 1024,  # with the text, as some servers send it
    group=_source,
)

TASKS = (
    Task(
        name="feature-extraction",
        description="Turns a text into a vector for search, clustering and similarity",
        aliases=("embeddings", "embedding"),
        operation="embeddings",
        default_model="sentence-transformers/all-MiniLM-L6-v2",
        read=read_vector,
        value_type=vector_value,
        arguments=frozenset({"pooling"}),
        max_answer_bytes=32 * MEGABYTE,  # a vector for each token of a long text
        advice_if_too_large=". A vector of 768 numbers for each token is read of up to some 1,900 tokens. Ask a "
        "server that pools, such as Text Embeddings Inference, or send shorter texts",
    ),
    _pair_task(
        name="sentence-similarity",
        description="Says how alike two texts are in meaning, from -1 to 1",
        default_model="sentence-transformers/all-MiniLM-L6-v2",
    ),
    _pair_task(
        name="text-ranking",
        description="Says how well a text answers a query",
        aliases=("rerank", "reranking"),
        default_model="BAAI/bge-reranker-base",
        spec="",
    ),
)
