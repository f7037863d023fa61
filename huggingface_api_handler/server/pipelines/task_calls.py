"""How each task that reads or finds something calls its pipeline for one input."""

from __future__ import annotations

import importlib
from typing import Any

from ..protocol.errors import invalid_field
from . import media_codecs


def call_with_input(pipeline: Any, item: Any, parameters: dict[str, Any]) -> Any:
    """The input and the parameters as they are."""
    return pipeline(item, **parameters)


def call_with_image(pipeline: Any, item: bytes, parameters: dict[str, Any]) -> Any:
    """An image as the input."""
    return pipeline(media_codecs.decode_image(item), **parameters)


def call_with_image_and_labels(pipeline: Any, item: bytes, parameters: dict[str, Any]) -> Any:
    """An image and `candidate_labels`."""
    return pipeline(media_codecs.decode_image(item), **_with_labels(parameters))


def call_with_audio(pipeline: Any, item: bytes, parameters: dict[str, Any]) -> Any:
    """Sound as the input, at the rate the model was trained with."""
    return pipeline(media_codecs.decode_audio(item, pipeline.feature_extractor.sampling_rate), **parameters)


def call_with_video(pipeline: Any, item: bytes, parameters: dict[str, Any]) -> Any:
    """A video as the input."""
    av: Any = importlib.import_module("av")
    with media_codecs.temporary_video_file(item) as path:
        try:
            return pipeline(path, **parameters)
        except av.FFmpegError as error:
            raise invalid_field("inputs", f"Malformed video: {error.strerror}") from None


def call_with_text_and_labels(pipeline: Any, item: str, parameters: dict[str, Any]) -> Any:
    """A text and `candidate_labels`."""
    return pipeline(item, **_with_labels(parameters))


def call_with_context(pipeline: Any, item: tuple[str, str], parameters: dict[str, Any]) -> Any:
    """A question and the text that holds the answer."""
    return pipeline(question=item[0], context=item[1], **parameters)


def call_with_table(pipeline: Any, item: tuple[str, dict[str, list[str]]], parameters: dict[str, Any]) -> Any:
    """A question and a table of texts."""
    return pipeline(table=item[1], query=item[0], **parameters)


def call_with_image_question(pipeline: Any, item: tuple[bytes, str], parameters: dict[str, Any]) -> Any:
    """An image and a question."""
    return pipeline(media_codecs.decode_image(item[0]), item[1], **parameters)


def call_with_document(pipeline: Any, item: tuple[bytes, str], parameters: dict[str, Any]) -> Any:
    """A page and a question; `word_boxes` are its words as `[word, [left, top, right, bottom]]`, in thousandths."""
    parameters = dict(parameters)
    boxes = parameters.pop("word_boxes", None)
    asked: dict[str, Any] = {"image": media_codecs.decode_image(item[0]), "question": item[1]}
    if boxes is not None:
        asked["word_boxes"] = _word_boxes(boxes)
    return pipeline(asked, **parameters)


def _with_labels(parameters: dict[str, Any]) -> dict[str, Any]:
    given = parameters.get("candidate_labels")
    if given is None:
        raise invalid_field("parameters.candidate_labels", "field required")
    labels = given.split(",") if isinstance(given, str) else given
    if not isinstance(labels, list) or not all(isinstance(label, str) for label in labels):
        raise invalid_field("parameters.candidate_labels", f"expected a list of strings, got {given!r:.80}")
    labels = [label.strip() for label in labels if label.strip()]
    if not labels:
        raise invalid_field("parameters.candidate_labels", "no label given, name at least one")
    template = parameters.get("hypothesis_template", "{}")
    if not isinstance(template, str) or "{}" not in template:
        raise invalid_field("parameters.hypothesis_template", "expected a text with {} where the label goes")
    return {**parameters, "candidate_labels": labels}


def _word_boxes(boxes: Any) -> list[tuple[str, list[float]]]:
    try:
        pairs = [(word, [float(edge) for edge in box]) for word, box in boxes]
    except (TypeError, ValueError):
        pairs = []
    if not pairs or not all(isinstance(word, str) and len(box) == 4 for word, box in pairs):
        raise invalid_field("parameters.word_boxes", "expected a list of [word, [left, top, right, bottom]]")
    return [(word, [round(edge) for edge in box]) for word, box in pairs]
