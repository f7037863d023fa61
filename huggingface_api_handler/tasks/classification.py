"""Tasks whose answer is labels with scores."""

from __future__ import annotations

import json
import re
from collections.abc import Hashable, Mapping, Sequence
from functools import partial
from operator import itemgetter
from sys import intern
from typing import Any, cast

from ..errors import UnreadableAnswer
from ..redaction import preview
from .base import MEGABYTE, TEXT, Column, Prediction, Settings, Task, number, overflowed, unreadable
from .chunking import labelled_text_chunking, text_chunking
from .input_types import Input, LabelledMedia, LabelledText
from .merging import merge_scores

Scores = list[tuple[str, float | None]]
"""Labels with their scores, best first."""

LABELS_COLUMN = Column("candidate_labels_column", "labels", required=False)
LABEL_ARGUMENTS = frozenset({"labels", "threshold", "below_threshold", "output"})

_SCORE = itemgetter(1)
_NOT_LABELS = {
    "label", "labels", "score", "scores", "confidence", "probability", "prob", "logit", "prediction", "class",
    "class_id", "index", "id", "code", "status", "latency", "time", "duration",
}  # fmt: skip
"""Names of numbers beside a label that an answer then does not hold."""

_NUMBERED_LABEL = re.compile(r"LABEL_(\d+)")


def scores_of(answer: object) -> Scores:
    """Labels with scores from any of the shapes in use.

    Args:
        answer: ``[{"label", "score"}, ...]``, the same in a list of one, a single ``{"label", "score"}``, or
            ``{"labels": [...], "scores": [...]}``, or ``{label: score}``. Labels may be numbers or booleans.

    Returns:
        Labels with scores, best first. Where no scores came, the server's order stands.

    Raises:
        UnreadableAnswer: the answer has none of these shapes, or a score that is null or no number.
    """
    while isinstance(answer, list) and len(answer) == 1 and isinstance(answer[0], list):
        answer = answer[0]
    items = answer if isinstance(answer, list) and len(answer) > 1 else _items(answer)
    try:
        pairs = [(intern(item["label"]), number(item.get("score"))) for item in items]
    except (TypeError, KeyError, AttributeError):
        pairs = _pairs_of(items, answer)
    if None not in map(_SCORE, pairs):
        pairs.sort(key=_SCORE, reverse=True)
    elif any("score" in item for item in items):  # the best of scores that are not all known would be a guess
        if any(item.get("score", 0) is None for item in items):
            raise overflowed("classification")
        raise UnreadableAnswer("the server sent labels with scores that are no numbers")
    return pairs


def _pairs_of(items: Sequence[Any], answer: object) -> list[tuple[str, float | None]]:
    """As in ``scores_of``, with labels that are numbers or booleans as JSON writes them."""
    pairs = []
    for item in items:
        label = item.get("label") if isinstance(item, dict) else None
        if not isinstance(label, (str, int, float)):
            raise unreadable("classification", answer)
        pairs.append((intern(label if isinstance(label, str) else json.dumps(label)), number(item.get("score"))))
    return pairs


def is_score_map(answer: object) -> bool:
    """Whether an answer is the scores of labels by their names, such as ``{"POSITIVE": 0.9, "NEGATIVE": 0.1}``.

    Args:
        answer: the server's answer, as parsed JSON.

    Returns:
        True for an object whose values are numbers from 0 to 1, not all of them whole, and none of whose names says
        what else they are.
    """
    if not isinstance(answer, dict) or not answer:
        return False
    values = answer.values()
    are_scores = float in map(type, values) and all(type(value) in (float, int) and 0 <= value <= 1 for value in values)
    return are_scores and not any(name.lower() in _NOT_LABELS for name in answer)


def _items(answer: object) -> list[Any]:
    if isinstance(answer, list) and len(answer) == 1 and isinstance(answer[0], dict) and "label" not in answer[0]:
        answer = answer[0]
    if isinstance(answer, dict) and isinstance(answer.get("labels"), list):
        labels, scores = answer["labels"], answer.get("scores")
        if not isinstance(scores, list):
            scores = [None] * len(labels)
        if len(labels) != len(scores):
            raise UnreadableAnswer(f"the server sent {len(labels)} labels with {len(scores)} scores")
        answer = [{"label": label, "score": score} for label, score in zip(labels, scores, strict=True)]
    if is_score_map(answer):
        answer = [{"label": label, "score": score} for label, score in cast("dict[str, float]", answer).items()]
    if isinstance(answer, dict):
        answer = [answer]
    if not isinstance(answer, list) or not answer:
        raise unreadable("classification", answer)
    return answer


def renamed(pairs: Scores, labels: Sequence[str] | Mapping[str, str] | None) -> Scores:
    """The model's labels under the person's names.

    Args:
        pairs: the model's labels with their scores.
        labels: a map renames by name. A list renames labels of the form ``LABEL_0`` in their order, and others by the
            name that is the same but for case.

    Returns:
        The same scores under the new labels.

    Raises:
        UnreadableAnswer: a list was given, and its order is not that of the model's labels, so it would be a guess.
    """
    if labels is None:
        return pairs
    if isinstance(labels, Mapping):
        return [(labels.get(label, label), score) for label, score in pairs]
    same_name = {name.lower(): name for name in labels}
    return [(_renamed(label, labels, same_name), score) for label, score in pairs]


def _renamed(label: str, labels: Sequence[str], same_name: dict[str, str]) -> str:
    match = _NUMBERED_LABEL.fullmatch(label)
    if match is None:
        if label.lower() in same_name:
            return same_name[label.lower()]
        raise UnreadableAnswer(
            f"labels is a list, but the order of this model's labels is not known (it answers {label!r}). "
            f"Give a map instead: labels = {{'{label}': '...'}}"
        )
    if int(match.group(1)) >= len(labels):
        raise UnreadableAnswer(f"the model answers {preview(label)}, and labels has only {len(labels)} names")
    return labels[int(match.group(1))]


def read_scores(answer: object, _input: Input, settings: Settings) -> Prediction:
    """The best label, its score, and ``{label: score}``.

    Args:
        answer: the server's labels with scores (see ``scores_of``).
        settings: of which ``labels``, ``output``, ``threshold`` and ``below_threshold`` are read.

    Returns:
        As ``choose_label``, under the names that ``labels`` gives.

    Raises:
        UnreadableAnswer: the answer holds no labels, or ``labels`` does not fit them.
    """
    return choose_label(renamed(scores_of(answer), settings.labels), settings)


def label_value(settings: Settings) -> str:
    """The SQL type of the target of ``choose_label`` and ``read_zero_shot``.

    Args:
        settings: of which ``output`` and the parameter ``multi_label`` are read.

    Returns:
        VARCHAR for one label, JSON for several or for scores.
    """
    has_one_label = settings.output == "label" and not settings.parameters.get("multi_label")
    return "VARCHAR" if has_one_label else "JSON"


def choose_label(pairs: Scores, settings: Settings) -> Prediction:
    """The prediction that ``output`` and ``threshold`` make of labels with scores.

    Args:
        pairs: labels with scores, best first, at least one.
        settings: of which ``output``, ``threshold`` and ``below_threshold`` are read.

    Returns:
        The target is the best label, or ``below_threshold`` where its score is under the threshold. Where ``output``
        is 'scores', it is ``{label: score}``; where it is 'all', ``[{"label", "score"}, ...]``, best first. The
        confidence is the best score, None where the server sent none. ``explain`` is ``{label: score}``.
    """
    label, score = pairs[0]
    explain = dict(pairs)
    if settings.output == "scores":
        return Prediction(explain, score, explain)
    if settings.output == "all":
        return Prediction([{"label": name, "score": value} for name, value in pairs], score, explain)
    if settings.threshold is not None and score is not None and score < settings.threshold:
        return Prediction(settings.below_threshold, score, explain)
    return Prediction(label, score, explain)


def candidate_labels(item: Input, settings: Settings) -> Sequence[str]:
    """The labels that an input is asked about.

    Args:
        item: the input of one row.
        settings: of which the parameter ``candidate_labels`` is read.

    Returns:
        The row's own labels where a column brings them, else those of the parameter.
    """
    if isinstance(item, (LabelledText, LabelledMedia)):
        return item.labels
    return cast("Sequence[str]", settings.parameters["candidate_labels"])


def _labels_group(item: str | LabelledText) -> Hashable:
    return item.labels if isinstance(item, LabelledText) else None


def read_zero_shot(answer: object, item: Input, settings: Settings) -> Prediction:
    """The best of the labels that were asked about, or, with ``multi_label``, all that reach the threshold.

    Args:
        answer: the server's labels with scores (see ``scores_of``).
        item: the input that was sent, whose labels the answer must keep to.
        settings: of which ``output``, ``threshold``, ``below_threshold`` and the parameters ``candidate_labels`` and
            ``multi_label`` are read.

    Returns:
        As ``choose_label``. With ``multi_label``, and where ``output`` is 'label', the target is the list of the labels
        whose score is the threshold (0.5 by default) or more, best first; ``below_threshold`` where there are none.

    Raises:
        UnreadableAnswer: the answer holds no labels, or others than were asked about.
    """
    pairs = scores_of(answer)
    unexpected = {label for label, _ in pairs} - set(candidate_labels(item, settings))
    if unexpected:
        raise UnreadableAnswer(f"the server answered labels that were not asked for: {preview(sorted(unexpected)[:3])}")
    if settings.parameters.get("multi_label") and settings.output == "label":
        threshold = 0.5 if settings.threshold is None else settings.threshold
        over = [label for label, score in pairs if score is not None and score >= threshold]
        return Prediction(over or settings.below_threshold, pairs[0][1], dict(pairs))
    return choose_label(pairs, settings)


classification_task = partial(
    Task,
    read=read_scores,
    value_type=label_value,
    arguments=LABEL_ARGUMENTS,
    scored=True,
    explained=True,
    max_answer_bytes=MEGABYTE,  # 10,000 labels
)
"""A task whose model has labels of its own; what it reads is still to be said."""

zero_shot_task = partial(
    Task,
    read=read_zero_shot,
    value_type=label_value,
    arguments=LABEL_ARGUMENTS - {"labels"},
    required_parameters=("candidate_labels",),
    rename={"labels": "candidate_labels"},
    scored=True,
    explained=True,
    max_answer_bytes=MEGABYTE,
)
"""A task that is told the labels; what it reads is still to be said."""

TASKS = (
    classification_task(
        name="text-classification",
        description="Puts a label on a text: sentiment, spam, toxicity, prompt injection, ...",
        aliases=("sentiment-analysis",),
        replaced_by={"candidate_labels": "chat-classification", "question": "chat-classification"},
        default_model="distilbert/distilbert-base-uncased-finetuned-sst-2-english",
        rename={"truncate": "truncation"},
        more_parameters={"truncation": bool, "max_length": int},
        chunking=text_chunking(merge_scores(scores_of)),
    ),
    zero_shot_task(
        name="zero-shot-classification",
        description="Puts one of your own labels on a text, with no training",
        aliases=("zero-shot",),
        default_model="facebook/bart-large-mnli",
        columns=(*TEXT, LABELS_COLUMN),
        combine=LabelledText,
        group=_labels_group,
        chunking=labelled_text_chunking(merge_scores(scores_of), candidate_labels),
    ),
)
