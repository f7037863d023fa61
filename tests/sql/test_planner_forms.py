"""Forms of SQL around a model give what DuckDB gives over its predictions."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from huggingface_api_handler.errors import InputError
from huggingface_api_handler.sql import connect
from tests.sql.home import Home, running_home

P, N = "POSITIVE", "NEGATIVE"
EACH = [(1, P), (2, N), (3, P), (4, None), (5, P), (6, N)]
"""The id and the prediction of each row of the table ``t``."""


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    folder = tmp_path_factory.mktemp("files")
    with running_home() as running:
        con = running.con
        con.duckdb.execute(f"SET file_search_path = '{folder}'")
        con.sql("CREATE TABLE other (id INTEGER, name VARCHAR)")
        con.sql("INSERT INTO other VALUES (1, 'one'), (2, 'two'), (7, 'seven')")
        con.sql("CREATE TEMP TABLE temporary AS FROM t")
        con.sql("CREATE VIEW plain_view AS FROM t WHERE id < 3")
        con.sql("CREATE VIEW judged AS SELECT t.id, m.sentiment FROM t JOIN sentiment AS m")
        con.sql("CREATE VIEW good AS SELECT id FROM judged WHERE sentiment = 'POSITIVE'")
        con.sql("CREATE SCHEMA reviews; CREATE TABLE reviews.t AS FROM main.t WHERE id = 2")
        con.sql("ATTACH ':memory:' AS attached; CREATE TABLE attached.t AS FROM t WHERE id > 4")
        for name in ("rows.csv", "rows.parquet", "rows.json"):
            con.sql(f"COPY (SELECT * FROM t ORDER BY id) TO '{folder / name}'")
        con.sql(f"COPY (SELECT * FROM t WHERE id = 6) TO '{folder / 'rows_6.csv'}'")
        con.register("frame", pd.DataFrame({"id": [8, 9], "text": ["good", "bad"]}))
        yield running


FORMS: dict[str, tuple[str, list[tuple[Any, ...]]]] = {
    "an alias": ("SELECT r.id, m.sentiment FROM t AS r JOIN sentiment AS m ORDER BY ALL", sorted(EACH, key=str)),
    "no alias": ("SELECT id, sentiment FROM t JOIN sentiment", EACH),
    "its name": ("SELECT t.id, sentiment.sentiment FROM t JOIN sentiment", EACH),
    "LEFT JOIN": ("SELECT id, sentiment FROM t LEFT JOIN sentiment m", EACH),
    "CROSS JOIN": ("SELECT id, sentiment FROM t CROSS JOIN sentiment m", EACH),
    "a comma": ("SELECT id, sentiment FROM t, sentiment m", EACH),
    "the model first": ("SELECT id, m.sentiment FROM sentiment m JOIN t", EACH),
    "the model first with ON": ("SELECT id, m.sentiment FROM sentiment m JOIN t ON m.text = t.text", EACH),
    "an alias before": ("SELECT r.id, m.sentiment FROM r : t JOIN m : sentiment", EACH),
    "columns renamed": ("SELECT id, s, c FROM t JOIN sentiment AS m(s, c) WHERE id = 1", [(1, P, 0.9)]),
    "the table's columns renamed": ("SELECT a, sentiment FROM t AS r(a, b) JOIN sentiment m ON m.text = b", EACH),
    "a star": ("SELECT * FROM t JOIN sentiment m WHERE id = 2", [(2, "bad film", 1, N, 0.9, '{"NEGATIVE":0.9}', None)]),
    "a star without columns": (
        "SELECT * EXCLUDE (sentiment_explain, sentiment_error) FROM t JOIN sentiment m WHERE id = 2",
        [(2, "bad film", 1, N, 0.9)],
    ),
    "a star with another value": (
        "SELECT t.id, m.* EXCLUDE (sentiment_explain, sentiment_error) REPLACE (lower(sentiment) AS sentiment) "
        "FROM t JOIN sentiment m WHERE id = 2",
        [(2, "negative", 0.9)],
    ),
    "COLUMNS": ("SELECT COLUMNS('^(id|sentiment)$') FROM t JOIN sentiment m WHERE id = 2", [(2, N)]),
    "USING before": (
        "SELECT id, name, sentiment FROM t JOIN other USING (id) JOIN sentiment m ORDER BY id",
        [(1, "one", P), (2, "two", N)],
    ),
    "USING behind": (
        "SELECT id, name, sentiment FROM t JOIN sentiment m JOIN other USING (id) ORDER BY id",
        [(1, "one", P), (2, "two", N)],
    ),
    "USING an output": (
        "SELECT id, said FROM t JOIN (VALUES ('POSITIVE', 'yes')) v(sentiment, said) ON true JOIN sentiment m "
        "USING (sentiment) ORDER BY id",
        [(1, "yes"), (3, "yes"), (5, "yes")],
    ),
    "NATURAL": (
        "SELECT id, name, sentiment FROM t NATURAL JOIN other JOIN sentiment m ORDER BY id",
        [(1, "one", P), (2, "two", N)],
    ),
    "RIGHT JOIN behind": (
        "SELECT o.id, sentiment FROM t JOIN sentiment m RIGHT JOIN other o ON o.id = t.id ORDER BY o.id",
        [(1, P), (2, N), (7, None)],
    ),
    "FULL JOIN before": (
        "SELECT o.id, t.id, sentiment FROM t FULL JOIN other o ON o.id = t.id JOIN sentiment m WHERE t.id IS NULL",
        [(7, None, None)],
    ),
    "a window": (
        "SELECT id, row_number() OVER (PARTITION BY sentiment ORDER BY id) FROM t JOIN sentiment m ORDER BY id",
        [(1, 1), (2, 1), (3, 2), (4, 1), (5, 3), (6, 2)],
    ),
    "a named window": (
        "SELECT id, count(*) OVER w FROM t JOIN sentiment m WHERE id < 4 WINDOW w AS (PARTITION BY sentiment) ORDER BY id",
        [(1, 2), (2, 1), (3, 2)],
    ),
    "QUALIFY": (
        "SELECT id, sentiment FROM t JOIN sentiment m QUALIFY row_number() OVER (PARTITION BY sentiment ORDER BY id DESC) = 1 "
        "ORDER BY id",
        [(4, None), (5, P), (6, N)],
    ),
    "PIVOT": (
        "SELECT * FROM (PIVOT (SELECT stars, sentiment FROM t JOIN sentiment m WHERE id < 4) ON sentiment "
        "IN ('NEGATIVE', 'POSITIVE') USING count(*) GROUP BY stars) ORDER BY stars",
        [(1, 1, 0), (4, 0, 1), (5, 0, 1)],
    ),
    "PIVOT in FROM": (
        "SELECT * FROM (SELECT stars, sentiment FROM t JOIN sentiment m WHERE id < 4) "
        "PIVOT (count(*) FOR sentiment IN ('NEGATIVE', 'POSITIVE') GROUP BY stars) ORDER BY stars",
        [(1, 1, 0), (4, 0, 1), (5, 0, 1)],
    ),
    "UNPIVOT": (
        "SELECT * FROM (SELECT id, text, sentiment FROM t JOIN sentiment m WHERE id = 1) UNPIVOT (v FOR n IN (text, sentiment)) ORDER BY n",
        [(1, "sentiment", P), (1, "text", "good film")],
    ),
    "GROUP BY ALL": (
        "SELECT sentiment, count(*) FROM t JOIN sentiment m GROUP BY ALL ORDER BY ALL",
        [(N, 2), (P, 3), (None, 1)],
    ),
    "GROUPING SETS": (
        "SELECT sentiment, count(*) FROM t JOIN sentiment m WHERE sentiment IS NOT NULL GROUP BY GROUPING SETS ((sentiment), ()) "
        "ORDER BY 2",
        [(N, 2), (P, 3), (None, 5)],
    ),
    "FILTER": ("SELECT count(*) FILTER (WHERE m.sentiment = 'POSITIVE') FROM t JOIN sentiment m", [(3,)]),
    "HAVING": ("SELECT sentiment FROM t JOIN sentiment m GROUP BY 1 HAVING count(*) = 2", [(N,)]),
    "a correlated subselect": (
        "SELECT id, (SELECT m.sentiment FROM sentiment m WHERE m.text = t.text) FROM t ORDER BY id",
        EACH,
    ),
    "a subselect that is correlated by a table": (
        "SELECT o.id, (SELECT m.sentiment FROM t JOIN sentiment m WHERE t.id = o.id) FROM other o ORDER BY o.id",
        [(1, P), (2, N), (7, None)],
    ),
    "EXISTS": (
        "SELECT id FROM other o WHERE EXISTS (SELECT 1 FROM t JOIN sentiment m WHERE t.id = o.id AND m.sentiment = 'POSITIVE')",
        [(1,)],
    ),
    "IN": (
        "SELECT id FROM t WHERE id NOT IN (SELECT id FROM t JOIN sentiment m WHERE sentiment = 'POSITIVE') ORDER BY id",
        [(2,), (4,), (6,)],
    ),
    "a scalar subselect": ("SELECT (SELECT max(sentiment) FROM t JOIN sentiment m)", [(P,)]),
    "UNION": (
        "SELECT sentiment FROM t JOIN sentiment m UNION SELECT name FROM other ORDER BY 1",
        [(N,), (P,), ("one",), ("seven",), ("two",), (None,)],
    ),
    "EXCEPT": (
        "SELECT id FROM t EXCEPT SELECT id FROM t JOIN sentiment m WHERE sentiment = 'POSITIVE' ORDER BY 1",
        [(2,), (4,), (6,)],
    ),
    "INTERSECT in brackets": (
        "(SELECT id FROM other) INTERSECT (SELECT id FROM t JOIN sentiment m WHERE sentiment = 'POSITIVE')",
        [(1,)],
    ),
    "UNION BY NAME": (
        "SELECT id, sentiment FROM t JOIN sentiment m WHERE id = 1 UNION ALL BY NAME SELECT name AS sentiment, id FROM other ORDER BY id, 2",
        [(1, P), (1, "one"), (2, "two"), (7, "seven")],
    ),
    "a CTE": (
        "WITH c AS (SELECT id, sentiment FROM t JOIN sentiment m) SELECT id FROM c WHERE sentiment = 'NEGATIVE' ORDER BY id",
        [(2,), (6,)],
    ),
    "a CTE before": (
        "WITH c AS (SELECT id, text FROM t WHERE id < 3) SELECT id, sentiment FROM c JOIN sentiment m ORDER BY id",
        [(1, P), (2, N)],
    ),
    "a materialized CTE": (
        "WITH c AS MATERIALIZED (SELECT id, sentiment FROM t JOIN sentiment m) SELECT count(sentiment) FROM c",
        [(5,)],
    ),
    "a CTE that hides a model": ("WITH sentiment AS (SELECT 1 AS a) SELECT * FROM sentiment", [(1,)]),
    "an alias that hides a model": ("SELECT sentiment.id FROM t AS sentiment ORDER BY 1 LIMIT 1", [(1,)]),
    "a recursive CTE outside of the model": (
        "WITH RECURSIVE r(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM r WHERE n < 3) SELECT n, sentiment FROM r JOIN t ON t.id = n "
        "JOIN sentiment m ORDER BY n",
        [(1, P), (2, N), (3, P)],
    ),
    "a model beside a recursive CTE": (
        "WITH RECURSIVE c AS (SELECT id, sentiment FROM t JOIN sentiment m), r(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM r "
        "WHERE n < 2) SELECT n, sentiment FROM r JOIN c ON c.id = n ORDER BY n",
        [(1, P), (2, N)],
    ),
    "FROM first": ("FROM t JOIN sentiment m SELECT id, sentiment", EACH),
    "FROM alone": ("FROM (SELECT id, sentiment FROM t JOIN sentiment m WHERE id = 1)", [(1, P)]),
    "backticks": ("SELECT `t`.`id`, `m`.`sentiment` FROM `t` JOIN `sentiment` AS `m`", EACH),
    "upper case": ("SELECT ID, M.SENTIMENT FROM T JOIN SENTIMENT AS M", EACH),
    "quoted": ('SELECT "id", "m"."sentiment" FROM "t" JOIN "sentiment" AS "m"', EACH),
    "comments": ("SELECT id, /* 'a' ; */ m.sentiment -- JOIN x\nFROM t /* JOIN */ JOIN -- y\n sentiment m", EACH),
    "text with its name": (
        "SELECT 'sentiment m', sentiment FROM t JOIN sentiment m WHERE id = 1",
        [("sentiment m", P)],
    ),
    "the project's name": ("SELECT id, m.sentiment FROM t JOIN mindsdb.sentiment AS m", EACH),
    "a version": ("SELECT id, m.sentiment FROM t JOIN mindsdb.sentiment.1 AS m", EACH),
    "a version without the project": ("SELECT id, m.sentiment FROM t JOIN sentiment.1 AS m", EACH),
    "files.": ("SELECT id, sentiment FROM files.t JOIN mindsdb.sentiment m", EACH),
    "a schema": ("SELECT t.id, sentiment FROM reviews.t JOIN sentiment m", [(2, N)]),
    "an attached database": ("SELECT id, sentiment FROM attached.t JOIN sentiment m ORDER BY id", [(5, P), (6, N)]),
    "a view over a model": ("SELECT * FROM judged ORDER BY id", EACH),
    "a view over a view over a model": ("SELECT * FROM good ORDER BY id", [(1,), (3,), (5,)]),
    "a view over a model, joined with a model": (
        "SELECT j.id, v.verdict FROM judged j JOIN verdict v WHERE j.id < 3 ORDER BY j.id",
        [(1, P), (2, N)],
    ),
    "DuckDB's view": ("SELECT id, sentiment FROM plain_view JOIN sentiment m ORDER BY id", [(1, P), (2, N)]),
    "a temporary table": ("SELECT id, sentiment FROM temporary JOIN sentiment m", EACH),
    "a registered frame": ("SELECT id, sentiment FROM frame JOIN sentiment m ORDER BY id", [(8, P), (9, N)]),
    "a CSV file": ("SELECT id, sentiment FROM 'rows.csv' JOIN sentiment m ORDER BY id", EACH),
    "a CSV file by its name": ("SELECT rows.id, sentiment FROM 'rows.csv' JOIN sentiment m ORDER BY id", EACH),
    "a Parquet file": ("SELECT f.id, sentiment FROM 'rows.parquet' AS f JOIN sentiment m", EACH),
    "a JSON file": ("SELECT id, sentiment FROM read_json('rows.json') JOIN sentiment m ORDER BY id", EACH),
    "files by a pattern": (
        "SELECT id, sentiment FROM read_csv('rows*.csv') JOIN sentiment m WHERE id > 4 ORDER BY id",
        [(5, P), (6, N), (6, N)],
    ),
    "a table function": (
        "SELECT i, sentiment FROM range(2) r(i) JOIN sentiment m ON m.text = 'good ' || i ORDER BY i",
        [(0, P), (1, P)],
    ),
    "unnest": (
        "SELECT x, sentiment FROM unnest(['good', 'bad']) u(x) JOIN sentiment m ON m.text = x ORDER BY x",
        [("bad", N), ("good", P)],
    ),
    "VALUES": (
        "SELECT text, sentiment FROM (VALUES ('good'), ('bad')) v(text) JOIN sentiment m ORDER BY text",
        [("bad", N), ("good", P)],
    ),
    "a lateral subselect": (
        "SELECT t.id, q.sentiment FROM t, LATERAL (SELECT m.sentiment FROM sentiment m WHERE m.text = t.text) q ORDER BY t.id",
        [
            row
            for row in EACH
            if row[0] != 4  # NULL equals nothing
        ],
    ),
    "a lateral subselect before": (
        "SELECT t.id, sentiment FROM t, LATERAL (SELECT upper(t.text) AS big) q JOIN sentiment m ON m.text = lower(big) ORDER BY t.id",
        EACH,
    ),
    "a join in brackets": (
        "SELECT t.id, sentiment FROM other o JOIN (t JOIN sentiment m ON true) ON o.id = t.id ORDER BY t.id",
        [(1, P), (2, N)],
    ),
    "tables in brackets": (
        "SELECT t.id, sentiment FROM (t JOIN other o ON o.id = t.id) JOIN sentiment m ORDER BY t.id",
        [(1, P), (2, N)],
    ),
    "ASOF": (
        "SELECT t.id, o.id, sentiment FROM t ASOF JOIN other o ON t.id >= o.id JOIN sentiment m WHERE t.id < 4 ORDER BY t.id",
        [(1, 1, P), (2, 2, N), (3, 2, P)],
    ),
    "POSITIONAL": (
        "SELECT t.id, o.name, sentiment FROM t POSITIONAL JOIN other o JOIN sentiment m WHERE t.id < 3 ORDER BY t.id",
        [(1, "one", P), (2, "two", N)],
    ),
    "SEMI": (
        "SELECT t.id, sentiment FROM t SEMI JOIN other o ON o.id = t.id JOIN sentiment m ORDER BY t.id",
        [(1, P), (2, N)],
    ),
    "ANTI": ("SELECT t.id, sentiment FROM t ANTI JOIN other o ON o.id = t.id JOIN sentiment m ORDER BY t.id", EACH[2:]),
    "two inputs": (
        "SELECT id, round(score, 2) FROM (SELECT id, 'q' AS question, text FROM t) r JOIN alike m WHERE id < 3 ORDER BY id",
        [(1, 0.09), (2, 0.08)],
    ),
    "two inputs by ON": (
        "SELECT id, round(score, 2) FROM t JOIN alike m ON m.question = 'q' AND m.text = t.text WHERE id < 3 ORDER BY id",
        [(1, 0.09), (2, 0.08)],
    ),
    "a condition in ON": (
        "SELECT id, sentiment FROM t JOIN sentiment m ON m.sentiment = 'POSITIVE' ORDER BY id",
        [(1, P), (3, P), (5, P)],
    ),
    "a condition in the ON of a LEFT JOIN": (
        "SELECT id, sentiment FROM t LEFT JOIN sentiment m ON m.sentiment = 'POSITIVE' ORDER BY id",
        [(1, P), (2, None), (3, P), (4, None), (5, P), (6, None)],
    ),
    "an expression as input": (
        "SELECT id, sentiment FROM t JOIN sentiment m ON m.text = 'good ' || stars ORDER BY id",
        [(i, P) for i in range(1, 7)],
    ),
    "a model of a model": (
        "SELECT id, verdict FROM t JOIN sentiment m JOIN verdict v ON v.sentiment = m.sentiment ORDER BY id",
        EACH,
    ),
    "two models": (
        "SELECT id, sentiment, topic FROM t JOIN sentiment a JOIN topic b WHERE id < 3 ORDER BY id",
        [(1, P, "film"), (2, N, "film")],
    ),
    "arguments at the end": ("SELECT id, sentiment FROM t JOIN sentiment m USING top_k = 2", EACH),
    "arguments of a subselect": (
        "SELECT * FROM (SELECT id, sentiment FROM t JOIN sentiment m USING threshold = 0.95) q WHERE id < 3 ORDER BY id",
        [(1, "uncertain"), (2, "uncertain")],
    ),
    "arguments of one model": (
        "SELECT a.sentiment, b.topic FROM t JOIN sentiment a JOIN topic b WHERE id = 1 USING a.threshold = 0.95",
        [("uncertain", "film")],
    ),
    "LIMIT and OFFSET": ("SELECT id, sentiment FROM t JOIN sentiment m LIMIT 2 OFFSET 1", EACH[1:3]),
    "LIMIT in an order": ("SELECT id, sentiment FROM t JOIN sentiment m ORDER BY id LIMIT 2", EACH[:2]),
    "a sample of the table": (
        "SELECT count(sentiment) < 7 FROM (FROM t USING SAMPLE 50%) t JOIN sentiment m",
        [(True,)],
    ),
    "DISTINCT ON": (
        "SELECT DISTINCT ON (sentiment) sentiment FROM t JOIN sentiment m ORDER BY sentiment",
        [(N,), (P,), (None,)],
    ),
    "a struct of the row": ("SELECT m.sentiment FROM (SELECT m FROM t JOIN sentiment m WHERE id = 1)", [(P,)]),
    "a list comprehension": (
        "SELECT [x || sentiment for x in ['a']] FROM t JOIN sentiment m WHERE id = 1",
        [(["a" + P],)],
    ),
    "a lambda": (
        "SELECT list_transform([sentiment], lambda s: lower(s)) FROM t JOIN sentiment m WHERE id = 1",
        [(["positive"],)],
    ),
}


@pytest.mark.parametrize("form", FORMS)
def test_a_form_gives_what_duckdb_gives(home: Home, form: str) -> None:
    statement, expected = FORMS[form]
    assert home.rows(statement) == expected
    assert not home.leftovers()
    assert not home.is_in_transaction()


@pytest.mark.parametrize(
    ("statement", "params"),
    [
        ("SELECT id, sentiment FROM t JOIN sentiment m WHERE id = ? AND sentiment = ?", [1, P]),
        ("SELECT id, sentiment FROM t JOIN sentiment m WHERE id = $1 AND $1 = 1 AND sentiment = $2", [1, P]),
        ("SELECT id, sentiment FROM t JOIN sentiment m WHERE id = $id AND sentiment = $said", {"id": 1, "said": P}),
        ("SELECT 1, sentiment FROM sentiment WHERE text = ? AND sentiment = ?", ["good", P]),
        ("SELECT id, m.sentiment FROM t JOIN sentiment m ON m.text = t.text || $more WHERE t.id = 1", {"more": "!"}),
    ],
)
def test_parameters(home: Home, statement: str, params: Any) -> None:
    assert home.rows(statement, params) == [(1, P)]


CHANGES = {
    "UPDATE with a subselect": (
        "UPDATE changed SET said = (SELECT m.sentiment FROM sentiment m WHERE m.text = changed.text)",
        [(1, P), (2, N), (3, P)],
    ),
    "UPDATE with FROM": (
        "UPDATE changed SET said = m.sentiment FROM t JOIN sentiment m WHERE t.id = changed.id AND t.id > 1",
        [(1, None), (2, N), (3, P)],
    ),
    "DELETE": (
        "DELETE FROM changed WHERE id IN (SELECT id FROM t JOIN sentiment m WHERE m.sentiment = 'POSITIVE')",
        [(2, None)],
    ),
    "DELETE with USING": (
        "DELETE FROM changed USING (SELECT id, sentiment FROM t JOIN sentiment m) q WHERE q.id = changed.id AND q.sentiment = 'NEGATIVE'",
        [(1, None), (3, None)],
    ),
    "INSERT": (
        "INSERT INTO changed SELECT id, text, sentiment FROM t JOIN sentiment m WHERE id > 5",
        [(1, None), (2, None), (3, None), (6, N)],
    ),
    "INSERT with columns": (
        "INSERT INTO changed (said, id) SELECT sentiment, id FROM t JOIN sentiment m WHERE id > 5",
        [(1, None), (2, None), (3, None), (6, N)],
    ),
    "INSERT ON CONFLICT": (
        "INSERT INTO changed SELECT id, text, sentiment FROM t JOIN sentiment m WHERE id < 3 "
        "ON CONFLICT (id) DO UPDATE SET said = excluded.said",
        [(1, P), (2, N), (3, None)],
    ),
    "INSERT OR IGNORE": (
        "INSERT OR IGNORE INTO changed SELECT id, text, sentiment FROM t JOIN sentiment m WHERE id IN (2, 6)",
        [(1, None), (2, None), (3, None), (6, N)],
    ),
    "MERGE": (
        "MERGE INTO changed USING (SELECT id, sentiment FROM t JOIN sentiment m WHERE id = 3) q ON q.id = changed.id "
        "WHEN MATCHED THEN UPDATE SET said = q.sentiment",
        [(1, None), (2, None), (3, P)],
    ),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_is_made_once(home: Home, change: str) -> None:
    statement, expected = CHANGES[change]
    home.con.sql("CREATE OR REPLACE TABLE changed (id INTEGER PRIMARY KEY, text VARCHAR, said VARCHAR)")
    home.con.sql("INSERT INTO changed SELECT id, text, NULL FROM t WHERE id < 4")
    home.con.sql(statement)
    assert home.rows("SELECT id, said FROM changed ORDER BY id") == expected
    assert not home.leftovers()
    assert not home.is_in_transaction()


def test_rows_that_a_change_returns(home: Home) -> None:
    home.con.sql("CREATE OR REPLACE TABLE changed (id INTEGER, said VARCHAR)")
    returned = home.rows(
        "INSERT INTO changed SELECT id, sentiment FROM t JOIN sentiment m WHERE id < 3 RETURNING id, said"
    )
    assert sorted(returned) == EACH[:2]
    assert home.rows("FROM changed ORDER BY id") == EACH[:2]


def test_a_table_is_made_of_predictions(home: Home) -> None:
    home.con.sql("CREATE OR REPLACE TABLE made AS SELECT id, sentiment FROM t JOIN sentiment m")
    home.con.sql("CREATE OR REPLACE TEMP TABLE made_too AS (SELECT id, sentiment FROM t JOIN sentiment m)")
    assert home.rows("FROM made") == home.rows("FROM made_too") == EACH
    assert home.rows("SELECT DISTINCT typeof(sentiment) FROM made") == [("VARCHAR",)]


def test_predictions_are_written_to_a_file(home: Home, tmp_path: Path) -> None:
    home.con.sql(f"COPY (SELECT id, sentiment FROM t JOIN sentiment m) TO '{tmp_path / 'out.csv'}' (HEADER)")
    assert home.rows(f"FROM '{tmp_path / 'out.csv'}'") == EACH


def test_rows_are_in_the_tables_order(home: Home) -> None:
    """Also of more rows than a thread of DuckDB takes at once, in no order of the inputs."""
    home.con.sql(
        "CREATE OR REPLACE TABLE long AS SELECT i AS id, 'good ' || hash(i) % 50 AS text FROM range(300000) r(i)"
    )
    rows = home.rows("SELECT id, sentiment FROM long JOIN sentiment m")
    assert [id_ for id_, _ in rows] == list(range(300000))


def test_a_transaction_of_the_person_stays_open(home: Home) -> None:
    home.con.sql("BEGIN")
    home.con.sql("INSERT INTO t VALUES (9, 'good uncommitted', 1)")
    assert home.rows("SELECT id, sentiment FROM t JOIN sentiment m WHERE id > 5") == [(6, N), (9, P)]
    home.con.sql("CREATE TABLE in_transaction AS SELECT sentiment FROM t JOIN sentiment m")
    assert home.is_in_transaction()
    home.con.sql("ROLLBACK")
    assert home.rows("SELECT count(*) FROM t") == [(6,)]
    assert home.rows("SELECT count(*) FROM duckdb_tables() WHERE table_name = 'in_transaction'") == [(0,)]


def test_a_database_that_is_only_read(tmp_path: Path) -> None:
    with running_home(str(tmp_path / "a.duckdb")):
        pass
    with running_home(str(tmp_path / "b.duckdb")) as home:
        home.con.close()
        with connect(tmp_path / "b.duckdb", read_only=True) as con:
            assert con.sql("SELECT id, sentiment FROM t JOIN sentiment m").fetchall() == EACH
            con.sql(f"ATTACH '{tmp_path / 'a.duckdb'}' AS a (READ_ONLY)")
            assert con.sql("SELECT id, sentiment FROM a.t JOIN sentiment m ORDER BY id").fetchall() == EACH


REFUSED = {
    "RIGHT JOIN": ("SELECT * FROM t RIGHT JOIN sentiment m", "a model has no rows of its own"),
    "FULL JOIN": ("SELECT * FROM t FULL JOIN sentiment m", "a model has no rows of its own"),
    "ASOF JOIN": ("SELECT * FROM t ASOF JOIN sentiment m ON m.text >= t.text", "JOIN or LEFT JOIN"),
    "SEMI JOIN": ("SELECT * FROM t SEMI JOIN sentiment m", "JOIN or LEFT JOIN"),
    "a sample of a model": ("SELECT * FROM t JOIN sentiment m TABLESAMPLE 10%", "no rows to take a sample of"),
    "no input": ("SELECT * FROM sentiment", "asked for nothing"),
    "one input of two": ("SELECT * FROM alike WHERE question = 'a'", "text"),
    "a recursive CTE": (
        "WITH RECURSIVE r AS (SELECT 'good' AS text UNION ALL SELECT m.sentiment FROM r JOIN sentiment m) FROM r",
        "recursive",
    ),
    "a volatile input": ("SELECT * FROM t JOIN sentiment m ON m.text = random()::VARCHAR", "another value each time"),
    "subselects in each other": (
        "SELECT * FROM (" * 100 + "SELECT sentiment FROM t JOIN sentiment m" + ")" * 100,
        "101 deep",
    ),
    "brackets in each other": (
        "SELECT " + "(" * 5000 + "1" + ")" * 5000 + ", sentiment FROM t JOIN sentiment m",
        "brackets",
    ),
    "a bracket that is open": ("SELECT (id, sentiment FROM t JOIN sentiment m", "bracket"),
}


@pytest.mark.parametrize("form", REFUSED)
def test_what_cannot_be_is_refused_with_a_sentence(home: Home, form: str) -> None:
    statement, said = REFUSED[form]
    home.forget()
    with pytest.raises(InputError, match=said):
        home.rows(statement)
    assert home.requests == 0
    assert not home.leftovers()
    assert not home.is_in_transaction()


def test_subselects_in_each_other_run_without_a_model(home: Home) -> None:
    assert home.rows("SELECT * FROM (" * 100 + "SELECT id FROM t" + ")" * 100 + " ORDER BY id LIMIT 1") == [(1,)]


def test_a_long_statement(home: Home) -> None:
    listed = ", ".join(map(str, range(2, 20_000)))
    assert home.rows(f"SELECT id, sentiment FROM t JOIN sentiment m WHERE id NOT IN ({listed})") == EACH[:1]
    conditions = " AND ".join(f"id <> {number}" for number in range(2, 500))
    assert home.rows(f"SELECT id, sentiment FROM t JOIN sentiment m WHERE {conditions}") == EACH[:1]
