"""``distributed.spark.predict`` on a Spark of this process, ``local[2]``."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from pyspark.sql import SparkSession, types

from huggingface_api_handler.distributed.spark import JobUsage, predict
from huggingface_api_handler.errors import InputError
from huggingface_api_handler.inference import output_schema
from tests.distributed.connections import ConnectionCounter, process_at
from tests.distributed.sentiment import USING, Sentiment, check_predictions, reviews

KEY = "hf_a_key_that_nobody_may_see_1"
HELD_S = 60
SCHEMA = "stars int, text string, note string, id long, tags array<string>, seen timestamp"


@pytest.fixture(scope="module")
def spark(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SparkSession]:
    """Spark with two threads, which gives a task four tries."""
    os.environ["PYSPARK_PYTHON"] = sys.executable
    os.environ["HF_HOME"] = str(tmp_path_factory.mktemp("home"))  # of the Python processes, which inherit it
    paths = os.pathsep.join(path for path in (str(Path.cwd()), os.environ.get("PYTHONPATH")) if path)
    session = (
        SparkSession.builder.master("local[2, 4]")
        .config("spark.ui.enabled", "false")
        .config("spark.driver.host", "127.0.0.1")
        .config("spark.driver.memory", "512m")
        .config("spark.sql.execution.arrow.maxRecordsPerBatch", "7")  # so that partitions have several batches
        .config("spark.executorEnv.PYTHONPATH", paths)
        .getOrCreate()
    )
    session.sparkContext.setLogLevel("ERROR")
    yield session
    session.stop()


@pytest.fixture
def service() -> Iterator[ConnectionCounter]:
    running = ConnectionCounter()
    yield running
    running.close()


def cells(rows: int) -> list[tuple[Any, ...]]:
    """The reviews, with whole numbers that no float holds, a list and a time."""
    texts = [text if isinstance(text, str) else None for text in reviews(rows)["text"]]
    return [
        (row, texts[row], "unread", None if row % 7 == 0 else 2**53 + row, ["a", None], None) for row in range(rows)
    ]


def table(spark: SparkSession, partitions: int, rows: int = 40) -> Any:
    """The reviews in their order, in partitions of equal size."""
    return spark.createDataFrame(spark.sparkContext.parallelize(cells(rows), partitions), SCHEMA)


def check_table(rows: list[Any], count: int = 40) -> None:
    """The rows are those of ``cells(count)`` in their order, each with its prediction."""
    assert [tuple(row)[:6] for row in rows] == cells(count)
    out = pd.DataFrame([row.asDict() for row in rows]).astype(object).set_axis(reviews(count).index)
    check_predictions(reviews(count), out)


def part_of(text: str, size: int = 10) -> int:
    """The partition that a text is in."""
    return int(text.rpartition(" ")[2]) // size


def test_nothing_is_asked_before_an_action_and_then_each_text_once_in_order(
    spark: SparkSession, sentiment: Sentiment
) -> None:
    both = asyncio.Event()

    async def until_two_partitions_are_asked(count: int) -> None:
        if len({part_of(text) for text in sentiment.asked}) > 1:
            both.set()
        await asyncio.wait_for(both.wait(), HELD_S)

    sentiment.on_input = until_two_partitions_are_asked
    out = predict(table(spark, 4), USING, sentiment.engine)
    assert sentiment.requests == 0 and sentiment.service.fetched == []
    check_table(out.collect())
    assert set(sentiment.asked.values()) == {1} and len(sentiment.asked) == 36


def test_the_columns_of_the_table_stay_as_they_are(spark: SparkSession, sentiment: Sentiment) -> None:
    before = table(spark, 2)
    out = predict(before, USING, sentiment.engine)
    assert out.schema.fields[:6] == before.schema.fields
    assert out.schema.names[6:] == list(output_schema(USING, sentiment.engine))
    hard = spark.sql(
        "select text, map('k', 1) m, named_struct('x', 1, 'y', array(1, null)) s, cast(1.5 as decimal(10, 3)) d, "
        "timestamp'2026-01-01 10:00:00' t, date'2026-01-01' day, interval 1 day i, binary('x') b, id "
        "from values ('a good film', 9007199254740993L), (null, null) as reviews(text, id)"
    )
    rows = predict(hard, USING, sentiment.engine).collect()
    assert [row[:9] for row in rows] == [row[:] for row in hard.collect()]
    assert [row["mood"] for row in rows] == ["POSITIVE", None]


TEXT, TEXTS = types.StringType(), types.ArrayType(types.StringType())
CASES: list[tuple[dict[str, Any], dict[str, tuple[types.DataType, Any]]]] = [
    (
        USING,
        {
            "mood": (TEXT, "POSITIVE"),
            "mood_confidence": (types.DoubleType(), 0.9),
            "mood_explain": (TEXT, '{"POSITIVE":0.9}'),
            "mood_error": (TEXT, None),
        },
    ),
    (
        {"task": "feature-extraction", "column": "text", "model": "owner/vectors", "target": "vector"},
        {"vector": (types.ArrayType(types.FloatType()), [0.5, 0.25]), "vector_error": (TEXT, None)},
    ),
    (
        {
            "task": "chat-completion",
            "column": "text",
            "model": "owner/chat",
            "target": "read",
            "output_schema": {"topic": "str", "urgency": "int", "is_spam": "bool", "share": "float", "words": "list"},
        },
        {
            "topic": (TEXT, "films"),
            "urgency": (types.LongType(), 2),
            "is_spam": (types.BooleanType(), False),
            "share": (types.DoubleType(), 0.5),
            "words": (TEXTS, ["a", "b"]),
            "read_error": (TEXT, None),
        },
    ),
]


@pytest.mark.parametrize(("using", "expected"), CASES, ids=[str(using["task"]) for using, _ in CASES])
def test_types_are_known_beforehand_and_hold_with_nulls_and_in_partitions_without_rows(
    spark: SparkSession,
    sentiment: Sentiment,
    using: dict[str, Any],
    expected: dict[str, tuple[types.DataType, Any]],
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
    engine = {**sentiment.engine, "endpoint": f"{sentiment.service.url}/v1"} if "output_schema" in using else None
    texts = spark.createDataFrame(spark.sparkContext.parallelize([("a good film",), (None,), (" ",)], 5), "text string")
    out = predict(texts, using, engine or sentiment.engine)
    assert {name: out.schema[name].dataType for name in expected} == {
        name: kind for name, (kind, _) in expected.items()
    }
    assert sentiment.requests == 0
    first, *others = out.collect()
    assert {name: first[name] for name in expected} == {name: value for name, (_, value) in expected.items()}
    assert all(value is None for row in others for value in list(row)[1:])
    assert predict(texts.where("false"), using, engine or sentiment.engine).collect() == []


def test_a_process_keeps_its_connections_from_partition_to_partition(
    spark: SparkSession, sentiment: Sentiment, service: ConnectionCounter
) -> None:
    check_table(predict(table(spark, 40), USING, sentiment.engine).collect())
    assert len(service.peers) < 10


@pytest.mark.parametrize(
    ("using", "words"),
    [
        ({"column": "txet"}, "does not have"),
        ({"treshold": 0.5}, "threshold"),
        ({"target": "Note"}, "the table has a column 'note' already"),
        ({"max_requests": 10}, "max_requests bounds one query"),
        ({"task": "table-question-answering", "table_columns": "text, note"}, "all rows of a table"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_wrong_arguments_are_refused_at_the_call(
    spark: SparkSession, sentiment: Sentiment, using: dict[str, Any], words: str
) -> None:
    with pytest.raises(InputError, match=words):
        predict(table(spark, 2), {**USING, **using}, sentiment.engine)
    assert sentiment.requests == 0 and sentiment.service.fetched == []


def test_a_table_of_another_kind_is_refused_with_what_takes_it(sentiment: Sentiment) -> None:
    with pytest.raises(InputError, match=r"huggingface_api_handler\.predict"):
        predict(reviews(10), USING, sentiment.engine)


def test_the_usage_adds_up_to_what_the_service_counted(spark: SparkSession, sentiment: Sentiment) -> None:
    total = JobUsage()
    out = predict(table(spark, 4), USING, sentiment.engine, usage=total)
    assert total.as_dict()["queries"] == 0
    out.collect()
    usage = total.as_dict()
    assert usage["requests"] == sentiment.requests > 0
    assert (usage["queries"], usage["rows"], usage["nulls"], usage["answered"]) == (4, 40, 4, 36)
    out.collect()
    assert total.as_dict()["requests"] == sentiment.requests
    assert (total.as_dict()["queries"], total.as_dict()["stored"]) == (8, 36)


def test_a_killed_process_loses_no_row_and_doubles_none_and_what_is_stored_is_not_asked_again(
    spark: SparkSession, sentiment: Sentiment, service: ConnectionCounter
) -> None:
    killed: list[int] = []

    def kill(count: int) -> None:
        if count == 25 and not killed:
            killed.append(process_at(service.last_peer))
            os.kill(killed[0], signal.SIGKILL)

    predict(table(spark, 4).where("stars < 10"), USING, sentiment.engine).collect()
    stored = set(sentiment.asked)
    sentiment.on_input = kill
    check_table(predict(table(spark, 4), USING, sentiment.engine).collect())
    assert killed and len(sentiment.asked) == 36 and len(stored) == 9
    again = {text for text, times in sentiment.asked.items() if times > 1}
    assert again and not again & stored
    assert max(sentiment.asked.values()) == 2


def test_what_fails_every_row_fails_the_job(spark: SparkSession, sentiment: Sentiment) -> None:
    sentiment.status = 401
    with pytest.raises(Exception, match="401"):
        predict(table(spark, 2), USING, sentiment.engine).collect()
    out = predict(table(spark, 2), {**USING, "on_error": "null"}, sentiment.engine).collect()
    assert sum("401" in (row["mood_error"] or "") for row in out) == 36


def test_a_dry_run_asks_nothing(spark: SparkSession, sentiment: Sentiment) -> None:
    rows = predict(table(spark, 4), {**USING, "dry_run": True}, sentiment.engine).collect()
    assert sentiment.requests == 0
    assert [row["rows"] for row in rows] == ([7] * 7 + [3] * 3) * 4  # of each batch


def test_a_key_is_in_no_plan(spark: SparkSession, sentiment: Sentiment, capfd: pytest.CaptureFixture[str]) -> None:
    out = predict(table(spark, 2), USING, {**sentiment.engine, "api_key": KEY})
    out.explain(True)
    out.collect()
    assert {headers["authorization"] for headers in sentiment.service.headers} == {f"Bearer {KEY}"}
    told = "".join([repr(out), *capfd.readouterr()])
    assert "MapInArrow" in told and KEY not in told
