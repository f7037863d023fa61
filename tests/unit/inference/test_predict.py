"""The public ``predict``, over real HTTP to a service that behaves as the recordings do."""

from __future__ import annotations

import asyncio
import base64
import json
import logging
import threading
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from huggingface_api_handler.errors import InferenceError, InputError
from huggingface_api_handler.inference import output_schema, predict
from huggingface_api_handler.inference.flow_control.retry import RetryPolicy
from huggingface_api_handler.inference.protocols.base import Batching
from huggingface_api_handler.inference.protocols.hf_inference import form_of
from huggingface_api_handler.inference.storage.response_cache import ResponseCache
from huggingface_api_handler.tasks import TASKS
from tests.conftest import Reply, Service

RECORDED = Path(__file__).parents[2] / "recorded"
SENTIMENT = {"task": "text-classification", "column": "text", "target": "sentiment"}


def score(text: str) -> list[dict[str, Any]]:
    share = (sum(map(ord, text)) % 97) / 97
    return [{"label": "POSITIVE", "score": share}, {"label": "NEGATIVE", "score": 1 - share}]


def label(text: str) -> str:
    return str(max(score(text), key=lambda item: item["score"])["label"])


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


def test_the_usage_has_what_the_service_says_of_its_work(service: Service) -> None:
    headers = {"x-compute-time": "0.5", "x-compute-characters": "7", "x-request-id": "r1", "x-sha": "abc"}
    service.answer = lambda body, *_: Reply([score("a")], 200, headers)
    usage = predict(pd.DataFrame({"text": ["a", "b"]}), SENTIMENT, {"endpoint": service.url}).attrs["usage"]
    assert (usage["compute_seconds"], usage["compute_characters"]) == (1.0, 14)
    assert (usage["request_id"], usage["sha"]) == ("r1", "abc")


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
    using = {**SENTIMENT, "long_text": "error"}
    out = predict(pd.DataFrame({"text": ["a", "x" * (1 << 20), "b"]}), using, {"endpoint": service.url})
    assert list(out["sentiment"]) == [label("a"), None, label("b")]
    assert out["sentiment_error"][1].startswith("rejected input 413: too large")


@pytest.mark.parametrize(
    ("reply", "says"),
    [
        (Reply({"error": "Invalid credentials in Authorization header"}, 401), "none was sent"),
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
    using = {**SENTIMENT, "max_seconds": 0.2, "on_error": "null"}
    out = predict(pd.DataFrame({"text": ["a", "b"]}), using, {"endpoint": service.url})
    assert out["sentiment_error"].str.contains("max_seconds = 0.2").all()


@pytest.mark.parametrize("budget", [{"max_requests": 4}, {"max_seconds": 0.5}], ids=["requests", "seconds"])
def test_a_budget_ends_a_query_with_the_finished_rows_and_the_reason_in_the_others(
    budget: dict[str, Any], service: Service
) -> None:
    def answer(body: Any, *_: Any) -> Any:
        if isinstance(body["inputs"], list):
            return Reply({"error": "Input should be a valid string"}, 400)
        return (
            classifier(body, {}, "")
            if len(service.asked) <= 4
            else Reply({"error": "slow down"}, 429, {"Retry-After": "9"})
        )

    service.answer = answer
    frame = pd.DataFrame({"text": [f"row {number}" for number in range(30)]})
    out = predict(frame, {**SENTIMENT, **budget}, {"endpoint": service.url, "max_concurrency": 1})
    answered = out["sentiment"].notna()
    assert 2 <= answered.sum() <= 4
    assert list(out["sentiment"][answered]) == [label(text) for text in frame["text"][answered]]
    (name, most), *_ = budget.items()
    reason = f"not sent: {name} = {most} was reached before this row"
    assert (out["sentiment_error"].isna() == answered).all()
    assert set(out["sentiment_error"][~answered]) == {reason}
    assert len(service.asked) <= budget.get("max_requests", 6)
    assert out.attrs["usage"]["seconds"] < 5, "and does not wait for what comes too late"


@pytest.mark.parametrize("limit", ["max_requests", "requests_per_hour"])
def test_requests_that_are_out_when_a_budget_is_spent_are_answered(limit: str, service: Service) -> None:
    async def slow(body: Any, *_: Any) -> Any:
        await asyncio.sleep(0.2)
        if isinstance(body["inputs"], list):
            return Reply({"error": "Input should be a valid string"}, 400)
        return classifier(body, {}, "")

    service.answer = slow
    frame = pd.DataFrame({"text": [f"row {number}" for number in range(200)]})
    engine = {"endpoint": service.url, "name": "mine"}
    if limit == "max_requests":
        out = predict(frame, {**SENTIMENT, limit: 20}, engine)
    else:
        out = predict(frame, SENTIMENT, {**engine, limit: 20})
    assert len(service.asked) == 20
    refused = sum(isinstance(body["inputs"], list) for body in service.asked)
    assert out["sentiment"].notna().sum() == 20 - refused


def test_what_is_out_when_a_budget_is_spent_is_waited_for_no_longer_than_the_query_may_take(service: Service) -> None:
    async def stuck(body: Any, *_: Any) -> Any:
        if len(service.asked) > 1:
            await asyncio.sleep(60)
        return classifier(body, {}, "")

    service.answer = stuck
    frame = pd.DataFrame({"text": [f"row {number}" for number in range(7)]})
    out = predict(frame, {**SENTIMENT, "max_requests": 3, "max_seconds": 1}, {"endpoint": service.url})
    assert len(service.asked) == 3
    assert out["sentiment"].notna().sum() == 1
    assert out["sentiment_error"].dropna().str.contains("max_requests = 3").all()
    assert out.attrs["usage"]["seconds"] < 30


def test_what_is_stored_is_given_also_after_a_budget_was_spent(service: Service) -> None:
    service.answer = classifier
    stored = pd.DataFrame({"text": [f"stored {number}" for number in range(30_000)]})
    engine = {"endpoint": service.url}
    predict(stored, SENTIMENT, engine)
    asked = len(service.asked)
    frame = pd.concat([pd.DataFrame({"text": [f"new {number}" for number in range(20_000)]}), stored])
    out = predict(frame, {**SENTIMENT, "max_requests": 3}, engine)
    assert len(service.asked) == asked + 3
    old = frame["text"].str.startswith("stored").to_numpy()
    assert list(out["sentiment"][old]) == [label(text) for text in frame["text"][old]]
    assert 0 < out["sentiment"][~old].notna().sum() < 20_000


def test_a_spent_budget_does_not_look_for_answers_of_which_none_is_stored(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    service.answer = classifier
    keys, key = [], ResponseCache.key
    monkeypatch.setattr(ResponseCache, "key", lambda self, item: keys.append(item) or key(self, item))  # type: ignore[func-returns-value]
    frame = pd.DataFrame({"text": [f"new {number}" for number in range(40_000)]})
    out = predict(frame, {**SENTIMENT, "max_requests": 1}, {"endpoint": service.url})
    assert out["sentiment"].notna().sum() == 1
    assert len(keys) < 20_000


def test_progress_is_told(service: Service) -> None:
    service.answer = classifier
    reported: list[tuple[int, int]] = []
    frame = pd.DataFrame({"text": ["a", "b", "a"]})
    predict(frame, SENTIMENT, {"endpoint": service.url}, progress=lambda done, total: reported.append((done, total)))
    assert reported[-1] == (2, 2), "the end is told, however fast it came"


def test_the_key_is_in_no_error_log_line_or_result(
    service: Service, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(RetryPolicy, "_backoff_s", lambda policy, attempt: 0.001 * 2.0 ** (attempt - 1))
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


PNG = b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR\x00\x00\x00\x01\x00\x00\x00\x01\x08\x02\x00\x00\x00\x90wS\xde"
WAV = b"RIFF\x24\x00\x00\x00WAVEfmt \x10\x00\x00\x00\x01\x00\x01\x00\x40\x1f\x00\x00\x80\x3e\x00\x00\x02\x00\x10\x00data\x00\x00\x00\x00"


def recorded() -> list[Any]:
    """Every recorded 200. Streams are left out: this engine never asks for one."""
    out = []
    for file in sorted(RECORDED.glob("*.jsonl")):
        for line in file.read_text("utf-8").splitlines():
            exchange = json.loads(line)
            if exchange["status"] == 200 and "event_stream" not in exchange["response"]:
                out.append(
                    pytest.param(file.stem.removesuffix("-parse-test"), exchange, id=f"{file.stem}-{exchange['id']}")
                )
    return out


def table_for(task: str, exchange: Any) -> tuple[pd.DataFrame, dict[str, Any]]:
    """The table and USING that ask for this exchange's answer. Where no request was recorded, one that fits."""
    request = exchange["request"] or {}
    inputs: Any = request.get("inputs")
    answer = exchange["response"].get("json")
    data_type = TASKS[task].columns[0].data_type
    if data_type in ("image", "audio"):
        using: dict[str, Any] = {"column": "t"}
        if task in ("visual-question-answering", "document-question-answering"):
            using["question_column"] = "q"
        if task.startswith("zero-shot"):
            using["candidate_labels"] = [item["label"] for item in answer]
        return pd.DataFrame({"t": [PNG if data_type == "image" else WAV], "q": ["what?"]}), using
    if task == "question-answering":
        pair = inputs or (request if "question" in request else {"question": "q", "context": "c"})
        return pd.DataFrame({"t": [pair["question"]], "c": [pair["context"]]}), {"column": "t", "context_column": "c"}
    if task == "table-question-answering":
        pair = inputs or request
        frame = pd.DataFrame({"t": [pair["query"]], "b": [json.dumps(pair["table"])]})
        return frame, {"column": "t", "table_column": "b"}
    if task.startswith("tabular"):
        return pd.DataFrame(inputs["data"]), {"columns": list(inputs["data"])}
    if task == "sentence-similarity":
        pair = inputs or {"source_sentence": "s", "sentences": [f"sentence {number}" for number in range(len(answer))]}
        frame = pd.DataFrame({"t": [pair["source_sentence"]] * len(pair["sentences"]), "u": pair["sentences"]})
        return frame, {"column": "t", "column2": "u"}
    if task == "chat-completion":
        return pd.DataFrame({"t": [request["messages"][0]["content"]]}), {"column": "t"}
    using = {"column": "t"}
    if task == "zero-shot-classification":
        using["candidate_labels"] = (answer[0] if isinstance(answer, list) else answer)["labels"]
    texts = inputs if isinstance(inputs, list) else [inputs or "text"]
    return pd.DataFrame({"t": texts}), using


@pytest.mark.parametrize(("task", "exchange"), recorded())
def test_recorded_answers_are_read_through_the_whole_path(service: Service, task: str, exchange: Any) -> None:
    frame, using = table_for(task, exchange)
    response = exchange["response"]
    if "base64" in response:
        headers = {name.lower(): value for name, value in (exchange["response_headers"] or {}).items()}
        reply = Reply(base64.b64decode(response["base64"]), 200, {"Content-Type": headers["content-type"]})
    else:
        reply = Reply(response["json"])
    if (
        len(frame) > 1 and form_of(TASKS[task]).batching is Batching.PROBE
    ):  # a recorded list: lists are only sent once qualified
        assert len(form_of(TASKS[task]).split(response["json"], len(frame))) == len(frame)
        reply = Reply([response["json"][0]])
        frame = frame.head(1)
    service.answer = lambda *_: reply
    model = {} if TASKS[task].default_model else {"model": "a/b"}
    whole_using = {"task": task, "target": "y", **model, **using}
    out = predict(frame, whole_using, {"endpoint": service.url})
    assert out["y_error"].isna().all()
    assert out["y"].notna().all()
    assert len(service.asked) == 1
    told = output_schema(whole_using, {"endpoint": service.url})
    assert list(told) == list(out.columns)
    for name, sql_type in told.items():
        assert all(cell is None or isinstance(cell, CELL_TYPES[sql_type]) for cell in out[name]), name
    if task in ("sentence-similarity", "tabular-classification", "tabular-regression"):
        assert list(out["y"]) == response["json"]
    if "base64" in response:
        assert out["y"][0] == f"data:{reply.headers['Content-Type']};base64,{response['base64']}"


CELL_TYPES: dict[str, tuple[type, ...]] = {
    "VARCHAR": (str, int, list),  # the class of a row of a table is what the server sent; tracks can be several
    "DOUBLE": (float,),
    "JSON": (list, dict),
    "FLOAT[]": (list,),
}


def test_every_recorded_file_is_of_a_task() -> None:
    names = {file.stem.removesuffix("-parse-test") for file in RECORDED.glob("*.jsonl")} - {"errors"}
    assert names <= set(TASKS)


def test_media_that_cannot_be_loaded_costs_no_request(service: Service) -> None:
    service.answer = lambda *_: [{"label": "cat", "score": 0.9}]
    frame = pd.DataFrame({"t": ["/etc/passwd", "http://169.254.169.254/", b"not an image", PNG, None]})
    out = predict(frame, {"task": "image-classification", "column": "t", "target": "y"}, {"endpoint": service.url})
    assert list(out["y"]) == [None, None, None, "cat", None]
    assert list(out["y_error"].notna()) == [True, True, True, False, False]
    assert len(service.asked) == 1


def test_many_cells_refused_in_the_same_words_doom_no_other_row(service: Service) -> None:
    service.answer = lambda *_: [{"label": "cat", "score": 0.9}]
    frame = pd.DataFrame({"t": [f"missing-{number}.png" for number in range(10)] + [PNG]})
    out = predict(frame, {"task": "image-classification", "column": "t", "target": "y"}, {"endpoint": service.url})
    assert out["y_error"].notna().sum() == 10
    assert out["y"].iloc[-1] == "cat"


def test_made_media_goes_into_output_dir(service: Service, tmp_path: Path) -> None:
    service.answer = lambda *_: Reply(PNG, 200, {"Content-Type": "image/png"})
    using = {"task": "text-to-image", "column": "t", "target": "y"}
    out = predict(pd.DataFrame({"t": ["a cat"]}), using, {"endpoint": service.url, "output_dir": str(tmp_path)})
    assert Path(out["y"][0]).read_bytes() == PNG
    assert Path(out["y"][0]).parent == tmp_path


def test_the_answer_to_a_conversation_is_stored_where_that_was_asked_for(service: Service) -> None:
    service.answer = lambda *_: {"choices": [{"message": {"content": "hi"}}]}
    using = {"task": "chat", "model": "m", "messages_column": "m", "target": "y", "cache": True}
    frame = pd.DataFrame({"m": [[{"role": "user", "content": text}] for text in "ab"]})
    for _ in range(2):
        out = predict(frame, using, {"endpoint": service.url})
        assert list(out["y"]) == ["hi", "hi"]
    assert len(service.asked) == 2


def test_an_engine_bounds_attempts_and_waits(service: Service) -> None:
    service.answer = lambda *_: Reply({"error": "boom"}, 500)
    with pytest.raises(InferenceError, match="boom"):
        predict(pd.DataFrame({"text": ["a"]}), SENTIMENT, {"endpoint": service.url, "max_attempts": 1})
    assert len(service.asked) == 1
    service.answer = lambda *_: Reply({"error": "slow down"}, 429, {"Retry-After": "7"})
    with pytest.raises(InferenceError, match=r"slow down \(it asks to wait 7 s\)"):
        predict(pd.DataFrame({"text": ["a"]}), SENTIMENT, {"endpoint": service.url, "max_wait": 5})
    assert len(service.asked) == 2
