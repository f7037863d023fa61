"""What is stored where: engines, models and views in the file, in a transaction of their own, and no key."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import duckdb
import pytest

from huggingface_api_handler.errors import InputError
from huggingface_api_handler.sql import connect
from huggingface_api_handler.sql.models import bind_model
from huggingface_api_handler.sql.tokens import statements_of
from huggingface_api_handler.sql.views import refuse_model_name
from tests.conftest import Service
from tests.sql.conftest import Make, make_engine, make_model

KEY = "a-key-that-is-nowhere-1234567890"


def names(connection: Any) -> list[str]:
    return [row[0] for row in connection.sql("SHOW MODELS").fetchall()]


def bytes_of(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file())


def test_a_model_is_there_when_the_file_is_opened_again(open_file: Make, labels: Service) -> None:
    con = open_file()
    make_engine(con, labels)
    make_model(con, "Sentiment")
    con.sql("CREATE VIEW v AS SELECT * FROM sentiment")
    con.close()
    again = open_file()
    model = again.catalog.model("SENTIMENT")
    assert (model.name, model.version, model.engine, model.arguments["task"]) == (
        "Sentiment",
        1,
        "hf",
        "text-classification",
    )
    assert again.catalog.view("V").query == "SELECT * FROM sentiment"
    assert again.catalog.engine("HF").arguments == {"endpoint": f"{labels.url}/models"}
    assert again.catalog.names() == {"sentiment", "v"}
    bound = bind_model(model, {"top_k": 2}, again)
    assert bound.inputs == ("text",)
    assert list(bound.outputs) == ["sentiment", "sentiment_confidence", "sentiment_explain", "sentiment_error"]
    assert bound.settings.parameters == {"top_k": 2}
    assert bound.query(again.session).route.url.startswith(f"{labels.url}/models/")


def test_no_key_is_in_the_file_or_beside_it(open_file: Make, file: Path, labels: Service) -> None:
    con = open_file()
    make_engine(con, labels, api_key=KEY)
    make_engine(con, labels, "other", token=KEY)
    make_model(con)
    con.sql("DESCRIBE sentiment.model")
    assert bytes_of(file.parent)  # and the log of what is not yet in the file
    assert KEY.encode() not in bytes_of(file.parent)
    assert KEY not in str(con.sql("SHOW ML_ENGINES").fetchall()) + str(con.sql("DESCRIBE ML_ENGINE hf").fetchall())
    con.sql("CHECKPOINT")
    con.close()
    assert KEY.encode() not in bytes_of(file.parent)


def test_a_key_lasts_as_long_as_its_connection_and_can_be_given_again(open_file: Make, labels: Service) -> None:
    con = open_file()
    make_engine(con, labels, api_key=KEY)
    make_model(con)
    con.close()
    again = open_file()
    model = again.catalog.model("sentiment")
    with pytest.raises(InputError, match="lasts as long as its connection"):
        bind_model(model, {}, again)
    make_engine(again, labels, api_key=KEY)
    bound = bind_model(model, {}, again)
    assert bound.engine.api_key is not None
    assert bound.engine.api_key.get_secret_value() == KEY
    with pytest.raises(InputError, match="already"):
        make_engine(again, labels, api_key=KEY, timeout="5")


def test_a_command_that_cannot_be_read_does_not_repeat_the_key(con: Any) -> None:
    with pytest.raises(InputError) as raised:
        con.sql(f"CREATE ML_ENGINE hf FROM huggingface_api USING api_key = '{KEY}' nonsense")
    assert KEY not in str(raised.value)


def test_what_is_made_in_a_transaction_stays_when_that_is_rolled_back(con: Any, labels: Service) -> None:
    con.sql("CREATE TABLE t (a INT); BEGIN; INSERT INTO t VALUES (1)")
    make_engine(con, labels)
    make_model(con)
    con.sql("ROLLBACK")
    assert names(con) == ["sentiment"]
    assert con.sql("SELECT count(*) FROM t").fetchall() == [(0,)]


def test_the_persons_transaction_goes_on_over_a_command(con: Any, labels: Service) -> None:
    con.sql("CREATE TABLE t (a INT); BEGIN; INSERT INTO t VALUES (1)")
    make_engine(con, labels)
    make_model(con)
    con.sql("DROP MODEL sentiment")
    con.sql("INSERT INTO t VALUES (2); COMMIT")
    assert con.sql("SELECT count(*) FROM t").fetchall() == [(2,)]


def test_a_table_of_an_open_transaction_has_its_name(con: Any, labels: Service) -> None:
    make_engine(con, labels)
    con.sql("BEGIN; CREATE TABLE sentiment (a INT)")
    with pytest.raises(InputError, match="there is a table 'sentiment'"):
        make_model(con)
    con.sql("ROLLBACK")
    make_model(con)


def test_a_schema_that_an_open_transaction_has_changed_gets_a_sentence(con: Any, labels: Service) -> None:
    make_engine(con, labels)
    con.sql("BEGIN; DROP TABLE huggingface.models")
    with pytest.raises(InputError, match="COMMIT or ROLLBACK first"):
        make_model(con)
    con.sql("ROLLBACK")
    make_model(con)


@pytest.mark.parametrize(
    "statement",
    [
        "CREATE TABLE sentiment (a INT)",
        "CREATE OR REPLACE TABLE SENTIMENT AS SELECT 1 AS a",
        "CREATE TEMP TABLE IF NOT EXISTS sentiment (a INT)",
        'CREATE TABLE main."Sentiment" (a INT)',
        "CREATE VIEW sentiment AS SELECT 1 AS a",
        "CREATE OR REPLACE TEMPORARY VIEW `sentiment` AS SELECT 1 AS a",
        "ALTER TABLE t RENAME TO sentiment",
        "CREATE TABLE v (a INT)",
    ],
)
def test_a_table_may_not_have_the_name_of_a_model(con: Any, labels: Service, statement: str) -> None:
    make_engine(con, labels)
    make_model(con)
    con.sql("CREATE TABLE t (a INT); CREATE VIEW v AS SELECT * FROM sentiment")
    with pytest.raises(InputError, match="Give the table another name"):
        con.sql(statement)


@pytest.mark.parametrize("text", ["CREATE TABLE s.sentiment (a INT)", "CREATE TABLE t (sentiment INT)", "DROP TABLE t"])
def test_a_table_of_another_schema_may(con: Any, labels: Service, text: str) -> None:
    make_engine(con, labels)
    make_model(con)
    refuse_model_name(statements_of(text)[0], con.catalog)


@pytest.mark.parametrize(
    "made",
    ["CREATE TABLE Sentiment (a INT)", "CREATE VIEW sentiment AS SELECT 1 AS a", "CREATE TEMP TABLE sentiment (a INT)"],
)
def test_a_model_may_not_have_the_name_of_a_table(con: Any, labels: Service, made: str) -> None:
    make_engine(con, labels)
    con.sql(made)
    with pytest.raises(InputError, match="Give the model another name"):
        make_model(con)


def test_a_frame_and_a_model_share_no_name(con: Any, labels: Service) -> None:
    import pandas as pd

    make_engine(con, labels)
    con.register("frame", pd.DataFrame({"a": [1]}))
    with pytest.raises(InputError, match="Give the model another name"):
        make_model(con, "frame")
    make_model(con)
    with pytest.raises(InputError, match="Give the table another name"):
        con.register("SENTIMENT", pd.DataFrame({"a": [1]}))


def test_a_read_only_database_is_read_and_not_written_to(open_file: Make, labels: Service) -> None:
    con = open_file()
    make_engine(con, labels)
    make_model(con)
    con.close()
    reader = open_file(read_only=True)
    assert names(reader) == ["sentiment"]
    bind_model(reader.catalog.model("sentiment"), {}, reader)
    statements = (
        "CREATE MODEL m PREDICT a USING task = 'text-classification', column = 'text'",
        "DROP MODEL sentiment",
        "RETRAIN sentiment",
        "DROP ML_ENGINE hf",
        "CREATE VIEW v AS SELECT * FROM sentiment",
        "CREATE ML_ENGINE e FROM huggingface_api",
    )
    for statement in statements:
        with pytest.raises(InputError, match="open for reading only"):
            reader.sql(statement)


def test_a_read_only_database_without_models(open_file: Make, file: Path) -> None:
    duckdb.connect(str(file)).close()
    assert open_file(read_only=True).sql("SHOW MODELS").fetchall() == []


def test_two_connections_of_a_process_see_the_same_models(open_file: Make, labels: Service) -> None:
    one, other = open_file(), open_file()
    make_engine(one, labels)
    make_model(one)
    assert names(other) == ["sentiment"]
    other.sql("DROP MODEL sentiment")
    assert names(one) == []


def test_a_file_of_another_process_gets_a_sentence(open_file: Make, file: Path) -> None:
    open_file()
    code = f"from huggingface_api_handler.sql import connect\ntry: connect({str(file)!r})\nexcept ValueError as e: print(e)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "is open in another process (PID " in done.stdout


@pytest.mark.parametrize(
    ("name", "read_only", "sentence"),
    [
        ("no-such-folder/my.duckdb", False, "there is no folder"),
        ("none.duckdb", True, "there is no file"),
        (".", False, "cannot be opened"),
    ],
)
def test_a_file_that_cannot_be_opened(tmp_path: Path, name: str, read_only: bool, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        connect(tmp_path / name, read_only=read_only)


def test_a_file_that_is_no_database(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("not a database at all, but long enough to be one" * 500)
    with pytest.raises(InputError, match="cannot be opened"):
        connect(tmp_path / "notes.txt")


def test_a_newer_format_gets_a_sentence(open_file: Make, file: Path, labels: Service) -> None:
    con = open_file()
    make_engine(con, labels)
    con.duckdb.execute("UPDATE huggingface.format SET format = 2")
    con.close()
    with pytest.raises(InputError, match=r"format 2.*Upgrade"):
        open_file()


def test_columns_that_a_later_version_adds_are_left_alone(open_file: Make, labels: Service) -> None:
    con = open_file()
    make_engine(con, labels)
    make_model(con)
    for table in ("engines", "models", "views", "format"):
        con.duckdb.execute(f"ALTER TABLE huggingface.{table} ADD COLUMN later VARCHAR DEFAULT 'x'")
    con.close()
    again = open_file()
    assert names(again) == ["sentiment"]
    make_model(again, "other")
    assert names(again) == ["other", "sentiment"]


def test_a_schema_of_that_name_may_be_somebodys(open_file: Make, labels: Service) -> None:
    con = open_file()
    con.sql("CREATE SCHEMA huggingface; CREATE TABLE huggingface.models (downloads INT)")
    assert names(con) == []
    with pytest.raises(InputError, match="a schema huggingface with other tables"):
        make_engine(con, labels)
    assert con.sql("FROM huggingface.models").fetchall() == []


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE huggingface.models SET arguments = 'no JSON'",
        "UPDATE huggingface.models SET name = NULL",
        "UPDATE huggingface.engines SET arguments = '[]'",
        "ALTER TABLE huggingface.models DROP COLUMN discovery",
    ],
)
def test_what_was_changed_by_hand_gets_a_sentence(con: Any, labels: Service, change: str) -> None:
    make_engine(con, labels)
    make_model(con)
    con.sql(change)
    with pytest.raises(InputError, match="changed by hand"):
        con.sql("SHOW MODELS")


def test_the_schema_may_be_dropped_and_models_made_anew(con: Any, labels: Service) -> None:
    make_engine(con, labels)
    make_model(con)
    con.sql("DROP SCHEMA huggingface CASCADE")
    assert names(con) == []
    make_engine(con, labels)
    make_model(con)


def test_usage_is_a_table(con: Any, labels: Service) -> None:
    import pandas as pd

    from huggingface_api_handler.inference.runtime.stream import predict_frames

    make_engine(con, labels)
    make_model(con)
    assert con.sql("SELECT count(*), sum(rows) FROM huggingface.usage").fetchall() == [(0, None)]
    bound = bind_model(con.catalog.model("sentiment"), {}, con)
    list(predict_frames([pd.DataFrame({"text": ["a", "b", "a"]})], bound.query(con.session)))
    query = "SELECT usage.model, version, rows FROM huggingface.usage WHERE query = 'all'"
    assert con.sql(query).fetchall() == [("sentiment", 1, 3)]
    assert con.sql("SELECT u.rows FROM \"huggingface\" . Usage AS u WHERE u.query <> 'all'").fetchall() == [(3,)]
    assert con.sql("DESCRIBE sentiment.usage").fetchone()[0] == "all"
    con.sql("DROP MODEL sentiment")
    assert con.sql("SELECT 'huggingface.usage' AS a, count(*) AS b FROM huggingface.usage").fetchall() == [
        ("huggingface.usage", 0)
    ]


def test_usage_of_a_transaction_that_is_rolled_back_stays(con: Any, labels: Service) -> None:
    make_engine(con, labels)
    make_model(con)
    con.sql("BEGIN; CREATE TABLE t AS SELECT 'a' AS text; SELECT * FROM t JOIN sentiment; ROLLBACK")
    assert con.sql("SELECT rows, requests FROM huggingface.usage WHERE query = 'all'").fetchall() == [(1, 1)]


def test_usage_may_be_joined_with_models(con: Any, labels: Service) -> None:
    make_engine(con, labels)
    make_model(con)
    con.sql("CREATE TABLE t AS SELECT 'a' AS text")
    con.sql("SELECT * FROM t JOIN sentiment")
    query = (
        "SELECT m.sentiment, usage.requests FROM t JOIN sentiment AS m JOIN huggingface.usage ON usage.query = 'all'"
    )
    assert con.sql(query).fetchall() == [("POSITIVE", 1)]
