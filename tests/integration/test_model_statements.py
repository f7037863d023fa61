"""Engines, models, their versions and projects: what each statement of MindsDB's does with this handler."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from huggingface_api_handler.demo.mindsdb_server import MindsDB
from tests.conftest import Service
from tests.integration.conftest import refusal, rows_of, wait_for

USING = "engine = 'mood_engine', task = 'text-classification', column = 'text', model = 'm'"
WAITS = "join_learn_process = true"
VERSIONS = "SELECT version, active, status FROM mindsdb.models WHERE name = '{}'"


@pytest.fixture
def versioned(mindsdb: MindsDB, moods: str) -> Iterator[str]:
    """A model of three versions: 2 says 'uncertain' and is active, 3 is like 1 and was made without being made active."""
    mindsdb.sql(f"CREATE MODEL mindsdb.versioned PREDICT y USING {USING}, tag = 'first', {WAITS}")
    mindsdb.sql(f"RETRAIN mindsdb.versioned USING {USING}, threshold = 0.9, {WAITS}")
    wait_for(mindsdb, VERSIONS.format("versioned"), [[1, False, "complete"], [2, True, "complete"]])
    mindsdb.sql(f"RETRAIN mindsdb.versioned USING {USING}, active = 0, {WAITS}")
    wait_for(
        mindsdb,
        VERSIONS.format("versioned"),
        [[1, False, "complete"], [2, True, "complete"], [3, False, "complete"]],
    )
    yield "mindsdb.versioned"
    mindsdb.sql("DROP MODEL mindsdb.versioned")


def mood(mindsdb: MindsDB, model: str, text: str = "I love it") -> Any:
    ((label,),) = rows_of(mindsdb, f"SELECT y FROM {model} WHERE text = '{text}'")
    return label


def test_create_and_show_and_drop_ml_engine(mindsdb: MindsDB, mood_service: Service) -> None:
    create = f"FROM huggingface_api USING endpoint = '{mood_service.url}', api_key = 'sk-never-shown-12345'"
    mindsdb.sql(f"CREATE ML_ENGINE shown {create}")
    assert "already exists" in refusal(mindsdb, f"CREATE ML_ENGINE shown {create}")
    mindsdb.sql(f"CREATE ML_ENGINE IF NOT EXISTS shown {create}")
    for statement in ("SHOW ML_ENGINES WHERE name = 'shown'", "SELECT * FROM information_schema.ml_engines"):
        (row,) = (row for row in rows_of(mindsdb, statement) if row[0] == "shown")
        assert row[1] == "huggingface_api" and mood_service.url in row[2] and "never" not in row[2]
    mindsdb.sql("DROP ML_ENGINE shown")
    assert mindsdb.sql("SHOW ML_ENGINES WHERE name = 'shown'").rows == []
    assert refusal(mindsdb, "DROP ML_ENGINE shown") == "Integration does not exists: shown"
    mindsdb.sql("DROP ML_ENGINE IF EXISTS shown")


def test_an_engine_with_models_is_not_dropped(mindsdb: MindsDB, moods: str) -> None:
    assert "Unable to drop ml engine with active models: ['mood_model'" in refusal(
        mindsdb, "DROP ML_ENGINE mood_engine"
    )


def test_alter_ml_engine_is_no_statement_of_mindsdbs(mindsdb: MindsDB, mood_service: Service) -> None:
    statement = f"ALTER ML_ENGINE mood_engine USING endpoint = '{mood_service.url}'"
    assert "Syntax error, unknown input" in refusal(mindsdb, statement)


def test_show_handlers_lists_this_handler_and_its_arguments(mindsdb: MindsDB) -> None:
    found = mindsdb.sql("SHOW HANDLERS WHERE name = 'huggingface_api'")
    row = dict(zip(found.columns, found.rows[0], strict=True))
    assert row["TITLE"] == "Hugging Face API" and row["IMPORT_SUCCESS"] is True
    assert '"api_key"' in str(row["CONNECTION_ARGS"])


def test_a_model_is_waited_for_where_it_says_so(mindsdb: MindsDB, moods: str) -> None:
    made = mindsdb.sql(f"CREATE MODEL mindsdb.waited PREDICT y USING {USING}, {WAITS}")
    assert made.rows[0][made.columns.index("STATUS")] == "complete"
    assert mood(mindsdb, "mindsdb.waited") == "POSITIVE"
    assert "already exists" in refusal(mindsdb, f"CREATE MODEL mindsdb.waited PREDICT y USING {USING}")
    mindsdb.sql(f"CREATE MODEL IF NOT EXISTS mindsdb.waited PREDICT y USING {USING}")
    mindsdb.sql(f"CREATE OR REPLACE MODEL mindsdb.waited PREDICT z USING {USING}, {WAITS}")
    assert mindsdb.sql("SELECT z FROM mindsdb.waited WHERE text = 'awful'").rows == [["NEGATIVE"]]
    mindsdb.sql("DROP MODEL mindsdb.waited")
    assert "not exist" in refusal(mindsdb, "DROP MODEL mindsdb.waited")
    mindsdb.sql("DROP MODEL IF EXISTS mindsdb.waited")


def test_create_model_reads_no_rows_of_its_from(mindsdb: MindsDB, moods: str, pg: str, mood_service: Service) -> None:
    asked = len(mood_service.asked)
    mindsdb.sql(f"CREATE MODEL mindsdb.from_rows FROM {pg} (SELECT * FROM reviews) PREDICT y USING {USING}, {WAITS}")
    assert len(mood_service.asked) == asked
    assert mood(mindsdb, "mindsdb.from_rows") == "POSITIVE"
    mindsdb.sql("DROP MODEL mindsdb.from_rows")


def test_create_or_replace_with_a_misspelt_argument_loses_the_model(mindsdb: MindsDB, moods: str) -> None:
    """MindsDB drops the old model before it asks us. Where this fails it is mended; tell docs/mindsdb.md."""
    mindsdb.sql(f"CREATE MODEL mindsdb.replaced PREDICT y USING {USING}, {WAITS}")
    wrong = f"CREATE OR REPLACE MODEL mindsdb.replaced PREDICT y USING {USING}, treshold = 0.9"
    assert "did you mean 'threshold'" in refusal(mindsdb, wrong)
    assert mindsdb.sql("SELECT name FROM mindsdb.models WHERE name = 'replaced'").rows == []


def test_versions_are_asked_by_number_and_made_active(mindsdb: MindsDB, versioned: str) -> None:
    assert [mood(mindsdb, f"{versioned}{version}") for version in ("", ".1", ".2", ".3")] == [
        "uncertain", "POSITIVE", "uncertain", "POSITIVE",
    ]  # fmt: skip
    assert dict(rows_of(mindsdb, f"DESCRIBE {versioned}.2.settings"))["threshold"] == "0.9"
    mindsdb.sql(f"SET ACTIVE {versioned}.3")
    assert mood(mindsdb, versioned) == "POSITIVE"
    assert refusal(mindsdb, f"DROP MODEL {versioned}.3") == f"Can't remove active version: {versioned}.3"
    mindsdb.sql(f"DROP MODEL {versioned}.1")
    assert mindsdb.sql(VERSIONS.format("versioned")).rows == [[2, False, "complete"], [3, True, "complete"]]
    joined = mindsdb.sql(f"SELECT m.y FROM (SELECT 'awful' AS text) AS t JOIN {versioned}.2 AS m")
    assert joined.rows == [["uncertain"]]


def test_other_ways_to_set_the_active_version_do_nothing_or_are_refused(mindsdb: MindsDB, versioned: str) -> None:
    mindsdb.sql(f"SET model_active = `{versioned}.1`")  # any name may be set over SQL, as a variable that nobody reads
    assert mood(mindsdb, versioned) == "uncertain"
    update = "UPDATE mindsdb.models SET active = 1 WHERE name = 'versioned' AND version = 1"
    assert refusal(mindsdb, update) == "Can't update object: models"
    delete = "DELETE FROM mindsdb.models WHERE name = 'versioned' AND version = 1"
    assert refusal(mindsdb, delete) == "Can't delete object: models"


def test_finetune_makes_a_version_that_failed_and_says_why(mindsdb: MindsDB, moods: str, pg: str) -> None:
    mindsdb.sql(f"CREATE MODEL mindsdb.untrained PREDICT y USING {USING}, {WAITS}")
    mindsdb.sql(f"FINETUNE mindsdb.untrained FROM {pg} (SELECT * FROM reviews)")
    wait_for(mindsdb, VERSIONS.format("untrained"), [[1, True, "complete"], [2, False, "error"]])
    ((error,),) = rows_of(mindsdb, "SELECT error FROM mindsdb.models WHERE name = 'untrained' AND version = 2")
    assert "Fine-tune on Hugging Face, then CREATE MODEL with that model" in error
    assert mood(mindsdb, "mindsdb.untrained") == "POSITIVE"
    assert "cannot be used as it is currently in 'error' status" in refusal(
        mindsdb, "SELECT y FROM mindsdb.untrained.2 WHERE text = 'x'"
    )
    mindsdb.sql("DROP MODEL mindsdb.untrained")


def test_show_models_and_describe(mindsdb: MindsDB, moods: str) -> None:
    for statement in (
        "SHOW MODELS WHERE name = 'mood_model'",
        "SHOW MODELS FROM mindsdb",
        "SELECT * FROM mindsdb.models",
    ):
        found = mindsdb.sql(statement)
        named = [dict(zip(found.columns, row, strict=True)) for row in found.rows if row[0] == "mood_model"]
        assert [(row["ENGINE"], row["VERSION"], row["PREDICT"]) for row in named] == [
            ("huggingface_api", 1, "sentiment")
        ]
    described = mindsdb.sql(f"DESCRIBE {moods}")
    assert described.rows[0][described.columns.index("TABLES")] == ["settings", "task", "model", "usage"]
    assert ["column", "text"] in mindsdb.sql(f"DESCRIBE {moods}.settings").rows
    assert mindsdb.sql(f"DESCRIBE {moods}.usage").columns[:4] == ["query", "queries", "rows", "nulls"]
    assert "DESCRIBE knows settings, task, model, usage" in str(mindsdb.sql(f"DESCRIBE {moods}.no_such").rows)


def test_a_project_has_models_and_views_of_its_own(mindsdb: MindsDB, moods: str, pg: str) -> None:
    mindsdb.sql("CREATE PROJECT shop")
    assert ["shop"] in mindsdb.sql("SHOW PROJECTS").rows
    mindsdb.sql(f"CREATE MODEL shop.moods PREDICT y USING {USING}, threshold = 0.9, {WAITS}")
    assert mood(mindsdb, "shop.moods") == "uncertain"
    assert mindsdb.sql("SELECT sentiment FROM mindsdb.mood_model WHERE text = 'I love it'").rows == [["POSITIVE"]]
    mindsdb.sql(
        f"CREATE VIEW shop.said AS (SELECT t.id, m.y FROM {pg}.reviews AS t JOIN shop.moods AS m WHERE t.id = 1)"
    )
    assert mindsdb.sql("SELECT id, y FROM shop.said").rows == [[1, "uncertain"]]
    assert mindsdb.sql("SELECT y FROM moods WHERE text = 'I love it'", project="shop").rows == [["uncertain"]]
    refused = "Project 'shop' can not be deleted, because it contains tables: moods, said"
    assert refusal(mindsdb, "DROP PROJECT shop") == refused
    mindsdb.sql("DROP VIEW shop.said")
    mindsdb.sql("DROP MODEL shop.moods")
    mindsdb.sql("DROP PROJECT shop")
    mindsdb.sql("DROP PROJECT IF EXISTS shop")
