"""MindsDB as it comes, with its prediction cache on: no dry run stays, and what we warn of is so."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pymysql
import pytest

from huggingface_api_handler.demo.mindsdb_server import MindsDB, SQLError, running_mindsdb
from huggingface_api_handler.installation.prediction_cache import BREAKS
from tests.conftest import Reply, Service

REVIEWS = ["I love it", "awful thing", "great day"]


def answer(body: Any, headers: dict[str, str], path: str) -> Any:
    texts = body["inputs"] if isinstance(body["inputs"], list) else [body["inputs"]]
    if any("fails" in text for text in texts):
        return Reply({"error": "too long"}, 400)
    labels = ["NEGATIVE" if "awful" in text else "POSITIVE" for text in texts]
    return [[{"label": label, "score": 0.75}, {"label": "other", "score": 0.25}] for label in labels]


@pytest.fixture(scope="module")
def cache_service() -> Iterator[Service]:
    service = Service()
    service.answer = answer
    yield service
    service.close()


@pytest.fixture(scope="module")
def caching(handler_installed: None, cache_service: Service) -> Iterator[MindsDB]:
    """A MindsDB that keeps predictions, with a model ``moods`` that reads ``text``."""
    with (
        tempfile.TemporaryDirectory() as home,
        running_mindsdb(environment={"HF_HOME": home}, prediction_cache="local") as server,
    ):
        server.sql(f"CREATE ML_ENGINE e FROM huggingface_api USING endpoint = '{cache_service.url}', cache = false")
        server.sql(
            "CREATE MODEL mindsdb.moods PREDICT mood USING engine = 'e', task = 'text-classification', column = 'text'"
        )
        server.wait_for_model("moods")
        yield server


def upload(mindsdb: MindsDB, folder: Path, name: str, **columns: list[Any]) -> str:
    file = folder / f"{name}.csv"
    pd.DataFrame(columns).to_csv(file, index=False)
    mindsdb.upload(file, name)
    return f"files.{name}"


def moods(mindsdb: MindsDB, table: str, using: str = "") -> list[Any]:
    rows = mindsdb.sql(f"SELECT t.id, m.mood FROM {table} AS t JOIN mindsdb.moods AS m {using}").rows
    return [row[1] for row in sorted(rows, key=lambda row: int(str(row[0])))]


def test_a_dry_run_never_becomes_a_prediction(caching: MindsDB, cache_service: Service, tmp_path: Path) -> None:
    table = upload(caching, tmp_path, "dry", id=[1, 2, 3], text=REVIEWS)
    asked = len(cache_service.asked)
    for _ in range(2):
        with pytest.raises(SQLError, match=r"dry run: 3 rows, 0 NULL or blank, 3 distinct inputs, .*doctor") as told:
            caching.sql(f"SELECT m.rows, m.requests FROM {table} AS t JOIN mindsdb.moods AS m USING dry_run = true")
        assert "prediction cache is on" in str(told.value)
    assert len(cache_service.asked) == asked
    assert moods(caching, table) == ["POSITIVE", "NEGATIVE", "POSITIVE"]
    caching.sql(f"CREATE VIEW mindsdb.kept AS (SELECT t.id, m.mood FROM {table} AS t JOIN mindsdb.moods AS m)")
    assert len(caching.sql("SELECT mood FROM mindsdb.kept WHERE mood = 'NEGATIVE'").rows) == 1


def test_a_dry_run_of_one_row_is_a_table(caching: MindsDB) -> None:
    for _ in range(2):
        found = caching.sql("SELECT rows, requests FROM mindsdb.moods WHERE text = 'I love it' USING dry_run = true")
        assert found.rows == [[1, 1]]
    assert caching.sql("SELECT mood FROM mindsdb.moods WHERE text = 'I love it'").rows == [["POSITIVE"]]


def test_what_the_warning_says_of_the_cache_is_so(caching: MindsDB, tmp_path: Path, cache_service: Service) -> None:
    """Where a line fails because MindsDB has mended it, take it out of BREAKS and of docs/mindsdb_install.md."""
    using, mapping, failed, middle = BREAKS
    assert "USING" in using
    table = upload(caching, tmp_path, "by_using", id=[1, 2, 3], text=[f"{text}!" for text in REVIEWS])
    before = moods(caching, table)
    assert moods(caching, table, "USING threshold = 0.9") == before

    assert "ON m." in mapping
    table = upload(caching, tmp_path, "mapped", id=[1], title=["fine"], body=["awful"])
    joined = f"SELECT m.mood FROM {table} AS t JOIN mindsdb.moods AS m ON m.text = t."
    assert caching.sql(f"{joined}title").rows == caching.sql(f"{joined}body").rows == [["POSITIVE"]]

    assert "failed" in failed
    table = upload(caching, tmp_path, "failing", id=[1, 2], text=["this one fails", "fine"])
    assert moods(caching, table) == [None, "POSITIVE"]
    asked = len(cache_service.asked)
    assert moods(caching, table) == [None, "POSITIVE"]
    assert len(cache_service.asked) == asked

    rows_and_columns = int("".join(re.findall(r"\d", middle)))
    assert rows_and_columns == 1000
    ids, texts = list(range(501)), ["fine"] * 501
    assert moods(caching, upload(caching, tmp_path, "long_one", id=ids, text=texts))[250] == "POSITIVE"
    texts[250] = "awful"
    assert moods(caching, upload(caching, tmp_path, "long_other", id=ids, text=texts))[250] == "POSITIVE", "wrong"


def test_a_session_may_switch_it_off(caching: MindsDB, tmp_path: Path) -> None:
    table = upload(caching, tmp_path, "session", id=[1, 2, 3], text=[f"{text}?" for text in REVIEWS])
    assert "uncertain" not in moods(caching, table)
    connection = pymysql.connect(
        host="127.0.0.1", port=caching.mysql_port, user="mindsdb", password="", database="mindsdb"
    )
    with connection, connection.cursor() as cursor:
        cursor.execute("SET predictor_cache = 0")
        cursor.execute(f"SELECT m.mood FROM {table} AS t JOIN mindsdb.moods AS m USING threshold = 0.9")
        assert set(cursor.fetchall()) == {("uncertain",)}
