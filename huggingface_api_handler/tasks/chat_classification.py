"""Labels on texts, chosen by a chat model: a chat whose answer is one of several."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

from ..errors import UnreadableAnswer
from .base import MEGABYTE, Column, Prediction, Settings, Task
from .chat_answers import Reply, reply_of
from .classification import choose_label
from .generation import LONG_PROMPT_ADVICE, PROMPT_FIELDS, fields_of, repair_for
from .input_types import Input
from .token_confidence import field_confidence, span_confidence

NAME = "chat-classification"
"""The task that takes the place of text-classification where labels or a question are given."""

_FIELD = "label"
_YES_AND_NO = ("yes", "no")
_AROUND_A_LABEL = " \t\r\n.!\"'`*"


def labels_of(settings: Settings) -> Sequence[str]:
    """The labels to choose from.

    Args:
        settings: of which ``candidate_labels`` is read.

    Returns:
        The labels; 'yes' and 'no' where there is a question alone.
    """
    return settings.candidate_labels or _YES_AND_NO


def label_schema(settings: Settings) -> Mapping[str, Any]:
    """What an answer must be.

    Args:
        settings: of which ``candidate_labels`` is read.

    Returns:
        The JSON schema of an object with one label.
    """
    return _schema_of(tuple(labels_of(settings)))


@lru_cache(maxsize=64)
def _schema_of(labels: tuple[str, ...]) -> Mapping[str, Any]:
    properties = {_FIELD: {"type": "string", "enum": list(labels)}}
    return {"type": "object", "properties": properties, "required": [_FIELD], "additionalProperties": False}


def instruction(settings: Settings) -> str:
    """What the model is told before each text.

    Args:
        settings: of which ``system_prompt``, ``question`` and ``candidate_labels`` are read.

    Returns:
        The system prompt that was given, the question, and the labels.
    """
    question = settings.question or "Classify the text."
    labels = ", ".join(f'"{label}"' for label in labels_of(settings))
    asked = f'{question} Answer with a JSON object whose field "{_FIELD}" is one of {labels}.'
    return f"{settings.system_prompt}\n\n{asked}" if settings.system_prompt else asked


def read_label(answer: object, _input: Input, settings: Settings) -> Prediction:
    """The label that a chat completion chooses.

    Args:
        answer: OpenAI's chat completion. The label stands in a JSON object, or is all that the assistant says.
        settings: of which ``candidate_labels``, ``threshold`` and ``below_threshold`` are read.

    Returns:
        As ``classification.choose_label`` makes it of the label and its probability, which is None where the server
        sent none. ``explain`` is that of ``read_chat``.

    Raises:
        UnreadableAnswer: the answer has no text, or chooses none of the labels.
    """
    reply = reply_of(answer)
    try:
        fields, source = fields_of(reply, label_schema(settings))
        label, score = fields[_FIELD], field_confidence(reply.logprobs, source, _FIELD)
    except UnreadableAnswer:
        alone = _label_alone(reply, labels_of(settings))
        if alone is None:
            raise
        label, score = alone
    return choose_label([(label, score)], settings)._replace(explain=reply.explain)


def _label_alone(reply: Reply, labels: Sequence[str]) -> tuple[str, float | None] | None:
    """The label that is all of a reply, with its probability."""
    whole = reply.text.strip()
    # What stands around a label may be its own, as in "U.S." and "C!", and so may its case.
    for said, as_said in ((whole, str), (whole, str.casefold), (whole.strip(_AROUND_A_LABEL), _bare)):
        meant = [label for label in labels if as_said(label) == as_said(said)]
        if len(meant) == 1 and said:
            start = reply.text.index(said)
            return meant[0], span_confidence(reply.logprobs, reply.text, start, start + len(said))
    return None


def _bare(text: str) -> str:
    return text.strip(_AROUND_A_LABEL).casefold()


TASKS = (
    Task(
        name=NAME,
        description="Puts one of your own labels on a text, or answers a question on it, by a chat model",
        default_model="meta-llama/Llama-3.1-8B-Instruct",
        columns=(Column("column", required=False), PROMPT_FIELDS),
        read=read_label,
        answer_schema=label_schema,
        system_prompt=instruction,
        arguments=frozenset(
            {"candidate_labels", "question", "prompt_template", "system_prompt", "threshold", "below_threshold"}
        ),
        repair=repair_for(label_schema),
        rename={"max_length": "max_tokens", "max_new_tokens": "max_tokens", "max_output_length": "max_tokens"},
        long_text_advice=LONG_PROMPT_ADVICE,
        operation="chat",
        deterministic=False,
        scored=True,
        explained=True,
        max_answer_bytes=16 * MEGABYTE,
        spec="chat-completion",
    ),
)
