"""A job killed with SIGKILL at random moments and begun anew: what was stored is never asked for again.

``python -m tests.faults.test_kill <url> <folder> <rows>`` is that job.
"""

from __future__ import annotations

import os
import random
import shutil
import sqlite3
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from huggingface_api_handler.config.validation import model_settings
from huggingface_api_handler.inference.storage.response_cache import MAX_UNWRITTEN_ROWS, ResponseCache
from huggingface_api_handler.inference.storage.sqlite import Store
from huggingface_api_handler.inference.storage.sqlite_tables import SqliteAnswers
from tests.faults.conftest import ROOT, FaultyService
from tests.faults.plan import Plan
from tests.support.results import record

SEED = int(os.environ.get("KILL_SEED", "1"))
KILLS = int(os.environ.get("KILLS", "8"))
_POLL_INTERVAL_S = 0.01
IN_FLIGHT = 64
SCOPE = "the job"
USING = {"task": "text-classification", "model": "m", "column": "text", "target": "y"}


def texts(rows: int) -> list[str]:
    return [f"row {number}" for number in range(rows)]


def job(url: str, folder: str, rows: int) -> None:
    """All rows, each checked, in the way of any query."""
    import pandas as pd

    from huggingface_api_handler.inference import predict

    print("ready", flush=True)
    engine = {"endpoint": url, "cache_dir": folder, "max_concurrency": IN_FLIGHT, "name": SCOPE}
    out = predict(pd.DataFrame({"text": texts(rows)}), USING, engine)
    wrong = [text for text, share in zip(texts(rows), out["y_explain"], strict=True)
             if share is None or share["POSITIVE"] != Plan().answer(text)[0]["score"]]  # fmt: skip
    assert wrong == []
    print(out.attrs["usage"]["stored"], flush=True)


def begun(url: str, folder: Path, rows: int) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "tests.faults.test_kill", url, str(folder), str(rows)]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


def stored(folder: Path, url: str, rows: int, look_at: Path) -> set[str]:
    """The texts whose answers a kill left in the store, of which a copy is looked at: the job itself must recover it."""
    shutil.rmtree(look_at, ignore_errors=True)
    look_at.mkdir()
    for name in ("answers.sqlite", "answers.sqlite-journal", "answers.secret"):
        if (folder / name).exists():
            shutil.copy(folder / name, look_at)
    if not (look_at / "answers.sqlite").exists():
        return set()
    connection = sqlite3.connect(look_at / "answers.sqlite")
    assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    tables = connection.execute("SELECT count(*) FROM sqlite_master WHERE name = 'answers'").fetchone()[0]
    keys = {key for (key,) in connection.execute("SELECT key FROM answers")} if tables else set()
    connection.close()
    if not keys:
        return set()
    store = Store(look_at)
    asked = ResponseCache(SqliteAnswers(store), SCOPE, url, model_settings(USING), 1e9, read=True)
    found = {text for text in texts(rows) if asked.key(text) in keys}
    store.close()
    assert len(found) == len(keys)
    return found


@pytest.mark.parametrize(("takes_batches", "rows_each_kill"), [(False, 600), (True, 1500)], ids=["single", "lists"])
def test_a_killed_job_asks_for_no_stored_answer_again(
    takes_batches: bool, rows_each_kill: int, faulty: FaultyService, tmp_path: Path
) -> None:
    rows = KILLS * rows_each_kill
    plan = Plan(seed=SEED, share=0.0, takes_batches=takes_batches, largest=4, tag=f"kill {tmp_path}")
    url, folder, moments = faulty.url(plan), tmp_path / "store", random.Random(SEED)
    in_store: set[str] = set()
    asked: dict[str, int] = {}
    answered: dict[str, int] = {}
    losses: list[int] = []
    for _ in range(KILLS):
        process = begun(url, folder, rows)
        enough = len(answered) + moments.randrange(rows_each_kill)
        while faulty.state(plan)["answered"] < enough:
            assert process.poll() is None, "it was done before it was killed: more rows are needed"
            time.sleep(_POLL_INTERVAL_S)
        process.kill()
        process.communicate()
        time.sleep(0.05)  # what it had sent still arrives
        before, asked = asked, faulty.counts(plan, "asked")
        answered_before, answered = answered, faulty.counts(plan, "answered")
        again = {text for text in in_store if asked[text] > before[text]}
        assert not again, f"{len(again)} stored answers were asked for again"
        found = stored(folder, url, rows, tmp_path / "copy")
        assert in_store <= found, "what was stored once stays"
        in_store = found
        in_this_run = [text for text, count in answered.items() if count > answered_before.get(text, 0)]
        losses.append(len(set(in_this_run) - in_store))
    process = begun(url, folder, rows)
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 0
    assert int(output) == len(in_store), "the last run found all that was stored"
    answered = faulty.counts(plan, "answered")
    assert set(answered) == set(texts(rows))
    twice = sum(count - 1 for count in answered.values())
    figures: dict[str, Any] = {
        "kills": KILLS, "rows": rows, "stored_asked_again": 0, "answered_twice": twice,
        "most_lost_in_a_kill": max(losses), "stored_before_the_last_run": len(in_store), "seed": SEED,
    }  # fmt: skip
    print(figures)
    record(f"kill {'lists' if takes_batches else 'single'}", figures)
    assert rows / 20 < len(in_store) < rows, "the kills came too early or too late to say anything"
    # Of each kill: what was on its way, and what had come and waited for the next write.
    on_the_way = IN_FLIGHT * (plan.largest if takes_batches else 1)
    assert max(losses) <= on_the_way + MAX_UNWRITTEN_ROWS
    assert twice <= KILLS * (on_the_way + MAX_UNWRITTEN_ROWS)


if __name__ == "__main__":
    job(sys.argv[1], sys.argv[2], int(sys.argv[3]))
