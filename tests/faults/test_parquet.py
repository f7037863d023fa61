"""The command ``predict`` with its processes killed: no stored answer is asked again, no row is lost or there twice.

``PARQUET_ROWS=200000`` runs it at full size.
"""

from __future__ import annotations

import json
import os
import re
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from huggingface_api_handler.config.validation import model_settings
from huggingface_api_handler.inference.storage.response_cache import ResponseCache
from huggingface_api_handler.inference.storage.sqlite import Store
from huggingface_api_handler.inference.storage.sqlite_tables import SqliteAnswers
from huggingface_api_handler.runners.parquet.claims import Owner, is_alive
from huggingface_api_handler.runners.parquet.parts import done_units
from tests.faults.conftest import ROOT, FaultyService
from tests.faults.plan import Plan
from tests.support.results import record

ROWS = int(os.environ.get("PARQUET_ROWS", "10000"))
ROW_GROUP_ROWS = max(100, ROWS // 100)
WORKERS = 4
SCOPE = "the job"
TIMEOUT_S = 600.0
USING = {"task": "text-classification", "model": "m", "column": "text", "target": "y"}


class Run:
    """A job over one file, at a service that counts, and the processes that were started for it."""

    def __init__(self, folder: Path, faulty: FaultyService) -> None:
        self.source, self.out, self.store = folder / "in.parquet", folder / "out.parquet", folder / "store"
        self.parts = folder / "out.parquet.parts"
        self.plan = Plan(share=0.0, takes_batches=True, largest=4, tag=f"parquet {folder}")
        self._faulty, self.url = faulty, faulty.url(self.plan)
        self.texts = [f"row {number}" for number in range(ROWS)]
        table = pa.table({"id": range(ROWS), "text": self.texts})
        pq.write_table(table, self.source, row_group_size=ROW_GROUP_ROWS)

    def begin(self) -> subprocess.Popen[str]:
        options = {**USING, "endpoint": self.url, "cache-dir": self.store, "workers": WORKERS}
        command = [sys.executable, "-m", "huggingface_api_handler", "predict", str(self.source), str(self.out)]
        command += [f"--{name}={value}" for name, value in options.items()]
        command += [f"--engine=name={SCOPE}", "--engine=max_concurrency=32"]
        return subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True)

    def end(self, process: subprocess.Popen[str]) -> str:
        """What the command said."""
        _, said = process.communicate(timeout=TIMEOUT_S)
        return said

    def owners(self) -> dict[int, Owner]:
        """Who has claimed what is not done."""
        found: dict[int, Owner] = {}
        done = done_units(self.parts) if self.parts.exists() else set()
        for path in (self.parts / "claims").glob("*.1"):
            unit = int(path.stem)
            if unit >= 0 and unit not in done and (content := path.read_bytes()):
                found[unit] = Owner(**json.loads(content))
        return found

    def wait_for_part_of_it(self, process: subprocess.Popen[str], share: float = 0.25) -> None:
        """Until all workers have rows, and some are done."""
        enough = ROWS / ROW_GROUP_ROWS * share
        wait_until(
            lambda: (
                self.parts.exists()
                and len(done_units(self.parts)) >= enough
                and len({owner.pid for owner in self.owners().values()}) == WORKERS
            ),
            process,
        )

    def stored(self) -> set[bytes]:
        """The keys of the answers that are stored now."""
        with sqlite3.connect(f"file:{self.store}/answers.sqlite?mode=ro", uri=True, timeout=60) as connection:
            keys = {key for (key,) in connection.execute("SELECT key FROM answers")}
        connection.close()
        return keys

    def asked(self) -> dict[str, int]:
        return self._faulty.counts(self.plan, "asked")

    def answered(self) -> dict[str, int]:
        return self._faulty.counts(self.plan, "answered")

    def requests(self) -> int:
        return int(self._faulty.state(self.plan)["requests"])

    def asked_again(self, stored: set[bytes], before: dict[str, int]) -> list[str]:
        """Texts whose answers were stored, and which were asked after that."""
        store, after = Store(self.store), self.asked()
        answers = ResponseCache(SqliteAnswers(store), SCOPE, self.url, model_settings(USING), 1e9, read=True)
        texts = {text for text in self.texts if answers.key(text) in stored}
        store.close()
        assert len(texts) == len(stored)
        return [text for text in texts if after[text] > before.get(text, 0)]

    def check_output(self) -> None:
        """All rows, each once and in order, with their own predictions."""
        file = pq.ParquetFile(self.out)
        groups = [file.metadata.row_group(number).num_rows for number in range(file.num_row_groups)]
        assert groups == [min(ROW_GROUP_ROWS, ROWS - start) for start in range(0, ROWS, ROW_GROUP_ROWS)]
        out = file.read()
        assert out["id"].to_pylist() == list(range(ROWS))
        assert out["text"].to_pylist() == self.texts
        assert out["y_error"].null_count == ROWS
        plan, wrong = Plan(), []
        for text, explain in zip(self.texts, out["y_explain"].to_pylist(), strict=True):
            if json.loads(explain)["POSITIVE"] != plan.answer(text)[0]["score"]:
                wrong.append(text)
        assert wrong == []
        assert {path.name for path in self.out.parent.iterdir()} == {"in.parquet", "out.parquet", "store"}


def wait_until(condition: Callable[[], bool], process: subprocess.Popen[str]) -> None:
    while not condition():
        assert process.poll() is None, process.stderr and process.stderr.read()
        time.sleep(0.02)


def requests_in(said: str) -> int:
    found = re.search(r"([\d,]+) requests", said)
    assert found is not None, said
    return int(found[1].replace(",", ""))


@pytest.fixture
def run(tmp_path: Path, faulty: FaultyService) -> Run:
    return Run(tmp_path, faulty)


def test_one_of_four_workers_is_killed(run: Run) -> None:
    process = run.begin()
    run.wait_for_part_of_it(process)
    _, victim = max(run.owners().items())
    os.kill(victim.pid, signal.SIGKILL)
    stored, before = run.stored(), run.asked()
    said = run.end(process)
    assert process.returncode == 0, said
    assert "was killed by SIGKILL. Another one takes over its rows." in said
    assert run.asked_again(stored, before) == []
    run.check_output()
    figures(run, "one of four workers", stored, said)


def test_the_whole_command_is_killed_and_goes_on(run: Run) -> None:
    process = run.begin()
    run.wait_for_part_of_it(process)
    workers: Sequence[Owner] = list(run.owners().values())
    process.kill()
    process.communicate()
    deadline = time.monotonic() + TIMEOUT_S
    while any(is_alive(worker) for worker in workers):
        assert time.monotonic() < deadline, "workers end with the process that started them"
        time.sleep(0.02)
    stored, before, done = run.stored(), run.asked(), done_units(run.parts)
    assert len(done) < ROWS / ROW_GROUP_ROWS
    process = run.begin()
    said = run.end(process)
    assert process.returncode == 0, said
    assert run.asked_again(stored, before) == []
    run.check_output()
    assert requests_in(said) == run.requests(), "the receipt has the requests of both runs"
    figures(run, "the whole command", stored, said)


def test_a_command_that_is_ended_loses_nothing_that_was_answered(run: Run) -> None:
    process = run.begin()
    run.wait_for_part_of_it(process)
    process.send_signal(signal.SIGTERM)
    said = run.end(process)
    assert process.returncode == 128 + signal.SIGTERM
    assert "Run the same command again to go on." in said
    stored, before = run.stored(), run.asked()
    process = run.begin()
    said = run.end(process)
    assert process.returncode == 0, said
    assert run.asked_again(stored, before) == []
    # Of each worker: whether lists can be trusted is found out by asking a few inputs in both ways.
    assert sum(count - 1 for count in run.answered().values()) <= 2 * WORKERS * 12
    assert requests_in(said) == run.requests()
    run.check_output()


def test_two_commands_share_one_output(run: Run) -> None:
    """As two machines do that see one folder."""
    both = [run.begin(), run.begin()]
    said = [run.end(process) for process in both]
    assert [process.returncode for process in both] == [0, 0], said
    run.check_output()
    assert sum("rows in" in each for each in said) == 2
    assert sum(count - 1 for count in run.answered().values()) <= 4 * WORKERS * 12


def figures(run: Run, what: str, stored: set[bytes], said: str) -> None:
    found = {
        "rows": ROWS,
        "stored_at_the_kill": len(stored),
        "stored_asked_again": 0,
        "requests": run.requests(),
        "answered_twice": sum(count - 1 for count in run.answered().values()),
    }
    print(found, said)
    record(f"parquet, {what} killed", found)
