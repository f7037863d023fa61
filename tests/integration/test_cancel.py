"""A partitioned query that is cancelled in MindsDB stops sending within a second, and keeps what it has.

Which statements MindsDB keeps a record of, and so lets a person cancel, is what docs/mindsdb_install.md says and is tried here.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pymysql
import pytest

from huggingface_api_handler.demo.mindsdb_server import MindsDB, SQLError
from tests.unit.inference.runtime.test_cancel import IN_TIME, Slow, single

TEXTS = [f"row {number}" for number in range(4000)]
IN_FLIGHT = 16
"""So that the table takes five seconds, and no query ends by itself within the one that a cancelled one may take."""
QUERIES = "SELECT id FROM information_schema.queries WHERE finished_at IS NULL AND error IS NULL"


@pytest.fixture
def slow() -> Iterator[Slow]:
    running = Slow()
    yield running
    running.close()


@pytest.fixture
def model(mindsdb: MindsDB, slow: Slow, tmp_path: Path) -> Iterator[str]:
    """A model on the slow service, and the table ``files.long`` to join it with."""
    pd.DataFrame({"id": range(len(TEXTS)), "text": TEXTS}).to_csv(tmp_path / "long.csv", index=False)
    mindsdb.upload(tmp_path / "long.csv", "long")
    mindsdb.sql(
        f"CREATE ML_ENGINE slow FROM huggingface_api USING endpoint = '{slow.url}', cache_dir = '{tmp_path / 'store'}', "
        f"max_concurrency = {IN_FLIGHT}"
    )
    mindsdb.sql(
        "CREATE MODEL mindsdb.slow PREDICT y USING engine = 'slow', task = 'text-classification', column = 'text', model = 'm'"
    )
    mindsdb.wait_for_model("slow")
    yield "mindsdb.slow"
    mindsdb.sql("DROP MODEL mindsdb.slow")
    mindsdb.sql("DROP ML_ENGINE slow")
    mindsdb.sql("DROP TABLE files.long")


def select(model: str, using: str, where: str = "") -> str:
    return f"SELECT t.id, m.y, m.y_error FROM files.long AS t JOIN {model} AS m {where} USING {using}"


SHORT = "SELECT t.id, m.y FROM files.long AS t JOIN {model} AS m WHERE t.id < 3"
BOTH = "USING batch_size = 2, track_column = id"
CANCELLABLE = [f"{SHORT} {BOTH}", f"{SHORT} {BOTH}, threads = 2", f"{SHORT} AND m.y = '1' {BOTH}"]
NOT_CANCELLABLE = [
    SHORT,
    f"{SHORT} USING partition_size = 2",
    f"{SHORT} {BOTH}, partition_size = 2",
    f"SELECT t.id, m.y FROM (SELECT * FROM files.long WHERE id < 3) AS t JOIN {{model}} AS m {BOTH}",
    f"CREATE TABLE files.made ({SHORT})",
]


def test_mindsdb_records_the_statements_that_readme_says_it_records(mindsdb: MindsDB, model: str) -> None:
    recorded = []
    for statement in (*CANCELLABLE, *NOT_CANCELLABLE):
        before = mindsdb.sql("SELECT id FROM information_schema.queries").rows
        mindsdb.sql(statement.format(model=model))
        after = mindsdb.sql("SELECT id FROM information_schema.queries").rows
        recorded += [statement] if after != before else []
    mindsdb.sql("DROP TABLE files.made")
    assert recorded == CANCELLABLE


@pytest.mark.parametrize(
    "statement",
    [
        # All rows at once: between two parts MindsDB itself would find its record gone.
        select("mindsdb.slow", f"batch_size = {len(TEXTS)}, track_column = id"),
        select("mindsdb.slow", f"batch_size = {len(TEXTS)}, track_column = id, threads = 2"),
    ],
)
def test_a_query_cancelled_in_sql_stops_sending_and_keeps_its_answers(
    mindsdb: MindsDB, slow: Slow, model: str, statement: str
) -> None:
    ended: list[Any] = []

    def ask() -> None:
        try:
            ended.append(mindsdb.sql(statement))
        except SQLError as error:
            ended.append(error)

    asking = threading.Thread(target=ask)
    asking.start()
    slow.until(150)
    ((query,),) = mindsdb.sql(QUERIES).rows
    mindsdb.sql(f"SELECT query_cancel({query})")
    at = time.monotonic()
    assert slow.quiet() - at < IN_TIME
    asking.join(60)
    assert isinstance(ended[0], SQLError)  # MindsDB's own: it has nowhere to write progress to
    answered, asked = dict(slow.answered), single(slow.asked)
    assert len(asked) < len(TEXTS) / 2
    slow.asked.clear()
    found = mindsdb.sql(select(model, "threshold = 0"))
    assert {row[0]: row[1] for row in found.rows} == {number: text[-1] for number, text in enumerate(TEXTS)}
    again = single(slow.asked)
    assert again >= set(TEXTS) - asked
    asked_twice = [text for text in again & answered.keys() if answered[text] < at]
    assert not asked_twice


def test_what_follows_a_failed_query_on_its_connection_is_not_taken_for_cancelled(
    mindsdb: MindsDB, mysql: pymysql.connections.Connection[Any], slow: Slow, model: str
) -> None:
    plain = f"SELECT t.id, m.y, m.y_error FROM files.long AS t JOIN {model} AS m WHERE t.id < 200"
    with mysql.cursor() as cursor:
        with pytest.raises(pymysql.MySQLError, match="threshold"):
            cursor.execute(select(model, "batch_size = 2000, track_column = id, threshold = 2"))
        ((failed,),) = mindsdb.sql("SELECT MAX(id) FROM information_schema.queries").rows
        for statement in (f"SELECT query_cancel({failed})", "SELECT 1"):
            cursor.execute(plain)
            rows = cursor.fetchall()
            assert {int(row[0]): row[1] for row in rows} == {number: TEXTS[number][-1] for number in range(200)}
            mindsdb.sql(statement)
