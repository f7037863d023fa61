"""Answer stores made by 0.1.0 (tests/fixtures/storage_0_1_0) work on: what it kept is found, with no server running."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from huggingface_api_handler.errors import InferenceError
from huggingface_api_handler.inference import predict
from huggingface_api_handler.inference.storage.sqlite import open_store
from huggingface_api_handler.inference.storage.sqlite_tables import SqliteUsage
from huggingface_api_handler.inference.telemetry import usage_log
from tests.support import upgrade

EXPECTED = upgrade.expected()
NEW = {name: values[upgrade.ASKED :] for name, values in upgrade.ROWS.items()}
LABEL = "AFTER"
NOBODY_THERE = rf"127\.0\.0\.1:{upgrade.PORT}"


@pytest.fixture(autouse=True)
def one_at_a_time() -> Iterator[None]:
    with upgrade.the_port_to_itself():
        yield


@pytest.fixture(autouse=True)
def the_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(upgrade.KEY_VARIABLE, upgrade.KEY)
    monkeypatch.setenv("HUGGINGFACE_API_KEY_VARIABLES", upgrade.KEY_VARIABLE)


@pytest.fixture
def storage(tmp_path: Path) -> Path:
    return upgrade.unpacked(tmp_path / "0.1.0")


def called(storage: Path, name: str, frame: dict[str, list[Any]] | None = None, **using: Any) -> pd.DataFrame:
    """The call of that name, once more, with the store of 0.1.0; of other rows and with more arguments where given."""
    call = upgrade.CALLS[name]
    engine = {**call["engine"], "cache_dir": str(storage / upgrade.PYTHON)}
    return predict(pd.DataFrame(frame or call["frame"]), {**call["using"], **using}, engine)


def assert_as_before(now: dict[str, list[Any]], before: dict[str, list[Any]]) -> None:
    """All columns of 0.1.0 are as they were. Tasks that had none got an explanation, of texts that are asked in parts."""
    assert {column: now.get(column) for column in before} == before
    assert {column: set(values) for column, values in now.items() if column not in before} in (
        {},
        {"y_explain": {None}},
    )


@pytest.mark.parametrize("name", upgrade.CALLS)
def test_an_answer_of_0_1_0_is_found_and_nothing_is_asked(storage: Path, name: str) -> None:
    upgrade.refuse_a_taken_port()
    out = called(storage, name)
    assert_as_before(upgrade.plain(out), EXPECTED["calls"][name])
    usage = out.attrs["usage"]
    assert (usage["requests"], usage["stored"]) == (0, usage["distinct"])


def test_what_0_1_0_was_never_asked_is_asked_now(storage: Path) -> None:
    upgrade.refuse_a_taken_port()
    with pytest.raises(InferenceError, match=NOBODY_THERE):
        called(storage, "text-classification", {"text": NEW["text"][:1]})


def test_answers_of_one_scope_of_0_1_0_are_not_found_in_another(storage: Path) -> None:
    upgrade.refuse_a_taken_port()
    call = upgrade.CALLS["text-classification of an engine with a name"]
    engine = {**call["engine"], "name": "not mine", "cache_dir": str(storage / upgrade.PYTHON)}
    with pytest.raises(InferenceError, match=NOBODY_THERE):
        predict(pd.DataFrame(call["frame"]).head(1), call["using"], engine)


@pytest.mark.parametrize("name", ["text-classification", "zero-shot-classification by row", "sentence-similarity"])
def test_new_rows_are_asked_beside_stored_ones(storage: Path, name: str) -> None:
    with upgrade.running_service(LABEL) as service:
        out = called(storage, name, upgrade.ROWS)
    before, after = EXPECTED["calls"][name], upgrade.plain(out)
    assert_as_before({column: values[: upgrade.ASKED] for column, values in after.items()}, before)
    assert after["y_error"] == [None] * len(upgrade.ROWS["id"])
    assert out.attrs["usage"]["stored"] == upgrade.ASKED
    sent = json.dumps([body for _, body, _ in service.asked], ensure_ascii=False)
    assert all(text in sent for text in NEW["text"])
    assert not any(text in sent for text in upgrade.ROWS["text"][: upgrade.ASKED])


def test_what_0_1_0_learned_of_a_route_is_used(storage: Path) -> None:
    plan = called(storage, "text-classification", upgrade.ROWS, dry_run=True)
    assert plan["stored"][0] == upgrade.ASKED
    assert plan["requests"][0] == 1  # this route was seen to take lists
    unknown = called(storage, "text-classification", upgrade.ROWS, dry_run=True, model="fixture/another")
    assert unknown["requests"][0] == len(upgrade.ROWS["id"])


def test_a_budget_goes_on_from_what_0_1_0_used_of_it(storage: Path) -> None:
    name = "text-classification with a budget"
    with upgrade.running_service(LABEL) as service:
        out = called(storage, name, {"text": NEW["text"][:2]})
    assert len(service.asked) == 1
    labels, errors = upgrade.plain(out)["y"], upgrade.plain(out)["y_error"]
    assert sorted(labels, key=str) == [LABEL, None]
    assert "requests_per_hour = 3 was reached" in next(filter(None, errors))
    upgrade.refuse_a_taken_port()
    assert upgrade.plain(called(storage, name)) == EXPECTED["calls"][name]  # what is stored costs no request


# The one place that needs what is not public: `usage_log` and `open_store`.
def usage(storage: Path, model: str) -> list[dict[str, Any]]:
    """The table that DESCRIBE model.usage is, for a model of the SQL fixture."""
    with closing(sqlite3.connect(storage / upgrade.MINDSDB / "mindsdb.sqlite3.db")) as database:
        ((scope, number),) = database.execute(
            "SELECT json_extract(scope.content, '$.id'), json_extract(served.content, '$.id') FROM predictor "
            "JOIN json_storage AS scope ON scope.name = 'scope' AND scope.resource_group = 'integration' "
            "AND scope.resource_id = predictor.integration_id "
            "JOIN json_storage AS served ON served.name = 'served' AND served.resource_group = 'predictor' "
            "AND served.resource_id = predictor.id WHERE predictor.name = ?",
            (model,),
        ).fetchall()
    table = usage_log.usage_table(
        SqliteUsage(open_store(str((storage / upgrade.SQL_STORE).parent))), f"{scope} {number}"
    )
    columns = upgrade.plain(table)
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def among(expected: list[dict[str, Any]], found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """`found` without columns that 0.1.0 did not have."""
    return [{name: row[name] for name in expected[0]} for row in found]


@pytest.mark.parametrize("model", upgrade.MODELS)
def test_usage_of_0_1_0_is_shown(storage: Path, model: str) -> None:
    expected = EXPECTED["described"][model]["usage"]
    assert among(expected, usage(storage, model)) == expected


def test_failures_are_shown_in_the_words_that_0_1_0_wrote(storage: Path) -> None:
    shown = usage(storage, "unwell")
    assert json.loads(shown[0]["errors"]) == upgrade.ERROR_COUNTS
    assert [json.loads(row["errors"]) for row in shown[1:]] == [{"stop": 1}, {"not asked": 3}, {"again": 1}, {"row": 1}]
    words = {"wait": 1, "again": 2, "smaller": 3, "single": 4, "row": 5, "stop": 6, "not asked": 7}
    with closing(sqlite3.connect(storage / upgrade.SQL_STORE)) as store, store:
        store.create_function("with_errors", 1, lambda kept: json.dumps({**json.loads(kept), "errors": words}).encode())
        store.execute("UPDATE receipts SET receipt = with_errors(receipt)")
        store.execute("UPDATE totals SET receipt = with_errors(receipt)")
    assert all(json.loads(row["errors"]) == words for row in usage(storage, "unwell"))
