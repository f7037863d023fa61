"""Media that a model made, found in JSON: base64, ``data:`` URIs, samples of sound, and links, alone or under keys.

Hugging Face's own toolkit sends base64 alone, or a sound as numbers; others have keys of their own for the same.
"""

from __future__ import annotations

import re
from typing import Any, NamedTuple

from ...errors import UnreadableAnswer
from ...pieces import decode_base64
from ...tasks import Media
from ...tasks.base import unreadable, unwrap
from ..media.sniffing import UNKNOWN_TYPE, content_type_of
from ..media.wav import to_wav
from .hf_splits import split_one_to_one

_KEYS = ("image", "video", "audio", "depth", "b64_json", "blob", "url", "images", "videos", "data")
_MAX_LEVELS = 6  # {"data": [{"image": {"url": ...}}]} has five
_CONTENT_TYPE = re.compile(r"[\w.+-]+/[\w.+-]+(\s*;[\x20-\x7e]*)?", re.A)
_LINK = re.compile(r"\s*https?://", re.I)
_WHITESPACE = b" \t\r\n"
_WHAT = "a task that makes media"


class MediaLink(NamedTuple):
    """Where a server says that the media is."""

    url: str


def split_media(answer: object, count: int) -> list[Any]:
    """The media of an answer to one input.

    Args:
        answer: ``Media``, or parsed JSON (see ``find_media``).
        count: The number of inputs that the request carried, which is one.

    Returns:
        ``Media`` as the only part.

    Raises:
        UnreadableAnswer: The answer holds none, or only a link to it.
    """
    if count != 1:
        raise UnreadableAnswer(f"{count} inputs were answered with one file at most")
    (part,) = split_one_to_one(answer, count)
    if isinstance(part, Media):
        return [part]
    found = find_media(part)
    if isinstance(found, MediaLink):
        raise UnreadableAnswer(
            "the server answers with the address of a file, which is not fetched. Have it send base64"
        )
    return [found]


def find_media(answer: object) -> Media | MediaLink:
    """Find the media in the JSON of an answer.

    Args:
        answer: Base64 or a ``data:`` URI, alone, under a key such as ``image`` or ``b64_json``, or in a list under
            ``images`` or ``data``, of which the first counts. ``{"audio": [[number, ...]], "sampling_rate"}`` is a
            sound.

    Returns:
        The media, its content type found_type by its bytes; or the link that stands in its place.

    Raises:
        UnreadableAnswer: The answer holds none.
    """
    value, declared, is_named = unwrap(answer), None, False
    for _ in range(_MAX_LEVELS):
        if isinstance(value, str):
            return MediaLink(value.strip()) if _LINK.match(value) else _decoded(value, declared, is_named)
        if isinstance(value, list) and value and is_named:
            value = value[0]
            continue
        if not isinstance(value, dict):
            break
        if isinstance(value.get("audio"), list) and "sampling_rate" in value:
            return Media(to_wav(value["audio"], value["sampling_rate"]), "audio/wav")
        declared = value.get("content-type") or value.get("content_type") or declared
        value = next((value[key] for key in _KEYS if isinstance(value.get(key), (str, list, dict))), None)
        is_named = True
    raise unreadable(_WHAT, answer)


def _decoded(text: str, declared: object, is_named: bool) -> Media:
    is_uri = text[:5].lower() == "data:"
    if is_uri:
        head, _, text = text.partition(",")
        declared = head[5:].partition(";")[0]
    try:
        data = decode_base64(text, ignored=_WHITESPACE)
    except ValueError:
        raise UnreadableAnswer("the server's answer to a task that makes media is not base64") from None
    if not data:
        raise UnreadableAnswer("the server's answer to a task that makes media is empty")
    found_type = content_type_of(data)
    if found_type != UNKNOWN_TYPE:
        return Media(data, found_type)
    if not is_named and not is_uri:  # a word of four letters is base64 too
        raise UnreadableAnswer("the server answers with a text instead of media")
    return Media(data, declared if isinstance(declared, str) and _CONTENT_TYPE.fullmatch(declared) else UNKNOWN_TYPE)
