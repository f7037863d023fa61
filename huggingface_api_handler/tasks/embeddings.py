"""Tasks whose answer is numbers: embeddings, similarity and ranking."""

from __future__ import annotations

from collections.abc import Hashable
from functools import partial

from .base import MEGABYTE, TEXT, Column, Prediction, Settings, Task, number_value, read_number, unreadable
from .input_types import Input, TextPair


def read_vector(answer: object, _input: Input, settings: Settings) -> Prediction:
    """One vector.

    Args:
        answer: numbers, 1 to 4 lists deep: a vector, or one for each token.
        settings: of which ``pooling`` ('mean', 'cls', 'none') says what is made of token vectors.

    Returns:
        The vector for the target, a list of numbers; with ``pooling = 'none'`` a list of them where the answer has one
        for each token. No confidence and no ``explain``.

    Raises:
        UnreadableAnswer: the answer holds anything but numbers, or vectors of several lengths.
    """
    while isinstance(answer, list) and len(answer) == 1 and isinstance(answer[0], list):
        answer = answer[0]
    if isinstance(answer, list) and answer and all(isinstance(item, list) for item in answer):
        width = len(answer[0])
        if width == 0 or any(len(token) != width or not _all_numbers(token) for token in answer):
            raise unreadable("feature-extraction", answer)
        if settings.pooling == "none":
            return Prediction(answer)
        if settings.pooling == "cls":
            return Prediction(answer[0])
        count = len(answer)
        return Prediction([sum(dimension) / count for dimension in zip(*answer, strict=True)])
    if not isinstance(answer, list) or not answer or not _all_numbers(answer):
        raise unreadable("feature-extraction", answer)
    return Prediction(answer)


def vector_value(settings: Settings) -> str:
    """The SQL type of the target of ``read_vector``.

    Args:
        settings: of which ``pooling`` is read.

    Returns:
        FLOAT[]; JSON with ``pooling = 'none'``, which may give a list of vectors.
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
        default_model="BAAI/bge-reranker-v2-m3",  # which hf-inference lists, as text-classification of pairs
        spec="",
    ),
)
