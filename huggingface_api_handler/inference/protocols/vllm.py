"""Operations of vLLM's own: classes, scores of pairs, and vectors of tokens.

https://docs.vllm.ai/en/latest/serving/openai_compatible_server.html. SGLang has ``/v1/classify`` in the same form.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from ...errors import UnreadableAnswer
from ...tasks import JSONObject, Settings, Task
from ...tasks.input_types import TextPair
from .indexed_parts import by_index, objects_under
from .operations import JSONOperation
from .parameters import supported_parameters
from .rerank import score_of
from .vectors import read_vector

_TO_MODEL_LENGTH = -1
"""Texts are cut where the model's length ends."""

_NUMBERED_LABEL = re.compile(r"LABEL_\d+")


def _truncation(settings: Settings) -> JSONObject:
    parameters = supported_parameters(settings, ("truncation", "max_length"), "vLLM")
    if not parameters.get("truncation", True):
        if "max_length" in parameters:
            raise ValueError("truncation = false and max_length exclude each other. Leave one of them out")
        return {}
    if parameters:
        return {"truncate_prompt_tokens": parameters.get("max_length", _TO_MODEL_LENGTH)}
    return {}


def _labelled_probabilities(item: dict[str, Any]) -> Any:
    """Labels with scores, best first, as far as the server tells them; why not, where it tells none.

    It tells the label of the best class alone. The others are called by their number, as transformers calls classes
    without a name; where that could be another's name, they are left out.
    """
    try:
        scores = read_vector(item.get("probs"))
    except UnreadableAnswer as reason:
        return UnreadableAnswer(f"the server's answer has no probabilities: {reason}")
    if item.get("num_classes", len(scores)) != len(scores):
        return UnreadableAnswer(f"the server's answer has {len(scores)} probabilities for another number of classes")
    best = scores.index(max(scores))
    label = item.get("label")
    if label is None:
        label = f"LABEL_{best}"
    if not isinstance(label, str):
        return UnreadableAnswer("the server's answer has no label")
    parts = [{"label": label, "score": scores[best]}]
    if not _NUMBERED_LABEL.fullmatch(label) or label == f"LABEL_{best}":
        parts += [{"label": f"LABEL_{at}", "score": score} for at, score in enumerate(scores) if at != best]
    return parts


@dataclass(frozen=True)
class VllmClassify(JSONOperation):
    """Classes: ``{"model", "input"}``, answered with ``{"data": [{"index", "label", "probs", "num_classes"}]}``.

    The server names the best class only. The others are ``LABEL_0``, ``LABEL_1``, ... in scores and ``explain``.
    """

    version: str = ""
    name: ClassVar[str] = "vllm-classify"
    path: ClassVar[str] = "/classify"
    tasks: ClassVar[tuple[str, ...]] = ("text-classification",)

    def payload(self, _task: Task, inputs: Sequence[str], settings: Settings) -> JSONObject:
        """Texts to classify.

        Args:
            inputs: The texts of one batch.
            settings: The settings of the model.

        Returns:
            ``{"model", "input": [text, ...]}``, with ``truncate_prompt_tokens`` where texts are to be cut.

        Raises:
            ValueError: A parameter is none of vLLM's.
        """
        return {"model": settings.model, "input": list(inputs), **_truncation(settings)}

    def split(self, task: Task, answer: object, count: int) -> list[Any]:
        """Labels with scores, by the index that they come with.

        Args:
            task: The task that was asked for.
            answer: The answer, as parsed JSON.
            count: The number of texts that the request carried.

        Returns:
            ``count`` lists of ``{"label", "score"}``, best first.

        Raises:
            UnreadableAnswer: It cannot be told which are whose.
        """
        return [_labelled_probabilities(item) for item in by_index(objects_under(answer, "data", task.name), count)]


@dataclass(frozen=True)
class VllmScore(JSONOperation):
    """Scores of pairs: ``{"model", "text_1", "text_2": [...]}``, answered with ``{"data": [{"index", "score"}]}``.

    A model of pairs says how well a text answers a query. A model of vectors says how alike they are, from -1 to 1.
    """

    version: str = ""
    name: ClassVar[str] = "vllm-score"
    path: ClassVar[str] = "/score"
    tasks: ClassVar[tuple[str, ...]] = ("text-ranking", "sentence-similarity")

    def payload(self, _task: Task, inputs: Sequence[TextPair], settings: Settings) -> JSONObject:
        """One text with all those that are compared with it.

        Args:
            inputs: Pairs of one source.
            settings: The settings of the model.

        Returns:
            ``{"model", "text_1": source, "text_2": [text, ...]}``, with ``truncate_prompt_tokens`` where texts are
            to be cut.
        """
        cut = supported_parameters(settings, ("truncate",), "vLLM's /score").get("truncate")
        limit: JSONObject = {"truncate_prompt_tokens": _TO_MODEL_LENGTH} if cut else {}
        return {"model": settings.model, "text_1": inputs[0].source, "text_2": [pair.text for pair in inputs], **limit}

    def split(self, task: Task, answer: object, count: int) -> list[Any]:
        """Scores, by the index that each comes with.

        Args:
            task: The task that was asked for.
            answer: The answer, as parsed JSON.
            count: The number of pairs that the request carried.

        Returns:
            ``count`` scores.

        Raises:
            UnreadableAnswer: It cannot be told which score is whose.
        """
        return [score_of(item) for item in by_index(objects_under(answer, "data", task.name), count)]


@dataclass(frozen=True)
class VllmPooling(JSONOperation):
    """Vectors of tokens: ``{"model", "input"}``, answered with ``{"data": [{"index", "data": [[...], ...]}]}``.

    ``pooling`` says what is made of the vectors.
    """

    version: str = ""
    name: ClassVar[str] = "vllm-pooling"
    path: ClassVar[str] = "/pooling"
    tasks: ClassVar[tuple[str, ...]] = ("feature-extraction",)

    def payload(self, _task: Task, inputs: Sequence[str], settings: Settings) -> JSONObject:
        """Texts of which vectors are wanted.

        Args:
            inputs: The texts of one batch.
            settings: The settings of the model.

        Returns:
            ``{"model", "input": [text, ...]}``, with ``dimensions`` where they are given. Base64 is not asked for:
            it would not tell how many tokens there are.

        Raises:
            ValueError: A parameter is none of vLLM's.
        """
        parameters = supported_parameters(settings, ("dimensions", "normalize"), "vLLM's /pooling")
        if parameters.pop("normalize", True) is False:
            raise ValueError("vLLM's /pooling cannot be told to leave vectors as they are: normalize = false")
        return {"model": settings.model, "input": list(inputs), **parameters}

    def split(self, task: Task, answer: object, count: int) -> list[Any]:
        """The vectors of each text, by the index that they come with.

        Args:
            task: The task that was asked for.
            answer: The answer, as parsed JSON.
            count: The number of texts that the request carried.

        Returns:
            ``count`` lists, each a vector for each token, or one vector where the model pools by itself.

        Raises:
            UnreadableAnswer: It cannot be told which are whose.
        """
        return [item.get("data") for item in by_index(objects_under(answer, "data", task.name), count)]
