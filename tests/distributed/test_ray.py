"""``distributed.ray.predict`` on a Ray of this machine, with two actors."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest
import ray

from huggingface_api_handler.distributed.ray import JobUsage, predict
from huggingface_api_handler.errors import InputError
from huggingface_api_handler.inference import output_schema
from tests.distributed.connections import ConnectionCounter, process_at
from tests.distributed.sentiment import USING, Sentiment, check_predictions, reviews

KEY = "hf_a_key_that_nobody_may_see_1"
HELD_S = 60


def start_ray(home: Path) -> None:
    """Start Ray with two CPUs, in processes of its own.

    Args:
        home: HF_HOME of the actors.
    """
    paths = os.pathsep.join(path for path in (str(Path.cwd()), os.environ.get("PYTHONPATH")) if path)
    ray.init(
        num_cpus=2,
        include_dashboard=False,
        object_store_memory=100_000_000,
        logging_level="WARNING",
        runtime_env={"env_vars": {"PYTHONPATH": paths, "HF_HOME": str(home)}},
    )


@pytest.fixture(scope="module", autouse=True)
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    start_ray(tmp_path_factory.mktemp("home"))
    yield
    ray.shutdown()


@pytest.fixture
def service() -> Iterator[ConnectionCounter]:
    running = ConnectionCounter()
    yield running
    running.close()


def table(rows: int = 40) -> pa.Table:
    """The reviews, with whole numbers that no float holds."""
    ids = pa.array([None if row % 7 == 0 else 2**53 + row for row in range(rows)], pa.int64())
    return pa.Table.from_pandas(reviews(rows), preserve_index=False).append_column("id", ids)


def dataset(blocks: int, rows: int = 40) -> Any:
    """The table in blocks of equal size."""
    size = rows // blocks
    return ray.data.from_arrow([table(rows).slice(start, size) for start in range(0, rows, size)])


def check_table(rows: list[dict[str, Any]], count: int = 40) -> None:
    """The rows are those of ``table(count)`` in their order, each with its prediction."""
    assert [{name: row[name] for name in ("stars", "text", "note", "id")} for row in rows] == table(count).to_pylist()
    out = pd.DataFrame(rows).astype(object).set_axis(reviews(count).index)
    check_predictions(reviews(count), out)


def block_of(text: str, size: int = 10) -> int:
    """The block that a text is in."""
    return int(text.rpartition(" ")[2]) // size


def test_two_actors_work_at_once_and_nothing_is_asked_before_rows_are_wanted(sentiment: Sentiment) -> None:
    both = asyncio.Event()

    async def until_two_blocks_are_asked(count: int) -> None:
        if len({block_of(text) for text in sentiment.asked}) > 1:
            both.set()
        await asyncio.wait_for(both.wait(), HELD_S)

    sentiment.on_input = until_two_blocks_are_asked
    out = predict(dataset(4), USING, sentiment.engine, concurrency=2)
    assert sentiment.requests == 0 and sentiment.service.fetched == []
    check_table(out.take_all())
    assert set(sentiment.asked.values()) == {1} and len(sentiment.asked) == 36


def test_rows_keep_their_order_where_a_later_block_is_answered_first(sentiment: Sentiment) -> None:
    later = asyncio.Event()

    async def first_block_waits(count: int) -> None:
        asked = [block_of(text) for text in sentiment.asked]
        if any(asked.count(block) == 9 for block in (1, 2, 3)):  # Ray may give the second one to the first's actor
            later.set()
        if set(asked) == {0}:
            await asyncio.wait_for(later.wait(), HELD_S)

    sentiment.on_input = first_block_waits
    check_table(predict(dataset(4), USING, sentiment.engine, concurrency=2).take_all())
    assert set(sentiment.asked.values()) == {1}  # else the wait was in vain, and its request failed


def test_an_actor_keeps_its_connections_from_block_to_block(sentiment: Sentiment, service: ConnectionCounter) -> None:
    check_table(predict(dataset(20), USING, sentiment.engine, concurrency=1).take_all())
    assert len(service.peers) < 10


@pytest.mark.parametrize(("blocks", "actors", "warns"), [(1, 2, True), (2, 3, True), (4, 2, False), (1, 1, False)])
def test_fewer_blocks_than_actors_are_told_with_what_to_do(
    sentiment: Sentiment, caplog: pytest.LogCaptureFixture, blocks: int, actors: int, warns: bool
) -> None:
    predict(dataset(blocks), USING, sentiment.engine, concurrency=actors)
    told = [record.getMessage() for record in caplog.records if "repartition" in record.getMessage()]
    assert len(told) == warns
    if warns:
        assert f"{blocks} block" in told[0] and f"ds.repartition({4 * actors})" in told[0]


def test_schema_and_count_ask_nothing_and_a_few_rows_ask_about_these(sentiment: Sentiment) -> None:
    out = predict(dataset(4), USING, sentiment.engine)
    schema = out.schema()
    assert schema.names == ["stars", "text", "note", "id", *output_schema(USING, sentiment.engine)]
    assert out.count() == 40
    assert sentiment.requests == 0
    assert len(out.take(3)) == 3
    assert 0 < len(sentiment.asked) <= 9
    assert out.materialize().schema().base_schema.equals(schema.base_schema)


CASES: list[dict[str, Any]] = [
    USING,
    {"task": "feature-extraction", "column": "text", "model": "owner/vectors", "target": "vector"},
    {
        "task": "chat-completion",
        "column": "text",
        "model": "owner/chat",
        "output_schema": {"topic": "str", "urgency": "int", "is_spam": "bool", "share": "float", "words": "list"},
    },
]


@pytest.mark.parametrize("using", CASES, ids=lambda using: str(using["task"]))
def test_types_are_those_that_were_told_also_where_a_block_has_only_nulls(
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
    engine = {**sentiment.engine, "endpoint": f"{sentiment.service.url}/v1"} if "output_schema" in using else None
    nulls = pa.table({"text": pa.array([None, " "], pa.string())})
    ds = ray.data.from_arrow([pa.table({"text": ["a good film"]}), nulls])
    out = predict(ds, using, engine or sentiment.engine, concurrency=1)
    told = out.schema().base_schema
    blocks = [ray.get(reference) for reference in out.materialize().to_arrow_refs()]
    assert sorted(block.num_rows for block in blocks) == [1, 2]
    assert all(block.schema.equals(told) for block in blocks)
    if "vector" in told.names:
        assert out.take(1)[0]["vector"] == [0.5, 0.25]
    if "words" in told.names:
        first = out.take(1)[0]
        assert (first["urgency"], first["is_spam"], list(first["words"])) == (2, False, ["a", "b"])


def test_blocks_without_rows_ask_nothing(sentiment: Sentiment) -> None:
    ds = ray.data.from_arrow([table(40), table(40).slice(0, 0)])
    check_table(predict(ds, USING, sentiment.engine).take_all())
    assert sentiment.asked.total() == 36
    assert predict(ray.data.from_arrow(table(40).slice(0, 0)), USING, sentiment.engine).take_all() == []


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
def test_wrong_arguments_are_refused_at_the_call(sentiment: Sentiment, using: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=words):
        predict(dataset(2), {**USING, **using}, sentiment.engine)
    assert sentiment.requests == 0 and sentiment.service.fetched == []


def test_a_table_of_another_kind_is_refused_with_what_takes_it(sentiment: Sentiment) -> None:
    with pytest.raises(InputError, match=r"huggingface_api_handler\.predict"):
        predict(reviews(10), USING, sentiment.engine)


def test_columns_that_are_not_known_yet_are_checked_by_the_actors(sentiment: Sentiment) -> None:
    renamed = dataset(2).map_batches(lambda block: block.rename_columns(["a", "b", "c", "d"]), batch_format="pyarrow")
    with pytest.raises(Exception, match="does not have"):
        predict(renamed, USING, sentiment.engine).take_all()
    assert sentiment.requests == 0


def test_one_block_is_one_query_with_its_budget(sentiment: Sentiment) -> None:
    rows = predict(dataset(1), {**USING, "max_requests": 3}, sentiment.engine, concurrency=1).take_all()
    assert sentiment.requests == 3
    assert sum("max_requests" in (row["mood_error"] or "") for row in rows) > 0


def test_the_usage_adds_up_to_what_the_service_counted(sentiment: Sentiment) -> None:
    total = JobUsage()
    out = predict(dataset(4), USING, sentiment.engine, usage=total)
    assert total.as_dict()["queries"] == 0
    out.take_all()
    usage = total.as_dict()
    assert usage["requests"] == sentiment.requests > 0
    assert (usage["queries"], usage["rows"], usage["nulls"], usage["answered"]) == (4, 40, 4, 36)
    out.take_all()
    assert total.as_dict()["requests"] == sentiment.requests
    assert (total.as_dict()["queries"], total.as_dict()["stored"]) == (8, 36)


def test_what_fails_every_row_fails_the_job_and_is_in_the_usage(sentiment: Sentiment) -> None:
    sentiment.status = 401
    total = JobUsage()
    with pytest.raises(Exception, match="401"):
        predict(dataset(1), USING, sentiment.engine, concurrency=1, usage=total).take_all()
    assert total.as_dict()["requests"] == sentiment.requests > 0
    assert total.as_dict()["answered"] == 0


def test_a_block_that_fails_every_row_fails_the_job_while_its_actor_is_at_the_next(sentiment: Sentiment) -> None:
    async def hold(count: int) -> None:
        if count > 1:
            await asyncio.sleep(HELD_S)  # longer than the actor lives

    sentiment.status, sentiment.on_input = 401, hold
    total = JobUsage()
    with pytest.raises(Exception, match="401"):
        predict(dataset(4), USING, sentiment.engine, concurrency=1, usage=total).take_all()
    assert total.as_dict()["requests"] == 1  # the block that was done; Ray kills the actor at the next


def test_a_killed_actor_loses_no_row_and_doubles_none_and_what_is_stored_is_not_asked_again(
    sentiment: Sentiment, service: ConnectionCounter
) -> None:
    killed: list[int] = []

    def kill(count: int) -> None:
        if count == 25 and not killed:  # in the third block, after two are done
            killed.append(process_at(service.last_peer))
            os.kill(killed[0], signal.SIGKILL)

    sentiment.on_input = kill
    check_table(predict(dataset(4), USING, sentiment.engine, concurrency=1).take_all())
    assert killed and len(sentiment.asked) == 36
    again = {block_of(text) for text, times in sentiment.asked.items() if times > 1}
    assert again == {2}


def test_a_dry_run_asks_nothing(sentiment: Sentiment) -> None:
    rows = predict(dataset(4), {**USING, "dry_run": True}, sentiment.engine).take_all()
    assert sentiment.requests == 0
    assert [row["rows"] for row in rows] == [10] * 40


def test_a_key_is_in_no_log_of_ray(sentiment: Sentiment, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    out = predict(dataset(2), USING, {**sentiment.engine, "api_key": KEY})
    out.take_all()
    assert {headers["authorization"] for headers in sentiment.service.headers} == {f"Bearer {KEY}"}
    assert KEY not in "".join([repr(out), str(out), out.stats(), caplog.text])
    logs = Path(ray._private.worker.global_worker.node.get_logs_dir_path())
    texts = [path.read_bytes() for path in logs.rglob("*") if path.is_file()]
    assert len(texts) > 3 and not any(KEY.encode() in text for text in texts)
