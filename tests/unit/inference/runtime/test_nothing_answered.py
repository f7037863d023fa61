"""A query that answers none of its rows says why, unless the person asked for the table."""

from __future__ import annotations

import threading
from typing import Any

import pandas as pd
import pytest

from huggingface_api_handler.config.validation import engine_settings, model_settings
from huggingface_api_handler.errors import InferenceError
from huggingface_api_handler.inference import predict, predict_batches
from huggingface_api_handler.inference.dataframe import predict_frame
from huggingface_api_handler.inference.runtime.failure_tally import MIN_FAILURES_OF_PARTITION
from tests.conftest import Reply, Service

USING = {"task": "text-classification", "column": "text", "target": "y", "cache": False}


def refuse(body: Any, *_: Any) -> Any:
    return Reply({"error": "no such parameter" if "odd" not in str(body) else "too odd"}, 400)


def frame(rows: int, start: int = 0) -> pd.DataFrame:
    return pd.DataFrame({"text": [f"row {number}" for number in range(start, start + rows)]})


@pytest.fixture
def refusing(service: Service) -> Service:
    service.answer = refuse
    return service


@pytest.mark.parametrize("rows", [1, 2, 5, 30])
def test_rows_that_all_fail_raise_their_reason(rows: int, refusing: Service) -> None:
    with pytest.raises(InferenceError, match="no such parameter") as raised:
        predict(frame(rows), USING, {"endpoint": refusing.url})
    if rows in (2, 5):
        assert f"{rows} of {rows} rows" in str(raised.value)
        assert "on_error = 'null'" in str(raised.value)


def test_the_commonest_reason_is_told_with_its_rows(refusing: Service) -> None:
    texts = pd.DataFrame({"text": ["odd 1", "plain 1", "plain 2", None, "plain 2"]})
    with pytest.raises(InferenceError, match=r"no such parameter \(so for 3 of 5 rows, the commonest of 2 reasons"):
        predict(texts, USING, {"endpoint": refusing.url})


@pytest.mark.parametrize("rows", [1, 2, 30])
def test_who_asked_for_the_table_gets_it(rows: int, refusing: Service) -> None:
    out = predict(frame(rows), {**USING, "on_error": "null"}, {"endpoint": refusing.url})
    assert out["y"].isna().all()
    assert out["y_error"].str.contains("no such parameter").all()
    assert len(refusing.asked) < 12


def test_a_dead_key_and_the_table_that_was_asked_for(service: Service) -> None:
    service.answer = lambda *_: Reply({"error": "Invalid credentials"}, 401)
    out = predict(frame(30), {**USING, "on_error": "null"}, {"endpoint": service.url})
    assert out["y_error"].str.startswith("query stopped 401").all()
    assert len(service.asked) == 1


def test_one_answer_is_enough_for_the_table(refusing: Service) -> None:
    right = [{"label": "A", "score": 0.9}]
    refusing.answer = lambda body, *_: [right] if body["inputs"] == "row 3" else refuse(body)
    out = predict(frame(5), USING, {"endpoint": refusing.url})
    assert list(out["y"].notna()) == [False, False, False, True, False]


def test_a_table_of_nulls_fails_for_nothing(refusing: Service) -> None:
    out = predict(pd.DataFrame({"text": [None, " "]}), USING, {"endpoint": refusing.url})
    assert out["y"].isna().all()
    assert refusing.asked == []


def test_cells_that_cannot_be_sent_are_reasons_too(refusing: Service) -> None:
    images = pd.DataFrame({"image": ["no image", "none either"]})
    with pytest.raises(InferenceError, match="2 of 2 rows"):
        predict(images, {"task": "image-classification", "column": "image"}, {"endpoint": refusing.url})
    assert refusing.asked == []


def test_a_stream_fails_at_its_end(refusing: Service) -> None:
    frames = predict_batches([frame(3), frame(3, 3), frame(1, 6)], USING, {"endpoint": refusing.url})
    given = [next(frames), next(frames)]
    assert [len(out) for out in given] == [3, 3]
    with pytest.raises(InferenceError, match="7 of 7 rows"):
        next(frames)


def test_a_cancelled_query_gives_what_it_has(service: Service) -> None:
    cancel = threading.Event()

    def answer(*_: Any) -> Any:
        cancel.set()
        return Reply({"error": "slow down"}, 429, {"Retry-After": "100"})

    service.answer = answer
    out = predict(frame(3), USING, {"endpoint": service.url}, cancel=cancel)
    assert out["y_error"].str.contains("cancelled").all()


@pytest.mark.parametrize("rows", [1, MIN_FAILURES_OF_PARTITION - 1, MIN_FAILURES_OF_PARTITION])
def test_a_part_of_a_table_fails_from_twenty_rows_on(rows: int, refusing: Service) -> None:
    refusing.answer = lambda body, *_: Reply({"error": "the input is too long"}, 400)
    engine = engine_settings({"endpoint": refusing.url})
    model = model_settings(USING, engine)

    def ask() -> pd.DataFrame:
        return predict_frame(frame(rows), model, engine, min_failures=MIN_FAILURES_OF_PARTITION)

    if rows < MIN_FAILURES_OF_PARTITION:
        assert ask()["y"].isna().all()
    else:
        with pytest.raises(InferenceError, match="20 of 20 rows"):
            ask()
