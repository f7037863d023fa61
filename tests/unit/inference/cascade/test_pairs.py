"""Two models that read other columns, or cannot answer in each other's place."""

from __future__ import annotations

import json
from typing import Any

import pandas as pd
import pytest

from huggingface_api_handler.config.validation import merge_select_overrides
from huggingface_api_handler.errors import InputError
from huggingface_api_handler.inference import predict
from tests.conftest import Reply, Service
from tests.support.agreeing_models import LABELS, AgreeingModels

ROWS = 700
TONE = {"tone": {"enum": list(LABELS)}}


def frame() -> pd.DataFrame:
    """Numbered texts, with labels of their own, an empty cell here and there, and bytes that are no text."""
    numbers = range(ROWS)
    return pd.DataFrame(
        {
            "text": [f"text {number}" for number in numbers],
            "short": [None if number % 50 == 0 else f"text {number}" for number in numbers],
            "labels": [list(LABELS) if number % 3 else [*LABELS, "neither"] for number in numbers],
            "bytes": [b"\x89PNG" for _ in numbers],
        }
    )


class ChatAndLabels(AgreeingModels):
    """The same models, also as chats, and with labels that come in the request. Remembers what each was sent."""

    def __init__(self, service: Service) -> None:
        self.sent: dict[str, list[Any]] = {"large": [], "small": []}
        super().__init__(service)

    def answer(self, body: Any, headers: dict[str, str], path: str) -> Any:
        if body is None:
            return Reply({"error": "not found"}, 404)
        is_chat = path.endswith("/chat/completions")
        model = body["model"] if is_chat else path.rpartition("/")[2]
        if not is_chat:
            self.sent[model].append(body["inputs"])
            return super().answer(body, headers, path)
        said = body["messages"][-1]["content"]
        self.sent[model].append(said)
        number = int(said.rpartition("text ")[2].split()[0])
        self.asked[model][number] += 1
        label = self.truth(number) if model == "large" else self.guess(number)[0]
        field = "label" if '"label"' in json.dumps(body.get("response_format")) else "mood"
        message = {"role": "assistant", "content": json.dumps({field: label})}
        return {"choices": [{"index": 0, "finish_reason": "stop", "message": message}], "model": model}


@pytest.fixture
def models(service: Service) -> ChatAndLabels:
    return ChatAndLabels(service)


def using(large: dict[str, Any], small: dict[str, Any]) -> dict[str, Any]:
    cascade = {"model": "small", "accuracy": 0.9, "confidence": 0.9999, **small}
    return {"model": "large", "target": "mood", "cascade": cascade, **large}


PAIRS = {
    "labels of each row, and none": (
        {"task": "zero-shot-classification", "column": "text", "candidate_labels_column": "labels"},
        {"task": "text-classification"},
    ),
    "labels of each row, and a chat": (
        {"task": "zero-shot-classification", "column": "text", "candidate_labels_column": "labels"},
        {"task": "chat-classification", "candidate_labels": list(LABELS)},
    ),
    "a prompt of columns, and one text": (
        {"task": "chat-classification", "prompt_columns": ["labels", "text"], "candidate_labels": list(LABELS)},
        {"task": "text-classification", "column": "text"},
    ),
    "a template, and one text": (
        {"task": "chat-classification", "prompt_template": "About {{text}} ?", "candidate_labels": list(LABELS)},
        {"task": "zero-shot-classification", "column": "text"},
    ),
    "another column of the same task": ({"task": "text-classification", "column": "text"}, {"column": "short"}),
}


@pytest.mark.parametrize(("large", "small"), PAIRS.values(), ids=PAIRS)
def test_each_model_reads_its_own_columns(
    large: dict[str, Any], small: dict[str, Any], models: ChatAndLabels, engine: dict[str, Any]
) -> None:
    rows = frame()
    if "prompt_columns" in large:
        rows["labels"] = "either"
    out = predict(rows, using(large, small), engine)
    assert out["mood_error"].isna().all()
    right = [mood == models.truth(number) for number, mood in enumerate(out["mood"])]
    assert sum(right) >= 0.9 * ROWS
    assert (out["mood_model"] == "small").sum() > ROWS / 10
    sent = [text for each in models.sent["small"] for text in (each if isinstance(each, list) else [each])]
    assert all(text.startswith("text ") for text in sent)
    if small.get("column") == "short":
        assert (out["mood_model"].iloc[::50] == "large").all()


def test_the_column_of_the_proxy_must_exist_before_anybody_is_asked(
    models: ChatAndLabels, engine: dict[str, Any], service: Service
) -> None:
    small = {"proxy": "embeddings", "column": "nowhere"}
    with pytest.raises(InputError, match="nowhere"):
        predict(frame(), using({"task": "text-classification", "column": "text"}, small), engine)
    assert not service.asked


REFUSED = {
    "fields, and a label": ({"task": "chat", "column": "text", "output_schema": TONE}, {"task": "text-classification"}),
    "a label, and fields": ({"task": "text-classification", "column": "text"}, {"task": "chat", "output_schema": TONE}),
    "other fields": (
        {"task": "chat", "column": "text", "output_schema": TONE},
        {"output_schema": {"other": {"enum": list(LABELS)}}},
    ),
    "texts, and images": ({"task": "text-classification", "column": "text"}, {"task": "image-classification"}),
    "images, and vectors of texts": ({"task": "image-classification", "column": "bytes"}, {"proxy": "embeddings"}),
}


@pytest.mark.parametrize(("large", "small"), REFUSED.values(), ids=REFUSED)
def test_models_that_cannot_answer_for_each_other_are_refused_without_a_request(
    large: dict[str, Any], small: dict[str, Any], engine: dict[str, Any], service: Service
) -> None:
    with pytest.raises(InputError, match="cascade: "):
        predict(frame(), using(large, small), engine)
    assert not service.asked


@pytest.mark.parametrize(
    "own",
    [
        {"max_requests": 5},
        {"max_usd": 0.1},
        {"max_tokens_total": 5},
        {"max_seconds": 5},
        {"target": "x"},
        {"on_error": "null"},
        {"dry_run": True},
        {"maxRequests": 5},
    ],
    ids=lambda own: next(iter(own)),
)
def test_what_is_the_whole_querys_is_refused_for_one_of_its_models(
    own: dict[str, Any], engine: dict[str, Any], service: Service
) -> None:
    with pytest.raises(InputError, match="of the whole query"):
        predict(frame(), using({"task": "text-classification", "column": "text"}, own), engine)
    assert not service.asked


@pytest.mark.parametrize("name", ["endpoint", "Endpoint", "provider", "Provider", "Prices"])
def test_a_select_cannot_lead_the_proxy_elsewhere_whatever_the_spelling(name: str) -> None:
    stored = using({"task": "text-classification", "column": "text"}, {})
    for given in ({name: "x"}, json.dumps({name: "x"})):
        with pytest.raises(InputError, match="cannot come in a SELECT"):
            merge_select_overrides(stored, {"cascade": given})


def test_a_select_changes_a_cascade_under_any_spelling() -> None:
    stored = using({"task": "text-classification", "column": "text"}, {})
    merged = merge_select_overrides(stored, {"cascade": {"modelName": "other"}})
    assert isinstance(merged["cascade"], dict)
    assert (merged["cascade"]["model"], merged["cascade"]["accuracy"]) == ("other", 0.9)
