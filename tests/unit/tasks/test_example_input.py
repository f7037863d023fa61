"""Every task has an example input, of which its protocols make a request."""

from __future__ import annotations

import pytest

from huggingface_api_handler.config.validation import engine_settings, model_settings
from huggingface_api_handler.inference.protocols.servers import KINDS
from huggingface_api_handler.tasks import TASKS, Task
from huggingface_api_handler.tasks.example_input import example_input

ENGINE = engine_settings({"endpoint": "http://127.0.0.1:1"})


@pytest.mark.parametrize("task", TASKS.values(), ids=lambda task: task.name)
def test_every_protocol_of_a_task_can_be_asked_with_its_example(task: Task) -> None:
    needed = [column.argument for column in task.columns if column.required or column.argument == "table_column"]
    columns = {name: name for name in needed or ["column"]}
    labels = {name: ["a", "b"] for name in task.required_parameters if name == "candidate_labels"}
    model = model_settings({"task": task.name, "model": "m", "target": "p", **columns, **labels}, ENGINE)
    example = example_input(task, model)
    assert example is not None
    for protocol in {protocol for kind in KINDS for protocol in kind.protocols_for(task)}:
        assert protocol.encode(task, [example], model).data


@pytest.mark.parametrize(
    ("using", "expected"),
    [
        ({"task": "chat", "prompt_template": "Sum up {{a}} and {{b}}"}, "Sum up text and text"),
        ({"task": "text-ranking", "column": "q", "column2": "t"}, ("text", "text")),
        ({"task": "zero-shot", "column": "t", "candidate_labels_column": "l"}, ("text", ("first", "second"))),
    ],
)
def test_the_example_is_made_as_a_row_is(using: dict[str, object], expected: object) -> None:
    model = model_settings({"model": "m", "target": "p", **using}, ENGINE)
    assert example_input(model.definition, model) == expected
