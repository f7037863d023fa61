"""The public ``predict``, over real HTTP to a service that behaves as the recordings do."""

from __future__ import annotations

import json
import logging
import threading
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from huggingface_api_handler.failures import InferenceError, InputError
from huggingface_api_handler.inference import predict
from huggingface_api_handler.tasks import TASKS
from tests.conftest import Reply, Service

RECORDED = Path(__file__).parents[1] / "recorded"
SENTIMENT = {"task": "text-classification", "column": "text", "target": "sentiment"}


def score(text: str) -> list[dict[str, Any]]:
    share = (sum(map(ord, text)) % 97) / 97
    return [{"label": "POSITIVE", "score": share}, {"label": "NEGATIVE", "score": 1 - share}]


def label(text: str) -> str:
    return max(score(text), key=lambda item: item["score"])["label"]


def classifier(body: Any, headers: dict[str, str], path: str) -> Any:
    inputs = body["inputs"]
    return [score(text) for text in inputs] if isinstance(inputs, list) else [score(inputs)]


def test_rows_keep_order_index_and_nulls_and_equal_rows_are_asked_once(service: Service) -> None:
    service.answer = classifier
    texts = [f"review {number % 40}" for number in range(400)] + [None, "", " ", float("nan")]
    frame = pd.DataFrame({"text": texts, "other": 1}, index=[f"r{number}" for number in range(404)])
    before = frame.copy(deep=True)
    out = predict(frame, SENTIMENT, {"endpoint": service.url})
    pd.testing.assert_frame_equal(frame, before)
    assert list(out.index) == list(frame.index)
    assert list(out.columns) == ["sentiment", "sentiment_confidence", "sentiment_explain", "sentiment_error"]
    assert list(out["sentiment"][:400]) == [label(str(text)) for text in texts[:400]]
    assert out["sentiment"][400:].isna().all()
    assert out["sentiment_error"].isna().all()
    asked = [
        text
        for body in service.asked
        for text in ([body["inputs"]] if isinstance(body["inputs"], str) else body["inputs"])
    ]
    assert set(asked) == {f"review {number}" for number in range(40)}
    usage = out.attrs["usage"]
    assert (usage["rows"], usage["nulls"], usage["distinct"], usage["answered"]) == (404, 4, 40, 400)
    assert usage["requests"] == len(service.asked)


def test_no_more_than_max_concurrency_are_in_flight(service: Service) -> None:
    service.answer = lambda body, headers, path: [score(body["inputs"])] if isinstance(body["inputs"], str) else Reply({"error": "Input should be a valid string"}, 400)  # fmt: skip
    frame = pd.DataFrame({"text": [f"row {number}" for number in range(200)]})
    out = predict(frame, SENTIMENT, {"endpoint": service.url, "max_concurrency": 3})
    assert list(out["sentiment"]) == [label(text) for text in frame["text"]]
    assert service.most_in_flight <= 3


def test_an_empty_table_and_an_all_null_column_cost_nothing(service: Service) -> None:
    for frame in (pd.DataFrame({"text": []}), pd.DataFrame({"text": [None, None]}), pd.DataFrame({"text": [float("nan")]})):  # fmt: skip
        out = predict(frame, SENTIMENT, {"endpoint": service.url})
        assert len(out) == len(frame)
        assert out["sentiment"].isna().all()
    assert service.asked == []


@pytest.mark.parametrize(
    ("frame", "using", "says"),
    [
        (pd.DataFrame({"review": ["a"]}), SENTIMENT, "'review'"),
        (pd.DataFrame({"text": [1, 2]}), SENTIMENT, "whole numbers"),
        (pd.DataFrame({"text": ["a"]}), {}, "task"),
        (pd.DataFrame({"text": ["a"]}), {**SENTIMENT, "token": "hf_x"}, "CREATE ML_ENGINE"),
    ],
)
def test_bad_input_never_costs_a_request(service: Service, frame: pd.DataFrame, using: Any, says: str) -> None:
    with pytest.raises(InputError, match=says):
        predict(frame, using, {"endpoint": service.url})
    assert service.asked == []


def test_one_row_that_fails_raises_its_reason(service: Service) -> None:
    service.answer = lambda *_: Reply({"error": ["Error in `inputs`: too long"]}, 400)
    with pytest.raises(InferenceError, match="too long"):
        predict(pd.DataFrame({"text": ["a"]}), SENTIMENT, {"endpoint": service.url})


def test_a_cell_of_another_kind_fails_alone_and_costs_nothing(service: Service) -> None:
    service.answer = classifier
    out = predict(pd.DataFrame({"text": ["good", 5, {"a": 1}]}), SENTIMENT, {"endpoint": service.url})
    assert list(out["sentiment_error"].isna()) == [True, False, False]
    assert "expected text, the cell holds int" in out["sentiment_error"][1]
    assert len(service.asked) == 1


def test_on_error_raise_stops_at_the_first_failed_row(service: Service) -> None:
    service.answer = lambda body, *_: (
        Reply({"error": "bad row"}, 400) if body["inputs"] == "b" else [score(body["inputs"])]
    )
    with pytest.raises(InferenceError, match="bad row"):
        predict(pd.DataFrame({"text": ["a", "b", "c"]}), {**SENTIMENT, "on_error": "raise"}, {"endpoint": service.url})


def test_a_megabyte_of_text_that_is_refused_fails_alone(service: Service) -> None:
    service.answer = lambda body, headers, path: Reply({"error": "too large"}, 413) if len(body["inputs"]) > 10**6 else [score(body["inputs"])]  # fmt: skip
    out = predict(pd.DataFrame({"text": ["a", "x" * (1 << 20), "b"]}), SENTIMENT, {"endpoint": service.url})
    assert list(out["sentiment"]) == [label("a"), None, label("b")]
    assert out["sentiment_error"][1].startswith("row 413: too large")


@pytest.mark.parametrize(
    ("reply", "says"),
    [
        (Reply({"error": "Invalid credentials in Authorization header"}, 401), "HF_TOKEN"),
        (Reply({"error": "Model x does not exist"}, 404), "does not exist"),
        (Reply("", 302, {"Location": "https://evil.example/steal"}), "evil.example"),
    ],
)
def test_what_dooms_every_row_is_told_after_one_request(service: Service, reply: Reply, says: str) -> None:
    service.answer = lambda *_: reply
    with pytest.raises(InferenceError, match=says):
        predict(pd.DataFrame({"text": list("abcdefghij")}), SENTIMENT, {"endpoint": service.url})
    assert len(service.asked) == 1


def test_a_dead_endpoint_is_named() -> None:
    with pytest.raises(InferenceError, match=r"cannot reach 127\.0\.0\.1:9 "):
        predict(pd.DataFrame({"text": ["a", "b"]}), SENTIMENT, {"endpoint": "http://127.0.0.1:9"})


def test_a_loading_model_is_waited_for(service: Service) -> None:
    replies = iter([Reply({"error": "Model m is currently loading", "estimated_time": 0.1}, 503)])
    service.answer = lambda body, headers, path: next(replies, None) or classifier(body, headers, path)
    out = predict(pd.DataFrame({"text": ["a"]}), SENTIMENT, {"endpoint": service.url})
    assert out["sentiment"][0] == label("a")
    assert out.attrs["usage"]["waits"] == 1


def test_a_cancelled_query_keeps_what_it_has(service: Service) -> None:
    cancel = threading.Event()

    def answer(body: Any, *_: Any) -> Any:
        if len(service.asked) > 20:
            cancel.set()
        return [score(body["inputs"])] if isinstance(body["inputs"], str) else Reply({"error": "Input should be a valid string"}, 400)  # fmt: skip

    service.answer = answer
    frame = pd.DataFrame({"text": [f"row {number}" for number in range(20_000)]})
    out = predict(frame, SENTIMENT, {"endpoint": service.url}, cancel=cancel)
    answered = out["sentiment"].notna()
    assert 0 < answered.sum() < len(out)
    assert list(out["sentiment"][answered]) == [label(text) for text in frame["text"][answered]]
    assert out["sentiment_error"][~answered].str.contains("cancelled").all()


def test_max_seconds_ends_a_query_with_what_it_has(service: Service) -> None:
    service.answer = lambda *_: Reply({"error": "slow down"}, 429, {"Retry-After": "100"})
    out = predict(pd.DataFrame({"text": ["a", "b"]}), {**SENTIMENT, "max_seconds": 0.2}, {"endpoint": service.url})
    assert out["sentiment_error"].str.contains("max_seconds = 0.2").all()


def test_progress_is_told(service: Service) -> None:
    service.answer = classifier
    told: list[tuple[int, int]] = []
    frame = pd.DataFrame({"text": ["a", "b", "a"]})
    predict(frame, SENTIMENT, {"endpoint": service.url}, progress=lambda done, total: told.append((done, total)))
    assert told
    assert {total for _, total in told} == {2}


def test_the_key_is_in_no_error_log_line_or_result(service: Service, caplog: pytest.LogCaptureFixture) -> None:
    key = "hf_MySecretKey123"
    caplog.set_level(logging.DEBUG)
    engine = {"endpoint": service.url, "api_key": key}
    service.answer = classifier
    out = predict(pd.DataFrame({"text": ["a", "b"]}), SENTIMENT, engine)
    assert service.headers[0]["authorization"] == f"Bearer {key}"
    seen = [str(out.to_dict()), str(out.attrs)]
    for status in (400, 401, 403, 404, 500):
        service.answer = lambda *_, status=status: Reply({"error": "no"}, status)
        using = {**SENTIMENT, "model": f"m/{status}"}
        with pytest.raises(InferenceError) as error:
            predict(pd.DataFrame({"text": ["a"]}), using, engine)
        seen += [repr(error.value), str(error.value), str(error.getrepr(showlocals=True))]
    assert key not in "".join(record.getMessage() for record in caplog.records)
    for text in seen[:2] + seen[2::3] + seen[3::3]:
        assert key not in text


def exchanges() -> list[Any]:
    """Recorded answers to single text inputs of the tasks that are here."""
    out = []
    for file in sorted(RECORDED.glob("*.jsonl")):
        task = file.stem.removesuffix("-parse-test")
        if task not in TASKS:
            continue
        for line in file.read_text("utf-8").splitlines():
            exchange = json.loads(line)
            if exchange["status"] == 200 and "json" in exchange["response"] and isinstance(exchange["request"], dict):
                out.append(pytest.param(task, exchange, id=f"{task}-{exchange['id']}"))
    return out


def table_for(task: str, request: Any) -> tuple[pd.DataFrame, dict[str, Any]] | None:
    """The table and USING that make this recorded request, or None for a list, which only batches make."""
    inputs = request.get("inputs")
    if task == "question-answering":
        pair = inputs or request
        return pd.DataFrame({"t": [pair["question"]], "c": [pair["context"]]}), {"context_column": "c"}
    if task == "sentence-similarity":
        sentences = inputs["sentences"]
        return pd.DataFrame({"t": [inputs["source_sentence"]] * len(sentences), "u": sentences}), {"column2": "u"}
    if task == "chat-completion":
        return pd.DataFrame({"t": [request["messages"][0]["content"]]}), {}
    if not isinstance(inputs, str):
        return None
    labels = request.get("parameters", {}).get("candidate_labels")
    return pd.DataFrame({"t": [inputs]}), {"candidate_labels": labels} if labels else {}


@pytest.mark.parametrize(("task", "exchange"), exchanges())
def test_recorded_answers_are_read_through_the_whole_path(service: Service, task: str, exchange: Any) -> None:
    made = table_for(task, exchange["request"])
    answer = exchange["response"]["json"]
    if made is None:  # a recorded list: its answer must split into one part for each input
        assert len(TASKS[task].split(answer, len(exchange["request"]["inputs"]))) == len(exchange["request"]["inputs"])
        return
    frame, columns = made
    service.answer = lambda *_: answer
    out = predict(frame, {"task": task, "column": "t", "target": "y", **columns}, {"endpoint": service.url})
    assert out["y_error"].isna().all()
    assert out["y"].notna().all()
    assert len(service.asked) == 1
    if task == "sentence-similarity":
        assert list(out["y"]) == answer
