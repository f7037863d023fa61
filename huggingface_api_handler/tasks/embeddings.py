"""Tasks whose answer is numbers: embeddings, similarity and ranking."""

from __future__ import annotations

from collections.abc import Hashable
from functools import partial
from math import hypot

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
from .chunking import pair_chunking, text_chunking
from .input_types import Input, TextPair
from .merging import merge_vectors

VECTORS = "feature-extraction"
"""The task that makes a vector of a text."""

_NUMBER_TYPES = frozenset((int, float))

_LENGTH_TOLERANCE = 0.01
"""What the length of a normalised vector may differ from 1, where its numbers have few digits."""


def read_vector(answer: object, _input: Input, settings: Settings) -> Prediction:
    """One vector.

    Args:
        answer: numbers, 1 to 4 lists deep: a vector, or one for each token.
        settings: of which ``pooling`` ('mean', 'cls', 'none') says what is made of token vectors. With the parameter
            ``normalize`` a vector that the server left longer or shorter is brought to the length 1.

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
            return Prediction(_of_length_1(answer[0], settings))
        count = len(answer)
        return Prediction(_of_length_1([sum(dimension) / count for dimension in zip(*answer, strict=True)], settings))
    if not isinstance(answer, list) or not answer or not _all_numbers(answer):
        raise _no_vector(answer)
    vector = _of_length_1(answer, settings)
    return Prediction([vector] if settings.pooling == "none" else vector)


def _of_length_1(vector: list[float], settings: Settings) -> list[float]:
    if settings.parameters.get("normalize") is not True:
        return vector
    length = hypot(*vector)
    # What a server normalised stays as it sent it, rounded to 16 bits as it may be.
    return vector if not length or abs(length - 1) < _LENGTH_TOLERANCE else [value / length for value in vector]


def _no_vector(answer: object) -> UnreadableAnswer:
    vectors = answer if isinstance(answer, list) and any(isinstance(each, list) for each in answer) else [answer]
    has_null = any(None in vector for vector in vectors if isinstance(vector, list))
    return overflowed(VECTORS) if has_null else unreadable(VECTORS, answer)


def vector_value(settings: Settings) -> str:
    """The SQL type of the target of ``read_vector``.

    Args:
        settings: of which ``pooling`` is read.

    Returns:
        FLOAT[]; JSON with ``pooling = 'none'``, which gives a list of vectors.
    """
    return "JSON" if settings.pooling == "none" else "FLOAT[]"


def _all_numbers(values: list[object]) -> bool:
    return _NUMBER_TYPES.issuperset(map(type, values))


def _source(item: TextPair) -> Hashable:
    return item.source


_pair_task = partial(
    Task,
    columns=(*TEXT, Column("column2")),
    combine=TextPair,
    read=read_number("sentence-similarity"),
    value_type=number_value,
    max_answer_bytes=128 * 1024,  # with the text, as some servers send it, or a vector of 4,096 numbers
    more_parameters={"truncate": bool},
    group=_source,
    explained=True,
)

TASKS = (
    Task(
        name=VECTORS,
        description="Turns a text into a vector for search, clustering and similarity",
        aliases=("embeddings", "embedding"),
        operation="embeddings",
        default_model="sentence-transformers/all-MiniLM-L6-v2",
        read=read_vector,
        value_type=vector_value,
        arguments=frozenset({"pooling"}),
        more_parameters={"dimensions": int, "encoding_format": str},
        chunking=text_chunking(merge_vectors(read_vector, _LENGTH_TOLERANCE)),
        explained=True,
        max_answer_bytes=32 * MEGABYTE,  # a vector for each token of a long text
        advice_if_too_large=". A vector of 768 numbers for each token is read of up to some 1,900 tokens. Ask a "
        "server that pools, such as Text Embeddings Inference, or send shorter texts",
    ),
    _pair_task(
        name="sentence-similarity",
        description="Says how alike two texts are in meaning, from -1 to 1",
        default_model="sentence-transformers/all-MiniLM-L6-v2",
        chunking=pair_chunking(is_read_together=False),
    ),
    _pair_task(
        name="text-ranking",
        description="Says how well a text answers a query",
        aliases=("rerank", "reranking"),
        default_model="BAAI/bge-reranker-v2-m3",  # which hf-inference lists, as text-classification of pairs
        chunking=pair_chunking(is_read_together=True),
        spec="",
    ),
)
