"""Tasks that read images, audio, video and documents."""

from __future__ import annotations

from collections import Counter
from functools import partial

from .base import (
    MEGABYTE,
    Column,
    Prediction,
    Settings,
    Task,
    json_value,
    number,
    object_with_text,
    objects_of,
    unreadable,
    unwrap,
    unwrap_list,
)
from .classification import LABELS_COLUMN, classification_task, zero_shot_task
from .generation import LONG_PROMPT_ADVICE, read_chat, reply_value
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
    transcript = object_with_text(unwrap(answer), "text", "automatic-speech-recognition")
    chunks = transcript.get("chunks")
    return Prediction(transcript["text"], None, chunks if isinstance(chunks, list) else None)


def read_visual_answer(answer: object, item: Input, settings: Settings) -> Prediction:
    """The best answer and its score. An answer may be left out where the model found none.

    Args:
        answer: ``{"answer", "score"}``, or a list of these. Either may be left out.
        item: the input that was sent.
        settings: the model's settings.

    Returns:
        As ``read_answer``, of the answers that the model found. Where it found none, the target and ``explain`` are
        None, and the confidence is the score that came first, if any.

    Raises:
        UnreadableAnswer: the answer has another shape.
    """
    candidates = objects_of(answer)
    if not candidates or not all("score" in one or "answer" in one for one in candidates):
        raise unreadable("question answering on an image", answer)
    found = [one for one in candidates if one.get("answer") is not None]
    score = number(candidates[0].get("score"))
    if not found and score is None and "answer" not in candidates[0]:
        raise unreadable("question answering on an image", answer)
    return read_answer(found, item, settings) if found else Prediction(None, score, None)


_question_task = partial(
    Task,
    columns=(*IMAGE, QUESTION),
    combine=MediaQuestion,
    read=read_visual_answer,
    long_text_advice="The question goes with one image, so that it is not asked in parts. Shorten the question, or "
    "send one page of a document in a row",
    scored=True,
    explained=True,
)
_detection_task = partial(
    Task,
    columns=IMAGE,
    read=read_objects,
    value_type=json_value,
    explained=True,
    max_answer_bytes=32 * MEGABYTE,  # with a mask for each segment
)

TASKS = (
    classification_task(
        name="image-classification",
        description="Puts a label on an image",
        default_model="google/vit-base-patch16-224",
        columns=IMAGE,
    ),
    classification_task(name="video-classification", description="Puts a label on a video", columns=VIDEO),
    classification_task(
        name="audio-classification",
        description="Puts a label on a sound: emotion, language, instrument, ...",
        default_model="MIT/ast-finetuned-audioset-10-10-0.4593",
        is_on_hugging_face=False,
        columns=AUDIO,
    ),
    zero_shot_task(
        name="zero-shot-image-classification",
        description="Puts one of your own labels on an image",
        default_model="google/siglip-so400m-patch14-224",
        is_on_hugging_face=False,
        columns=(*IMAGE, LABELS_COLUMN),
        combine=LabelledMedia,
    ),
    _detection_task(
        name="object-detection",
        description="Finds things in an image, each with a box",
        default_model="facebook/detr-resnet-50",
    ),
    Task(
        name="zero-shot-object-detection",
        description="Finds things that you name in an image, each with a box",
        default_model="google/owlv2-base-patch16-ensemble",
        is_on_hugging_face=False,
        columns=(*IMAGE, LABELS_COLUMN),
        combine=LabelledMedia,
        read=read_named_objects,
        value_type=json_value,
        required_parameters=("candidate_labels",),
        rename={"labels": "candidate_labels"},
        explained=True,
    ),
    _detection_task(
        name="image-segmentation",
        description="Cuts an image into labelled parts, each with a mask",
        default_model="nvidia/segformer-b0-finetuned-ade-512-512",
    ),
    Task(
        name="image-to-text",
        description="Says what an image shows, or reads its text",
        aliases=("image-captioning",),
        default_model="Salesforce/blip-image-captioning-large",
        is_on_hugging_face=False,
        columns=IMAGE,
        read=read_text("generated_text", "image-to-text"),
    ),
    Task(
        name="image-text-to-text",
        description="Answers a prompt about an image, as an assistant does",
        default_model="google/gemma-4-31B-it",  # two providers serve it; Qwen2.5-VL-7B lost its last one
        columns=(*IMAGE, PROMPT),
        combine=PromptedMedia,
        read=read_chat,
        value_type=reply_value,
        arguments=frozenset({"prompt_template", "system_prompt"}),
        long_text_advice=LONG_PROMPT_ADVICE,
        max_answer_bytes=16 * MEGABYTE,
        spec="chat-completion",
        deterministic=False,
        explained=True,
    ),
    _question_task(
        name="visual-question-answering",
        description="Answers a question on an image",
        default_model="dandelin/vilt-b32-finetuned-vqa",
        is_on_hugging_face=False,
    ),
    _question_task(
        name="document-question-answering",
        description="Answers a question on the image of a document",
        default_model="impira/layoutlm-invoices",
        is_on_hugging_face=False,
    ),
    Task(
        name="automatic-speech-recognition",
        description="Writes down what is said",
        aliases=("asr", "speech-recognition", "speech-to-text"),
        default_model="openai/whisper-large-v3",
        columns=AUDIO,
        read=read_transcript,
        more_parameters={"language": str, "prompt": str, "temperature": float},
        more_words={"return_timestamps": ("word", "char")},
        explained=True,
    ),
)
