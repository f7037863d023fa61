"""How each task that classifies, extracts or answers calls its pipeline for one input.

Each function takes the pipeline, one input and the task's parameters. Most return what the pipeline returns.
"""

from __future__ import annotations

import importlib
from typing import Any

from ..protocol.errors import HTTPError, invalid_field
from ..protocol.json_types import Parameters
from ..protocol.media_limits import MAX_VIDEO_FRAMES
from ..protocol.parameters import get_candidate_labels, get_choice, get_positive_int
from ..protocol.structured_inputs import ContextQuestion, ImageQuestion, TableQuestion
from ..protocol.zero_shot_forms import OUTPUT_FORMAT, OUTPUT_FORMATS
from . import media_codecs
from .transformers_types import Pipeline

# What most models of video take.
_DEFAULT_FRAMES = 16
_DEFAULT_TEMPLATE = "This example is {}."
"""That of transformers."""


def call_with_input(pipeline: Pipeline, item: str, parameters: Parameters) -> object:
    """Call with the input as it is.

    Args:
        pipeline: The loaded pipeline.
        item: A text.
        parameters: Its parameters.

    Returns:
        What the pipeline returns.
    """
    return pipeline(item, **parameters)


def call_with_image(pipeline: Pipeline, item: bytes, parameters: Parameters) -> object:
    """Call with an image.

    Args:
        pipeline: The loaded pipeline.
        item: An image file.
        parameters: Its parameters.

    Returns:
        What the pipeline returns.

    Raises:
        HTTPError: 400 for what is no image.
    """
    return pipeline(media_codecs.decode_image(item), **parameters)


def call_with_image_and_labels(pipeline: Pipeline, item: bytes, parameters: Parameters) -> object:
    """Call with an image and `candidate_labels`.

    Args:
        pipeline: The loaded pipeline.
        item: An image file.
        parameters: Its parameters, `candidate_labels` among them.

    Returns:
        What the pipeline returns.

    Raises:
        HTTPError: 400 for what is no image, and for bad labels.
    """
    return pipeline(media_codecs.decode_image(item), **_with_labels(parameters))


def call_with_audio(pipeline: Pipeline, item: bytes, parameters: Parameters) -> object:
    """Call with audio, at the sample rate that the model was trained with.

    Args:
        pipeline: The loaded pipeline.
        item: An audio file.
        parameters: Its parameters.

    Returns:
        What the pipeline returns.

    Raises:
        HTTPError: 400 for what is no audio.
    """
    return pipeline(media_codecs.decode_audio(item, pipeline.feature_extractor.sampling_rate), **parameters)


def call_with_video(pipeline: Pipeline, item: bytes, parameters: Parameters) -> object:
    """Call with a video.

    Args:
        pipeline: The loaded pipeline.
        item: A video file.
        parameters: Its parameters.

    Returns:
        What the pipeline returns.

    Raises:
        HTTPError: 400 for what is no video and for too many frames, 413 for too large ones.
    """
    av: Any = importlib.import_module("av")
    default: int = getattr(pipeline.model.config, "num_frames", _DEFAULT_FRAMES)
    num_frames = get_positive_int(parameters, "num_frames") or default
    if num_frames > MAX_VIDEO_FRAMES:
        raise invalid_field("parameters.num_frames", f"{num_frames}, {MAX_VIDEO_FRAMES} is the most")
    with media_codecs.temporary_video_file(item) as path:
        try:
            media_codecs.check_video(path, num_frames)
            return pipeline(path, **parameters)
        except av.FFmpegError as error:
            raise invalid_field("inputs", f"Malformed video: {error.strerror}") from None


def call_with_text_and_labels(pipeline: Pipeline, item: str, parameters: Parameters) -> object:
    """Call with a text and `candidate_labels`.

    Args:
        pipeline: The loaded pipeline.
        item: A text.
        parameters: Its parameters, `candidate_labels` among them.

    Returns:
        Labels with scores, the highest first; with `output_format` object, what the pipeline returns.

    Raises:
        HTTPError: 400 for bad labels, and for another `output_format`.
    """
    as_object = get_choice(parameters, OUTPUT_FORMAT, OUTPUT_FORMATS) == "object"
    own = {name: value for name, value in parameters.items() if name != OUTPUT_FORMAT}
    output: Any = pipeline(item, **_with_labels(own))
    if as_object:
        return output
    [scores] = output if isinstance(output, list) else [output]
    return [{"label": label, "score": score} for label, score in zip(scores["labels"], scores["scores"], strict=True)]


def hypotheses(parameters: Parameters) -> list[str]:
    """The sentences with each of which a text is read where labels are chosen from.

    Args:
        parameters: The task's parameters, `candidate_labels` among them.

    Returns:
        One sentence for each label.

    Raises:
        HTTPError: 400 for bad labels, and for a template without {}.
    """
    checked = _with_labels(parameters)
    template = str(checked.get("hypothesis_template", _DEFAULT_TEMPLATE))
    return [template.replace("{}", label) for label in get_candidate_labels(parameters)]


def call_with_fields(pipeline: Pipeline, item: ContextQuestion | TableQuestion, parameters: Parameters) -> object:
    """Call with a question and what holds the answer, each under its own name.

    Args:
        pipeline: The loaded pipeline.
        item: Question and context, or query and table.
        parameters: Its parameters.

    Returns:
        What the pipeline returns.
    """
    return pipeline(**item._asdict(), **parameters)


def call_with_image_question(pipeline: Pipeline, item: ImageQuestion, parameters: Parameters) -> object:
    """Call with an image and a question.

    Args:
        pipeline: The loaded pipeline.
        item: An image file and the question.
        parameters: Its parameters.

    Returns:
        What the pipeline returns.

    Raises:
        HTTPError: 400 for what is no image.
    """
    return pipeline(media_codecs.decode_image(item.image), item.question, **parameters)


def call_with_document(pipeline: Pipeline, item: ImageQuestion, parameters: Parameters) -> object:
    """Call with a page and a question.

    Args:
        pipeline: The loaded pipeline.
        item: An image file of the page and the question.
        parameters: Its parameters. `word_boxes` are the page's words as `[word, [left, top, right, bottom]]`, in
            thousandths of its width and height.

    Returns:
        What the pipeline returns.

    Raises:
        HTTPError: 400 for what is no image, and for bad boxes.
    """
    parameters = dict(parameters)
    word_boxes = parameters.pop("word_boxes", None)
    document: dict[str, object] = {"image": media_codecs.decode_image(item.image), "question": item.question}
    if word_boxes is not None:
        document["word_boxes"] = _checked_word_boxes(word_boxes)
    return pipeline(document, **parameters)


def _with_labels(parameters: Parameters) -> dict[str, object]:
    labels = get_candidate_labels(parameters)
    template = parameters.get("hypothesis_template", "{}")
    if not isinstance(template, str) or "{}" not in template:
        raise invalid_field("parameters.hypothesis_template", "expected a text with {} where the label goes")
    return {**parameters, "candidate_labels": labels}


def _checked_word_boxes(word_boxes: object) -> list[tuple[str, list[int]]]:
    checked = [_checked_word_box(pair) for pair in word_boxes] if isinstance(word_boxes, list) else []
    if not checked:
        raise _invalid_word_boxes()
    return checked


def _checked_word_box(pair: object) -> tuple[str, list[int]]:
    if not isinstance(pair, list) or len(pair) != 2:
        raise _invalid_word_boxes()
    word, box = pair
    if not isinstance(word, str) or not isinstance(box, list) or len(box) != 4:
        raise _invalid_word_boxes()
    try:
        return word, [round(float(edge)) for edge in box]
    except (TypeError, ValueError, OverflowError):
        raise _invalid_word_boxes() from None


def _invalid_word_boxes() -> HTTPError:
    return invalid_field("parameters.word_boxes", "expected a list of [word, [left, top, right, bottom]]")
