"""What a conversation names for the model server to fetch."""

from __future__ import annotations

import json
from typing import Any

import pytest

from huggingface_api_handler.tasks.message_links import links_of

META = "http://169.254.169.254/latest"


def user(*parts: Any, **more: Any) -> list[dict[str, Any]]:
    return [{"role": "user", "content": list(parts), **more}]


@pytest.mark.parametrize(
    "messages",
    [
        user({"type": "image_url", "image_url": {"url": META}}),
        user({"type": "image_url", "image_url": META}),
        user({"type": "text", "text": "see"}, {"type": "video_url", "video_url": {"url": META}}),
        user({"type": "audio_url", "audio_url": {"url": META}}),
        user({"type": "input_audio", "input_audio": {"data": META, "format": "wav"}}),
        user({"type": "file", "file": {"file_data": META}}),
        user({"type": "file", "file": {"file_url": META}}),
        user({"type": "image", "image": META}),
        user({"type": "image", "source": {"type": "url", "url": META}}),
        user({"type": "unknown", "deep": [{"er": [META]}]}),
        [{"role": "user", "content": "look", "images": [META]}],
    ],
)
def test_every_way_to_name_an_address_is_found(messages: list[dict[str, Any]]) -> None:
    assert links_of(messages) == (META,)


@pytest.mark.parametrize(
    "path", ["file:///etc/passwd", "FILE:/etc/passwd", "/etc/passwd", "../secret.png", "c:\\x.png", "gopher://h/"]
)
def test_paths_and_other_schemes_are_found_where_media_is_named(path: str) -> None:
    assert links_of(user({"type": "image_url", "image_url": {"url": path}})) == (path,)


@pytest.mark.parametrize(
    "messages",
    [
        [{"role": "user", "content": f"what is at {META}?"}],
        [{"role": "user", "content": META}],
        user({"type": "text", "text": META}),
        user({"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA", "detail": "low"}}),
        user({"type": "image_url", "image_url": {"url": "/9j/" + "A" * 9000}}),
        user({"type": "input_audio", "input_audio": {"data": "UklGRg==", "format": "wav"}}),
        user({"type": "file", "file": {"file_id": "file-abc", "filename": "a: b.pdf"}}),
        [{"role": "assistant", "content": "", "tool_calls": [{"function": {"name": "f", "arguments": f'{{"u": "{META}"}}'}}]}],
    ],
)  # fmt: skip
def test_text_and_media_that_come_along_name_nothing(messages: list[dict[str, Any]]) -> None:
    assert links_of(messages) == ()


def test_messages_nested_as_deep_as_json_may_be_are_read() -> None:
    deep = json.loads("[" * 900 + json.dumps(META) + "]" * 900)
    assert links_of(user({"type": "x", "x": deep})) == (META,)
