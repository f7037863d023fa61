"""Tasks that read images, audio, video and documents."""

from __future__ import annotations

from collections import Counter

from .base import (
    Column,
    Prediction,
    Settings,
    Task,
    json_value,
    number,
    objects_of,
    unreadable,
    unwrap,
    unwrap_list,
)
from .classification import LABEL_ARGUMENTS, LABELS_COLUMN, label_value, read_scores, read_zero_shot
from .generation import read_chat, reply_value
from .input_types import Input, LabelledMedia, MediaQuestion, PromptedMedia
from .text import read_answer, read_text

IMAGE = (Column("column", "image"),)
AUDIO = (Column("column", "audio"),)
VIDEO = (Column("column", "video"),)
QUESTION = Column("question_column")
PROMPT = Column("prompt_column", required=False)


def read_objects(answer: object, _input: Input, _settings: Settings) -> Prediction:
    """The objects or segments as the server sent them, best first, and how many of each label.

    Args:
        answer: ``[{"label", "score", "box" or "mask"}, ...]``, or the same in a list of one.

    Returns:
        For the target the list of objects, best first, which may be empty. ``explain`` is ``{label: count}``.

    Raises:
        UnreadableAnswer: the answer has another shape.
    """
    answer = unwrap_list(answer)
    if not isinstance(answer, list):
        raise unreadable("object detection or segmentation", answer)
    for item in answer:
        placed = isinstance(item, dict) and (isinstance(item.get("box"), dict) or isinstance(item.get("mask"), str))
        if not placed or not isinstance(item.get("label"), str):
            raise unreadable("object detection or segmentation", item)
    ordered = sorted(answer, key=lambda item: -(number(item.get("score")) or 0.0))
    return Prediction(ordered, None, dict(Counter(item["label"] for item in ordered)))


def read_named_objects(answer: object, item: Input, settings: Settings) -> Prediction:
    """As ``read_objects``, with each label's best score instead of its count.

    Args:
        answer: as in ``read_objects``.
        item: the input that was sent.
        settings: the model's settings.

    Returns:
        For the target the list of objects, best first, which may be empty. ``explain`` is ``{label: best score}``.

    Raises:
        UnreadableAnswer: the answer has another shape.
    """
    found = read_objects(answer, item, settings)
    best = {one["label"]: number(one.get("score")) for one in reversed(found.value)}
    return found._replace(explain=best)


def read_transcript(answer: object, _input: Input, _settings: Settings) -> Prediction:
    """The recognised text, and its chunks where ``return_timestamps`` asked for them.

    Args:
        answer: ``{"text", "chunks"}``, or the same in a list of one.

    Returns:
        The text for the target. ``explain`` is the list of chunks as the server sent it; None where it sent none.

    Raises:
        UnreadableAnswer: the answer has another shape.
    """
    answer = unwrap(answer)
    if not isinstance(answer, dict) or not isinstance(answer.get("text"), str):
        raise unreadable("automatic-speech-recognition", answer)
    chunks = answer.get("chunks")
    return Prediction(answer["text"], None, chunks if isinstance(chunks, list) else None)


def read_visual_answer(answer: object, item: Input, settings: Settings) -> Prediction:
    """The best answer and its score. An answer may be left out where the model found none.

    Args:
        answer: ``{"answer", "score"}``, or a list of these.
        item: the input that was sent.
        settings: the model's settings.

    Returns:
        As ``read_answer``, of the answers that the model found. Where it found none, the target and ``explain`` are
        None, and the confidence is the score that came first.

    Raises:
        UnreadableAnswer: the answer has another shape.
    """
    candidates = objects_of(answer)
    if not candidates or not all("score" in one for one in candidates):
        raise unreadable("question answering on an image", answer)
    found = [one for one in candidates if one.get("answer") is not None]
    if not found and number(candidates[0]["score"]) is None:
        raise unreadable("question answering on an image", answer)
    return read_answer(found, item, settings) if found else Prediction(None, number(candidates[0]["score"]), None)


def _classifier(name: str, description: str, columns: tuple[Column, ...], default_model: str | None) -> Task:
    return Task(
        name=name,
        description=description,
        default_model=default_model,
        columns=columns,
        read=read_scores,
        value_type=label_value,
        arguments=LABEL_ARGUMENTS,
        scored=True,
        explained=True,
    )


def _asked_about(name: str, description: str, default_model: str) -> Task:
    return Task(
        name=name,
        description=description,
        default_model=default_model,
        columns=(*IMAGE, QUESTION),
        combine=MediaQuestion,
        read=read_visual_answer,
        scored=True,
        explained=True,
    )


def _finder(name: str, description: str, default_model: str) -> Task:
    return Task(
        name=name,
        description=description,
        default_model=default_model,
        columns=IMAGE,
        read=read_objects,
        value_type=json_value,
        explained=True,
    )


TASKS = (
    _classifier("image-classification", "Puts a label on an image", IMAGE, "google/vit-base-patch16-224"),
    _classifier("video-classification", "Puts a label on a video", VIDEO, None),
    _classifier(
        "audio-classification",
        "Puts a label on a sound: emotion, language, instrument, ...",
        AUDIO,
        "MIT/ast-finetuned-audioset-10-10-0.4593",
    ),
    Task(
        name="zero-shot-image-classification",
        description="Puts one of your own labels on an image",
        default_model="google/siglip-so400m-patch14-224",
        columns=(*IMAGE, LABELS_COLUMN),
        combine=LabelledMedia,
        read=read_zero_shot,
        value_type=label_value,
        arguments=LABEL_ARGUMENTS - {"labels"},
        required_parameters=("candidate_labels",),
        rename={"labels": "candidate_labels"},
        scored=True,
        explained=True,
    ),
    _finder("object-detection", "Finds things in an image, each with a box", "facebook/detr-resnet-50"),
    Task(
        name="zero-shot-object-detection",
        description="Finds things that you name in an image, each with a box",
        default_model="google/owlv2-base-patch16-ensemble",
        columns=(*IMAGE, LABELS_COLUMN),
        combine=LabelledMedia,
        read=read_named_objects,
        value_type=json_value,
        required_parameters=("candidate_labels",),
        rename={"labels": "candidate_labels"},
        explained=True,
    ),
    _finder(
        "image-segmentation",
        "Cuts an image into labelled parts, each with a mask",
        "nvidia/segformer-b0-finetuned-ade-512-512",
    ),
    Task(
        name="image-to-text",
        description="Says what an image shows, or reads its text",
        aliases=("image-captioning",),
        default_model="Salesforce/blip-image-captioning-large",
        columns=IMAGE,
        read=read_text("generated_text", "image-to-text"),
    ),
    Task(
        name="image-text-to-text",
        description="Answers a prompt about an image, as an assistant does",
        default_model="Qwen/Qwen2.5-VL-7B-Instruct",
        columns=(*IMAGE, PROMPT),
        combine=PromptedMedia,
        read=read_chat,
        value_type=reply_value,
        arguments=frozenset({"prompt_template", "system_prompt"}),
        spec="chat-completion",
        deterministic=False,
        explained=True,
    ),
    _asked_about("visual-question-answering", "Answers a question on an image", "dandelin/vilt-b32-finetuned-vqa"),
    _asked_about(
        "document-question-answering", "Answers a question on the image of a document", "impira/layoutlm-invoices"
    ),
    Task(
        name="automatic-speech-recognition",
        description="Writes down what is said",
        aliases=("asr", "speech-recognition", "speech-to-text"),
        default_model="openai/whisper-large-v3",
        columns=AUDIO,
        read=read_transcript,
        explained=True,
    ),
)
