"""``distributed.dask.predict`` on Dask's schedulers in one process."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import dask
import dask.dataframe as dd
import distributed
import pandas as pd
import pyarrow.parquet as pq
import pytest
from dask.base import tokenize

from huggingface_api_handler.distributed.dask import JobUsage, _RunningTask, predict
from huggingface_api_handler.distributed.job import Job
from huggingface_api_handler.errors import InferenceError, InputError
from huggingface_api_handler.inference import output_schema
from huggingface_api_handler.inference import predict as predict_frame
from tests.distributed.sentiment import USING, Sentiment, check_predictions, reviews

KEY = "hf_a_key_that_nobody_may_see_1"


@pytest.fixture(autouse=True)
def in_threads() -> Iterator[None]:
    """Dask's own threads, whatever else this process is a client of."""
    with dask.config.set(scheduler="threads"):
        yield


def test_nothing_is_asked_before_it_is_computed_and_then_each_text_once(sentiment: Sentiment) -> None:
    frame = reviews(40)
    predictions = predict(dd.from_pandas(frame, npartitions=4), USING, sentiment.engine)
    assert sentiment.requests == 0 and sentiment.service.fetched == []
    check_predictions(frame, predictions.compute())
    assert set(sentiment.asked.values()) == {1} and len(sentiment.asked) == 36


def test_index_divisions_and_partitions_are_those_of_the_table(sentiment: Sentiment) -> None:
    table = dd.from_pandas(reviews(40), npartitions=4)
    predictions = predict(table, USING, sentiment.engine)
    assert predictions.divisions == table.divisions and predictions.npartitions == 4
    assert predictions.map_partitions(len).compute().tolist() == table.map_partitions(len).compute().tolist()
    unknown = predict(table.clear_divisions(), USING, sentiment.engine)
    assert not unknown.known_divisions and unknown.npartitions == 4
    check_predictions(reviews(40), unknown.compute())


def test_predictions_stand_beside_the_rows_of_their_table(sentiment: Sentiment) -> None:
    frame = reviews(40)
    for table in (dd.from_pandas(frame, npartitions=4), dd.from_pandas(frame, npartitions=4).clear_divisions()):
        predictions = predict(table, USING, sentiment.engine)
        both = table.assign(mood=predictions["mood"], mood_error=predictions["mood_error"]).compute()
        check_predictions(frame, both)
        assert both["stars"].tolist() == frame["stars"].tolist()


@pytest.mark.parametrize("as_pyarrow", [True, False])
def test_texts_may_be_of_pyarrow_or_objects(sentiment: Sentiment, as_pyarrow: bool) -> None:
    frame = reviews(20).astype({"text": object})
    with dask.config.set({"dataframe.convert-string": as_pyarrow}):
        predictions = predict(dd.from_pandas(frame, npartitions=2), USING, sentiment.engine)
        out = predictions.compute()
    check_predictions(frame, out)
    assert out.dtypes.to_dict() == predictions.dtypes.to_dict()
    assert (predictions.dtypes["mood"] == pd.StringDtype("pyarrow")) is as_pyarrow


CASES: list[dict[str, Any]] = [
    USING,
    {**USING, "output": "scores"},
    {"task": "feature-extraction", "column": "text", "model": "owner/vectors", "target": "vector"},
    {
        "task": "chat-completion",
        "column": "text",
        "model": "owner/chat",
        "output_schema": {"topic": "str", "urgency": "int", "is_spam": "bool", "share": "float", "words": "list"},
    },
]


@pytest.mark.parametrize("using", CASES, ids=lambda using: str(using.get("output") or using["task"]))
def test_types_are_known_beforehand_and_hold_with_nulls_and_without_rows(
    sentiment: Sentiment, using: dict[str, Any]
) -> None:
    label = sentiment.service.answer

    def answer(body: Any, headers: dict[str, str], path: str) -> Any:
        if "vectors" in path:
            return [[0.5, 0.25]] * len(body["inputs"]) if isinstance(body["inputs"], list) else [0.5, 0.25]
        if "messages" in body:
            content = '{"topic": "films", "urgency": 2, "is_spam": false, "share": 0.5, "words": ["a", "b"]}'
            return {"choices": [{"message": {"content": content}, "finish_reason": "stop"}]}
        return label(body, headers, path)

    sentiment.service.answer = answer
    chat = {**sentiment.engine, "endpoint": f"{sentiment.service.url}/v1"}
    engine = chat if using["task"] == "chat-completion" else sentiment.engine
    frame = reviews(12)
    table = dd.from_pandas(frame, npartitions=3)
    predictions = predict(table, using, engine)
    assert predictions.columns.tolist() == list(output_schema(using, engine))
    assert sentiment.requests == 0
    for out in (predictions.compute(), predict(table[table.stars < 0], using, engine).compute()):
        assert out.dtypes.to_dict() == predictions.dtypes.to_dict()
    alone = predict_frame(frame, using, engine)
    for name, sql_type in output_schema(using, engine).items():
        if sql_type not in ("JSON", "VARCHAR[]", "FLOAT[]"):
            assert predictions.compute()[name].astype(object).where(alone[name].notna(), None).tolist() == (
                alone[name].astype(object).where(alone[name].notna(), None).tolist()
            )


def test_predictions_of_every_type_go_to_parquet(sentiment: Sentiment, tmp_path: Path) -> None:
    sentiment.service.answer = lambda body, headers, path: [0.5, 0.25]
    using = {"task": "feature-extraction", "column": "text", "model": "owner/vectors", "target": "vector"}
    predict(dd.from_pandas(reviews(10), npartitions=2), using, sentiment.engine).to_parquet(str(tmp_path / "out"))
    assert pq.read_table(tmp_path / "out")["vector"].to_pylist() == [[0.5, 0.25]] * 3 + [None] + [[0.5, 0.25]] * 6


def test_empty_partitions_ask_nothing(sentiment: Sentiment) -> None:
    table = dd.from_pandas(reviews(40), npartitions=4)
    out = predict(table[table.stars >= 30], USING, sentiment.engine).compute()
    check_predictions(reviews(40).iloc[30:], out)
    assert sentiment.asked.total() == 9
    assert predict(table[table.stars < 0], USING, sentiment.engine).compute().empty


def test_only_the_columns_that_are_asked_about_are_read(sentiment: Sentiment) -> None:
    frame, columns_read = reviews(10), []

    def read(start: int, columns: list[str] | None = None) -> pd.DataFrame:
        columns_read.append(columns)
        return frame.iloc[start : start + 5][columns or frame.columns.tolist()]

    table = dd.from_map(read, [0, 5], meta=frame.iloc[:0])
    check_predictions(frame, predict(table, USING, sentiment.engine).compute())
    assert columns_read == [["text"], ["text"]]


@pytest.mark.parametrize(
    ("using", "words"),
    [
        ({"column": "txet"}, "does not have"),
        ({"treshold": 0.5}, "threshold"),
        ({"max_requests": 10}, "max_requests bounds one query"),
        ({"max_seconds": 10}, "max_seconds bounds one query"),
        ({"task": "table-question-answering", "table_columns": "text, note"}, "all rows of a table"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_wrong_arguments_are_refused_at_the_call(sentiment: Sentiment, using: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=words):
        predict(dd.from_pandas(reviews(10), npartitions=2), {**USING, **using}, sentiment.engine)
    assert sentiment.requests == 0 and sentiment.service.fetched == []


def test_a_table_of_another_kind_is_refused_with_what_takes_it(sentiment: Sentiment) -> None:
    with pytest.raises(InputError, match=r"huggingface_api_handler\.predict"):
        predict(reviews(10), USING, sentiment.engine)


def test_one_partition_is_one_query_with_its_budget(sentiment: Sentiment) -> None:
    table = dd.from_pandas(reviews(10), npartitions=1)
    out = predict(table, {**USING, "max_requests": 3}, sentiment.engine).compute()
    assert sentiment.requests == 3
    assert out["mood_error"].str.contains("max_requests").sum() == 7  # the first request was a list, which is refused


def test_a_key_is_shown_nowhere(
    sentiment: Sentiment, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    engine = {**sentiment.engine, "api_key": KEY}
    predictions = predict(dd.from_pandas(reviews(10), npartitions=2), USING, engine)
    predictions.pprint()
    predictions.optimize().pprint()
    shown = [
        repr(predictions),
        str(predictions.expr),
        repr(dict(predictions.__dask_graph__())),
        capsys.readouterr().out,
    ]
    predictions.compute()
    assert {headers["authorization"] for headers in sentiment.service.headers} == {f"Bearer {KEY}"}
    assert KEY not in "".join([*shown, caplog.text])
    assert "<job" in "".join(shown)


def test_no_hash_of_a_key_is_in_the_names_of_tasks() -> None:
    job = Job.of(USING, {"api_key": KEY}, ["text"])
    other = replace(job, settings=Job.of(USING, {"api_key": f"{KEY}2"}, ["text"]).settings)
    assert other != job and tokenize(other) == tokenize(job)


def test_what_was_cancelled_is_given_back_as_not_done(sentiment: Sentiment, monkeypatch: pytest.MonkeyPatch) -> None:
    """Dask may want it again in the meantime, and would take rows that were not sent for an answer."""
    cancelled = _RunningTask(
        SimpleNamespace(state=SimpleNamespace(tasks={}), log_event=lambda topic, told: None), "key"
    )
    monkeypatch.setattr(_RunningTask, "current", lambda: cancelled)
    predictions = predict(dd.from_pandas(reviews(10), npartitions=1), USING, sentiment.engine)
    sentiment.on_input = lambda count: asyncio.Event().wait()  # no answer, so that there is time to see it
    with pytest.raises(distributed.Reschedule):
        predictions.compute(scheduler="sync")


def test_the_usage_adds_up_to_what_the_service_counted(sentiment: Sentiment) -> None:
    total = JobUsage()
    predictions = predict(dd.from_pandas(reviews(40), npartitions=4), USING, sentiment.engine, usage=total)
    assert total.as_dict()["queries"] == 0
    predictions.compute()
    usage = total.as_dict()
    assert usage["requests"] == sentiment.requests > 0
    assert (usage["queries"], usage["rows"], usage["nulls"], usage["answered"]) == (4, 40, 4, 36)
    assert usage["task"] == "text-classification" and usage["model"] == "owner/name"
    predictions.compute()
    assert total.as_dict()["requests"] == sentiment.requests
    assert (total.as_dict()["queries"], total.as_dict()["stored"]) == (8, 36)


def test_the_usage_counts_parts_that_failed(sentiment: Sentiment) -> None:
    sentiment.status = 401
    total = JobUsage()
    predictions = predict(dd.from_pandas(reviews(40), npartitions=4), USING, sentiment.engine, usage=total)
    with pytest.raises(InferenceError):
        predictions.compute(scheduler="sync")
    assert total.as_dict()["requests"] == sentiment.requests > 0
    assert total.as_dict()["answered"] == 0


def test_what_is_stored_is_not_asked_again_however_the_table_is_cut(sentiment: Sentiment) -> None:
    for parts in (4, 7):
        out = predict(dd.from_pandas(reviews(40), npartitions=parts), USING, sentiment.engine).compute()
        check_predictions(reviews(40), out)
    assert sentiment.asked.total() == 36


def test_a_part_that_fails_alone_keeps_its_reasons_and_the_others_their_predictions(sentiment: Sentiment) -> None:
    frame = reviews(40)
    sentiment.refused = set(frame["text"].iloc[30:].dropna())
    with dask.config.set(scheduler="sync"):
        out = predict(dd.from_pandas(frame, npartitions=4), USING, sentiment.engine).compute()
    check_predictions(frame.iloc[:30], out.iloc[:30])
    assert out["mood_error"].str.contains("refused").sum() == 9


def test_what_fails_every_row_fails_the_job_unless_its_reasons_are_wanted(sentiment: Sentiment) -> None:
    sentiment.status = 404
    table = dd.from_pandas(reviews(40), npartitions=4)
    with dask.config.set(scheduler="sync"):
        with pytest.raises(InferenceError, match="404"):
            predict(table, USING, sentiment.engine).compute()
        assert sentiment.requests == 1
        out = predict(table, {**USING, "on_error": "null"}, sentiment.engine).compute()
    assert out["mood"].isna().all() and out["mood_error"].str.contains("404").sum() == 36


def test_the_first_failed_row_ends_the_job_where_that_is_wanted(sentiment: Sentiment) -> None:
    frame = reviews(40)
    sentiment.refused = {frame["text"].iloc[0]}
    with pytest.raises(InferenceError, match="refused"):
        predict(dd.from_pandas(frame, npartitions=4), {**USING, "on_error": "raise"}, sentiment.engine).compute()


def test_a_dry_run_asks_nothing(sentiment: Sentiment) -> None:
    table = dd.from_pandas(reviews(40), npartitions=4)
    out = predict(table, {**USING, "dry_run": True}, sentiment.engine).compute()
    assert sentiment.requests == 0
    assert out["rows"].tolist() == [10] * 40 and out["distinct_inputs"].tolist() == [9] * 40
