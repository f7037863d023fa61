"""Laws of reading, over Hugging Face's own answer schemas: what is valid is read, and nothing else escapes as a fault."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from huggingface_api_handler.errors import UnreadableAnswer
from huggingface_api_handler.inference.protocols.hf_inference import HF_INFERENCE
from huggingface_api_handler.inference.protocols.openai_chat import OpenAIChat
from huggingface_api_handler.inference.transport.client import Response
from huggingface_api_handler.tasks import TASKS, Media, Prediction, Task
from tests.support.refusals import classify, error_in
from tests.unit.tasks.test_tasks import COLUMNS, settings_for

SPECS = Path(__file__).parents[2] / "specs"
LABELS = st.sampled_from(["a", "b"])
# common-definitions.json of the same place, which the schemas refer to.
COMMON = {
    "ClassificationOutput": {
        "type": "object",
        "properties": {"label": {"type": "string"}, "score": {"type": "number"}},
        "required": ["label", "score"],
    }
}
MADE = {task.name for task in TASKS.values() if task.makes_media}
FINITE = st.floats(0, 1, allow_nan=False)
ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | FINITE | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["label", "score", "labels", "scores", "error", "answer", "sequence", "text", "box", "choices", "x"]), inner, max_size=4),
    max_leaves=12,
)  # fmt: skip


def strategy(node: dict[str, Any], definitions: dict[str, Any], name: str = "") -> st.SearchStrategy[Any]:
    """Values that a schema of these files allows. Lists have one item at least: an empty one answers nothing."""
    if "allOf" in node:
        node = {**node, **node["allOf"][0]}
    if "$ref" in node:
        target = node["$ref"].rsplit("/", 1)[1]
        return strategy(definitions.get(target) or COMMON[target], definitions, name)
    if "enum" in node:
        return st.sampled_from(node["enum"])
    if "oneOf" in node or "anyOf" in node:
        return st.one_of(*(strategy(option, definitions, name) for option in node.get("oneOf") or node["anyOf"]))
    kind: Any = node.get("type")
    if kind == "array":
        return st.lists(strategy(node["items"], definitions), min_size=1, max_size=3)
    if kind == "object":
        fields = {key: strategy(value, definitions, key) for key, value in node.get("properties", {}).items()}
        # Some of these files name a required field in camel case that its properties have in snake case.
        needed = [
            key
            for key in (re.sub("(?<=[a-z])([A-Z])", r"_\1", name).lower() for name in node.get("required", []))
            if key in fields
        ]
        return st.fixed_dictionaries(
            {key: fields[key] for key in needed},
            optional={key: value for key, value in fields.items() if key not in needed},
        )
    if name == "label":
        return LABELS
    return {
        "string": st.text(min_size=1, max_size=8),
        "number": FINITE,
        "integer": st.integers(0, 99),
        "boolean": st.booleans(),
    }.get(kind, st.none())


def answers_of(task: str) -> st.SearchStrategy[Any]:
    schema = json.loads((SPECS / f"{task}.json").read_text("utf-8"))
    found = strategy(schema, schema.get("$defs", {}))
    if task == "feature-extraction":  # vectors of one answer have one length
        return st.lists(FINITE, min_size=1, max_size=4).map(lambda vector: [vector])
    if task in ("zero-shot-classification", "zero-shot-image-classification"):
        return found.filter(lambda answer: len({item["label"] for item in answer}) == len(answer))
    if task == "sentence-similarity":
        return st.lists(FINITE, min_size=1, max_size=1)
    if task == "chat-completion":  # content is null where a tool is called, which nobody here asks for
        return found.map(_spoken)
    if task == "token-classification":  # a token has its group or its label; the schema says neither
        return found.map(lambda answer: [{"entity": "X", **item} for item in answer])
    return found


def _spoken(answer: dict[str, Any]) -> dict[str, Any]:
    for choice in answer["choices"]:
        choice["message"]["content"] = "said"
    return answer


def split_answer(task: Task, answer: Any, count: int) -> list[Any]:
    """Each input's part of an answer, as the protocol of the task takes it apart."""
    protocol = next(each for each in (OpenAIChat(), HF_INFERENCE) if each.supports(task))
    decoded = protocol.decode(task, Response(200, {}, json.dumps(answer).encode()), count)
    if decoded.unreadable is not None:
        raise decoded.unreadable
    return decoded.parts


ITEM = {"question-answering": ("q", "c"), "sentence-similarity": ("a", "b")}


@pytest.mark.parametrize("task", sorted({path.stem for path in SPECS.glob("*.json")} - MADE))
def test_every_valid_answer_is_read(task: str) -> None:
    definition, using = TASKS[task], settings_for(task)

    @settings(max_examples=60, deadline=None)
    @given(answers_of(task))
    def law(answer: Any) -> None:
        (part,) = split_answer(definition, json.loads(json.dumps(answer)), 1)
        prediction = definition.read(part, ITEM.get(task, "text"), using)
        assert isinstance(prediction, Prediction)
        if definition.scored and prediction.confidence is not None:
            assert 0 <= prediction.confidence <= 1
        json.dumps(prediction)

    law()


@pytest.mark.same_on_every_python
@pytest.mark.parametrize("task", sorted(TASKS))
def test_no_answer_at_all_brings_anything_but_a_prediction_or_a_reason(task: str) -> None:
    definition, using = TASKS[task], settings_for(task)
    assert COLUMNS.get(task) is None or using.task == task

    @settings(max_examples=150, deadline=None)
    @given(ANY_JSON, st.integers(1, 4))
    def law(answer: Any, count: int) -> None:
        error_in(json.dumps(answer).encode(), batch_size=count)
        try:
            parts = split_answer(definition, answer, count)
            assert len(parts) == count
            for part in parts:
                assert isinstance(definition.read(part, ITEM.get(task, "text"), using), Prediction)
        except UnreadableAnswer as reason:
            assert str(reason)

    law()


@settings(max_examples=300, deadline=None)
@given(st.integers(100, 599).filter(lambda status: status // 100 != 2), st.binary(max_size=60), st.integers(1, 4))
def test_any_refusal_is_classified(status: int, body: bytes, batch: int) -> None:
    failure = classify(status, {}, body, batch_size=batch)
    assert failure.message
    assert failure.reason


@given(st.binary(max_size=60))
def test_media_is_never_taken_for_json(data: bytes) -> None:
    media = Media(data, "image/png")
    assert TASKS["text-to-image"].read(media, "text", settings_for("text-to-image")).value is media
