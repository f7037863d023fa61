"""The commands doctor, store and usage beside SQL in your own process: names, budgets and routes of a DuckDB file."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from huggingface_api_handler import cli
from huggingface_api_handler.inference.storage.open_stores import close_stores
from tests.conftest import Service
from tests.sql.conftest import Make, make_engine, make_model


@pytest.fixture(autouse=True)
def log_level() -> Iterator[None]:
    logger = logging.getLogger("huggingface_api_handler")
    level = logger.level
    yield
    logger.setLevel(level)


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> Any:
    cli.main([*arguments, "--json"])
    return json.loads(capsys.readouterr().out)


def test_names_of_a_file_are_shown(
    open_file: Make, file: Path, labels: Service, newcomer: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    con = open_file()
    make_engine(con, labels, requests_per_month=100)
    make_model(con, more=", model = 'org/model'")
    con.sql("CREATE TABLE t AS SELECT 'text ' || range AS text FROM range(30)")
    for _ in range(2):
        con.sql("SELECT * FROM t JOIN sentiment").fetchall()
    con.close()
    close_stores()

    usage = run(capsys, "usage", "--by", "engine", "--database", str(file))
    assert [(row["engine"], row["queries"], row["distinct"], row["stored"]) for row in usage["rows"]] == [
        ("hf", 2, 60, 30)
    ]
    usage = run(capsys, "usage", "--by", "model", "--database", str(file))
    assert [row["model"] for row in usage["rows"]] == ["sentiment: org/model (text-classification)"]
    stored = run(capsys, "store", "show", "--database", str(file))
    assert [(owner["name"], owner["answers"]) for owner in stored["owners"]] == [("hf (org/model)", 30)]

    doctor = run(capsys, "doctor", "--offline", "--database", str(file))
    found = {finding["name"]: finding for finding in doctor["findings"]}
    budget = found["requests_per_month of hf"]["data"]
    assert (budget["limit"], budget["used"]) == ("100", str(len(labels.asked)))
    assert "requests at once" in found["sentiment"]["value"], "the route of the model"
    assert found["answers of"]["data"] == {"hf (org/model)": 30}
    assert found["hits"]["data"] == {"inputs": 60, "stored": 30, "by_engine": {"hf": 0.5}}
    assert found["SQL in your process"]["value"].startswith("ready, on DuckDB 2")


def test_a_file_that_is_open_elsewhere_is_said_so(
    open_file: Make, file: Path, newcomer: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    open_file()
    assert cli.main(["usage", "--database", str(file.with_name("no.duckdb"))]) == 2
    assert "there is no file" in capsys.readouterr().err
