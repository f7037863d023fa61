"""Inputs have types with names, and are stored under what 0.1.0 stored them under: their plain cells."""

from __future__ import annotations

from typing import get_args

import pytest

from huggingface_api_handler.tasks.input_types import (
    ContextQuestion,
    Conversation,
    Input,
    LabelledMedia,
    LabelledText,
    Media,
    MediaQuestion,
    MediaRef,
    PromptedMedia,
    PromptFields,
    Repair,
    SeveralCells,
    TableQuestion,
    TableRow,
    TextPair,
    cells_of,
    loaded_media,
    media_in,
    text_length,
    with_media,
)

REF = MediaRef(b"png", "image")
IMAGE = Media(b"png", "image/png")
PLAIN: list[tuple[Input, object]] = [
    ("text", "text"),
    (IMAGE, IMAGE),
    (REF, REF),
    (TextPair("a", "b"), ("a", "b")),
    (LabelledText("a", ("x", "y")), ("a", ("x", "y"))),
    (ContextQuestion("q?", "c"), ("q?", "c")),
    (TableQuestion("q?", "{}"), ("q?", "{}")),
    (LabelledMedia(IMAGE, ("x",)), (IMAGE, ("x",))),
    (MediaQuestion(IMAGE, "q?"), (IMAGE, "q?")),
    (PromptedMedia(IMAGE, "p"), (IMAGE, "p")),
    (TableRow(("1", "x")), ("1", "x")),
    (Conversation("[]"), "[]"),
    (Repair("p", "a", "c"), Repair("p", "a", "c")),
    (PromptFields((("b", "1"), ("a", "2"))), (("a", "2"), ("b", "1"))),
]


def test_every_type_of_input_is_in_this_table() -> None:
    assert {type(item) for item, _ in PLAIN} == {*get_args(Input), *get_args(SeveralCells)}


@pytest.mark.parametrize(("item", "cells"), PLAIN, ids=lambda value: type(value).__name__)
def test_an_input_is_stored_under_its_plain_cells(item: Input, cells: object) -> None:
    assert cells_of(item) == cells
    assert type(cells_of(item)) is type(cells)
    assert text_length(item) > 0 and hash(item) == hash(item)


@pytest.mark.parametrize(
    "item", [REF, LabelledMedia(REF, ("x",)), MediaQuestion(REF, "q?"), PromptedMedia(REF, "p")], ids=repr
)
def test_media_is_loaded_in_its_place(item: Input) -> None:
    assert media_in(item) == REF
    with pytest.raises(TypeError, match="no loaded media"):
        loaded_media(item)
    loaded = with_media(item, IMAGE)
    assert loaded_media(loaded) == IMAGE
    assert type(loaded) is (Media if item is REF else type(item))


def test_a_text_has_no_media() -> None:
    assert media_in("text") is None and media_in(TextPair("a", "b")) is None
