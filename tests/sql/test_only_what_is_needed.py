"""Only what is needed is asked: each rule by the inputs that a service counts, where it holds and where it must not."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from huggingface_api_handler.errors import InferenceError
from tests.sql.home import Home, running_home

ALL = ["bad film", "dull book", "good book", "good film"]
"""The distinct inputs of the table ``t``."""


@pytest.fixture(scope="module")
def home() -> Iterator[Home]:
    with running_home() as running:
        running.con.sql("CREATE TABLE other AS SELECT * FROM (VALUES (1, 'one'), (2, 'two'), (7, 'seven')) o(id, name)")
        running.con.sql("CREATE TABLE changed AS FROM other")
        running.con.sql("CREATE TABLE nobody (id INTEGER)")
        running.con.sql("CREATE TABLE many AS SELECT i AS id, 'text ' || i AS text FROM range(1000) r(i)")
        running.con.sql(
            "CREATE TABLE films AS SELECT i AS id, 'good film ' || (i % 100) AS text FROM range(100000) r(i)"
        )
        running.con.sql("CREATE TABLE numbers AS SELECT i AS n FROM range(100000) r(i)")
        yield running


FILTERED = {
    "a condition": ("SELECT sentiment FROM t JOIN sentiment m WHERE stars > 3", ["good film"]),
    "beside one on the prediction": (
        "SELECT id FROM t JOIN sentiment m WHERE stars < 3 AND m.sentiment = 'POSITIVE'",
        ["bad film", "dull book", "good book"],
    ),
    "in brackets": (
        "SELECT id FROM t JOIN sentiment m WHERE ((stars < 2) AND (m.sentiment = 'POSITIVE'))",
        ["bad film"],
    ),
    "BETWEEN": ("SELECT sentiment FROM t JOIN sentiment m WHERE id BETWEEN 5 AND 6", ["dull book", "good book"]),
    "an OR that reads no prediction": (
        "SELECT sentiment FROM t JOIN sentiment m WHERE (id = 1 OR id = 2) AND true",
        ["bad film", "good film"],
    ),
    "an alias that reads no prediction": (
        "SELECT stars AS s, sentiment FROM t JOIN sentiment m WHERE t.stars > 3",
        ["good film"],
    ),
    "a subselect": (
        "SELECT sentiment FROM t JOIN sentiment m WHERE id IN (SELECT id FROM other)",
        ["bad film", "good film"],
    ),
    "of an outer row": (
        "SELECT (SELECT m.sentiment FROM t JOIN sentiment m WHERE t.id = o.id) FROM other o",
        ["bad film", "good film"],
    ),
    "a join before the model": (
        "SELECT sentiment FROM t JOIN other USING (id) JOIN sentiment m WHERE name = 'two'",
        ["bad film"],
    ),
    "in HAVING's query": (
        "SELECT sentiment, count(*) FROM t JOIN sentiment m WHERE stars = 2 GROUP BY ALL HAVING count(*) > 0",
        ["dull book", "good book"],
    ),
    "in an UPDATE": (
        "UPDATE changed SET name = s FROM (SELECT t.id, sentiment AS s FROM t JOIN sentiment m WHERE t.id = 2) q "
        "WHERE q.id = changed.id",
        ["bad film"],
    ),
}


@pytest.mark.parametrize("rule", FILTERED)
def test_a_filter_comes_before_a_model(home: Home, rule: str) -> None:
    statement, asked = FILTERED[rule]
    assert home.inputs(statement) == asked


NOT_FILTERED = {
    "under OR": "SELECT id FROM t JOIN sentiment m WHERE stars > 3 OR m.sentiment = 'POSITIVE'",
    "under NOT": "SELECT id FROM t JOIN sentiment m WHERE NOT (stars > 3 AND m.sentiment = 'POSITIVE')",
    "under CASE": "SELECT id FROM t JOIN sentiment m WHERE CASE WHEN stars > 3 AND sentiment = 'x' THEN false ELSE true END",
    "by an alias that reads a prediction": (
        "SELECT id, m.sentiment = 'POSITIVE' AS is_good FROM t JOIN sentiment m WHERE is_good"
    ),
    "by an alias of such an alias": (
        "SELECT id, m.sentiment AS s, s || '!' AS loud FROM t JOIN sentiment m WHERE loud = 'POSITIVE!'"
    ),
    "volatile": "SELECT id, sentiment FROM t JOIN sentiment m WHERE random() < 2",
    "in the ON of a LEFT JOIN": "SELECT t.id, sentiment FROM other o LEFT JOIN t ON o.id = 1 JOIN sentiment m",
    "where a RIGHT JOIN reads the prediction": (
        "SELECT t.id, o.id FROM t JOIN sentiment m RIGHT JOIN other o ON o.id = t.id AND m.sentiment = 'POSITIVE' "
        "WHERE t.id IS NULL OR t.stars > 3"
    ),
    "where a FULL JOIN reads the prediction": (
        "SELECT t.id, o.id FROM t JOIN sentiment m FULL JOIN other o ON o.id = t.id AND m.sentiment = 'POSITIVE' "
        "WHERE o.id = 1"
    ),
    "HAVING": "SELECT sentiment, count(*) FROM t JOIN sentiment m GROUP BY sentiment HAVING count(*) > 3",
    "QUALIFY": "SELECT id, sentiment FROM t JOIN sentiment m QUALIFY row_number() OVER (ORDER BY id) = 1",
}


@pytest.mark.parametrize("rule", NOT_FILTERED)
def test_a_filter_does_not_come_before_a_model(home: Home, rule: str) -> None:
    assert home.inputs(NOT_FILTERED[rule]) == ALL


def test_a_right_join_that_reads_no_prediction_leaves_a_filter_before_the_model(home: Home) -> None:
    asked = home.inputs(
        "SELECT o.id, m.sentiment FROM t JOIN sentiment m RIGHT JOIN other o ON o.id = t.id WHERE t.id = 2"
    )
    assert asked == ["bad film"]


LIMITED = {
    "before a model": ("SELECT id, sentiment FROM many JOIN sentiment m LIMIT 3", 3),
    "with OFFSET": ("SELECT id, sentiment FROM many JOIN sentiment m LIMIT 3 OFFSET 4", 7),
    "in an order of the table": ("SELECT id, sentiment FROM many JOIN sentiment m ORDER BY id DESC LIMIT 2", 2),
    "in the order of an alias": ("SELECT -id AS place, sentiment FROM many JOIN sentiment m ORDER BY place LIMIT 2", 2),
    "in the order of a position": ("SELECT id, sentiment FROM many JOIN sentiment m ORDER BY 1 DESC LIMIT 2", 2),
    "with a filter of the table": ("SELECT id, sentiment FROM many JOIN sentiment m WHERE id > 900 LIMIT 2", 2),
    "in a subselect": ("SELECT * FROM (SELECT id, sentiment FROM many JOIN sentiment m LIMIT 3) q", 3),
    "by a parameter": ("SELECT id, sentiment FROM many JOIN sentiment m LIMIT $n", 4),
    "of a join": ("SELECT id, sentiment FROM many JOIN other USING (id) JOIN sentiment m LIMIT 1", 1),
    "LIMIT 0": ("SELECT id, sentiment FROM many JOIN sentiment m LIMIT 0", 0),
}


@pytest.mark.parametrize("rule", LIMITED)
def test_limit_comes_before_a_model(home: Home, rule: str) -> None:
    statement, count = LIMITED[rule]
    assert len(home.inputs(statement, {"n": 4} if "$n" in statement else None)) == count


NOT_LIMITED = {
    "GROUP BY": "SELECT sentiment, count(*) FROM t JOIN sentiment m GROUP BY sentiment LIMIT 1",
    "a window function": "SELECT id, count(*) OVER (PARTITION BY sentiment) FROM t JOIN sentiment m LIMIT 1",
    "QUALIFY": "SELECT id FROM t JOIN sentiment m QUALIFY row_number() OVER (ORDER BY sentiment) < 9 LIMIT 1",
    "an aggregate": "SELECT count(sentiment) FROM t JOIN sentiment m LIMIT 1",
    "DISTINCT": "SELECT DISTINCT sentiment FROM t JOIN sentiment m LIMIT 1",
    "DISTINCT ON": "SELECT DISTINCT ON (sentiment) id FROM t JOIN sentiment m LIMIT 1",
    "a set operation": "SELECT sentiment FROM t JOIN sentiment m UNION SELECT name FROM other LIMIT 1",
    "a percentage": "SELECT id, sentiment FROM t JOIN sentiment m LIMIT 10%",
    "ORDER BY a prediction": "SELECT id FROM t JOIN sentiment m ORDER BY sentiment LIMIT 1",
    "ORDER BY an alias of a prediction": "SELECT id, sentiment AS s FROM t JOIN sentiment m ORDER BY s LIMIT 1",
    "ORDER BY the position of a prediction": "SELECT id, sentiment AS s FROM t JOIN sentiment m ORDER BY 2 LIMIT 1",
    "ORDER BY ALL": "SELECT sentiment, id FROM t JOIN sentiment m ORDER BY ALL LIMIT 1",
    "a subselect's rows": "SELECT * FROM (SELECT id, sentiment FROM t JOIN sentiment m) q LIMIT 1",
    "unnest": "SELECT unnest([1, 2]), sentiment FROM t JOIN sentiment m LIMIT 1",
}


@pytest.mark.parametrize("rule", NOT_LIMITED)
def test_limit_does_not_come_before_a_model(home: Home, rule: str) -> None:
    assert home.inputs(NOT_LIMITED[rule]) == ALL


def test_limit_asks_in_windows_where_the_model_filters(home: Home) -> None:
    statement = "SELECT id FROM many JOIN topic m WHERE m.topic = '{}' LIMIT 1"
    assert len(home.inputs(statement.format(0), model="topic")) == 2  # twice what is missing
    few = len(home.inputs(statement.format(20), model="topic"))
    most = len(home.inputs(statement.format(990), model="topic"))
    assert 20 < few < 100
    assert most == 1000


def test_windows_are_as_large_as_the_selectivity_says(home: Home) -> None:
    home.forget()
    home.con.sql(
        "CREATE OR REPLACE TEMP TABLE tenth AS SELECT i AS id, (CASE WHEN i % 10 = 0 THEN 'good ' ELSE 'bad ' END) "
        "|| i AS text FROM range(2000) r(i)"
    )
    rows = home.rows("SELECT id FROM tenth JOIN sentiment m WHERE m.sentiment = 'POSITIVE' LIMIT 20 OFFSET 10")
    assert [id_ for (id_,) in rows] == list(range(100, 300, 10))
    assert 291 <= len(home.asked_of()) <= 1.3 * 291 + 2 * 30


def test_ties_at_the_end_of_a_limit_fall_alike(home: Home) -> None:
    home.forget()
    rows = home.rows(
        "SELECT m.text, sentiment FROM (SELECT id % 2 AS half, text FROM many) m JOIN sentiment p ORDER BY half LIMIT 5"
    )
    assert all(prediction == "NEGATIVE" for _, prediction in rows)
    assert home.asked_of() == sorted(text for text, _ in rows)


ONCE = {
    "equal inputs": ("SELECT id, sentiment FROM t JOIN sentiment m", ALL),
    "two uses": ("SELECT a.sentiment, b.sentiment FROM t JOIN sentiment a JOIN sentiment b ON b.text = t.text", ALL),
    "a subselect and its query": (
        "SELECT id, sentiment FROM t JOIN sentiment m WHERE id IN (SELECT id FROM t JOIN sentiment n "
        "WHERE n.sentiment = 'POSITIVE')",
        ALL,
    ),
    "a CTE that is read twice": (
        "WITH c AS (SELECT id, sentiment FROM t JOIN sentiment m) SELECT * FROM c a JOIN c b USING (id)",
        ALL,
    ),
    "a union": (
        "SELECT sentiment FROM t JOIN sentiment m WHERE id < 3 UNION ALL SELECT sentiment FROM t JOIN sentiment n",
        ALL,
    ),
    "through a join that repeats rows": ("SELECT sentiment FROM t CROSS JOIN other JOIN sentiment m", ALL),
}


@pytest.mark.parametrize("rule", ONCE)
def test_an_input_is_asked_once_in_a_statement(home: Home, rule: str) -> None:
    statement, asked = ONCE[rule]
    assert home.inputs(statement) == asked


def test_uses_with_other_arguments_are_asked_apart(home: Home) -> None:
    statement = (
        "SELECT a.sentiment FROM t JOIN sentiment a WHERE id = 1 UNION ALL "
        "SELECT * FROM (SELECT b.sentiment FROM t JOIN sentiment b WHERE id = 1 USING top_k = 2) q"
    )
    assert home.inputs(statement) == ["good film", "good film"]


UNREAD = {
    "count(*)": "SELECT count(*) FROM t JOIN sentiment m",
    "a column of the table": "SELECT t.id FROM t JOIN sentiment m",
    "a star of the table": "SELECT t.* FROM t JOIN sentiment m",
    "an input": "SELECT t.text FROM t JOIN sentiment m ON m.text = t.text",
    "in a condition of the table": "SELECT t.id FROM t JOIN sentiment m WHERE t.stars > 2 ORDER BY t.id",
    "in EXISTS": "SELECT EXISTS (SELECT 1 FROM t JOIN sentiment m)",
}


@pytest.mark.parametrize("rule", UNREAD)
def test_a_model_that_is_not_read_is_not_asked(home: Home, rule: str) -> None:
    assert home.inputs(UNREAD[rule]) == []


READ = {
    "a star": "SELECT * FROM t JOIN sentiment m",
    "its own star": "SELECT m.* FROM t JOIN sentiment m",
    "its whole row": "SELECT m FROM t JOIN sentiment m",
    "COLUMNS": "SELECT COLUMNS('senti.*') FROM t JOIN sentiment m",
    "WHERE alone": "SELECT t.id FROM t JOIN sentiment m WHERE m.sentiment IS NOT NULL",
    "ORDER BY alone": "SELECT t.id FROM t JOIN sentiment m ORDER BY m.sentiment",
    "GROUP BY alone": "SELECT count(*) FROM t JOIN sentiment m GROUP BY m.sentiment",
    "count of a column": "SELECT count(sentiment) FROM t JOIN sentiment m",
    "ON": "SELECT t.id FROM t JOIN sentiment m ON m.sentiment = 'POSITIVE'",
    "FROM first": "FROM t JOIN sentiment m",
    "its error": "SELECT sentiment_error FROM t JOIN sentiment m",
    "another model's input, by its name alone": "SELECT v.verdict FROM t JOIN sentiment m JOIN verdict v",
    "a NATURAL JOIN": "SELECT t.id FROM t JOIN sentiment m NATURAL JOIN (SELECT 'POSITIVE' AS sentiment)",
}


@pytest.mark.parametrize("rule", READ)
def test_a_model_that_is_read_is_asked(home: Home, rule: str) -> None:
    assert home.inputs(READ[rule]) == ALL


PRODUCTS = {
    "comma": "SELECT count(*) FROM (SELECT films.id, sentiment FROM films, numbers JOIN sentiment m LIMIT 3)",
    "CROSS JOIN": "SELECT films.id, sentiment FROM films CROSS JOIN numbers JOIN sentiment m LIMIT 3",
    "the table second": "SELECT films.id, sentiment FROM numbers, films JOIN sentiment m LIMIT 3",
    "qualified": "SELECT f.id, sentiment FROM films f, numbers f2 JOIN sentiment m ON m.text = f.text LIMIT 3",
    "with itself": "SELECT a.id, sentiment FROM films a, films b JOIN sentiment m ON m.text = a.text LIMIT 3",
}


@pytest.mark.parametrize("rule", PRODUCTS)
def test_a_product_is_not_made_to_ask_for_one_tables_inputs(home: Home, rule: str) -> None:
    """10,000,000,000 rows would not be done in a day."""
    assert 1 <= len(home.inputs(PRODUCTS[rule])) <= 3


def test_a_part_of_a_product_gives_the_inputs_of_the_whole(home: Home) -> None:
    both = "t, numbers JOIN sentiment m"
    assert home.inputs(f"EXPLAIN SELECT sentiment FROM {both} WHERE n < 2") == []
    assert home.inputs(f"SELECT sentiment FROM {both} WHERE n < 2") == ALL
    assert home.inputs(f"SELECT sentiment FROM {both} WHERE n < 2 AND stars > 3") == ["good film"]
    assert home.inputs(f"SELECT sentiment FROM {both} WHERE n = t.id AND n > 4") == ["dull book", "good book"]
    assert home.inputs(f"SELECT sentiment FROM {both} WHERE n < 0") == []
    assert home.inputs("SELECT sentiment FROM t, nobody JOIN sentiment m ON m.text = t.text") == []
    assert home.inputs("SELECT sentiment FROM nobody CROSS JOIN t JOIN sentiment m ON m.text = 'x'") == []
    assert home.inputs("SELECT sentiment FROM t CROSS JOIN other JOIN sentiment m ON m.text = name") == [
        "one",
        "seven",
        "two",
    ]
    assert home.inputs("SELECT sentiment FROM t, other JOIN sentiment m ON m.text = t.text || name WHERE t.id = 2") == [
        "bad filmone",
        "bad filmseven",
        "bad filmtwo",
    ]


def test_a_model_that_is_read_alone_is_asked_for_its_constant(home: Home) -> None:
    assert home.inputs("SELECT * FROM sentiment WHERE text = 'good day'") == ["good day"]
    assert home.inputs("SELECT * FROM sentiment WHERE 'good day' = text AND sentiment = 'x'") == ["good day"]
    assert home.inputs("FROM sentiment WHERE text = ?", ["good night"]) == ["good night"]
    assert home.inputs("SELECT * FROM alike WHERE question = 'a' AND text = 'b'", model="alike") == ["a|b"]
    assert home.inputs("SELECT sentiment FROM t JOIN sentiment m WHERE m.text = 'one for all'") == ["one for all"]


def test_a_second_model_is_asked_for_the_rows_that_pass_the_first(home: Home) -> None:
    chain = "SELECT id FROM t JOIN sentiment a JOIN topic b WHERE {} AND b.topic = 'film'"
    assert home.inputs(chain.format("a.sentiment = 'POSITIVE'"), model="topic") == ["good book", "good film"]
    assert home.asked_of("sentiment") == ALL
    assert home.inputs(chain.format("(a.sentiment = 'POSITIVE' OR b.topic = 'film')"), model="topic") == ALL


def test_a_second_model_is_asked_in_the_windows_of_the_first(home: Home) -> None:
    asked = home.inputs(
        "SELECT many.id FROM many JOIN sentiment a JOIN topic b WHERE a.sentiment = 'NEGATIVE' "
        "AND b.topic <> 'x' LIMIT 2"
    )
    assert len(asked) == 4
    assert len(home.asked_of("topic")) == 4


def test_stored_answers_are_not_asked_again() -> None:
    with running_home(cache="true") as kept:
        assert kept.inputs("SELECT sentiment FROM t JOIN sentiment m WHERE id < 3") == ["bad film", "good film"]
        assert kept.inputs("SELECT sentiment FROM t JOIN sentiment m") == ["dull book", "good book"]


def test_a_statement_has_one_receipt_for_each_model(home: Home) -> None:
    result = home.con.sql("SELECT a.sentiment, topic FROM t JOIN sentiment a JOIN topic WHERE sentiment = 'POSITIVE'")
    result.fetchall()
    found = {name: (query.usage.distinct, query.usage.answered) for name, query in result.queries}
    assert found == {"sentiment": (4, 4), "topic": (2, 2)}
    home.forget()
    windows = home.con.sql("SELECT id FROM many JOIN topic m WHERE topic = '50' LIMIT 1")
    windows.fetchall()
    ((name, query),) = windows.queries
    assert (name, query.usage.distinct) == ("topic", len(home.asked["topic"]))


def test_the_budget_of_an_engine_holds_for_the_windows_together() -> None:
    with running_home(requests_per_hour=3, max_wait=1) as short:
        short.con.sql("CREATE TABLE many AS SELECT 'text ' || i AS text FROM range(5000) r(i)")
        result = short.con.sql("SELECT text FROM many JOIN topic m WHERE topic = '4000' LIMIT 1")
        ((_, query),) = result.queries
        assert short.requests <= 3
        assert query.usage.requests == short.requests
        assert query.usage.errors


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT id, sentiment FROM t JOIN sentiment m",
        "SELECT id FROM many JOIN sentiment m WHERE sentiment = 'POSITIVE' LIMIT 1",
        "SELECT a.sentiment, topic FROM t JOIN sentiment a JOIN topic",
    ],
)
def test_a_refused_key_ends_a_statement_after_one_request(statement: str) -> None:
    with running_home() as fresh:
        fresh.con.sql("CREATE TABLE many AS SELECT i AS id, 'text ' || i AS text FROM range(1000) r(i)")
        fresh.status = 401
        with pytest.raises(InferenceError):
            fresh.rows(statement)
        assert fresh.requests == 1
        assert not fresh.leftovers()
        assert not fresh.is_in_transaction()


def test_explain_counts_and_sends_nothing(home: Home) -> None:
    home.forget()
    result = home.con.sql("EXPLAIN SELECT id, sentiment FROM t JOIN sentiment m WHERE id < 6")
    (row,) = result.fetchall()
    found = dict(zip(result.columns, row, strict=True))
    assert {name: found[name] for name in ("model", "rows", "distinct_inputs", "stored")} == {
        "model": "sentiment",
        "rows": 5,
        "distinct_inputs": 4,
        "stored": 0,  # NULL among them
    }
    assert 1 <= found["requests"] <= 3
    assert home.requests == 0
    assert not home.leftovers()


def test_explain_tells_each_model_and_what_is_not_known() -> None:
    with running_home(cache="true") as kept:
        kept.rows("SELECT sentiment FROM t JOIN sentiment m WHERE id < 3")
        kept.forget()
        result = kept.con.explain(
            "SELECT v.verdict FROM t JOIN sentiment m JOIN verdict v ON v.sentiment = m.sentiment"
        )
        found = [dict(zip(result.columns, row, strict=True)) for row in result.fetchall()]
        assert [(each["model"], each["stored"], each["requests"]) for each in found] == [
            ("sentiment", 2, 2),
            ("verdict", None, None),
        ]
        assert "predictions of another model" in found[1]["note"]
        limited = kept.con.explain("SELECT id FROM t JOIN sentiment m WHERE sentiment = 'POSITIVE' LIMIT 1")
        assert "LIMIT may take more" in str(limited.fetchall())
        assert kept.requests == 0
