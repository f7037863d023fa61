"""A partitioned query that is cancelled in MindsDB stops sending within a second, and keeps what it has."""

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
from tests.unit.test_cancel import IN_TIME, Slow, single

TEXTS = [f"row {number}" for number in range(4000)]
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
        f"CREATE ML_ENGINE slow FROM huggingface_api USING endpoint = '{slow.url}', cache_dir = '{tmp_path / 'store'}'"
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


@pytest.mark.parametrize(
    "using",
    ["batch_size = 2000, track_column = id", "batch_size = 2001, track_column = id, threads = 2"],
)
def test_a_query_cancelled_in_sql_stops_sending_and_keeps_its_answers(
    mindsdb: MindsDB, slow: Slow, model: str, using: str
) -> None:
    ended: list[Any] = []

    def ask() -> None:
        try:
            ended.append(mindsdb.sql(select(model, using)))
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
    lost = [text for text in again & answered.keys() if answered[text] < at]
    assert not lost


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
