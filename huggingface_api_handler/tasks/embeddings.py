"""Tasks whose answer is numbers: embeddings, similarity and ranking."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any

from ..errors import UnreadableAnswer
from .base import (
    TEXT,
    Batching,
    Column,
    JSONObject,
    Prediction,
    Settings,
    Task,
    number,
    split_typed,
    unreadable,
    unwrap_single,
    with_parameters,
)
from .input_types import Input, TextPair


def _embedding_body(inputs: Sequence[str], settings: Settings) -> JSONObject:
    """``{"inputs": ..., "normalize": ...}``: this task's parameters stand beside the inputs."""
    return {"inputs": unwrap_single(inputs), **settings.parameters}


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


def _all_numbers(values: list[object]) -> bool:
    return all(type(value) is float or type(value) is int for value in values)


def _similarity_body(inputs: Sequence[TextPair], settings: Settings) -> JSONObject:
    """One source with all the sentences that are compared with it."""
    sentences = [pair.text for pair in inputs]
    return with_parameters({"inputs": {"source_sentence": inputs[0].source, "sentences": sentences}}, settings)


def _split_similarity(answer: object, count: int) -> list[Any]:
    """One score for each sentence, which this protocol answers as a list even for one."""
    if not isinstance(answer, list) or len(answer) != count:
        size = f"{len(answer)} scores" if isinstance(answer, list) else type(answer).__name__
        raise UnreadableAnswer(f"{count} sentences were answered with {size}")
    return answer


def read_similarity(answer: object, _input: Input, _settings: Settings) -> Prediction:
    """The score of one pair of texts.

    Args:
        answer: the score, a number.

    Returns:
        The score as a float for the target, without confidence and ``explain``.

    Raises:
        UnreadableAnswer: the answer is no number.
    """
    score = number(answer)
    if score is None:
        raise unreadable("sentence-similarity", answer)
    return Prediction(score)


def _ranking_body(inputs: Sequence[TextPair], _settings: Settings) -> JSONObject:
    """One query with all its texts, as Text Embeddings Inference's ``/rerank`` takes them."""
    return {"query": inputs[0].source, "texts": [pair.text for pair in inputs]}


def _split_ranking(answer: object, count: int) -> list[Any]:
    """Scores in the order of the texts; the answer comes best first, each with the index of its text."""
    if not isinstance(answer, list) or not all(isinstance(item, dict) for item in answer):
        raise unreadable("text-ranking", answer)
    by_index = {item.get("index"): item.get("score") for item in answer}
    if len(answer) != count or by_index.keys() != set(range(count)):
        raise UnreadableAnswer(f"{count} texts were answered with scores for others")
    return [by_index[index] for index in range(count)]


def _source(item: TextPair) -> Hashable:
    return item.source


TASKS = (
    Task(
        name="feature-extraction",
        description="Turns a text into a vector for search, clustering and similarity",
        aliases=("embeddings", "embedding"),
        default_model="sentence-transformers/all-MiniLM-L6-v2",
        read=read_vector,
        body=_embedding_body,
        split=split_typed(list),
        batching=Batching.PROBE,
        arguments=frozenset({"pooling"}),
    ),
    Task(
        name="sentence-similarity",
        description="Says how alike two texts are in meaning, from -1 to 1",
        default_model="sentence-transformers/all-MiniLM-L6-v2",
        columns=(*TEXT, Column("column2")),
        combine=TextPair,
        read=read_similarity,
        body=_similarity_body,
        split=_split_similarity,
        group=_source,
        batching=Batching.NATIVE,
    ),
    Task(
        name="text-ranking",
        description="Says how well a text answers a query",
        aliases=("rerank", "reranking"),
        default_model="BAAI/bge-reranker-base",
        columns=(*TEXT, Column("column2")),
        combine=TextPair,
        read=read_similarity,
        body=_ranking_body,
        split=_split_ranking,
        group=_source,
        batching=Batching.NATIVE,
        spec="",
    ),
)
