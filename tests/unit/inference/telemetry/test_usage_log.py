"""DESCRIBE model.usage: what queries asked and spared, over processes."""

from __future__ import annotations

import json
import logging
import random
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from huggingface_api_handler.config.validation import engine_settings, model_settings
from huggingface_api_handler.errors import InferenceError
from huggingface_api_handler.inference.dataframe import predict_frame
from huggingface_api_handler.inference.protocols.reported_usage import reported_usage
from huggingface_api_handler.inference.storage.scope import Scope
from huggingface_api_handler.inference.storage.sqlite import Store, open_store
from huggingface_api_handler.inference.storage.sqlite_tables import SqliteUsage
from huggingface_api_handler.inference.storage.sqlite_upkeep import open_file
from huggingface_api_handler.inference.telemetry import usage_log
from huggingface_api_handler.inference.telemetry.usage import Usage
from tests.conftest import Reply, Service

ROOT = Path(__file__).parents[4]
SCOPE = Scope("engine", "model 1")
RECORDED = [
    json.loads(line) for path in (ROOT / "tests" / "recorded").glob("*.jsonl") for line in path.read_text().splitlines()
]


def test_a_query_is_a_row_and_all_of_them_are_the_first(service: Service, tmp_path: Path) -> None:
    service.answer = lambda body, *_: [{"label": "A", "score": 1.0}] if "good" in body["inputs"] else Reply({"error": "bad"}, 400)  # fmt: skip
    engine = engine_settings({"endpoint": service.url, "cache_dir": str(tmp_path)})
    model = model_settings({"task": "text-classification", "column": "text", "target": "y"})
    for texts in (["good 1", "good 1", None], ["good 1", "good 2", "bad"]):
        predict_frame(pd.DataFrame({"text": texts}), model, engine, scope=SCOPE)
    table = usage_log.usage_table(SqliteUsage(open_store(str(tmp_path))), "model 1")
    assert table["query"][0] == "all"
    assert table["query"].str.match(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC")[1:].all()
    shown = ["queries", "rows", "nulls", "distinct", "stored", "requests", "answered", "requests_avoided"]
    assert table[shown].to_numpy().tolist() == [
        [2, 6, 1, 4, 1, 3, 4, 2],
        [1, 3, 0, 3, 1, 2, 2, 1],
        [1, 3, 1, 1, 0, 1, 2, 1],
    ]
    assert [json.loads(errors) for errors in table["errors"]] == [{"rejected input": 1}, {"rejected input": 1}, {}]
    assert table["bytes_sent"][0] == sum(table["bytes_sent"][1:]) > 0
    assert table["bytes_received"][0] == sum(table["bytes_received"][1:]) > 0
    assert "host" not in table.columns
    assert len(usage_log.usage_table(SqliteUsage(open_store(str(tmp_path))), "model 2")) == 0


def test_quantiles_of_all_queries_are_right_to_a_tenth(tmp_path: Path) -> None:
    store, chance = open_store(str(tmp_path)), random.Random(3)
    seconds = [chance.lognormvariate(-1.75, 1.2) for _ in range(5000)]
    for start in range(0, 5000, 500):
        usage = Usage("t", "m", "h")
        for each in seconds[start : start + 500]:
            usage.record_response(each, 10, {})
        usage_log.record(SqliteUsage(store), SCOPE, usage)
    table = usage_log.usage_table(SqliteUsage(store), "model 1")
    assert table["p50_seconds"][0] == pytest.approx(np.quantile(seconds, 0.5), rel=0.1)
    assert table["p95_seconds"][0] == pytest.approx(np.quantile(seconds, 0.95), rel=0.1)


def test_totals_survive_processes(tmp_path: Path) -> None:
    code = f"""
from huggingface_api_handler.errors import InferenceError
from huggingface_api_handler.inference.telemetry import usage_log
from huggingface_api_handler.inference.storage.sqlite import open_store
from huggingface_api_handler.inference.storage.sqlite_tables import SqliteUsage
from huggingface_api_handler.inference.storage.sqlite_upkeep import open_file
from huggingface_api_handler.inference.telemetry.usage import Usage
from tests.unit.inference.telemetry.test_usage_log import SCOPE
for _ in range(50):
    usage_log.record(SqliteUsage(open_store({str(tmp_path)!r})), SCOPE, Usage("t", "m", "h", rows=3, requests=2))
"""
    both = [subprocess.Popen([sys.executable, "-c", code], cwd=ROOT) for _ in range(2)]
    assert [process.wait(60) for process in both] == [0, 0]
    total = usage_log.usage_table(SqliteUsage(open_store(str(tmp_path))), "model 1").iloc[0]
    assert (total["queries"], total["rows"], total["requests"]) == (100, 300, 200)


def test_a_thousand_are_kept_of_a_model_and_the_total_counts_all(tmp_path: Path) -> None:
    store = open_store(str(tmp_path))
    for _ in range(1100):
        usage_log.record(SqliteUsage(store), SCOPE, Usage("t", "m", "h", rows=1))
    usage_log.record(SqliteUsage(store), Scope("engine", "model 2"), Usage("t", "m", "h", rows=1))
    assert stored_queries(store) == [("model 1", 1000), ("model 2", 1)]
    table = usage_log.usage_table(SqliteUsage(store), "model 1")
    assert table["rows"][0] == 1100
    assert len(table) == 21


def stored_queries(store: Store) -> list[Any]:
    statement = "SELECT model, count(*) FROM receipts GROUP BY model ORDER BY model"
    return store.run(lambda connection: connection.execute(statement).fetchall(), []).result()


@pytest.mark.parametrize("garbage", [b"\xff", b"[]", b'{"rows": 1}', b'{"latencies": 7}'])
def test_a_usage_record_that_cannot_be_read_is_left_out(garbage: bytes, tmp_path: Path, caplog: Any) -> None:
    store = open_store(str(tmp_path))
    usage_log.record(SqliteUsage(store), SCOPE, Usage("t", "m", "h", rows=1))
    for statement in ("UPDATE receipts SET receipt = ?", "UPDATE totals SET receipt = ?"):
        store.run(lambda connection, statement=statement: connection.execute(statement, (garbage,)).rowcount, 0)  # type: ignore[misc]
    usage_log.record(SqliteUsage(store), SCOPE, Usage("t", "m", "h", rows=2))
    table = usage_log.usage_table(SqliteUsage(store), "model 1")
    assert list(table["rows"]) == [2, 2]
    assert any("cannot be read" in record.getMessage() for record in caplog.records if record.levelno == logging.WARNING)  # fmt: skip


RECORD_OF_0_1_0 = {
    "task": "text-classification", "model": "m", "host": "h", "queries": 1, "rows": 9, "nulls": 1, "distinct": 8, "stored": 3,
    "answered": 6, "requests": 5, "batches": 0, "retries": 1, "repairs": 0, "waits": 2, "seconds_waited": 0.5,
    "seconds": 1.5, "bytes_sent": 10, "bytes_received": 20, "compute_seconds": 0.25, "compute_characters": 7,
    "tokens": 11, "request_id": "r", "sha": None, "errors": {"row": 1, "wait": 1}, "latencies": {"-8": 4, "0": 1},
}  # fmt: skip
"""As the first version stored it, with its words for failures."""


def test_what_an_older_version_stored_is_shown_and_counted_on(tmp_path: Path) -> None:
    store, old = open_store(str(tmp_path)), json.dumps(RECORD_OF_0_1_0)
    for statement in ("INSERT INTO receipts(model, at, receipt) VALUES (?, 0, ?)", "INSERT INTO totals VALUES (?, ?)"):
        store.run(lambda connection, statement=statement: connection.execute(statement, ("model 1", old)).rowcount, 0)  # type: ignore[misc]
    newer = Usage("text-classification", "m", "h", rows=1, cache_hits=1, rate_limit_waits=1)
    newer.errors["rejected input"] += 1
    usage_log.record(SqliteUsage(store), SCOPE, newer)
    table = usage_log.usage_table(SqliteUsage(store), "model 1")
    shown = ["rows", "stored", "waits", "requests", "tokens", "p50_seconds", "p95_seconds"]
    assert table[shown].iloc[0].tolist() == [10, 4, 3, 5, 11, 0.5, 1.0]
    assert table[shown].iloc[2].tolist() == [9, 3, 2, 5, 11, 0.5, 1.0]
    assert json.loads(table["errors"][0]) == {"row": 1, "wait": 1, "rejected input": 1}
    assert json.loads(table["errors"][2]) == {"row": 1, "wait": 1}


def test_days_of_an_older_version_are_made_of_its_queries(tmp_path: Path) -> None:
    store, old = open_store(str(tmp_path)), json.dumps(RECORD_OF_0_1_0)
    receipts = "INSERT INTO receipts(model, at, receipt) VALUES ('model 1', ?, ?)"
    ended = [(0, old), (1, old), (86_400, old)]
    store.run(lambda connection: connection.executemany(receipts, ended).rowcount, 0)
    store.run(lambda connection: connection.execute("INSERT INTO totals VALUES ('model 1', ?)", (old,)).rowcount, 0)
    usage_log.record(SqliteUsage(store), SCOPE, Usage("text-classification", "m", "h", rows=1))
    SqliteUsage(store).select("model 1", 0)  # it is written then
    with open_file(str(tmp_path)) as upkeep:
        (found,) = usage_log.usage_by_day(upkeep)
    today = time.strftime("%Y-%m-%d", time.gmtime())
    before = [("1970-01-01", 2, 18), ("1970-01-02", 1, 9)]
    assert [(day, usage.queries, usage.rows) for day, usage in found.days.items()] == [*before, (today, 1, 1)]
    assert found.total.rows == 10
    beside = [(time.time(), old)]  # by a process of the older version, which knows no days
    store.run(lambda connection: connection.executemany(receipts, beside).rowcount, 0).result()
    with open_file(str(tmp_path)) as upkeep:
        (found,) = usage_log.usage_by_day(upkeep)
    assert [(day, usage.queries, usage.rows) for day, usage in found.days.items()] == [*before, (today, 2, 10)]


def test_public_and_stored_names_stay_in_their_order() -> None:
    usage = Usage("t", "m", "h")
    later = ["failovers", "long_texts", "parts", "left_out"]
    latest = ["input_tokens", "output_tokens", "cached_tokens", "reasoning_tokens", "images"]
    assert list(usage.to_record()) == [*RECORD_OF_0_1_0, *later, *latest, "spending", "history", "cascade"]
    assert Usage.from_record(usage.to_record()) == usage
    public = [name for name in RECORD_OF_0_1_0 if name not in ("errors", "latencies")]
    shown = [*public, "requests_avoided", "errors", "p50_seconds", "p95_seconds", *later, *latest]
    dollars = ["usd", "usd_note", "usd_estimated_low", "usd_estimated_high"]
    assert list(usage.as_dict()) == [*shown, *dollars, "cascade"]


def test_a_query_that_ends_in_an_error_leaves_its_usage(service: Service, tmp_path: Path) -> None:
    service.answer = lambda *_: Reply({"error": "Invalid credentials"}, 401)
    scope, engine = Scope("e", "m"), engine_settings({"endpoint": service.url, "cache_dir": str(tmp_path)})
    model = model_settings({"task": "text-classification", "column": "t", "target": "y"}, engine)
    with pytest.raises(InferenceError):
        predict_frame(pd.DataFrame({"t": ["a", "b"]}), model, engine, scope=scope)
    shown = usage_log.usage_table(SqliteUsage(open_store(str(tmp_path))), "m")
    assert shown["requests"][0] == 1
    assert json.loads(shown["errors"][0]) == {"query stopped": 2}


def test_tokens_of_recorded_chats_are_counted_once_and_shown(service: Service, tmp_path: Path) -> None:
    chats = [each["response"]["json"] for each in RECORDED if "usage" in str((each["response"] or {}).get("json"))]
    assert len(chats) == 8
    service.answer = lambda body, *_: Reply(
        chats[int(body["messages"][-1]["content"])], headers={"x-total-tokens": "9"}
    )
    engine = engine_settings({"endpoint": service.url, "cache_dir": str(tmp_path), "cache": True})
    model = model_settings({"task": "chat-completion", "column": "text", "target": "y", "model": "m"})
    frame = pd.DataFrame({"text": [str(number) for number in range(len(chats))]})
    for _ in range(2):  # the second time from the store, and no token is used
        assert predict_frame(frame, model, engine, scope=SCOPE)["y_error"].isna().all()
    tokens = sum(chat["usage"]["total_tokens"] for chat in chats)
    assert list(usage_log.usage_table(SqliteUsage(open_store(str(tmp_path))), "model 1")["tokens"]) == [
        tokens,
        0,
        tokens,
    ]


def test_compute_time_of_recorded_answers_is_in_seconds() -> None:
    usage, compute_seconds = Usage("t", "m", "h"), 0.0
    for exchange in RECORDED:
        headers = exchange["response_headers"] or {}
        usage.record_response(1.0, 10, headers, reported_usage(headers))
        compute_seconds += float(headers.get("x-compute-time", 0))
    assert usage.compute_seconds == pytest.approx(compute_seconds)
    assert compute_seconds > 90
    assert usage.tokens == 0


@pytest.mark.parametrize(
    ("headers", "answer", "seconds", "tokens"),
    [
        ({"x-compute-time": "12", "x-compute-tokens": "31", "x-compute-characters": "90"}, [[0.5]], 0.012, 31),
        (
            {"x-compute-time": "2034", "x-prompt-tokens": "4", "x-total-tokens": "20"},
            [{"generated_text": "a"}],
            2.034,
            20,
        ),
        ({}, {"usage": {"prompt_tokens": 3, "completion_tokens": 4}}, 0.0, 7),
        ({"x-compute-time": "soon", "x-total-tokens": "-1"}, {"usage": {"total_tokens": ["many"]}}, 0.0, 0),
        ({"x-compute-tokens": "nan"}, {"usage": None}, 0.0, 0),
    ],
    ids=["Text Embeddings Inference", "Text Generation Inference", "no total", "nonsense", "no number"],
)
def test_compute_time_and_tokens_as_servers_tell_them(
    headers: dict[str, str], answer: Any, seconds: float, tokens: int
) -> None:
    usage = Usage("t", "m", "h")
    usage.record_response(1.0, 10, headers, reported_usage(headers, answer))
    assert usage.compute_seconds == pytest.approx(seconds)
    assert usage.tokens == tokens
