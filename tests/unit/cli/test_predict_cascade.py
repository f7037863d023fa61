"""The command predict with a cascade: what it says before and after, and what a kill in the middle costs and changes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from huggingface_api_handler import cli
from huggingface_api_handler.inference.storage.open_stores import close_stores
from huggingface_api_handler.runners.parquet.parts import read_parts
from tests.conftest import Reply, Service
from tests.support.agreeing_models import AgreeingModels

ROW_GROUP_ROWS = 400
ROWS = 3 * ROW_GROUP_ROWS
SECOND_UNIT = range(ROW_GROUP_ROWS, 2 * ROW_GROUP_ROWS)
CASCADE = {"model": "small", "accuracy": 0.9, "confidence": 0.9999}
AT_ONCE = 4
"""Requests, of one text each, that are out at once: so many may be lost by a kill."""

TIMEOUT_S = 60.0


class Command:
    """The command over a file of numbered texts.

    Args:
        folder: Has the files and the store.
        service: Answers with both models.
    """

    def __init__(self, folder: Path, service: Service) -> None:
        self.source, self.out, self.store = folder / "in.parquet", folder / "out.parquet", folder / "store"
        self.parts = folder / "out.parquet.parts"
        self.service = service
        table = pa.table({"text": [f"text {number}" for number in range(ROWS)]})
        pq.write_table(table, self.source, row_group_size=ROW_GROUP_ROWS)

    def arguments(self, *more: str, cascade: dict[str, Any] | None = None) -> list[str]:
        options = ["--task=text-classification", "--model=large", "--column=text", "--target=mood"]
        options += [f"--endpoint={self.service.url}/models", f"--cache-dir={self.store}"]
        options += [
            f"--engine=max_concurrency={AT_ONCE}",
            f"--using=cascade={json.dumps({**CASCADE, **(cascade or {})})}",
            *more,
        ]
        return ["predict", str(self.source), str(self.out), *options]

    def begin(self) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "huggingface_api_handler", *self.arguments()]
        return subprocess.Popen(command, stderr=subprocess.PIPE, text=True)

    def workers(self) -> list[int]:
        """The processes that have claimed a unit."""
        owners = [path.read_bytes() for path in (self.parts / "claims").glob("*.1")]
        return [json.loads(owner)["pid"] for owner in owners if owner]


@pytest.fixture
def models(service: Service) -> AgreeingModels:
    """Two models that take one text in a request."""
    found = AgreeingModels(service)

    def answer(body: Any, headers: dict[str, str], path: str) -> Any:
        if body is not None and isinstance(body["inputs"], list):
            return Reply({"error": "inputs must be a string, and not a list"}, 422)
        return found.answer(body, headers, path)

    service.answer = answer
    return found


@pytest.fixture
def command(tmp_path: Path, service: Service) -> Iterator[Command]:
    yield Command(tmp_path, service)
    close_stores()


def share_right(table: Any) -> float:
    texts, moods = table["text"].to_pylist(), table["mood"].to_pylist()
    pairs = zip(texts, moods, strict=True)
    right: list[bool] = [mood == AgreeingModels.truth(int(text.split()[1])) for text, mood in pairs]
    return sum(right) / len(right)


def test_it_says_what_is_promised_and_what_came_of_it(
    command: Command, models: AgreeingModels, service: Service, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(command.arguments("--dry-run")) == 0
    assert f"; cascade: {ROWS} requests to small, then " in capsys.readouterr().out
    assert not service.asked
    assert cli.main(command.arguments()) == 0
    said = capsys.readouterr().err
    by_small = pq.read_table(command.out)["mood_model"].to_pylist().count("small")
    assert f"large and small: {len(service.asked):,} requests" in said
    assert (
        f"cascade: small answers {by_small} of 1,200 rows, certified in 3 parts with a confidence of 0.999967 each"
        in said
    )
    assert "alone" not in said


def test_units_without_a_certificate_are_told(
    command: Command, models: AgreeingModels, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(command.arguments(cascade={"accuracy": 0.999})) == 0
    assert "small answers 0 of 1,200 rows; parts that the large model answered alone: 3" in capsys.readouterr().err
    assert not models.asked["small"]


def test_one_budget_bounds_both_models_of_all_processes(
    command: Command, models: AgreeingModels, service: Service, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(command.arguments("--workers=2", "--using=max_requests=900")) == 1
    assert "max_requests = 900 was reached" in capsys.readouterr().err
    assert 800 < len(service.asked) <= 900
    assert models.asked["small"] and models.asked["large"]
    assert cli.main(command.arguments("--workers=2")) == 0  # the same job, with another budget
    out = pq.read_table(command.out)
    assert share_right(out) >= 0.9
    by_small = out["mood_model"].to_pylist().count("small")
    assert f"small answers {by_small} of 1,200 rows, certified in 3 parts with" in capsys.readouterr().err
    assert all(set(asked.values()) == {1} for asked in models.asked.values())


def test_a_key_of_the_small_models_engine_is_no_argument(
    command: Command, service: Service, capsys: pytest.CaptureFixture[str]
) -> None:
    engine = {"endpoint": service.url, "api_key": "hf_secretOfMine12345"}
    assert cli.main(command.arguments(cascade={"engine": engine})) == 2
    said = capsys.readouterr().err
    assert "can be read by every user" in said and '"api_key_env"' in said
    assert "secretOfMine" not in said and not command.parts.exists()


@pytest.mark.parametrize("of_small", [True, False])
def test_a_key_variable_that_is_not_set_is_told_before_a_row_is_read(
    command: Command, capsys: pytest.CaptureFixture[str], of_small: bool
) -> None:
    engine = {"endpoint": f"{command.service.url}/models", "api_key_env": "HF_NOT_SET"}
    arguments = command.arguments(cascade={"engine": engine})
    assert cli.main(arguments if of_small else command.arguments("--engine=api_key_env=HF_NOT_SET")) == 2
    assert "HF_NOT_SET, which is not set" in capsys.readouterr().err
    assert not command.parts.exists()


@pytest.mark.parametrize("whole", [False, True], ids=["a worker", "the whole command"])
def test_after_a_kill_nothing_that_is_stored_is_asked_again_and_what_was_shown_stays(
    command: Command, models: AgreeingModels, whole: bool
) -> None:
    """In the middle of a certificate: of the second unit some draws are answered."""
    reached, go_on = threading.Event(), threading.Event()

    def wait_in_the_second_unit() -> None:  # with one draw answered, or some
        if models.asked["large"].keys() & set(SECOND_UNIT) and not reached.is_set():
            reached.set()
            go_on.wait(TIMEOUT_S)

    models.on_large = wait_in_the_second_unit
    process = command.begin()
    assert reached.wait(TIMEOUT_S), process.communicate()[1]
    shown = pa.Table.from_batches(read_parts(command.parts, [0]))
    assert len(models.asked["small"]) == 2 * ROW_GROUP_ROWS, "the small model has scored the second unit"
    time.sleep(1.0)  # for what came to be stored
    if whole:
        process.kill()
    (worker,) = set(command.workers())
    os.kill(worker, signal.SIGKILL)
    if whole:
        process.communicate()
        go_on.set()
        process = command.begin()
    go_on.set()
    _, said = process.communicate(timeout=TIMEOUT_S)
    assert process.returncode == 0, said
    out = pq.read_table(command.out)
    assert out["mood_error"].null_count == ROWS
    assert share_right(out) >= 0.9
    assert out.select(shown.schema.names).slice(0, ROW_GROUP_ROWS).equals(shown)
    by = out["mood_model"].to_pylist()
    assert by.count("small") > ROWS / 10
    # What was drawn and lost may be the small model's now: the rest is drawn anew.
    assert 0 <= len(models.asked["large"]) - by.count("large") <= AT_ONCE
    twice = {name: sum(count - 1 for count in asked.values()) for name, asked in models.asked.items()}
    assert twice["small"] == 0
    assert twice["large"] <= AT_ONCE
