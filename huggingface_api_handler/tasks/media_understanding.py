"""Tasks that read images, audio, video and documents."""

from __future__ import annotations

from base64 import b64encode
from collections import Counter
from collections.abc import Sequence

from .base import (
    Body,
    Column,
    JSONObject,
    Prediction,
    Settings,
    Task,
    number,
    objects_of,
    unreadable,
    unwrap,
    unwrap_list,
    with_parameters,
)
from .classification import LABEL_ARGUMENTS, LABELS_COLUMN, read_scores, read_zero_shot
from .generation import read_chat
from .input_types import Input, LabelledMedia, Media, MediaQuestion, PromptedMedia, loaded_media
from .text import read_answer, read_text

IMAGE = (Column("column", "image"),)
AUDIO = (Column("column", "audio"),)
VIDEO = (Column("column", "video"),)
QUESTION = Column("question_column")
PROMPT = Column("prompt_column", required=False)

_DEFAULT_PROMPT = "Describe the image."


def to_base64(media: Media) -> str:
    """The bytes of media as base64 text, as JSON carries them.

    Args:
        media: of which the bytes are taken.

    Returns:
        The text, without line breaks.
    """
    return b64encode(media.data).decode("ascii")


def _data_uri(media: Media) -> str:
    return f"data:{media.content_type};base64,{to_base64(media)}"


def media_body(inputs: Sequence[Media], settings: Settings) -> JSONObject | Media:
    """The body of a task that reads one image, sound or video.

    Args:
        inputs: the media of one request, exactly one.
        settings: the model's settings.

    Returns:
        The media itself, or ``{"inputs": base64, "parameters": {...}}`` where there are parameters.
    """
    media = inputs[0]
    if not settings.parameters:
        return media
    return with_parameters({"inputs": to_base64(media)}, settings)


def _labelled_media_body(inputs: Sequence[Media | LabelledMedia], settings: Settings) -> JSONObject:
    """As ``media_body`` with parameters; the labels are those of the row, where a column brings them."""
    item = inputs[0]
    parameters = dict(settings.parameters)
    if isinstance(item, LabelledMedia):
        parameters["candidate_labels"] = list(item.labels)
    return {"inputs": to_base64(loaded_media(item)), "parameters": parameters}


def _question_body(key: str) -> Body:
    """Body of a question on an image: ``{"inputs": {key: base64, "question": ...}}``."""

    def body(inputs: Sequence[MediaQuestion], settings: Settings) -> JSONObject:
        item = inputs[0]
        return with_parameters({"inputs": {key: to_base64(loaded_media(item)), "question": item.question}}, settings)

    return body


def _image_chat_body(inputs: Sequence[Media | PromptedMedia], settings: Settings) -> JSONObject:
    """One user message with the image as a ``data:`` URI and the prompt beside it (OpenAI's form of images in chat)."""
    item = inputs[0]
    prompt = item.prompt if isinstance(item, PromptedMedia) else _DEFAULT_PROMPT
    content: list[JSONObject] = [
        {"type": "text", "text": prompt},
        {"type": "image_url", "image_url": {"url": _data_uri(loaded_media(item))}},
    ]
    messages: list[JSONObject] = [{"role": "user", "content": content}]
    if settings.system_prompt:
        messages.insert(0, {"role": "system", "content": settings.system_prompt})
    return {"model": settings.model, "messages": messages, **settings.parameters}


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
        body=media_body,
        read=read_scores,
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
        body=_question_body("image"),
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
        body=media_body,
        read=read_objects,
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
        body=_labelled_media_body,
        read=read_zero_shot,
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
        body=_labelled_media_body,
        read=read_named_objects,
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
        body=media_body,
        read=read_text("generated_text", "image-to-text"),
    ),
    Task(
        name="image-text-to-text",
        description="Answers a prompt about an image, as an assistant does",
        default_model="Qwen/Qwen2.5-VL-7B-Instruct",
        columns=(*IMAGE, PROMPT),
        combine=PromptedMedia,
        body=_image_chat_body,
        read=read_chat,
        arguments=frozenset({"prompt_template", "system_prompt"}),
        protocol="chat",
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
        body=media_body,
        read=read_transcript,
        explained=True,
    ),
)
