"""mindsdb-sdk, MindsDB's HTTP API and its MySQL port: the same predictions, whoever asks."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import mindsdb_sdk
import pandas as pd
import pymysql
import pytest
import requests

from huggingface_api_handler.demo.mindsdb_server import MindsDB
from tests.conftest import Service
from tests.integration.conftest import MOOD_TEXTS, MOODS, refusal, rows_of, wait_for

EACH = [[number, mood] for number, mood in MOODS.items()]
OPTIONS = {"task": "text-classification", "column": "text", "model": "m"}
ROWS_THAT_BREAK_THE_CONNECTION = 1000
"""MindsDB's MySQL port sends so many rows, or more, in another way."""


@pytest.fixture(scope="module")
def server(mindsdb: MindsDB, moods: str) -> Any:
    return mindsdb_sdk.connect(mindsdb.url)


@pytest.fixture(scope="module")
def project(server: Any) -> Any:
    return server.get_project("mindsdb")


@pytest.fixture
def sdk_model(server: Any, project: Any, mood_service: Service) -> Iterator[Any]:
    """A model that the SDK made, with its engine."""
    engine = server.ml_engines.create(
        "sdk_engine", "huggingface_api", connection_data={"endpoint": mood_service.url, "cache": False}
    )
    model = project.models.create("sdk_model", "sentiment", engine=engine, options=OPTIONS)
    model.wait_complete()
    yield model
    project.models.drop("sdk_model")
    server.ml_engines.drop("sdk_engine")


def test_the_sdk_makes_engines_and_models_and_predicts(server: Any, sdk_model: Any, pg: str) -> None:
    assert server.ml_engines.get("sdk_engine").handler == "huggingface_api"
    assert sdk_model.get_status() == "complete"
    assert list(sdk_model.predict({"text": "awful"})["sentiment"]) == ["NEGATIVE"]
    frame = pd.DataFrame({"text": list(MOOD_TEXTS.values())})
    assert list(sdk_model.predict(frame)["sentiment"]) == list(MOODS.values())
    assert set(sdk_model.predict(frame, params={"threshold": 0.9})["sentiment"]) == {"uncertain"}
    table = server.databases.get(pg).tables.get("reviews")
    assert sorted(sdk_model.predict(table)["sentiment"]) == sorted(MOODS.values())
    assert list(sdk_model.predict(table.filter(id=2))["sentiment"]) == ["NEGATIVE"]
    assert "text" in list(sdk_model.describe("settings")["value"])


def test_the_sdk_lists_and_activates_versions(mindsdb: MindsDB, project: Any, sdk_model: Any) -> None:
    sdk_model.retrain(options={**OPTIONS, "engine": "sdk_engine", "threshold": 0.9})
    active = "SELECT version FROM mindsdb.models WHERE name = 'sdk_model' AND active = 1 AND status = 'complete'"
    wait_for(mindsdb, active, [[2]])
    assert [version.version for version in project.models.get("sdk_model").list_versions()] == [1, 2]
    assert list(sdk_model.predict({"text": "awful"})["sentiment"]) == ["uncertain"]
    sdk_model.set_active(1)
    assert list(sdk_model.predict({"text": "awful"})["sentiment"]) == ["NEGATIVE"]
    project.drop_model_version("sdk_model", 2)


def test_the_sdk_runs_any_statement_and_makes_tables_views_and_jobs_of_text(
    server: Any, project: Any, moods: str, pg: str
) -> None:
    joined = f"SELECT t.id, m.sentiment FROM {pg}.reviews AS t JOIN {moods} AS m"
    assert sorted(project.query(joined).fetch().to_numpy().tolist()) == EACH
    server.query(f"CREATE TABLE {pg}.by_sdk ({joined})").fetch()
    assert len(server.databases.get(pg).tables.get("by_sdk").fetch()) == len(EACH)
    server.query(f"DROP TABLE {pg}.by_sdk").fetch()
    view = project.views.create("sdk_view", joined)
    assert sorted(view.filter(sentiment="NEGATIVE").fetch()["id"]) == [2, 4]
    project.views.drop("sdk_view")
    project.jobs.create("sdk_job", joined, start_at=datetime(2099, 1, 1), repeat_str="1 day")
    assert [job.name for job in project.jobs.list() if job.name == "sdk_job"] == ["sdk_job"]
    project.jobs.drop("sdk_job")
    for kept in (project.views.create, server.databases.get(pg).tables.create):
        with pytest.raises(RuntimeError, match="'Join' object has no attribute 'parts'"):
            kept("sdk_made", project.query(joined))


def test_an_error_of_ours_reaches_the_sdk(project: Any, moods: str) -> None:
    with pytest.raises(RuntimeError, match="did you mean 'text-classification'"):
        project.models.create("bad", "y", engine="mood_engine", options={**OPTIONS, "task": "text-clasification"})
    with pytest.raises(requests.HTTPError, match="column names the column 'text', which the table does not have"):
        project.models.get("mood_model").predict({"other": "x"})


@pytest.fixture(scope="module")
def api(mindsdb: MindsDB, moods: str) -> str:
    return f"{mindsdb.url}/api"


def test_the_http_api_runs_sql(api: str, moods: str, pg: str) -> None:
    joined = f"SELECT t.id, m.sentiment FROM {pg}.reviews AS t JOIN {moods} AS m"
    plain = requests.post(f"{api}/sql/query", json={"query": joined}, timeout=60).json()
    assert plain["type"] == "table" and plain["column_names"] == ["id", "sentiment"] and sorted(plain["data"]) == EACH
    for form, prefix in (("jsonlines", ""), ("sse", "data: ")):
        streamed = requests.post(f"{api}/sql/query", json={"query": joined, "response_format": form}, timeout=60).text
        head, rows = (json.loads(line.removeprefix(prefix)) for line in streamed.splitlines() if line)
        assert head["column_names"] == ["id", "sentiment"] and sorted(rows) == EACH
    error = requests.post(f"{api}/sql/query", json={"query": f"SELECT y FROM {moods} WHERE other = 1"}, timeout=60)
    assert error.status_code == 200, "MindsDB says 200 for errors too; look at the type"
    assert (
        error.json()["type"] == "error"
        and "InputError: column names the column 'text'" in error.json()["error_message"]
    )


def test_the_http_api_makes_asks_describes_and_drops_models(api: str, mindsdb: MindsDB) -> None:
    models = f"{api}/projects/mindsdb/models"
    using = (
        "engine = 'mood_engine', task = 'text-classification', column = 'text', model = 'm', join_learn_process = true"
    )
    made = requests.post(models, json={"query": f"CREATE MODEL mindsdb.by_http PREDICT y USING {using}"}, timeout=60)
    assert (made.status_code, made.json()["status"]) == (201, "complete")
    assert requests.get(f"{models}/by_http", timeout=60).json()["engine"] == "huggingface_api"
    data = [{"text": text} for text in MOOD_TEXTS.values()]
    for name, params, expected in (
        ("by_http", None, list(MOODS.values())),
        ("by_http.1", None, list(MOODS.values())),
        ("by_http", {"threshold": 0.9}, ["uncertain"] * len(data)),
    ):
        answer = requests.post(f"{models}/{name}/predict", json={"data": data, "params": params}, timeout=60)
        assert [row["y"] for row in answer.json()] == expected
    wrong = requests.post(f"{models}/by_http/predict", json={"data": [{"other": "x"}]}, timeout=60)
    assert wrong.status_code == 500 and "column names the column 'text'" in wrong.json()["detail"]
    settings = requests.get(f"{models}/by_http/describe", json={"attribute": "settings"}, timeout=60).json()
    assert {"argument": "column", "value": "text"} in settings
    assert requests.delete(f"{models}/by_http", timeout=60).status_code == 204


def test_the_http_api_keeps_views_jobs_and_tables(api: str, moods: str, pg: str, mindsdb: MindsDB) -> None:
    joined = f"SELECT t.id, m.sentiment FROM {pg}.reviews AS t JOIN {moods} AS m"
    base = f"{api}/projects/mindsdb"
    view = requests.post(f"{base}/views", json={"view": {"name": "http_view", "query": joined}}, timeout=60)
    assert view.status_code == 201
    assert len(mindsdb.sql("SELECT * FROM mindsdb.http_view").rows) == len(EACH)
    assert requests.delete(f"{base}/views/http_view", timeout=60).status_code == 204
    job = {
        "name": "http_job",
        "query": joined,
        "start_at": "2099-01-01 00:00:00",
        "end_at": None,
        "schedule_str": "every day",
    }
    assert requests.post(f"{base}/jobs", json={"job": job}, timeout=60).status_code in (200, 201)
    assert requests.delete(f"{base}/jobs/http_job", timeout=60).status_code == 204
    table = {"name": "by_http", "select": joined, "replace": True}
    assert requests.post(f"{api}/databases/{pg}/tables", json={"table": table}, timeout=60).status_code == 201
    assert sorted(rows_of(mindsdb, f"SELECT * FROM {pg}.by_http")) == EACH
    mindsdb.sql(f"DROP TABLE {pg}.by_http")


def test_the_http_api_knows_the_handler(api: str) -> None:
    known = requests.get(f"{api}/handlers/huggingface_api", timeout=60).json()
    assert known["import"]["success"] is True
    assert "api_key" in known["connection_args"]["creation_args"]
    assert requests.get(f"{api}/handlers/huggingface_api/icon", timeout=60).text.startswith("<svg")


@pytest.fixture(scope="module")
def long_table(mindsdb: MindsDB, tmp_path_factory: pytest.TempPathFactory) -> str:
    file = tmp_path_factory.mktemp("long") / "accents.csv"
    rows = range(ROWS_THAT_BREAK_THE_CONNECTION)
    pd.DataFrame({"id": rows, "text": [f"größe {row % 10}" for row in rows]}).to_csv(file, index=False)
    mindsdb.upload(file, "accents")
    return "files.accents"


def test_the_mysql_port_gives_predictions_of_many_rows(
    mysql: pymysql.connections.Connection[Any], moods: str, long_table: str
) -> None:
    with mysql.cursor() as cursor:
        cursor.execute(f"SELECT t.id, m.sentiment FROM {long_table} AS t JOIN {moods} AS m")
        assert len(cursor.fetchall()) == ROWS_THAT_BREAK_THE_CONNECTION


def test_the_mysql_port_cuts_the_connection_at_many_rows_with_accents_and_http_does_not(
    mindsdb: MindsDB, mysql: pymysql.connections.Connection[Any], moods: str, long_table: str
) -> None:
    """Where this fails MindsDB is mended; tell docs/mindsdb.md."""
    joined = f"SELECT t.id, t.text, m.sentiment FROM {long_table} AS t JOIN {moods} AS m"
    fewer = f"{joined} WHERE t.id < {ROWS_THAT_BREAK_THE_CONNECTION - 1}"
    with mysql.cursor() as cursor:
        cursor.execute(fewer)
        assert len(cursor.fetchall()) == ROWS_THAT_BREAK_THE_CONNECTION - 1
        with pytest.raises(pymysql.OperationalError, match="Lost connection to MySQL server during query"):
            cursor.execute(joined)
    assert len(mindsdb.sql(joined).rows) == ROWS_THAT_BREAK_THE_CONNECTION


def test_a_statement_with_parameters_is_filled_in_by_the_client(
    mysql: pymysql.connections.Connection[Any], moods: str
) -> None:
    with mysql.cursor() as cursor:
        cursor.execute(f"SELECT sentiment FROM {moods} WHERE text = %s", ("it's awful",))
        assert cursor.fetchall() == (("NEGATIVE",),)


def test_a_refused_statement_is_an_error_of_the_mysql_client(
    mindsdb: MindsDB, mysql: pymysql.connections.Connection[Any], moods: str
) -> None:
    statement = f"SELECT sentiment FROM {moods} WHERE text = 'x' USING threshold = 2"
    with mysql.cursor() as cursor, pytest.raises(pymysql.MySQLError, match="InputError: SELECT: threshold: "):
        cursor.execute(statement)
    assert "InputError: SELECT: threshold: " in refusal(mindsdb, statement)


def upload_over_http(url: str, file: Path, name: str) -> int:
    with file.open("rb") as content:
        answer = requests.put(
            f"{url}/api/files/{name}", data={"original_file_name": file.name}, files={"file": content}, timeout=60
        )
    return answer.status_code


def test_a_file_is_uploaded_over_http(mindsdb: MindsDB, moods: str, tmp_path: Path) -> None:
    file = tmp_path / "sent.csv"
    file.write_text("id,text\n1,I love it\n2,awful\n")
    assert upload_over_http(mindsdb.url, file, "sent") == 200
    found = rows_of(mindsdb, f"SELECT t.id, m.sentiment FROM files.sent AS t JOIN {moods} AS m")
    assert sorted(found) == [[1, "POSITIVE"], [2, "NEGATIVE"]]
