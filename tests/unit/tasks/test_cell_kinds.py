"""A column is refused by what its cells hold, however a database's driver hands them over."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import numpy as np
import pandas as pd
import pytest

from huggingface_api_handler.config.settings import EngineSettings
from huggingface_api_handler.config.validation import model_settings
from huggingface_api_handler.errors import InputError
from huggingface_api_handler.tasks import InvalidCell, read_inputs
from huggingface_api_handler.tasks.cell_kinds import kind_of

SOME_ID = UUID("123e4567-e89b-12d3-a456-426614174000")


def inputs_of(cells: Any, name: str = "t", **using: Any) -> list[Any]:
    using = {"task": "text-classification", "column": name, "model": "m", "target": "y", **using}
    settings = model_settings(using, EngineSettings(endpoint="https://e.example"))
    return list(read_inputs(settings.definition, pd.DataFrame({name: cells}), settings))


@pytest.mark.parametrize(
    ("cells", "kind"),
    [
        (pd.array([1, None], dtype="Int64"), "whole numbers"),
        (pd.Series([2**70, None], dtype=object), "whole numbers"),
        ([Decimal("1.50"), None], "numbers"),
        ([Decimal("1.50"), 2], "numbers"),
        (pd.Series([np.float32(1.5), None], dtype=object), "numbers"),
        (pd.Series([True, None], dtype=object), "booleans"),
        (pd.Series([np.True_, None], dtype=object), "booleans"),
        ([date(2026, 1, 1), None], "dates"),
        (pd.Series([datetime(2026, 1, 1), None], dtype=object), "dates"),
        ([time(10, 0), None], "times"),
        ([timedelta(days=1), None], "durations"),
        ([SOME_ID, None], "UUIDs"),
        ([{"a": 1}, None], "maps"),
        ([[1, 2], None], "lists"),
        ([np.array([1, 2]), None], "lists"),
        ([{"a": 1}, [1]], "maps and lists"),
        ([b"A", None], "bytes"),
        ([bytearray(b"A"), memoryview(b"A")], "bytes"),
        ([pd.Interval(0, 1), None], "values of the type Interval"),
        ([1, " ", "", None], "whole numbers"),
    ],
)
def test_a_column_without_any_text_is_refused_with_the_way_out(cells: Any, kind: str) -> None:
    with pytest.raises(InputError, match=rf"'My Column' holds {kind}, and .* AS `My Column` FROM") as refused:
        inputs_of(cells, "My Column")
    assert "CAST(`My Column` AS VARCHAR)" in str(refused.value)


def test_one_cell_of_another_kind_fails_alone() -> None:
    for cell in (5, Decimal(1), date(2026, 1, 1), [1], {"a": 1}, b"x", SOME_ID):
        first, other = inputs_of(["a", cell])
        assert first == "a" and isinstance(other, InvalidCell)


def test_a_column_is_read_where_its_task_reads_that_kind() -> None:
    assert len(inputs_of([b"\xff\xd8\xff", None], task="image-classification")) == 2
    messages = [[{"role": "user", "content": "hi"}]]
    assert len(inputs_of(messages, "m", task="chat", messages_column="m", column=None)) == 1
    with pytest.raises(InputError, match="holds whole numbers, and image-classification reads image") as refused:
        inputs_of([1, 2], task="image-classification")
    assert "CAST" not in str(refused.value), "a number as text is no image"


def test_a_template_writes_such_cells_as_text() -> None:
    cells = [Decimal("1.50"), date(2026, 1, 2), [1, 2], {"a": 1}, SOME_ID]
    prompts = inputs_of(cells, task="chat", column=None, prompt_template="{{t}}!")
    assert prompts == ["1.50!", "2026-01-02!", "[1, 2]!", '{"a": 1}!', f"{SOME_ID}!"]


def test_an_object_of_any_make_has_a_kind() -> None:
    class Odd:
        def __getattr__(self, name: str) -> Any:
            raise RuntimeError(name)

    assert kind_of(Odd()) == "values of the type Odd"


def test_two_columns_of_one_name_name_the_way_out() -> None:
    settings = model_settings({"task": "ner", "column": "text", "target": "y"})
    for names in (["text", "text"], ["TEXT", "Text"]):
        with pytest.raises(InputError, match="2 columns named 'text'") as refused:
            read_inputs(settings.definition, pd.DataFrame([["a", "b"]], columns=names), settings)
        assert "subselect" in str(refused.value) and "AS `text` FROM" in str(refused.value)
