"""Statements for engines, models and views over models; and what MindsDB has and this home has not."""

from __future__ import annotations

from typing import Any

import pytest

from huggingface_api_handler.errors import InferenceError, InputError
from huggingface_api_handler.sql.models import bind_model
from tests.conftest import Reply, Service
from tests.sql.conftest import Make, make_engine, make_model


@pytest.fixture
def ready(con: Any, labels: Service) -> Any:
    """A connection with the engine hf and the model sentiment."""
    make_engine(con, labels)
    make_model(con)
    return con


def rows(connection: Any, text: str) -> list[Any]:
    found: list[Any] = connection.sql(text).fetchall()
    return found


@pytest.mark.parametrize(
    ("statement", "sentence"),
    [
        ("FINETUNE sentiment FROM db (SELECT 1)", "does not train"),
        ("EVALUATE accuracy FROM (SELECT 1)", "a measure is SQL"),
        ("CREATE JOB j (SELECT 1) EVERY hour", "no jobs"),
        ("create job if not exists j (SELECT 1)", "no jobs"),
        ("CREATE TRIGGER t ON db.x (SELECT 1)", "no triggers"),
        ("CREATE DATABASE pg WITH ENGINE = 'postgres', PARAMETERS = {'host': 'x'}", "ATTACH"),
        ("CREATE PROJECT p", "Models need no project"),
        ("CREATE KNOWLEDGE_BASE k USING model = 'x'", "no knowledge bases"),
        ("CREATE KNOWLEDGE BASE k", "no knowledge bases"),
        ("SHOW KNOWLEDGE_BASES", "no knowledge bases"),
        ("CREATE AGENT a USING model = 'x'", "agents, chatbots and skills"),
        ("SHOW AGENTS", "agents, chatbots and skills"),
        ("CREATE CHATBOT c USING database = 'x'", "agents, chatbots and skills"),
        ("SET predictor_cache = 'off'", "no predictor cache"),
        ("SET SESSION PREDICTOR_CACHE = 'off'", "no predictor cache"),
        ("CREATE ANOMALY DETECTION MODEL a", "no anomaly detection"),
    ],
)
def test_what_is_mindsdbs_alone_gets_a_sentence(con: Any, statement: str, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        con.sql(statement)


@pytest.mark.parametrize(
    ("handler", "sentence"),
    [("huggingface", "runs transformers in its own process"), ("openai", "The one kind is huggingface_api")],
)
def test_an_engine_of_another_kind_gets_a_sentence(con: Any, handler: str, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        con.sql(f"CREATE ML_ENGINE e FROM {handler}")


def test_an_engine_is_made_once(con: Any, labels: Service) -> None:
    make_engine(con, labels)
    with pytest.raises(InputError, match="there is an engine 'HF' already"):
        make_engine(con, labels, "HF")
    con.sql(f"CREATE ML_ENGINE IF NOT EXISTS hf FROM huggingface_api USING endpoint = '{labels.url}/other'")
    assert con.catalog.engine("hf").arguments == {"endpoint": f"{labels.url}/models"}
    con.sql("DROP ML_ENGINE Hf")
    con.sql("DROP ML_ENGINE IF EXISTS hf")
    with pytest.raises(InputError, match="there is no engine 'hf'"):
        con.sql("DROP ML_ENGINE hf")


def test_engines_are_listed_without_their_keys(con: Any, labels: Service) -> None:
    make_engine(con, labels, api_key="my-secret-key-123")
    (row,) = rows(con, "SHOW ML_ENGINES")
    assert row[:2] == ("hf", "huggingface_api")
    assert "******" in row[2]
    assert "my-secret" not in row[2]
    assert rows(con, "SHOW ML_ENGINES LIKE 'x%'") == []
    assert rows(con, "SHOW ML_ENGINE hf") == [row]
    assert ("api_key", "******") in rows(con, "DESCRIBE ML_ENGINE hf")


def test_a_key_may_be_named_by_its_variable(con: Any, labels: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match="HF_OF_TEST, which is not set in the environment of this program"):
        make_engine(con, labels, api_key_env="HF_OF_TEST")
    monkeypatch.setenv("HF_OF_TEST", "my-secret-key-123")
    make_engine(con, labels, api_key_env="HF_OF_TEST")
    make_model(con)
    assert bind_model(con.catalog.model("sentiment"), {}, con).query(con.session).route.has_key
    with pytest.raises(InputError, match="begins with neither"):
        make_engine(con, labels, "other", api_key_env="PATH")


def test_a_key_that_is_refused_makes_no_engine(con: Any, labels: Service) -> None:
    labels.answer = lambda body, headers, path: Reply({}, 401)
    with pytest.raises(InferenceError, match="refused the key"):
        con.sql(f"CREATE ML_ENGINE e FROM huggingface_api USING endpoint = '{labels.url}', api_key = 'my-secret-123'")
    assert rows(con, "SHOW ML_ENGINES") == []


@pytest.mark.parametrize(
    ("using", "sentence"),
    [
        ("endpont = 'http://127.0.0.1/models'", "did you mean 'endpoint'"),
        ("timeout = 'soon'", "timeout"),
        ("api_key = 'abcdef12', token = 'abcdef12'", "the key twice"),
        ("Timeout = 5, timeout = 6", "twice"),
    ],
)
def test_an_argument_of_an_engine_that_is_wrong(con: Any, using: str, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        con.sql(f"CREATE ML_ENGINE e FROM huggingface_api USING {using}")


def test_a_model_is_made_replaced_and_dropped(ready: Any) -> None:
    with pytest.raises(InputError, match="there is a model 'SENTIMENT' already"):
        make_model(ready, "SENTIMENT")
    ready.sql("CREATE MODEL IF NOT EXISTS sentiment PREDICT x USING task = 'no-such-task'")
    ready.sql(
        "CREATE OR REPLACE MODEL mindsdb.sentiment PREDICT mood USING task = 'text-classification', column = 'review'"
    )
    model = ready.catalog.model("sentiment")
    assert (model.version, model.arguments["target"], model.arguments["column"]) == (1, "mood", "review")
    ready.sql("DROP MODEL mindsdb.Sentiment")
    ready.sql("DROP PREDICTOR IF EXISTS sentiment")
    with pytest.raises(InputError, match="there is no model 'sentiment'"):
        ready.sql("DROP MODEL sentiment")


def test_versions(ready: Any) -> None:
    ready.sql("RETRAIN sentiment USING task = 'text-classification', column = 'review', engine = 'hf'")
    ready.sql("RETRAIN mindsdb.sentiment")
    listed = rows(ready, "SHOW MODELS")
    assert [(row[4], row[3]) for row in listed] == [(1, False), (2, False), (3, True)]
    catalog = ready.catalog
    assert [catalog.model("sentiment", version).arguments["column"] for version in (1, 2, 3)] == [
        "text",
        "review",
        "review",
    ]
    assert len({catalog.model("sentiment", version).id for version in (1, 2, 3)}) == 3
    assert catalog.model("sentiment").version == 3
    ready.sql("RETRAIN sentiment USING task = 'text-classification', column = 'c', active = false")
    assert catalog.model("sentiment").version == 3
    with pytest.raises(InputError, match="is the active one"):
        ready.sql("DROP MODEL sentiment.3")
    ready.sql("DROP MODEL mindsdb.sentiment.2")
    with pytest.raises(InputError, match=r"has no version 2\. It has: 1, 3, 4"):
        ready.sql("DROP MODEL sentiment.2")
    ready.sql("DROP MODEL sentiment")
    assert rows(ready, "SHOW MODELS") == []


def test_retrain_gives_all_arguments_again_as_in_mindsdb(ready: Any) -> None:
    with pytest.raises(InputError, match="give all arguments again"):
        ready.sql("RETRAIN sentiment USING top_k = 3")
    ready.sql("RETRAIN sentiment PREDICT mood")
    assert ready.catalog.model("sentiment").arguments["target"] == "mood"


def test_models_are_listed(ready: Any) -> None:
    assert ready.sql("SHOW MODELS").columns[:6] == ["name", "engine", "project", "active", "version", "status"]
    assert [row[0] for row in rows(ready, "SHOW MODELS FROM mindsdb WHERE name = 'sentiment' AND version = 1")] == [
        "sentiment"
    ]
    assert rows(ready, "SHOW MODELS WHERE engine = 'other'") == []
    assert len(rows(ready, "SHOW PREDICTORS LIKE 'S%'")) == 1
    assert rows(ready, "SHOW MODELS LIKE 'x%'") == []


def test_a_model_is_described_as_mindsdb_does(ready: Any) -> None:
    assert rows(ready, "DESCRIBE sentiment") == [("settings",), ("task",), ("model",), ("usage",)]
    assert rows(ready, "DESCRIBE MODEL mindsdb.sentiment") == rows(ready, "DESCRIBE sentiment.1")
    assert ("task", "text-classification") in rows(ready, "DESCRIBE sentiment.settings")
    assert ("column", "column", True, "text") in [row[:4] for row in rows(ready, "DESCRIBE Sentiment.task")]
    assert "address" in [row[0] for row in rows(ready, "DESCRIBE sentiment.1.model")]
    assert rows(ready, "DESCRIBE sentiment.usage") == []


def test_describe_of_a_table_is_duckdbs(ready: Any) -> None:
    ready.sql("CREATE TABLE t (usage INT); CREATE SCHEMA s; CREATE TABLE s.usage (b INT)")
    assert rows(ready, "DESCRIBE t")[0][:2] == ("usage", "INTEGER")
    assert rows(ready, "DESCRIBE s.usage")[0][:2] == ("b", "INTEGER")
    assert rows(ready, "DESCRIBE SELECT 1 AS c")[0][:2] == ("c", "INTEGER")


@pytest.mark.parametrize(
    ("statement", "sentence"),
    [
        ("DESCRIBE sentimnt.usage", "did you mean 'sentiment'"),
        ("DESCRIBE MODEL sentimnt", "did you mean 'sentiment'"),
        ("DESCRIBE sentiment.usge", "did you mean 'usage'"),
        ("DESCRIBE sentiment.7", "no version 7"),
        ("DESCRIBE ML_ENGINE hg", "there is no engine 'hg'"),
        ("DROP MODEL sentimet", "did you mean 'sentiment'"),
        ("RETRAIN sentimet", "did you mean 'sentiment'"),
        ("DROP ML_ENGINE hff", "did you mean 'hf'"),
        ("SELECT * FROM sentimnt", "did you mean the model 'sentiment'"),
        ("SELECT * FROM mindsdb.sentimnt", "did you mean the model 'sentiment'"),
        ("DROP TABLE sentiment", "DROP MODEL sentiment"),
        (
            "CREATE MODEL m PREDICT a USING task = 'text-classification', column = 'b', engine = 'hff'",
            "did you mean 'hf'",
        ),
        ("CREATE MODEL m PREDICT a USING task = 'text-classification', colum = 'b'", "did you mean 'column'"),
        (
            "CREATE MODEL m PREDICT a USING task = 'text-clasification', column = 'b'",
            "did you mean 'text-classification'",
        ),
        ("CREATE MODEL m PREDICT a, b USING task = 'text-classification', column = 'c'", "one column"),
        ("CREATE MODEL p.m PREDICT a USING task = 'text-classification', column = 'c'", "no project"),
        ("CREATE MODEL m PREDICT a USING task = 'text-classification'", "column"),
        (
            "CREATE MODEL m PREDICT a USING task = 'text-classification', column = 'c', api_key = 'abcdef123456'",
            "does not belong",
        ),
        ("CREATE MODEL m PREDICT a WINDOW 5 USING task = 'text-classification', column = 'c'", "time series"),
        ("CREATE MODEL m PREDICT a USING task = 'text-classification', column =", "CREATE MODEL: Syntax error"),
        ("CREATE MODEL m", "CREATE MODEL: Syntax error"),
    ],
)
def test_bad_input_gets_a_sentence_and_asks_nobody(ready: Any, labels: Service, statement: str, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        ready.sql(statement)
    assert labels.asked == []
    assert [row[0] for row in rows(ready, "SHOW MODELS")] == ["sentiment"]


def test_the_only_engine_is_meant_where_none_is_named(con: Any, labels: Service) -> None:
    statement = "CREATE MODEL m PREDICT a USING task = 'text-classification', column = 'c'"
    with pytest.raises(InputError, match="there is no engine yet"):
        con.sql(statement)
    make_engine(con, labels)
    con.sql(statement)
    make_engine(con, labels, "other")
    with pytest.raises(InputError, match="say which engine"):
        con.sql(statement.replace(" m ", " n "))


def test_a_model_of_a_dropped_engine(ready: Any, labels: Service) -> None:
    ready.sql("DROP ML_ENGINE hf")
    model = ready.catalog.model("sentiment")
    with pytest.raises(InputError, match="the engine 'hf' of the model 'sentiment' was dropped"):
        bind_model(model, {}, ready)
    for statement in ("DESCRIBE sentiment.model", "RETRAIN sentiment"):
        with pytest.raises(InputError):
            ready.sql(statement)
    make_engine(ready, labels)
    bind_model(model, {}, ready)


def test_values_of_arguments(con: Any, labels: Service) -> None:
    make_engine(con, labels)
    con.sql(
        "CREATE MODEL m PREDICT 'a b' USING task = 'zero-shot-classification', column = text, Engine = hf, "
        "candidate_labels = ['it\\'s', \"x\"], parameters = {'hypothesis_template': 'so {}'}, threshold = 0.5"
    )
    arguments = con.catalog.model("m").arguments
    assert (arguments["target"], arguments["column"], arguments["threshold"]) == ("a b", "text", 0.5)
    assert arguments["candidate_labels"] == ["it's", "x"]
    assert "engine" not in arguments


def test_a_template_says_what_a_model_reads(con: Any, labels: Service) -> None:
    make_engine(con, labels)
    con.sql(
        "CREATE MODEL m PREDICT a USING task = 'chat-completion', prompt_template = '{{Name}}: {{text}}', model = 'o/n'"
    )
    assert bind_model(con.catalog.model("m"), {}, con).inputs == ("Name", "text")
    changed = bind_model(con.catalog.model("m"), {"prompt_template": "{{other}}", "output_schema": {"n": "int"}}, con)
    assert changed.inputs == ("other",)
    assert changed.outputs["n"] == "BIGINT"


def test_arguments_of_a_select_are_checked(ready: Any) -> None:
    model = ready.catalog.model("sentiment")
    with pytest.raises(InputError, match="did you mean 'top_k'"):
        bind_model(model, {"topk": 1}, ready)
    with pytest.raises(InputError, match="cannot change in a SELECT"):
        bind_model(model, {"model": "o/n"}, ready)


def test_views(ready: Any) -> None:
    ready.sql("CREATE TABLE t (text VARCHAR)")
    ready.sql("CREATE VIEW a AS SELECT * FROM t JOIN sentiment AS m USING top_k = 1;")
    ready.sql("create or replace view mindsdb.b (x, `y z`) as (select * from A)")
    ready.sql("CREATE VIEW c (SELECT * FROM b)")
    ready.sql("CREATE VIEW IF NOT EXISTS c AS SELECT 2 AS other FROM sentiment")
    catalog = ready.catalog
    assert catalog.view("A").query == "SELECT * FROM t JOIN sentiment AS m USING top_k = 1"
    assert catalog.view("b").query == 'SELECT * FROM ((select * from A)) AS "b"(x, `y z`)'
    assert catalog.view("c").query == "(SELECT * FROM b)"
    assert not catalog.is_read_only
    with pytest.raises(InputError, match="there is a view 'c' already"):
        ready.sql("CREATE VIEW c AS SELECT * FROM sentiment")
    with pytest.raises(InputError, match="would contain itself"):
        ready.sql("CREATE OR REPLACE VIEW a AS SELECT * FROM c")
    with pytest.raises(InputError, match="Leave out TEMP"):
        ready.sql("CREATE TEMP VIEW d AS SELECT * FROM sentiment")
    with pytest.raises(InputError, match="Give the view another name"):
        ready.sql("CREATE VIEW t AS SELECT * FROM sentiment")
    with pytest.raises(InputError, match="Give the view another name"):
        ready.sql("CREATE OR REPLACE VIEW sentiment AS SELECT * FROM b")
    with pytest.raises(InputError, match="Give the model another name"):
        make_model(ready, "b")
    ready.sql("DROP VIEW c; DROP VIEW IF EXISTS c")
    assert [view.name for view in catalog.views()] == ["a", "b"]


def test_a_view_without_a_model_is_duckdbs(ready: Any) -> None:
    ready.sql("CREATE VIEW plain AS SELECT 'sentiment' AS a")
    assert ready.catalog.views() == []
    assert rows(ready, "FROM plain") == [("sentiment",)]
    ready.sql("DROP VIEW plain")


def test_use_mindsdb_does_nothing(ready: Any) -> None:
    ready.sql("USE mindsdb")
    ready.sql("CREATE SCHEMA mindsdb; USE mindsdb")
    assert rows(ready, "SELECT current_schema()") == [("mindsdb",)]


def test_statements_of_a_script_run_in_turn(con: Any, labels: Service) -> None:
    con.sql(
        f"""-- a script
        CREATE ML_ENGINE hf FROM huggingface_api USING endpoint = '{labels.url}/models';
        CREATE MODEL m PREDICT a USING task = 'text-classification', column = 'text'; -- ; done
        CREATE TABLE t AS SELECT 'x; y' AS text;
        """
    )
    assert [row[0] for row in rows(con, "SHOW MODELS")] == ["m"]
    assert rows(con, "FROM t") == [("x; y",)]


@pytest.mark.parametrize(
    "statement",
    ["SELEC 1", "SELECT * FROM no_such_table_at_all", "SELECT 'open", "SELECT 1 USING a = 1", "CREATE MODLE m"],
)
def test_what_duckdb_cannot_run_has_its_own_error(ready: Any, statement: str) -> None:
    import duckdb

    with pytest.raises(duckdb.Error):
        ready.sql(statement)


def test_no_python_variable_is_a_table(con: Any) -> None:
    import duckdb

    with pytest.raises(duckdb.CatalogException):
        con.sql("FROM text")


def test_a_connection_is_closed_twice_and_at_the_end_of_a_block(open_file: Make) -> None:
    with open_file() as con:
        con.sql("SELECT 1")
    con.close()


def test_an_argument_for_a_model_that_is_not_there_is_refused(ready: Any, labels: Service) -> None:
    ready.sql("CREATE TABLE t AS SELECT 'a' AS text")
    with pytest.raises(
        InputError, match=r"uses no model 'n'; did you mean 'm'|uses no model 'n'\. It has: m, sentiment"
    ):
        ready.sql("SELECT * FROM t JOIN sentiment AS m USING n.top_k = 1")
    assert labels.asked == []
    assert len(rows(ready, "SELECT * FROM t JOIN sentiment AS m USING m.top_k = 1")) == 1
    assert len(rows(ready, "SELECT * FROM t JOIN sentiment AS m USING Sentiment.top_k = 1, max_requests = 5")) == 1


@pytest.mark.parametrize("text", ["CREATE TABLE t AS SELECT 1 AS files, '{}' AS a", "SELECT 1 AS mindsdb, '{}' AS a"])
def test_a_long_statement_without_a_model_is_duckdbs(ready: Any, text: str) -> None:
    ready.sql(text.format("files mindsdb sentiment " * 50_000))
