"""``prompt_columns``: the prompt's fields in the order of how often they repeat, and one answer whatever that order."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from huggingface_api_handler.config.validation import model_settings
from huggingface_api_handler.errors import InputError
from huggingface_api_handler.inference import predict, predict_batches
from huggingface_api_handler.tasks.inputs import with_ordered_fields
from tests.conftest import Reply, Service

USING = {"task": "chat", "model": "m", "prompt_columns": ["text", "product"], "target": "y"}
REVIEWS = pd.DataFrame({"text": ["Broken", "Late", "Fine"], "product": ["Lamp", "Lamp", "Lamp"]})


def engine(service: Service, **more: Any) -> dict[str, Any]:
    service.answer = lambda body, *_: {"choices": [{"message": {"content": "ok"}, "finish_reason": "stop"}]}
    return {"endpoint": f"{service.url}/v1", "protocol": "openai", "max_concurrency": 1, "cache": False, **more}


def asked(service: Service) -> list[str]:
    return [body["messages"][-1]["content"] for body in service.asked]


def test_what_repeats_most_comes_first(service: Service) -> None:
    predict(REVIEWS, USING, engine(service))
    assert sorted(asked(service)) == [f"product: Lamp\ntext: {text}" for text in ("Broken", "Fine", "Late")]


def test_columns_that_repeat_as_often_stay_in_the_order_given(service: Service) -> None:
    predict(REVIEWS.head(1), USING, engine(service))
    assert asked(service) == ["text: Broken\nproduct: Lamp"]


def test_the_order_of_the_first_frame_with_rows_counts_for_the_whole_query(service: Service) -> None:
    other = pd.DataFrame({"text": ["Odd", "Odd"], "product": ["Sofa", "Desk"]})
    list(predict_batches(iter([REVIEWS.head(0), REVIEWS, other]), USING, engine(service)))
    assert all(prompt.startswith("product: ") for prompt in asked(service))


def test_the_same_row_costs_once_whatever_table_it_is_in(service: Service, tmp_path: Path) -> None:
    stored = engine(service, cache=True, cache_dir=str(tmp_path))
    predict(REVIEWS, USING, stored)
    assert "product: Lamp\ntext: Broken" in asked(service)
    service.asked.clear()
    other = pd.DataFrame({"product": ["Lamp", "Sofa", "Desk"], "text": ["Broken", "Broken", "Broken"]})
    predict(other, USING, stored)
    assert sorted(asked(service)) == ["text: Broken\nproduct: Desk", "text: Broken\nproduct: Sofa"]
    service.asked.clear()
    out = predict(other.head(1), {**USING, "prompt_columns": ["product", "text"]}, stored)
    assert out["y"].tolist() == ["ok"]
    assert not service.asked


def test_fields_that_are_swapped_are_another_row(service: Service, tmp_path: Path) -> None:
    stored = engine(service, cache=True, cache_dir=str(tmp_path))
    for cells in (["a", "b"], ["b", "a"]):
        predict(pd.DataFrame([cells], columns=["text", "product"]), USING, stored)
    assert len(service.asked) == 2


def test_a_null_or_blank_row_is_not_asked_and_numbers_are_written(service: Service) -> None:
    rows = pd.DataFrame({"text": ["A", None, " ", "B"], "product": [7, 7, " ", 7]}, dtype=object)
    out = predict(rows, USING, engine(service))
    assert out["y"].isna().tolist() == [False, True, True, False]
    assert sorted(asked(service)) == ["product: 7\ntext: A", "product: 7\ntext: B"]


def test_labels_are_chosen_for_fields_and_the_instruction_comes_first(service: Service) -> None:
    using = {**USING, "task": "text-classification", "candidate_labels": ["good", "bad"]}
    given = engine(service)
    service.answer = lambda *_: {"choices": [{"message": {"content": "bad"}, "finish_reason": "stop"}]}
    assert predict(REVIEWS, using, given)["y"].tolist() == ["bad"] * 3
    for body in service.asked:
        assert [message["role"] for message in body["messages"]] == ["system", "user"]


def test_a_schema_that_is_told_in_words_comes_before_the_text_of_the_row(service: Service) -> None:
    given = engine(service)

    def answer(body: Any, *_: Any) -> Any:
        if "response_format" in body:
            return Reply({"error": {"message": "response_format is not supported"}}, 400)
        return {"choices": [{"message": {"content": '{"mood": "bad"}'}, "finish_reason": "stop"}]}

    service.answer = answer
    out = predict(REVIEWS, {**USING, "output_schema": {"mood": "str"}}, given)
    assert out["mood"].tolist() == ["bad"] * 3
    assert asked(service)[-1].startswith("Answer with one JSON object")
    assert asked(service)[-1].endswith(("Broken", "Late", "Fine"))


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"column": "text"}, "column or prompt_columns, not both"),
        ({"messages_column": "talk"}, "messages_column or prompt_columns, not both"),
        ({"prompt_template": "{{text}}"}, "prompt_columns or prompt_template, not both"),
        ({"prompt_columns": []}, "prompt_columns must be a list of columns"),
        ({"task": "summarization"}, "summarization does not take 'prompt_columns'"),
    ],
)
def test_what_contradicts_the_columns_is_refused(more: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError, match=said):
        model_settings({**USING, **more})


def test_columns_are_ordered_by_their_values_and_none_may_be_missing() -> None:
    frame = pd.DataFrame({"a": [1, 2, 3], "b": [[1], [1], [2]], "c": [None, None, "x"]})
    assert with_ordered_fields(frame, {"prompt_columns": ["a", "b", "c"]}) == {"prompt_columns": ["c", "b", "a"]}
    assert with_ordered_fields(frame, {"column": "a"}) == {"column": "a"}
    with pytest.raises(InputError, match="prompt_columns names the column"):
        with_ordered_fields(frame, {"prompt_columns": ["d"]})
