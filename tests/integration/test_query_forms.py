"""WHERE and JOIN forms, several models, views, EVALUATE: what gives predictions, and what MindsDB refuses."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from huggingface_api_handler.demo.mindsdb_server import MindsDB
from tests.conftest import Service
from tests.integration.conftest import MOODS, refusal, rows_of

EACH = [[number, mood] for number, mood in MOODS.items()]
NOT_EQUAL = "Only 'and' and '=' operations allowed in WHERE clause"
NOT_CONSTANT = "must contain pairs 'Identifier(...) = Constant(...)'"


@pytest.mark.parametrize(
    ("condition", "row"),
    [
        ("text = 'I love it'", ["POSITIVE", "I love it"]),
        ("text = 'awful' AND note = 'kept'", ["NEGATIVE", "awful"]),
        ("text = NULL", [None, None]),
        ("text = ''", [None, ""]),
        ("text = (SELECT text FROM pg.reviews WHERE id = 2)", ["NEGATIVE", "awful thing"]),
        ("text = 'I love it' USING threshold = 0.9", ["uncertain", "I love it"]),
    ],
)
def test_where_of_one_row_gives_a_column_a_constant(
    mindsdb: MindsDB, moods: str, pg: str, condition: str, row: list[str]
) -> None:
    assert mindsdb.sql(f"SELECT sentiment, text FROM {moods} WHERE {condition}").rows == [row]


@pytest.mark.parametrize(
    ("condition", "says"),
    [
        ("WHERE text IN ('a', 'b')", NOT_EQUAL),
        ("WHERE text = 'a' OR text = 'b'", NOT_EQUAL),
        ("WHERE text LIKE 'a'", NOT_EQUAL),
        ("WHERE text <> 'a'", NOT_EQUAL),
        ("WHERE text BETWEEN 'a' AND 'b'", NOT_EQUAL),
        ("WHERE text IS NULL", NOT_EQUAL),
        ("WHERE text = concat('a', 'b')", NOT_CONSTANT),
        ("WHERE 'a' = text", NOT_CONSTANT),
        ("LIMIT 1", "WHERE clause required when selecting from predictor"),
        ("", "WHERE clause required when selecting from predictor"),
    ],
)
def test_where_forms_that_mindsdb_refuses_for_one_row(mindsdb: MindsDB, moods: str, condition: str, says: str) -> None:
    assert says in refusal(mindsdb, f"SELECT sentiment FROM {moods} {condition}")


def test_union_all_asks_for_several_texts_and_no_subselect_does(mindsdb: MindsDB, moods: str) -> None:
    one = f"SELECT text, sentiment FROM {moods} WHERE text ="
    found = rows_of(mindsdb, f"{one} 'I love it' UNION ALL {one} 'awful'")
    assert sorted(found) == [["I love it", "POSITIVE"], ["awful", "NEGATIVE"]]
    texts = "(SELECT * FROM (SELECT 'I love it' AS text UNION ALL SELECT 'awful' AS text) AS x)"
    said = refusal(mindsdb, f"SELECT t.text, m.sentiment FROM {texts} AS t JOIN {moods} AS m")
    assert said.startswith("Unsupported from_table")


@pytest.mark.parametrize("join", ["JOIN", "INNER JOIN", "LEFT JOIN", "RIGHT JOIN", "FULL JOIN"])
def test_each_join_gives_every_row_its_prediction(mindsdb: MindsDB, moods: str, pg: str, join: str) -> None:
    found = rows_of(mindsdb, f"SELECT t.id, m.sentiment FROM {pg}.reviews AS t {join} {moods} AS m")
    assert sorted(found) == EACH


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT t.id, m.sentiment FROM {pg}.reviews AS t, {moods} AS m",
        "SELECT t.id, m.sentiment FROM {moods} AS m JOIN {pg}.reviews AS t",
        "SELECT id, sentiment FROM {pg}.reviews JOIN {moods}",
        "SELECT t.id, m.sentiment FROM {pg}.reviews AS t JOIN {moods} AS m ON m.text = t.text",
        "SELECT t.id, m.sentiment FROM {pg}.reviews AS t JOIN {moods} AS m WHERE 1 = 1",
        "SELECT t.id, m.sentiment FROM (SELECT * FROM {pg}.reviews) AS t JOIN {moods} AS m",
        "SELECT t.id, m.sentiment FROM {pg} (SELECT id, text FROM reviews WHERE text IS NOT NULL) AS t JOIN {moods} AS m",
        "SELECT t.id, m.sentiment FROM {pg}.reviews AS t JOIN {moods}.1 AS m",
        "SELECT * FROM (SELECT t.id, m.sentiment FROM {pg}.reviews AS t JOIN {moods} AS m) AS p",
    ],
)
def test_ways_to_write_a_join(mindsdb: MindsDB, moods: str, pg: str, statement: str) -> None:
    assert sorted(rows_of(mindsdb, statement.format(pg=pg, moods=moods))) == EACH


def test_cross_join_is_refused_and_a_comma_is_not(mindsdb: MindsDB, moods: str, pg: str) -> None:
    statement = f"SELECT t.id, m.sentiment FROM {pg}.reviews AS t CROSS JOIN {moods} AS m"
    assert 'Parser Error: syntax error at or near "ON"' in refusal(mindsdb, statement)


def test_where_filters_the_table_before_anything_is_asked(
    mindsdb: MindsDB, moods: str, pg: str, mood_service: Service
) -> None:
    asked = len(mood_service.asked)
    found = rows_of(mindsdb, f"SELECT t.id, m.sentiment FROM {pg}.reviews AS t JOIN {moods} AS m WHERE t.id = 2")
    assert found == [[2, "NEGATIVE"]]
    assert len(mood_service.asked) == asked + 1


def test_predictions_are_filtered_grouped_and_ordered(mindsdb: MindsDB, moods: str, pg: str) -> None:
    joined = f"FROM {pg}.reviews AS t JOIN {moods} AS m"
    for statement, expected in (
        (f"SELECT t.id {joined} WHERE m.sentiment = 'NEGATIVE' ORDER BY t.id", [[2], [4]]),
        (f"SELECT t.id {joined} WHERE m.sentiment_confidence > 0.9", []),
        (f"SELECT m.sentiment, COUNT(*) AS n {joined} GROUP BY m.sentiment HAVING COUNT(*) > 1 ORDER BY m.sentiment",
         [["NEGATIVE", 2], ["POSITIVE", 2]]),
        (f"SELECT t.id, m.sentiment {joined} ORDER BY t.id DESC LIMIT 2", [[4, "NEGATIVE"], [3, "POSITIVE"]]),
        (f"SELECT DISTINCT m.sentiment {joined} ORDER BY m.sentiment", [["NEGATIVE"], ["POSITIVE"]]),
        (f"SELECT t.id, row_number() OVER (PARTITION BY m.sentiment ORDER BY t.id) AS n {joined} ORDER BY t.id",
         [[1, 1], [2, 1], [3, 2], [4, 2]]),
        (f"SELECT t.id, CASE WHEN m.sentiment = 'NEGATIVE' THEN 1 ELSE 0 END AS bad {joined} WHERE t.id < 3 ORDER BY t.id",
         [[1, 0], [2, 1]]),
    ):  # fmt: skip
        assert mindsdb.sql(statement).rows == expected, statement


def test_a_common_table_expression_is_refused_and_a_subselect_is_not(mindsdb: MindsDB, moods: str, pg: str) -> None:
    joined = f"SELECT t.id, m.sentiment FROM {pg}.reviews AS t JOIN {moods} AS m"
    assert refusal(mindsdb, f"WITH p AS ({joined}) SELECT * FROM p") == "'NoneType' object is not subscriptable"
    assert len(rows_of(mindsdb, f"SELECT * FROM ({joined}) AS p WHERE p.sentiment = 'NEGATIVE'")) == 2


def test_upper_case_in_a_models_name_is_not_found(mindsdb: MindsDB, moods: str) -> None:
    assert (
        refusal(mindsdb, "SELECT sentiment FROM mindsdb.MOOD_MODEL WHERE text = 'x'") == "Can't find model 'MOOD_MODEL'"
    )


@pytest.fixture
def strict(mindsdb: MindsDB, moods: str) -> Iterator[str]:
    mindsdb.sql(
        "CREATE MODEL mindsdb.strict PREDICT verdict USING engine = 'mood_engine', task = 'text-classification', "
        "column = 'text', model = 'm', threshold = 0.9, join_learn_process = true"
    )
    yield "mindsdb.strict"
    mindsdb.sql("DROP MODEL mindsdb.strict")


def test_several_models_in_one_join(mindsdb: MindsDB, moods: str, strict: str, pg: str) -> None:
    found = rows_of(
        mindsdb,
        f"SELECT t.id, a.sentiment, b.verdict FROM {pg}.reviews AS t JOIN {moods} AS a JOIN {strict} AS b",
    )
    assert sorted(found) == [[number, mood, "uncertain"] for number, mood in MOODS.items()]


def test_a_model_reads_what_another_one_said(mindsdb: MindsDB, moods: str, strict: str, pg: str) -> None:
    first = f"SELECT t.id, m.sentiment AS text FROM {pg}.reviews AS t JOIN {moods} AS m"
    found = rows_of(mindsdb, f"SELECT p.id, p.text, b.verdict FROM ({first}) AS p JOIN {strict} AS b")
    assert sorted(found) == [[number, mood, "uncertain"] for number, mood in MOODS.items()]


def test_a_view_is_joined_filtered_changed_and_dropped(mindsdb: MindsDB, moods: str, pg: str) -> None:
    joined = f"SELECT t.id, m.sentiment FROM {pg}.reviews AS t JOIN {moods} AS m"
    mindsdb.sql(f"CREATE VIEW mindsdb.mood_view AS ({joined})")
    assert mindsdb.sql("SELECT id FROM mindsdb.mood_view WHERE sentiment = 'NEGATIVE' ORDER BY id").rows == [[2], [4]]
    joined_again = (
        f"SELECT t.text, v.sentiment FROM {pg}.reviews AS t JOIN mindsdb.mood_view AS v ON v.id = t.id WHERE t.id = 2"
    )
    assert mindsdb.sql(joined_again).rows == [["awful thing", "NEGATIVE"]]
    assert refusal(mindsdb, f"CREATE VIEW mindsdb.mood_view AS ({joined})") == "View already exists: mood_view"
    assert "Syntax error" in refusal(mindsdb, f"CREATE OR REPLACE VIEW mindsdb.mood_view AS ({joined})")
    mindsdb.sql(f"ALTER VIEW mindsdb.mood_view AS ({joined} WHERE t.id = 1)")
    assert mindsdb.sql("SELECT * FROM mindsdb.mood_view").rows == [[1, "POSITIVE"]]
    mindsdb.sql("DROP VIEW mindsdb.mood_view")


def test_a_model_reads_a_view(mindsdb: MindsDB, moods: str, pg: str) -> None:
    mindsdb.sql(f"CREATE VIEW mindsdb.mood_rows AS (SELECT id, text FROM {pg}.reviews WHERE id < 3)")
    found = rows_of(mindsdb, f"SELECT t.id, m.sentiment FROM mindsdb.mood_rows AS t JOIN {moods} AS m")
    assert sorted(found) == EACH[:2]
    mindsdb.sql("DROP VIEW mindsdb.mood_rows")


def test_evaluate_wants_a_package_that_mindsdb_does_not_bring_and_sql_does_the_same(
    mindsdb: MindsDB, moods: str, pg: str
) -> None:
    pairs = f"SELECT t.mood AS actual, m.sentiment AS prediction FROM (SELECT text, 'POSITIVE' AS mood FROM {pg}.reviews) AS t JOIN {moods} AS m"
    said = refusal(mindsdb, f"EVALUATE accuracy_score FROM ({pairs})")
    assert said == "cannot access local variable 'evaluate_accuracy' where it is not associated with a value"
    ((accuracy,),) = rows_of(
        mindsdb, f"SELECT avg(CASE WHEN p.actual = p.prediction THEN 1.0 ELSE 0.0 END) AS accuracy FROM ({pairs}) AS p"
    )
    assert accuracy == 0.5
