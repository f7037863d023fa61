"""A MindsDB whose folder and answer store 0.1.0 made (tests/fixtures/storage_0_1_0) goes on with this version."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from typing import Any

import pytest

from huggingface_api_handler.demo.mindsdb_server import MindsDB, SQLError, Table, running_mindsdb
from tests.integration.conftest import rows_of
from tests.support import upgrade

EXPECTED = upgrade.expected()
NEW = upgrade.ROWS["text"][upgrade.ASKED :]
LABEL = "AFTER"
NOBODY_THERE = rf"127\.0\.0\.1:{upgrade.PORT}"
QUERIES_SHOWN = 20
TASK_PATHS = {"ranked": "/rerank", "near": "/embed"}
"""Of Text Embeddings Inference, by model."""

NEW_COLUMN = "y_explain"
"""What it has where 0.1.0 had no such column is of texts that were too long, which were errors there."""


@pytest.fixture(autouse=True)
def one_at_a_time() -> Iterator[None]:
    with upgrade.the_port_to_itself():
        yield


@pytest.fixture(scope="module")
def upgraded(handler_installed: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[MindsDB]:
    """MindsDB with this version, on a copy of what 0.1.0 left."""
    folder = upgrade.unpacked(tmp_path_factory.mktemp("of_0_1_0"))
    variables = {
        "MINDSDB_STORAGE_DIR": str(folder / upgrade.MINDSDB),
        "HF_HOME": str(folder / upgrade.HF_HOME),
        upgrade.KEY_VARIABLE: upgrade.KEY,
        "HUGGINGFACE_API_KEY_VARIABLES": upgrade.KEY_VARIABLE,
    }
    with running_mindsdb(environment=variables) as server:
        yield server


def as_texts(rows: list[list[Any]]) -> list[str]:
    return sorted(map(str, rows))


def as_0_1_0_had_it(model: str, found: Table) -> list[list[Any]]:
    """The rows in the columns of 0.1.0, which are all there, in their order. A new column beside them has only NULLs."""
    columns = EXPECTED["answers"][model]["columns"]
    new = [name for name in found.columns if name not in columns]
    assert new in ([], [NEW_COLUMN])
    assert [name for name in found.columns if name not in new] == columns
    rows = [dict(zip(found.columns, row, strict=True)) for row in found.rows]
    assert all(row[name] is None for row in rows for name in new)
    return [[row[name] for name in columns] for row in rows]


def of_length_1(vector: str) -> list[float]:
    values: list[float] = json.loads(vector)
    return [value / math.hypot(*values) for value in values]


def usage(mindsdb: MindsDB, model: str) -> list[dict[str, Any]]:
    found = mindsdb.sql(f"DESCRIBE mindsdb.{model}.usage")
    return [dict(zip(found.columns, row, strict=True)) for row in found.rows]


def all_rows(model: str) -> str:
    """What 0.1.0 was asked of the model, with the rows that it was not asked."""
    return upgrade.QUERIES[model].rpartition(" WHERE ")[0]


def test_engines_and_models_are_there(upgraded: MindsDB) -> None:
    engines = {row[0] for row in upgraded.sql("SELECT name FROM information_schema.ml_engines").rows}
    assert engines >= set(upgrade.ENGINES)
    models = upgraded.sql("SELECT name, engine, status FROM mindsdb.models").rows
    assert as_texts(models) == as_texts([[name, "huggingface_api", "complete"] for name in upgrade.MODELS])


@pytest.mark.parametrize("model", upgrade.QUERIES)
def test_stored_answers_are_found_with_no_server_running(upgraded: MindsDB, model: str) -> None:
    upgrade.refuse_a_taken_port()
    found, expected = as_0_1_0_had_it(model, upgraded.sql(upgrade.QUERIES[model])), EXPECTED["answers"][model]
    if model == "vector":  # asked with normalize = true, of a server that took no heed of it
        for (_, vector, _), (_, stored, _) in zip(found, expected["rows"], strict=True):
            assert json.loads(str(vector)) == pytest.approx(of_length_1(str(stored)), abs=1e-6)
    else:
        assert as_texts(found) == as_texts(expected["rows"])
    last = usage(upgraded, model)[1]
    assert (last["requests"], last["stored"]) == (0, last["distinct"])


def test_a_row_that_was_never_asked_fails_for_want_of_a_server(upgraded: MindsDB) -> None:
    upgrade.refuse_a_taken_port()
    with pytest.raises(SQLError, match=NOBODY_THERE):
        upgraded.sql("SELECT y FROM mindsdb.sentiment WHERE text = 'nobody has asked this'")


@pytest.mark.parametrize("model", ["sentiment", "topic_of_row", "alike", "said", "near", "keyed"])
def test_new_rows_are_asked_beside_stored_ones(upgraded: MindsDB, model: str) -> None:
    with upgrade.running_service(LABEL) as service:
        found = upgraded.sql(all_rows(model))
    rows: list[list[Any]] = found.rows
    old = Table(found.columns, [row for row in rows if row[0] <= upgrade.ASKED])
    assert as_texts(as_0_1_0_had_it(model, old)) == as_texts(EXPECTED["answers"][model]["rows"])
    new = [dict(zip(found.columns, row, strict=True)) for row in rows if row[0] > upgrade.ASKED]
    assert len(new) == len(NEW)
    assert all(row["y"] is not None and row["y_error"] is None for row in new)
    sent = json.dumps([body for _, body, _ in service.asked], ensure_ascii=False)
    assert all(text in sent for text in NEW)
    assert not any(text in sent for text in upgrade.ROWS["text"][: upgrade.ASKED])
    keys = {key for _, _, key in service.asked}
    assert keys == ({f"Bearer {upgrade.KEY}"} if model == "keyed" else {None})
    # What is kept with the model says which server answers there, so that none is asked for it.
    assert service.fetched == []
    if model == "near":
        assert {path for path, _, _ in service.asked} == {"/tei/embed"}


@pytest.mark.parametrize("model", upgrade.MODELS)
def test_describe_shows_what_was_stored(upgraded: MindsDB, model: str) -> None:
    expected = EXPECTED["described"][model]
    assert "usage" in str(upgraded.sql(f"DESCRIBE mindsdb.{model}").rows)
    assert dict(rows_of(upgraded, f"DESCRIBE mindsdb.{model}.settings")) == expected["settings"]
    task = upgraded.sql(f"DESCRIBE mindsdb.{model}.task")
    given = {row[task.columns.index("argument")]: row[task.columns.index("given")] for row in task.rows}
    assert {name: given.get(name) for name in expected["given"]} == expected["given"]
    with upgrade.running_service(LABEL):
        described = dict(rows_of(upgraded, f"DESCRIBE mindsdb.{model}.model"))
    changed = {"accuracy": LABEL} if "accuracy" in expected["model"] else {}
    if model in TASK_PATHS:  # the address that is asked, and no longer that of its server
        changed["address"] = expected["model"]["address"] + TASK_PATHS[model]
    assert {name: described.get(name) for name in expected["model"]} == {**expected["model"], **changed}


def test_describe_shows_what_is_stored_with_no_server_running_too(upgraded: MindsDB) -> None:
    upgrade.refuse_a_taken_port()
    described = dict(rows_of(upgraded, "DESCRIBE mindsdb.sentiment.model"))
    assert described["address"] == EXPECTED["described"]["sentiment"]["model"]["address"]
    assert f"127.0.0.1:{upgrade.PORT}" in described["server"]


@pytest.mark.parametrize("model", upgrade.MODELS)
def test_usage_goes_on_from_those_of_0_1_0(upgraded: MindsDB, model: str) -> None:
    total, *last = usage(upgraded, model)
    old_total, *old = EXPECTED["described"][model]["usage"]
    assert len(last) < QUERIES_SHOWN
    assert [{name: row[name] for name in old_total} for row in last[-len(old) :]] == old
    for counted in ("queries", "rows", "stored", "requests", "answered"):
        assert total[counted] == old_total[counted] + sum(row[counted] for row in last[: -len(old)])


def test_failures_are_shown_in_the_words_that_0_1_0_wrote(upgraded: MindsDB) -> None:
    total, *last = usage(upgraded, "unwell")
    assert json.loads(total["errors"]) == upgrade.ERROR_COUNTS
    assert [json.loads(row["errors"]) for row in last] == [{"stop": 1}, {"not asked": 3}, {"again": 1}, {"row": 1}]


def test_a_budget_goes_on_from_what_0_1_0_used_of_it(upgraded: MindsDB) -> None:
    with upgrade.running_service(LABEL) as service:
        assert upgraded.sql("SELECT y FROM mindsdb.counted WHERE text = 'the third request'").rows == [[LABEL]]
        with pytest.raises(SQLError, match="requests_per_hour = 3 was reached"):
            upgraded.sql("SELECT y FROM mindsdb.counted WHERE text = 'the fourth request'")
    assert len(service.asked) == 1


def test_what_0_1_0_learned_of_a_route_is_used(upgraded: MindsDB) -> None:
    plan = upgraded.sql(
        f"SELECT m.stored, m.requests FROM {upgrade.TABLE} AS t JOIN mindsdb.vector AS m USING dry_run = true"
    )
    assert plan.rows[0] == [upgrade.ASKED, 1]  # this route was seen to take lists


# Drops a model of the fixture, so it is the last.
def test_models_can_be_made_and_dropped(upgraded: MindsDB) -> None:
    upgraded.sql(
        "CREATE MODEL mindsdb.made_since PREDICT y USING engine = 'upgrade_many', task = 'text-classification', "
        "column = 'text', model = 'fixture/text-classification'"
    )
    upgraded.wait_for_model("made_since")
    upgrade.refuse_a_taken_port()
    text = upgrade.ROWS["text"][0].replace("'", "''")
    # The engine's answers are there for every model of it that asks the same.
    assert upgraded.sql(f"SELECT y FROM mindsdb.made_since WHERE text = '{text}'").rows == [["POSITIVE"]]
    for name in ("made_since", "drawn"):
        upgraded.sql(f"DROP MODEL mindsdb.{name}")
        assert upgraded.sql(f"SELECT name FROM mindsdb.models WHERE name = '{name}'").rows == []
