"""What is to become of long texts is said in one way, and only where something can become of them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from huggingface_api_handler.config.validation import engine_settings, merge_select_overrides, model_settings
from huggingface_api_handler.errors import InputError
from huggingface_api_handler.tasks import TASKS
from huggingface_api_handler.tasks.chunking import text_chunking

ENDPOINT = engine_settings({"endpoint": "http://127.0.0.1:1/models"})
CLASSIFICATION = {"task": "text-classification", "column": "t"}
SUMMARIES = {"task": "summarization", "column": "t"}
IMAGES = {"task": "image-classification", "column": "t"}


@pytest.fixture(autouse=True)
def tasks_that_cut_texts(monkeypatch: pytest.MonkeyPatch) -> None:
    chunking = text_chunking(lambda parts, _item, _settings: parts[0].answer)
    for name in ("text-classification", "summarization"):
        monkeypatch.setitem(TASKS, name, replace(TASKS[name], chunking=TASKS[name].chunking or chunking))
    monkeypatch.setitem(TASKS, "image-classification", replace(TASKS["image-classification"], chunking=None))


@pytest.mark.parametrize("way", ["auto", "chunk", "truncate", "error"])
def test_each_way_is_taken_where_texts_are_cut(way: str) -> None:
    assert model_settings({**CLASSIFICATION, "long_text": way}, ENDPOINT).long_text == way


def test_parts_of_what_has_none_are_refused() -> None:
    for way in ("chunk", "truncate"):
        with pytest.raises(InputError, match=f"long_text = '{way}' is not for image-classification"):
            model_settings({**IMAGES, "long_text": way}, ENDPOINT)
    for way in ("auto", "error"):
        assert model_settings({**IMAGES, "long_text": way}, ENDPOINT).long_text == way


@pytest.mark.parametrize("way", ["chunk", "truncate", "error"])
@pytest.mark.parametrize(
    "using",
    [
        {**CLASSIFICATION, "truncation": True},
        {**CLASSIFICATION, "truncate": True},  # another spelling of it
        {**CLASSIFICATION, "parameters": {"truncation": True}},
        {**SUMMARIES, "truncation": "longest_first"},
    ],
)
def test_a_text_is_cut_here_or_by_the_server(way: str, using: dict[str, Any]) -> None:
    with pytest.raises(InputError, match=f"long_text = '{way}' or truncation, not both"):
        model_settings({**using, "long_text": way}, ENDPOINT)
    assert model_settings({**using, "long_text": "auto"}, ENDPOINT).long_text == "auto"
    assert model_settings(using, ENDPOINT).long_text == "auto"


@pytest.mark.parametrize(
    "using", [{**CLASSIFICATION, "truncation": False}, {**SUMMARIES, "truncation": "do_not_truncate"}]
)
def test_a_server_that_is_told_not_to_cut_contradicts_nothing(using: dict[str, Any]) -> None:
    assert model_settings({**using, "long_text": "chunk"}, ENDPOINT).long_text == "chunk"


def test_a_select_contradicts_as_a_model_does() -> None:
    using = merge_select_overrides({**CLASSIFICATION, "truncation": True}, {"long_text": "chunk"})
    with pytest.raises(InputError, match="not both"):
        model_settings(using, ENDPOINT, statement="SELECT")
    using = merge_select_overrides({**CLASSIFICATION, "long_text": "chunk"}, {"max_chunks": "3"})
    assert model_settings(using, ENDPOINT, statement="SELECT").max_chunks == 3


@pytest.mark.parametrize("wrong", [{"long_text": "cut"}, {"max_chunks": 0}, {"max_chunks": 10_001}])
def test_a_wrong_value_is_named(wrong: dict[str, Any]) -> None:
    with pytest.raises(InputError, match=next(iter(wrong))):
        model_settings({**CLASSIFICATION, **wrong}, ENDPOINT)
