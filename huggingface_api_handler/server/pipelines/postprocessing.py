"""From what pipelines give to the answers recorded from Hugging Face."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from . import media_codecs


def to_json(value: Any) -> Any:
    """`value` in the types of JSON: numbers and lists for numpy's and torch's, base64 of a PNG for an image."""
    if value is None or isinstance(value, (str, bool, int, float)):
        return value
    if isinstance(value, Mapping):
        return {str(name): to_json(part) for name, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [to_json(part) for part in value]
    if hasattr(value, "tolist"):
        return value.tolist()
    if hasattr(value, "save") and hasattr(value, "getbands"):
        return media_codecs.encode_png_base64(value)
    return str(value)


def unwrap_single(answer: Any) -> Any:
    """A pipeline's answer to one input, without the list around it that some pipelines make."""
    answer = to_json(answer)
    while isinstance(answer, list) and len(answer) == 1 and isinstance(answer[0], (list, dict)):
        answer = answer[0]
    return answer


def as_list(answer: Any) -> Any:
    """As `one`, and always a list of the findings."""
    answer = unwrap_single(answer)
    return [answer] if isinstance(answer, dict) else answer


def as_detections(answer: Any) -> Any:
    """A list that may be empty, or hold the one thing that was found."""
    answer = to_json(answer)
    while isinstance(answer, list) and len(answer) == 1 and isinstance(answer[0], list):
        answer = answer[0]
    return answer


def sort_by_score(answer: Any) -> Any:
    """Labels with scores, the highest first."""
    return sorted(as_list(answer), key=lambda item: item["score"], reverse=True)


def as_segments(answer: Any) -> Any:
    """Segments with masks as base64 PNG; a semantic segment has no score, so it carries none."""
    return [
        {name: part for name, part in segment.items() if name != "score" or part is not None}
        for segment in as_list(answer)
    ]


def as_transcript(answer: Any) -> Any:
    """`{"text"}`, and `chunks` where times were asked for."""
    answer = unwrap_single(answer)
    return {name: answer[name] for name in ("text", "chunks") if name in answer}


def depth_map_file(answer: Any) -> Any:
    """A PNG file, nearness as grey. The tensor is left out: as JSON it would be a hundred times larger."""
    return media_codecs.image_file(_only(answer)["depth"])


def audio_file(answer: Any) -> Any:
    """A FLAC file."""
    made = _only(answer)
    return media_codecs.audio_file(made["audio"], int(made["sampling_rate"]))


def _only(answer: Any) -> Any:
    return answer[0] if isinstance(answer, list) else answer
