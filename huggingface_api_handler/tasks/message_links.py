"""What the parts of a chat's messages name for the model server to fetch: images, sounds, videos and files.

Parts as OpenAI and the servers that follow it have them: ``{"type": "image_url", "image_url": {"url": "https://..."}}``,
``video_url``, ``audio_url``, ``input_audio``, ``file`` and others. What is text is not read.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

_MEDIA_KEYS = frozenset(
    {"image_url", "video_url", "audio_url", "file_url", "image", "video", "audio", "images", "url", "path"}
)
"""Under these a text is an address, whatever it looks like: servers open paths too."""

_TEXT_KEYS = frozenset({"text", "role", "name", "type", "filename", "arguments", "refusal"})
_ADDRESS = re.compile(r"\s*(?:[a-z][a-z0-9+.-]*://|file:)", re.I)
_MAX_ADDRESS_CHARS = 8192  # a longer text without a scheme is the media itself, in base64


def links_of(messages: Iterable[Mapping[str, Any]]) -> tuple[str, ...]:
    """The addresses that messages name.

    Args:
        messages: The messages of one conversation.

    Returns:
        Each address once, as it is written; no ``data:`` URIs, which name nothing else.

    >>> links_of([{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "https://a.example/b.png"}}]}])
    ('https://a.example/b.png',)
    >>> links_of([{"role": "user", "content": "see https://a.example"}])
    ()
    """
    return tuple(dict.fromkeys(text for message in messages for text in _links_in(message)))


def _links_in(message: Mapping[str, Any]) -> Iterator[str]:
    # Without recursion: JSON may be nested deeper than Python calls may.
    open_values: list[tuple[object, bool]] = [(part, False) for key, part in message.items() if _is_read(key, part)]
    while open_values:
        value, is_media = open_values.pop()
        if isinstance(value, Mapping):
            parts = [(key, part) for key, part in value.items() if key not in _TEXT_KEYS]
            open_values += [(part, key in _MEDIA_KEYS) for key, part in parts]
        elif isinstance(value, (list, tuple)):
            open_values += [(each, is_media) for each in value]
        elif isinstance(value, str) and _is_link(value, is_media):
            yield value


def _is_read(key: str, part: object) -> bool:
    return key not in _TEXT_KEYS and not (key == "content" and isinstance(part, str))


def _is_link(text: str, is_media: bool) -> bool:
    if text.lstrip()[:5].lower() == "data:":
        return False
    if _ADDRESS.match(text):
        return True
    return is_media and 0 < len(text) <= _MAX_ADDRESS_CHARS
