"""Tasks that make images, audio and video. The target is a ``data:`` URI, or a file under the engine's output_dir."""

from __future__ import annotations

import binascii
from base64 import b64decode
from collections.abc import Sequence
from typing import Any

from ..errors import UnreadableAnswer
from .base import TEXT, Column, Media, Prediction, Read, Settings, Task, text_body, unreadable, unwrap
from .media_understanding import AUDIO, IMAGE, base64_of, media_body

PROMPT = Column("prompt_column", required=False)


def read_generated_media(task: str, *keys: str) -> Read:
    """Reader of media: the response's bytes themselves, or base64 under one of ``keys`` of a JSON answer."""

    def read(answer: Any, _input: Any, _settings: Settings) -> Prediction:
        media = answer if isinstance(answer, Media) else _decoded(unwrap(answer), keys, task)
        return Prediction(media, None, {"content_type": media.content_type, "bytes": len(media.data)})

    return read


def _decoded(answer: Any, keys: Sequence[str], task: str) -> Media:
    text = (
        next((answer[key] for key in keys if isinstance(answer.get(key), str)), None)
        if isinstance(answer, dict)
        else None
    )
    if text is None:
        raise unreadable(task, answer)
    declared = answer.get("content-type") or answer.get("content_type")
    if text.startswith("data:"):
        head, _, text = text.partition(",")
        declared = head.removeprefix("data:").partition(";")[0]
    try:
        data = b64decode(text, validate=True)
    except (ValueError, binascii.Error):
        raise UnreadableAnswer(f"the server's answer to {task} is not base64") from None
    if not data:
        raise UnreadableAnswer(f"the server's answer to {task} is empty")
    return Media(data, declared if isinstance(declared, str) and declared else "application/octet-stream")


def prompted_media_body(inputs: Sequence[Any], settings: Settings) -> dict[str, Any] | Media:
    """As ``media_body``; the prompt is the row's, where a column brings it."""
    if isinstance(inputs[0], Media):
        return media_body(inputs, settings)
    media, prompt = inputs[0]
    return {"inputs": base64_of(media), "parameters": {**settings.parameters, "prompt": prompt}}


def read_separated(answer: Any, _input: Any, _settings: Settings) -> Prediction:
    """The first track of ``[{"blob", "content-type", "label"}, ...]``, and every track's label, type and size."""
    if isinstance(answer, Media):
        return Prediction(answer, None, [{"content_type": answer.content_type, "bytes": len(answer.data)}])
    tracks = answer if isinstance(answer, list) else [answer]
    decoded = [_decoded(track, ("blob",), "audio-to-audio") for track in tracks]
    if not decoded:
        raise unreadable("audio-to-audio", answer)
    explain = [
        {"label": track.get("label"), "content_type": media.content_type, "bytes": len(media.data)}
        for track, media in zip(tracks, decoded, strict=True)
    ]
    return Prediction(decoded[0] if len(decoded) == 1 else decoded, None, explain)


def _from_text(name: str, description: str, default_model: str | None, *keys: str, **more: Any) -> Task:
    return Task(
        name=name,
        description=description,
        default_model=default_model,
        columns=TEXT,
        body=text_body,
        read=read_generated_media(name, *keys),
        deterministic=False,
        explained=True,
        makes_media=True,
        **more,
    )


def _from_image(name: str, description: str, *keys: str, prompted: bool = True, **more: Any) -> Task:
    return Task(
        name=name,
        description=description,
        columns=(*IMAGE, PROMPT) if prompted else IMAGE,
        body=prompted_media_body,
        read=read_generated_media(name, *keys),
        deterministic=False,
        explained=True,
        makes_media=True,
        **more,
    )


TASKS = (
    _from_text("text-to-image", "Draws an image of a text", "black-forest-labs/FLUX.1-dev", "image", "b64_json"),
    _from_text("text-to-video", "Makes a video of a text", None, "video"),
    _from_text("text-to-speech", "Speaks a text", None, "audio", aliases=("tts",)),
    _from_text("text-to-audio", "Makes sound or music of a text", None, "audio"),
    _from_image("image-to-image", "Changes an image as a prompt says", "image"),
    _from_image("image-to-video", "Makes a video of an image", "video"),
    _from_image("image-text-to-image", "Makes an image of an image and a prompt", "image"),
    _from_image("image-text-to-video", "Makes a video of an image and a prompt", "video"),
    _from_image("depth-estimation", "Says how far each point of an image is", "depth", "image", prompted=False),
    Task(
        name="audio-to-audio",
        description="Cleans or separates sound",
        columns=AUDIO,
        body=media_body,
        read=read_separated,
        explained=True,
        makes_media=True,
        spec="",
    ),
)
