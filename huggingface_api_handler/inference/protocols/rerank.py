"""Rerank: a query with its documents, each answered with a score and its index, the best first.

Cohere, Jina, vLLM, infinity, llama.cpp, LiteLLM and others speak it. Text Embeddings Inference has a form of its own.
https://docs.cohere.com/reference/rerank, https://docs.voyageai.com/docs/reranker
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from ...errors import UnreadableAnswer
from ...tasks import JSONObject, Settings, Task
from ...tasks.base import unreadable
from ...tasks.input_types import TextPair
from .indexed_parts import by_index, by_index_or_order
from .operations import JSONOperation
from .parameters import SilentCut, supported_parameters

_LISTS = ("results", "data")
_SCORES = ("relevance_score", "score")


def items_of(task: Task, answer: object) -> list[dict[str, Any]]:
    """The scored documents of an answer.

    Args:
        task: The task that was asked for, for the error.
        answer: The items alone, or under ``results``, or under ``data`` as Voyage has them.

    Returns:
        The items, in the order that they came in.

    Raises:
        UnreadableAnswer: There is no list of objects, or more than one.
    """
    lists = [answer]
    if isinstance(answer, dict):
        lists = [answer[key] for key in _LISTS if answer.get(key) is not None]
    if len(lists) != 1 or not isinstance(lists[0], list) or not all(isinstance(item, dict) for item in lists[0]):
        raise unreadable(task.name, answer)
    return lists[0]


def score_of(item: dict[str, Any]) -> Any:
    """The score of one item, for ``Task.read`` to check.

    Args:
        item: An item of an answer.

    Returns:
        What stands for the score; an ``UnreadableAnswer`` where nothing does.
    """
    found = next((item[key] for key in _SCORES if item.get(key) is not None), None)
    return UnreadableAnswer("the server's answer has no score for this text") if found is None else found


@dataclass(frozen=True)
class Rerank(JSONOperation):
    """Rerank: ``{"model", "query", "documents"}``, answered with ``{"results": [{"index", "relevance_score"}]}``.

    Attributes:
        version: What comes between the base address and the path where the base names no version of an API: ``/v1`` of
            Jina, vLLM and llama.cpp, ``/v2`` of Cohere, empty for infinity.
        count_parameter: How the number of documents is called that are to be scored: all of them. ``top_k`` of Voyage.
        silent_cut: What the server is told that would cut a text; None of one that refuses it, or is not known.
    """

    version: str = "/v1"
    count_parameter: str = "top_n"
    # Not compared: which server it is matters for long texts only, and is not worth a request to find out.
    silent_cut: SilentCut | None = field(default=None, compare=False)
    name: ClassVar[str] = "rerank"
    path: ClassVar[str] = "/rerank"
    tasks: ClassVar[tuple[str, ...]] = ("text-ranking",)

    def payload(self, _task: Task, inputs: Sequence[TextPair], settings: Settings) -> JSONObject:
        """One query with all its documents.

        Args:
            inputs: Pairs of one query.
            settings: The settings of the model.

        Returns:
            ``{"model", "query", "documents", "top_n", "return_documents"}``, with what keeps the server from cutting.

        Raises:
            ValueError: There are parameters, or the server cuts texts that are to be refused.
        """
        supported_parameters(settings, (), "a rerank server")
        not_to_cut = self.silent_cut.not_to_cut(settings) if self.silent_cut else {}
        return {
            "model": settings.model,
            "query": inputs[0].source,
            "documents": [pair.text for pair in inputs],
            self.count_parameter: len(inputs),
            "return_documents": False,
            **not_to_cut,
        }

    def split(self, task: Task, answer: object, count: int) -> list[Any]:
        """Scores in the order of the documents, by the index that each comes with.

        Args:
            task: The task that was asked for.
            answer: The answer, as parsed JSON.
            count: The number of documents that the request carried.

        Returns:
            ``count`` scores.

        Raises:
            UnreadableAnswer: There are more or fewer scores, one has no index, or two have the same.
        """
        items = items_of(task, answer)
        # Scores come best first: of several without an index it is not known whose they are.
        return [score_of(item) for item in (by_index_or_order if count == 1 else by_index)(items, count)]
