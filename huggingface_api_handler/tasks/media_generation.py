"""Tasks that make images, audio and video. The target is a ``data:`` URI, or a file under the engine's output_dir."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import partial

from ..errors import UnreadableAnswer
from ..pieces import decode_base64
from .base import MEGABYTE, Prediction, Read, Settings, Task, unreadable, unwrap
from .input_types import Input, Media, PromptedMedia
from .media_understanding import AUDIO, IMAGE, PROMPT

_CONTENT_TYPE = re.compile(r"[\w.+-]+/[\w.+-]+(\s*;[\x20-\x7e]*)?", re.A)


def read_generated_media(task: str, *keys: str) -> Read:
    """A reader of media: the response's bytes themselves, or base64 under one of ``keys`` of a JSON answer.

    Args:
        task: the task's name, for the error.
        keys: under which the base64 may stand.

    Returns:
        A function of answer, input and settings that makes the prediction, or raises UnreadableAnswer. The target is
        ``Media``, and ``explain`` is ``{"content_type", "bytes"}``.
    """

    def read(answer: object, _input: Input, _settings: Settings) -> Prediction:
        media = answer if isinstance(answer, Media) else _decoded(unwrap(answer), keys, task)
        return Prediction(media, None, {"content_type": media.content_type, "bytes": len(media.data)})

    return read


def _decoded(answer: object, keys: Sequence[str], task: str) -> Media:
    if not isinstance(answer, dict):
        raise unreadable(task, answer)
    text = next((answer[key] for key in keys if isinstance(answer.get(key), str)), None)
    if text is None:
        raise unreadable(task, answer)
    declared = answer.get("content-type") or answer.get("content_type")
    if text.startswith("data:"):
        head, _, text = text.partition(",")
        declared = head.removeprefix("data:").partition(";")[0]
    try:
        data = decode_base64(text)
    except ValueError:
        raise UnreadableAnswer(f"the server's answer to {task} is not base64") from None
    if not data:
        raise UnreadableAnswer(f"the server's answer to {task} is empty")
    is_named = isinstance(declared, str) and _CONTENT_TYPE.fullmatch(declared) is not None
    return Media(data, str(declared) if is_named else "application/octet-stream")


def read_tracks(answer: object, _input: Input, _settings: Settings) -> Prediction:
    """The track, or the list of all of them, and every track's label, type and size in bytes.

    Args:
        answer: ``[{"blob": base64, "content-type", "label"}, ...]``, one of these, or the bytes of one track.

    Returns:
        For the target the ``Media`` of a single track, or the list of several. ``explain`` is
        ``[{"label", "content_type", "bytes"}, ...]``, one for each track; without ``label`` where bytes came.

    Raises:
        UnreadableAnswer: the answer has another shape, or no track.
    """
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


_SOUND_ADVICE = (
    ". A sound in numbers is read of up to some 20 seconds. Send shorter texts, or ask a server that sends its bytes"
)

_LONG_TEXT_ADVICE = (
    "One image, sound or video is made of the whole text, so that it is not asked in parts. Shorten the text"
)

_media_task = partial(Task, explained=True, makes_media=True, max_answer_bytes=32 * MEGABYTE)


def _from_text(
    name: str,
    description: str,
    default_model: str | None,
    *keys: str,
    aliases: tuple[str, ...] = (),
    more_parameters: Mapping[str, type] | None = None,
    advice_if_too_large: str = "",
) -> Task:
    return _media_task(
        name=name,
        description=description,
        default_model=default_model,
        aliases=aliases,
        more_parameters=more_parameters or {},
        advice_if_too_large=advice_if_too_large,
        long_text_advice=_LONG_TEXT_ADVICE,
        read=read_generated_media(name, *keys),
        deterministic=False,
    )


def _from_image(name: str, description: str, *keys: str, prompted: bool = True) -> Task:
    return _media_task(
        name=name,
        description=description,
        columns=(*IMAGE, PROMPT) if prompted else IMAGE,
        combine=PromptedMedia if prompted else None,
        long_text_advice=_LONG_TEXT_ADVICE if prompted else "",
        read=read_generated_media(name, *keys),
        deterministic=False,
    )


TASKS = (
    _from_text("text-to-image", "Draws an image of a text", "black-forest-labs/FLUX.1-dev", "image", "b64_json"),
    _from_text("text-to-video", "Makes a video of a text", None, "video"),
    _from_text(
        "text-to-speech",
        "Speaks a text",
        None,
        "audio",
        aliases=("tts",),
        more_parameters={"voice": str, "speed": float, "instructions": str, "response_format": str},
        advice_if_too_large=_SOUND_ADVICE,
    ),
    _from_text("text-to-audio", "Makes sound or music of a text", None, "audio", advice_if_too_large=_SOUND_ADVICE),
    _from_image("image-to-image", "Changes an image as a prompt says", "image"),
    _from_image("image-to-video", "Makes a video of an image", "video"),
    _from_image("image-text-to-image", "Makes an image of an image and a prompt", "image"),
    _from_image("image-text-to-video", "Makes a video of an image and a prompt", "video"),
    _from_image("depth-estimation", "Says how far each point of an image is", "depth", "image", prompted=False),
    _media_task(
        name="audio-to-audio", description="Cleans or separates sound", columns=AUDIO, read=read_tracks, spec=""
    ),
)
