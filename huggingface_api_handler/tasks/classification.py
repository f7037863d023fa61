"""Tasks whose answer is labels with scores."""

from __future__ import annotations

import re
from collections.abc import Hashable, Sequence
from operator import itemgetter
from sys import intern
from typing import Any

from ..errors import UnreadableAnswer
from .base import (
    TEXT,
    Batching,
    Column,
    Prediction,
    Settings,
    Task,
    number,
    split_one_to_one,
    unreadable,
    unwrap_single,
)

Scores = list[tuple[str, float | None]]

_SCORE = itemgetter(1)
_NUMBERED = re.compile(r"LABEL_(\d+)")
READING = frozenset({"labels", "threshold", "below_threshold", "output"})


def scores_of(answer: Any) -> Scores:
    """Labels with scores from any of the shapes in use, best first.

    ``[{"label", "score"}, ...]``, the same in a list of one, a single ``{"label", "score"}``, or
    ``{"labels": [...], "scores": [...]}``. Where no scores came, the server's order stands.
    """
    while isinstance(answer, list) and len(answer) == 1 and isinstance(answer[0], list):
        answer = answer[0]
    items = answer if isinstance(answer, list) and len(answer) > 1 else _items(answer)
    try:
        pairs = [(intern(item["label"]), number(item.get("score"))) for item in items]
    except (TypeError, KeyError, AttributeError):
        raise unreadable("classification", answer) from None
    if None not in map(_SCORE, pairs):
        pairs.sort(key=_SCORE, reverse=True)
    return pairs


def _items(answer: Any) -> list[Any]:
    if isinstance(answer, list) and len(answer) == 1 and isinstance(answer[0], dict) and "labels" in answer[0]:
        answer = answer[0]
    if isinstance(answer, dict) and isinstance(answer.get("labels"), list):
        labels, scores = answer["labels"], answer.get("scores")
        if not isinstance(scores, list):
            scores = [None] * len(labels)
        if len(labels) != len(scores):
            raise UnreadableAnswer(f"the server sent {len(labels)} labels with {len(scores)} scores")
        answer = [{"label": label, "score": score} for label, score in zip(labels, scores, strict=True)]
    if isinstance(answer, dict):
        answer = [answer]
    if not isinstance(answer, list) or not answer:
        raise unreadable("classification", answer)
    return answer


def renamed(pairs: Scores, labels: Sequence[str] | dict[str, str] | None) -> Scores:
    """The model's labels under the person's names.

    A map renames by name. A list renames labels of the form ``LABEL_0`` in their order, and others by the name that
    is the same but for case; anything else raises, since any order would be a guess.
    """
    if labels is None:
        return pairs
    if isinstance(labels, dict):
        return [(labels.get(label, label), score) for label, score in pairs]
    same_name = {name.lower(): name for name in labels}
    return [(_renamed(label, labels, same_name), score) for label, score in pairs]


def _renamed(label: str, labels: Sequence[str], same_name: dict[str, str]) -> str:
    match = _NUMBERED.fullmatch(label)
    if match is None:
        if label.lower() in same_name:
            return same_name[label.lower()]
        raise UnreadableAnswer(
            f"labels is a list, but the order of this model's labels is not known (it answers {label!r}). "
            f"Give a map instead: labels = {{'{label}': '...'}}"
        )
    if int(match.group(1)) >= len(labels):
        raise UnreadableAnswer(f"the model answers {label}, and labels has only {len(labels)} names")
    return labels[int(match.group(1))]


def read_scores(answer: Any, _input: Any, settings: Settings) -> Prediction:
    """Best label, its score, and ``{label: score}``."""
    pairs = renamed(scores_of(answer), settings.labels)  # type: ignore[arg-type]
    return chosen(pairs, settings)


def chosen(pairs: Scores, settings: Settings) -> Prediction:
    """The prediction that ``output`` and ``threshold`` make of labels that stand best first."""
    label, score = pairs[0]
    explain = dict(pairs)
    if settings.output == "scores":
        return Prediction(explain, score, explain)
    if settings.output == "all":
        return Prediction([{"label": name, "score": value} for name, value in pairs], score, explain)
    if settings.threshold is not None and score is not None and score < settings.threshold:
        return Prediction(settings.below_threshold, score, explain)
    return Prediction(label, score, explain)


def split_scores(answer: Any, count: int) -> list[Any]:
    """One list of labels for each input.

    Some servers answer several inputs with the best label of each in one flat list, which looks like many
    labels of one input. A label that occurs twice tells them apart, since one input never has it twice.
    """
    parts = split_one_to_one(answer, count)
    if count == 1 or all(isinstance(part, list) for part in parts):
        return parts
    flat = all(isinstance(part, dict) and "label" in part for part in parts)
    if flat and len({str(part["label"]) for part in parts}) < count:
        return parts
    raise UnreadableAnswer(f"{count} inputs were answered in a shape that hides which part belongs to which input")


def _labels_for(item: Any, settings: Settings) -> tuple[str, Sequence[str]]:
    if isinstance(item, tuple):
        return item[0], item[1]
    return item, settings.parameters["candidate_labels"]


def zero_shot_body(inputs: Sequence[Any], settings: Settings) -> dict[str, Any]:
    """``inputs`` are texts, or (text, labels) pairs that share their labels where a column brings them."""
    texts = [_labels_for(item, settings)[0] for item in inputs]
    labels = list(_labels_for(inputs[0], settings)[1])
    return {"inputs": unwrap_single(texts), "parameters": {**settings.parameters, "candidate_labels": labels}}


def _zero_shot_group(item: Any) -> Hashable:
    return item[1] if isinstance(item, tuple) else None


def split_zero_shot(answer: Any, count: int) -> list[Any]:
    parts = split_one_to_one(answer, count)
    if count > 1 and not all(isinstance(part, list) or (isinstance(part, dict) and "labels" in part) for part in parts):
        raise UnreadableAnswer(f"{count} inputs were answered in a shape that hides which part belongs to which input")
    return parts


def read_zero_shot(answer: Any, item: Any, settings: Settings) -> Prediction:
    """As ``read_scores``; with ``multi_label``, the target is the list of labels that reach the threshold (0.5)."""
    pairs = scores_of(answer)
    asked = _labels_for(item, settings)[1]
    strange = {label for label, _ in pairs} - set(asked)
    if strange:
        raise UnreadableAnswer(f"the server answered labels that were not asked for: {sorted(strange)[:3]}")
    if settings.parameters.get("multi_label") and settings.output == "label":
        threshold = 0.5 if settings.threshold is None else settings.threshold
        over = [label for label, score in pairs if score is not None and score >= threshold]
        return Prediction(over or settings.below_threshold, pairs[0][1], dict(pairs))
    return chosen(pairs, settings)


TASKS = (
    Task(
        name="text-classification",
        description="Puts a label on a text: sentiment, spam, toxicity, prompt injection, ...",
        aliases=("sentiment-analysis",),
        default_model="distilbert/distilbert-base-uncased-finetuned-sst-2-english",
        read=read_scores,
        split=split_scores,
        batching=Batching.PROBE,
        arguments=READING,
        more_parameters={"truncation": bool, "max_length": int},
        scored=True,
        explained=True,
    ),
    Task(
        name="zero-shot-classification",
        description="Puts one of your own labels on a text, with no training",
        aliases=("zero-shot",),
        default_model="facebook/bart-large-mnli",
        columns=(*TEXT, Column("candidate_labels_column", "labels", required=False)),
        read=read_zero_shot,
        body=zero_shot_body,
        split=split_zero_shot,
        group=_zero_shot_group,
        batching=Batching.PROBE,
        arguments=READING - {"labels"},
        required_parameters=("candidate_labels",),
        rename={"labels": "candidate_labels"},
        scored=True,
        explained=True,
    ),
)
