"""The operation of infinity's own: labels of texts. Its embeddings and rerank are those of other servers.

https://github.com/michaelfeil/infinity
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from ...errors import UnreadableAnswer
from ...tasks import JSONObject, Settings, Task
from ...tasks.base import unreadable
from .operations import JSONOperation
from .parameters import SilentCut, supported_parameters

SILENT_CUT = SilentCut("infinity")
"""It has no parameter for long texts, in none of its operations."""


@dataclass(frozen=True)
class InfinityClassify(JSONOperation):
    """Labels: ``{"model", "input"}``, answered with ``{"data": [[{"label", "score"}, ...], ...]}`` in their order."""

    version: str = ""
    name: ClassVar[str] = "infinity-classify"
    path: ClassVar[str] = "/classify"
    tasks: ClassVar[tuple[str, ...]] = ("text-classification",)

    def payload(self, _task: Task, inputs: Sequence[str], settings: Settings) -> JSONObject:
        """Texts to classify.

        Args:
            inputs: The texts of one batch.
            settings: The settings of the model.

        Returns:
            ``{"model", "input": [text, ...], "raw_scores": false}``.

        Raises:
            ValueError: There is a parameter that asks for anything but what the server does: it cuts texts by itself.
        """
        SILENT_CUT.not_to_cut(settings)
        parameters = supported_parameters(settings, ("function_to_apply", "truncation"), "infinity")
        if parameters.get("truncation") is False:
            raise ValueError("infinity cuts long texts in any case: truncation = false has no effect")
        function = parameters.get("function_to_apply")
        if function not in (None, "none"):
            raise ValueError(f"infinity applies the function of the model, or 'none': not {function!r}")
        return {"model": settings.model, "input": list(inputs), "raw_scores": function is not None}

    def split(self, task: Task, answer: object, count: int) -> list[Any]:
        """Labels with scores, in the order of the texts.

        Args:
            task: The task that was asked for.
            answer: The answer, as parsed JSON.
            count: The number of texts that the request carried.

        Returns:
            ``count`` lists of ``{"label", "score"}``.

        Raises:
            UnreadableAnswer: There are more or fewer of them.
        """
        parts = answer.get("data") if isinstance(answer, dict) else None
        if not isinstance(parts, list) or not all(isinstance(part, list) for part in parts):
            raise unreadable(task.name, answer)
        if len(parts) != count:
            raise UnreadableAnswer(f"{count} texts were answered with labels of {len(parts)}")
        return parts
