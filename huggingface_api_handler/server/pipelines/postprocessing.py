"""From what pipelines return to the outputs recorded from Hugging Face."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol, TypedDict, runtime_checkable

import numpy.typing as npt

from ..protocol.json_types import JSON
from ..protocol.outputs import MediaFile
from . import media_codecs
from .transformers_types import PILImage


class DepthMap(TypedDict):
    """What a depth estimation pipeline returns, of which the image is used."""

    depth: PILImage


class GeneratedAudio(TypedDict):
    """What a text-to-audio pipeline returns: samples as `media_codecs.audio_file` takes them, and samples a second."""

    audio: npt.ArrayLike
    sampling_rate: int


@runtime_checkable
class _ArrayLike(Protocol):
    """An array or number of numpy or torch."""

    def tolist(self) -> JSON: ...


@runtime_checkable
class _ImageLike(PILImage, Protocol):
    """A Pillow image."""


def to_json(output: object) -> JSON:
    """Convert to the types of JSON.

    Args:
        output: What a pipeline returned, or a part of it.

    Returns:
        Numbers and lists for numpy's and torch's, base64 of a PNG file for an image.
    """
    if output is None or isinstance(output, (str, bool, int, float)):
        return output
    if isinstance(output, Mapping):
        return {str(name): to_json(part) for name, part in output.items()}
    if isinstance(output, (list, tuple)):
        return [to_json(part) for part in output]
    if isinstance(output, _ArrayLike):
        return output.tolist()
    if isinstance(output, _ImageLike):
        return media_codecs.encode_png_base64(output)
    return str(output)


def unwrap_single(output: object) -> JSON:
    """Take the output for one input out of the lists around it, which some pipelines make.

    Args:
        output: What a pipeline returned.

    Returns:
        The output for one input.
    """
    return _unwrap(output, (list, dict))


def as_list(output: object) -> list[JSON]:
    """Make a list of results, also where there is one.

    Args:
        output: What a pipeline returned.

    Returns:
        The results for one input.
    """
    value = unwrap_single(output)
    return value if isinstance(value, list) else [value]


def as_detections(output: object) -> JSON:
    """Make a list of what was found, which may be empty or have one entry.

    Args:
        output: What a pipeline returned.

    Returns:
        What was found in one input.
    """
    return _unwrap(output, (list,))


def sort_by_score(output: object) -> list[JSON]:
    """Sort labels with scores.

    Args:
        output: What a pipeline returned.

    Returns:
        The labels of one input, the highest score first.
    """
    return sorted(as_list(output), key=_score, reverse=True)


def as_segments(output: object) -> list[JSON]:
    """Make segments with masks as base64 PNG; a semantic segment has no score, so it carries none.

    Args:
        output: What a pipeline returned.

    Returns:
        The segments of one image.
    """
    return [
        {name: part for name, part in _mapping(segment).items() if name != "score" or part is not None}
        for segment in as_list(output)
    ]


def as_transcript(output: object) -> JSON:
    """Make a transcript.

    Args:
        output: What a pipeline returned.

    Returns:
        `{"text"}`, and `chunks` where timestamps were asked for.
    """
    transcript = _mapping(unwrap_single(output))
    return {name: transcript[name] for name in ("text", "chunks") if name in transcript}


def depth_map_file(output: DepthMap | list[DepthMap]) -> MediaFile:
    """Make a file of a depth map. Its tensor is left out: as JSON it would be a hundred times larger.

    Args:
        output: What a pipeline returned.

    Returns:
        A PNG file, nearness as grey.
    """
    depth_map = output[0] if isinstance(output, list) else output
    return media_codecs.image_file(depth_map["depth"])


def audio_file(output: GeneratedAudio | list[GeneratedAudio]) -> MediaFile:
    """Make a file of audio.

    Args:
        output: What a pipeline returned.

    Returns:
        A FLAC file.
    """
    generated = output[0] if isinstance(output, list) else output
    return media_codecs.audio_file(generated["audio"], int(generated["sampling_rate"]))


def _unwrap(output: object, kinds: tuple[type, ...]) -> JSON:
    """The output without lists of one around it, down to an item of other ``kinds``."""
    value = to_json(output)
    while isinstance(value, list) and len(value) == 1 and isinstance(value[0], kinds):
        [value] = value
    return value


def _mapping(value: JSON) -> Mapping[str, JSON]:
    if not isinstance(value, Mapping):
        raise TypeError(f"expected an object from the pipeline, got {type(value).__name__}")
    return value


def _score(value: JSON) -> float:
    score = _mapping(value)["score"]
    if not isinstance(score, int | float):
        raise TypeError(f"expected a number as score from the pipeline, got {type(score).__name__}")
    return score
