"""The columns that ``output_schema`` tells are those that come, with values of their types."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pytest

from huggingface_api_handler.errors import InputError
from huggingface_api_handler.inference import output_schema, predict
from huggingface_api_handler.tasks import TASKS
from tests.conftest import Service
from tests.unit.tasks.test_tasks import settings_for


@pytest.mark.parametrize("task", sorted(TASKS))
def test_every_task_tells_its_columns(task: str, service: Service) -> None:
    settings = settings_for(task)
    using = {**settings.columns, **settings.parameters, "task": task, "model": settings.model, "target": "y"}
    schema = output_schema(using, {"endpoint": service.url})
    frame = pd.DataFrame({name: [] for named in settings.columns.values() for name in ([named] if isinstance(named, str) else named)})  # fmt: skip
    out = predict(frame, using, {"endpoint": service.url})
    assert list(out.columns) == list(schema)
    assert set(schema.values()) <= {"VARCHAR", "DOUBLE", "JSON", "FLOAT[]"}
    assert service.asked == []


@pytest.mark.parametrize(
    ("using", "told"),
    [
        ({"task": "text-classification", "output": "scores"}, "JSON"),
        ({"task": "text-classification", "output": "all"}, "JSON"),
        ({"task": "zero-shot", "candidate_labels": ["a"], "multi_label": True}, "JSON"),
        ({"task": "zero-shot", "candidate_labels": ["a"]}, "VARCHAR"),
        ({"task": "embeddings"}, "FLOAT[]"),
        ({"task": "embeddings", "pooling": "none"}, "JSON"),
        ({"task": "chat", "output_schema": {"topic": "str"}}, "JSON"),
        ({"task": "chat"}, "VARCHAR"),
    ],
)
def test_arguments_change_the_type_of_the_target(using: dict[str, Any], told: str) -> None:
    assert output_schema({**using, "column": "text", "target": "y"})["y"] == told


def test_fields_of_a_chat_answer_have_their_types() -> None:
    fields = {"a": "str", "b": "int", "c": "float", "d": "bool", "e": "list"}
    schema = output_schema({"task": "chat", "column": "text", "target": "y", "output_schema": fields})
    assert schema == {
        "y": "JSON",
        "y_explain": "JSON",
        "a": "VARCHAR",
        "b": "BIGINT",
        "c": "DOUBLE",
        "d": "BOOLEAN",
        "e": "VARCHAR[]",
        "y_error": "VARCHAR",
    }


def test_wrong_arguments_are_refused() -> None:
    with pytest.raises(InputError, match="no such"):
        output_schema({"task": "no such"})
