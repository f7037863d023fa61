"""Tasks whose answer is numbers: embeddings and similarity."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any

from ..errors import UnreadableAnswer
from .base import TEXT, Batching, Column, Prediction, Settings, Task, number, split_typed, unreadable, unwrap_single


def embedding_body(inputs: Sequence[Any], settings: Settings) -> dict[str, Any]:
    """``{"inputs": ..., "normalize": ...}``: this task's parameters stand beside the inputs."""
    return {"inputs": unwrap_single(inputs), **settings.parameters}


def read_vector(answer: Any, _input: Any, settings: Settings) -> Prediction:
    """One vector, from an answer 1 to 4 levels deep; token vectors are pooled (``pooling`` mean, cls or none)."""
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


def _all_numbers(values: list[Any]) -> bool:
    return all(type(value) is float or type(value) is int for value in values)


def similarity_body(inputs: Sequence[Any], settings: Settings) -> dict[str, Any]:
    """One source with all the sentences that are compared with it."""
    sentences = [sentence for _, sentence in inputs]
    body: dict[str, Any] = {"inputs": {"source_sentence": inputs[0][0], "sentences": sentences}}
    if settings.parameters:
        body["parameters"] = dict(settings.parameters)
    return body


def split_similarity(answer: Any, count: int) -> list[Any]:
    """One score for each sentence, which this protocol answers as a list even for one."""
    if not isinstance(answer, list) or len(answer) != count:
        size = f"{len(answer)} scores" if isinstance(answer, list) else type(answer).__name__
        raise UnreadableAnswer(f"{count} sentences were answered with {size}")
    return answer


def read_similarity(answer: Any, _input: Any, _settings: Settings) -> Prediction:
    score = number(answer)
    if score is None:
        raise unreadable("sentence-similarity", answer)
    return Prediction(score)


def ranking_body(inputs: Sequence[Any], _settings: Settings) -> dict[str, Any]:
    """One query with all its texts, as Text Embeddings Inference's ``/rerank`` takes them."""
    return {"query": inputs[0][0], "texts": [text for _, text in inputs]}


def split_ranking(answer: Any, count: int) -> list[Any]:
    """Scores in the order of the texts; the answer comes best first, each with the index of its text."""
    if not isinstance(answer, list) or not all(isinstance(item, dict) for item in answer):
        raise unreadable("text-ranking", answer)
    by_index = {item.get("index"): item.get("score") for item in answer}
    if len(answer) != count or by_index.keys() != set(range(count)):
        raise UnreadableAnswer(f"{count} texts were answered with scores for others")
    return [by_index[index] for index in range(count)]


def _source(item: Any) -> Hashable:
    source: Hashable = item[0]
    return source


TASKS = (
    Task(
        name="feature-extraction",
        description="Turns a text into a vector for search, clustering and similarity",
        aliases=("embeddings", "embedding"),
        default_model="sentence-transformers/all-MiniLM-L6-v2",
        read=read_vector,
        body=embedding_body,
        split=split_typed(list),
        batching=Batching.PROBE,
        arguments=frozenset({"pooling"}),
    ),
    Task(
        name="sentence-similarity",
        description="Says how alike two texts are in meaning, from -1 to 1",
        default_model="sentence-transformers/all-MiniLM-L6-v2",
        columns=(*TEXT, Column("column2")),
        read=read_similarity,
        body=similarity_body,
        split=split_similarity,
        group=_source,
        batching=Batching.NATIVE,
    ),
    Task(
        name="text-ranking",
        description="Says how well a text answers a query",
        aliases=("rerank", "reranking"),
        default_model="BAAI/bge-reranker-base",
        columns=(*TEXT, Column("column2")),
        read=read_similarity,
        body=ranking_body,
        split=split_ranking,
        group=_source,
        batching=Batching.NATIVE,
        spec="",
    ),
)
