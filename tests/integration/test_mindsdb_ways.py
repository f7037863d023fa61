"""What MindsDB makes of statements that people write, caught where it would give wrong answers or none."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

import duckdb
import pytest

from huggingface_api_handler.demo.mindsdb_server import MindsDB, SQLError
from tests.conftest import Service
from tests.integration.conftest import rows_of

ODD_COLUMNS = {
    "amount": ("DECIMAL(10, 2)", "'1.50'", "numbers"),
    "day": ("DATE", "'2026-01-02'", "dates"),
    "at": ("TIME", "'10:00'", "times"),
    "moment": ("TIMESTAMP", "'2026-01-02 10:00'", "dates"),
    "code": ("UUID", "'123e4567-e89b-12d3-a456-426614174000'", "UUIDs"),
    "tags": ("VARCHAR[]", "['a', 'b']", "lists"),
    "counts": ("MAP(VARCHAR, INTEGER)", "MAP {'a': 1}", "maps"),
    "fields": ("STRUCT(x INTEGER)", "{'x': 1}", "maps"),
    "content": ("BLOB", "'A'::BLOB", "bytes"),
    "flag": ("BOOLEAN", "true", "booleans"),
    "huge": ("HUGEINT", "1", "numbers"),
    "Review Score": ("INTEGER", "5", "numbers"),
}
"""Columns of DuckDB, each with its type, a value, and the kind of that; a NULL makes floats of integers."""


def answer(body: Any, headers: dict[str, str], path: str) -> Any:
    """Chat with typed fields: the topic is billing where the prompt speaks of a bill."""
    prompt = json.dumps(body)
    content = json.dumps({"topic": "billing" if "bill" in prompt else "other", "urgency": 2})
    return {"choices": [{"message": {"content": content}, "finish_reason": "stop"}]}


@pytest.fixture(scope="module")
def chat_service() -> Iterator[Service]:
    service = Service()
    service.answer = answer
    yield service
    service.close()


def create(mindsdb: MindsDB, name: str, target: str, using: str) -> str:
    mindsdb.sql(f"CREATE MODEL mindsdb.{name} PREDICT {target} USING {using}")
    mindsdb.wait_for_model(name)
    return f"mindsdb.{name}"


@pytest.fixture(scope="module")
def chat(mindsdb: MindsDB, chat_service: Service) -> str:
    mindsdb.sql(f"CREATE ML_ENGINE chat_of_ways FROM huggingface_api USING endpoint = '{chat_service.url}'")
    return create(
        mindsdb,
        "topics",
        "answer",
        "engine = 'chat_of_ways', task = 'chat-completion', model = 'm', column = 'text', "
        "output_schema = {'topic': 'str', 'urgency': 'int'}",
    )


@pytest.fixture(scope="module")
def table(mindsdb: MindsDB, tmp_path_factory: pytest.TempPathFactory) -> str:
    file = tmp_path_factory.mktemp("duck") / "odd.duckdb"
    types = ", ".join(f'"{name}" {sql_type}' for name, (sql_type, _, _) in ODD_COLUMNS.items())
    values = ", ".join(value for _, value, _ in ODD_COLUMNS.values())
    with duckdb.connect(str(file)) as connection:
        connection.execute(f"CREATE TABLE odd (id INTEGER, text VARCHAR, mood VARCHAR, {types})")
        connection.execute(f"INSERT INTO odd VALUES (1, 'I love it', 'my bill is wrong', {values})")
        connection.execute("INSERT INTO odd (id, text, mood) VALUES (2, 'my bill is awful', 'I love it')")
    mindsdb.sql(f"CREATE DATABASE duck WITH ENGINE = 'duckdb', PARAMETERS = {json.dumps({'database': str(file)})}")
    return "duck.odd"


def test_a_constant_on_an_output_column_is_refused_and_the_forms_that_it_names_filter(
    mindsdb: MindsDB, chat: str, sentiment: str, table: str
) -> None:
    joined = f"SELECT t.id, m.topic FROM {table} AS t JOIN {chat} AS m"
    with pytest.raises(SQLError, match=r"WHERE m\.topic = 'billing' does not filter") as refused:
        mindsdb.sql(f"{joined} WHERE m.topic = 'billing'")
    assert "(WHERE topic = 'billing')" in str(refused.value)
    assert "SELECT * FROM (SELECT ... JOIN ...) AS p WHERE p.topic = 'billing'" in str(refused.value)
    assert mindsdb.sql(f"{joined} WHERE topic = 'billing'").rows == [[2, "billing"]]
    assert mindsdb.sql(f"SELECT * FROM ({joined}) AS p WHERE p.topic = 'billing'").rows == [[2, "billing"]]
    with pytest.raises(SQLError, match=r"WHERE m\.sentiment_error = 'x' does not filter"):
        mindsdb.sql(f"SELECT t.id FROM {table} AS t JOIN {sentiment} AS m WHERE m.sentiment_error = 'x'")
    with pytest.raises(SQLError, match=r"WHERE m\.sentimant = 'x' does not filter: .* reads 'text'"):
        mindsdb.sql(f"SELECT t.id FROM {table} AS t JOIN {sentiment} AS m WHERE m.sentimant = 'x'")


def test_a_constant_on_the_prediction_of_one_row_is_refused(mindsdb: MindsDB, sentiment: str) -> None:
    one = f"SELECT text, sentiment FROM {sentiment} WHERE text = 'I love it'"
    with pytest.raises(SQLError, match="WHERE sentiment = 'NEGATIVE' does not filter") as refused:
        mindsdb.sql(f"{one} AND sentiment = 'NEGATIVE'")
    assert "SELECT * FROM (SELECT ... WHERE ...) AS p WHERE p.sentiment = 'NEGATIVE'" in str(refused.value)
    assert mindsdb.sql(f"SELECT * FROM ({one}) AS p WHERE p.sentiment = 'NEGATIVE'").rows == []
    assert mindsdb.sql(f"SELECT * FROM ({one}) AS p WHERE p.sentiment = 'POSITIVE'").rows == [["I love it", "POSITIVE"]]


def test_the_other_conditions_on_predictions_filter_and_constants_on_inputs_are_the_models(
    mindsdb: MindsDB, chat: str, sentiment: str, table: str
) -> None:
    joined = f"SELECT t.id, m.topic FROM {table} AS t JOIN {chat} AS m"
    for condition in ("m.urgency > 1 AND m.topic LIKE 'bill%'", "m.topic IN ('billing')", "m.topic <> 'other'"):
        assert mindsdb.sql(f"{joined} WHERE {condition}").rows == [[2, "billing"]], condition
    on_target = f"SELECT t.id FROM {table} AS t JOIN {sentiment} AS m WHERE m.sentiment = 'NEGATIVE'"
    assert mindsdb.sql(on_target).rows == [[2]]
    alike = create(
        mindsdb, "alike_way", "score", "engine = 'hf_api_engine', task = 'sentence-similarity', column = 'text', column2 = 'other'"
    )  # fmt: skip
    rows = rows_of(mindsdb, f"SELECT t.id, m.score FROM {table} AS t JOIN {alike} AS m WHERE m.other = 'I love it'")
    assert [score > 0.99 for _, score in sorted(rows)] == [True, False]


def test_two_models_of_one_target_join(mindsdb: MindsDB, sentiment: str, table: str) -> None:
    """The columns of the first are columns of the table that the second gets."""
    second = create(
        mindsdb, "second_opinion", "sentiment", "engine = 'hf_api_engine', task = 'sentiment-analysis', column = 'text'"
    )
    rows = mindsdb.sql(
        f"SELECT t.id, a.sentiment, b.sentiment AS other FROM {table} AS t JOIN {sentiment} AS a JOIN {second} AS b"
    ).rows
    assert sorted(map(str, rows)) == ["[1, 'POSITIVE', 'POSITIVE']", "[2, 'NEGATIVE', 'NEGATIVE']"]


@pytest.fixture(scope="module")
def review_text(mindsdb: MindsDB, engine: str) -> str:
    return create(mindsdb, "rt", "s", f"engine = '{engine}', task = 'text-classification', column = 'Review Text'")


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT s FROM mindsdb.rt WHERE `Review Text` = 'I love it'",
        "SELECT s FROM mindsdb.rt WHERE rt.`Review Text` = 'I love it'",
        "SELECT m.s FROM mindsdb.rt AS m WHERE m.`Review Text` = 'I love it'",
        "SELECT s FROM `mindsdb`.`rt` WHERE `rt`.`Review Text` = 'I love it'",
        "SELECT m.s FROM (SELECT text AS `Review Text` FROM duck.odd WHERE id = 1) AS t JOIN mindsdb.rt AS m",
    ],
)
def test_a_quoted_or_qualified_name_finds_its_column(
    mindsdb: MindsDB, review_text: str, table: str, statement: str
) -> None:
    assert mindsdb.sql(statement).rows == [["POSITIVE"]]


def test_a_name_as_bi_tools_write_it_finds_its_column(mindsdb: MindsDB, sentiment: str) -> None:
    project, name = (f"`{part}`" for part in sentiment.split("."))
    assert mindsdb.sql(f"SELECT sentiment FROM {project}.{name} WHERE {name}.`text` = 'I love it'").rows == [
        ["POSITIVE"]
    ]


@pytest.mark.parametrize("name", ODD_COLUMNS)
def test_a_column_of_another_kind_is_refused_and_the_cast_that_it_names_works(
    mindsdb: MindsDB, engine: str, table: str, name: str
) -> None:
    model = f"kind_{name.split()[-1].lower()}"
    using = f"engine = '{engine}', task = 'text-classification', column = '{name}'"
    create(mindsdb, model, "s", using)
    with pytest.raises(SQLError, match=f"column '{name}' holds {ODD_COLUMNS[name][2]}, and") as refused:
        mindsdb.sql(f"SELECT t.id, m.s FROM {table} AS t JOIN mindsdb.{model} AS m")
    subselect = f"(SELECT id, CAST(`{name}` AS VARCHAR) AS `{name}` FROM "
    assert f"FROM {subselect}...) AS t" in str(refused.value)
    rows = rows_of(mindsdb, f"SELECT t.id, m.s FROM {subselect}{table}) AS t JOIN mindsdb.{model} AS m")
    assert [(row[0], row[1] is None) for row in sorted(rows)] == [(1, False), (2, True)]


def test_a_template_takes_such_cells_as_text(mindsdb: MindsDB, chat: str, chat_service: Service, table: str) -> None:
    model = create(
        mindsdb, "told", "answer",
        "engine = 'chat_of_ways', task = 'chat-completion', model = 'm', prompt_template = '{{amount}} {{day}} {{tags}}'",
    )  # fmt: skip
    mindsdb.sql(f"SELECT t.id, m.answer FROM {table} AS t JOIN {model} AS m WHERE t.id = 1")
    assert chat_service.asked[-1]["messages"][-1]["content"] == '1.50 2026-01-02 ["a", "b"]'


def test_two_columns_of_one_name_name_the_way_out(mindsdb: MindsDB, sentiment: str, table: str) -> None:
    for name in ("text", "TEXT"):
        with pytest.raises(SQLError, match=r"2 columns named 'text'.*FROM \(SELECT id, other AS `text` FROM"):
            mindsdb.sql(f"SELECT t.id, m.sentiment FROM {table} AS t JOIN {sentiment} AS m ON m.{name} = t.mood")
    rows = mindsdb.sql(
        f"SELECT t.id, m.sentiment FROM (SELECT id, mood AS `text` FROM {table}) AS t JOIN {sentiment} AS m"
    ).rows
    assert [2, "POSITIVE"] in rows


def test_the_list_of_a_subselect_says_what_came(mindsdb: MindsDB, sentiment: str, table: str) -> None:
    with pytest.raises(SQLError, match=r"its subselect gave 2 values, and one text is read.*JOIN it to the model"):
        mindsdb.sql(f"SELECT sentiment FROM {sentiment} WHERE text = (SELECT mood FROM {table})")
    one = mindsdb.sql(f"SELECT sentiment FROM {sentiment} WHERE text = (SELECT text FROM {table} WHERE id = 1)")
    assert one.rows == [["POSITIVE"]]


def test_retrain_with_a_part_of_the_arguments_says_that_they_replace_all(mindsdb: MindsDB, engine: str) -> None:
    using = f"engine = '{engine}', task = 'text-classification', column = 'text'"
    create(mindsdb, "trained_again", "y", f"{using}, threshold = 0.99999")
    with pytest.raises(SQLError, match=r"In RETRAIN \.\.\. USING give all arguments again"):
        mindsdb.sql("RETRAIN mindsdb.trained_again USING threshold = 0.9")
    mindsdb.sql(f"RETRAIN mindsdb.trained_again USING {using}")
    ends = time.monotonic() + 60
    query = "SELECT version FROM mindsdb.models WHERE name = 'trained_again' AND status = 'complete' AND active = 1"
    while {str(row[0]) for row in mindsdb.sql(query).rows} != {"2"}:
        assert time.monotonic() < ends
        time.sleep(0.3)
    assert mindsdb.sql("SELECT y FROM mindsdb.trained_again WHERE text = 'I love it'").rows == [["POSITIVE"]]


def test_an_error_names_its_statement(mindsdb: MindsDB, engine: str, sentiment: str) -> None:
    with pytest.raises(SQLError, match="InputError: SELECT: threshold: "):
        mindsdb.sql(f"SELECT sentiment FROM {sentiment} WHERE text = 'x' USING threshold = 2")
    with pytest.raises(SQLError, match="InputError: CREATE MODEL: threshold: "):
        mindsdb.sql(
            f"CREATE MODEL mindsdb.bad PREDICT y USING engine = '{engine}', task = 'text-classification', column = 'text', threshold = 2"
        )


def test_a_column_without_quotes_is_told_in_quotes(mindsdb: MindsDB, engine: str) -> None:
    with pytest.raises(SQLError, match="'column' needs its value in quotes: 'text'"):
        mindsdb.sql(f"CREATE MODEL mindsdb.bad PREDICT y USING engine = '{engine}', task = 'ner', column = text")


def test_a_limit_beside_a_filter_on_the_prediction_comes_first(mindsdb: MindsDB, sentiment: str, table: str) -> None:
    """MindsDB's way, which docs/mindsdb_install.md tells."""
    joined = f"SELECT t.id FROM {table} AS t JOIN {sentiment} AS m WHERE m.sentiment = 'NEGATIVE'"
    assert mindsdb.sql(f"{joined} LIMIT 1").rows == []
    assert mindsdb.sql(f"SELECT * FROM ({joined}) AS p LIMIT 1").rows == [[2]]


def test_a_server_that_is_down_fails_the_statement_unless_the_table_is_wanted(mindsdb: MindsDB, table: str) -> None:
    mindsdb.sql("CREATE ML_ENGINE refusing FROM huggingface_api USING endpoint = 'http://127.0.0.1:9'")
    model = create(mindsdb, "down", "y", "engine = 'refusing', task = 'text-classification', column = 'text'")
    joined = f"SELECT t.id, m.y, m.y_error FROM {table} AS t JOIN {model} AS m"
    with pytest.raises(SQLError, match="cannot reach"):
        mindsdb.sql(joined)
    rows = mindsdb.sql(f"{joined} USING on_error = 'null'").rows
    assert [(row[1], "cannot reach" in str(row[2])) for row in rows] == [(None, True)] * 2
