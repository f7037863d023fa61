"""Processes of one machine on one route: pauses, slots and route profiles are shared."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from huggingface_api_handler.inference import predict
from huggingface_api_handler.inference.flow_control.batch_size import BatchSizeTuner, TimelySize
from huggingface_api_handler.inference.flow_control.coordination import RouteCoordinator
from huggingface_api_handler.inference.flow_control.outcome import Outcome
from huggingface_api_handler.inference.flow_control.report_schedule import SYNC_INTERVAL_S
from huggingface_api_handler.inference.flow_control.route_profile import RouteProfile
from huggingface_api_handler.inference.flow_control.stored_profile import from_json, merged, to_json
from huggingface_api_handler.inference.runtime.session import default_session
from huggingface_api_handler.inference.storage.open_stores import close_stores
from huggingface_api_handler.inference.storage.sqlite import Store, open_store
from tests.conftest import Reply, Service

ROOT = Path(__file__).parents[4]
USING = {"task": "text-classification", "column": "text", "target": "y", "cache": False}
QUERY = """
import sys
import pandas as pd
from huggingface_api_handler.inference import predict
url, folder, rows, tag, bound = sys.argv[1:]
out = predict(
    pd.DataFrame({"text": [f"{tag} {number}" for number in range(int(rows))]}),
    {"task": "text-classification", "column": "text", "target": "y", "cache": False},
    {"endpoint": url, "cache_dir": folder, "max_concurrency": int(bound)},
)
assert out["y_error"].isna().all()
"""


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    yield open_store(str(tmp_path))


def start_query(service: Service, folder: Path, rows: int, tag: str, bound: int = 8) -> subprocess.Popen[str]:
    """The query of another process."""
    arguments = [service.url, str(folder), str(rows), tag, str(bound)]
    return subprocess.Popen([sys.executable, "-c", QUERY, *arguments], cwd=ROOT, stderr=subprocess.PIPE, text=True)


def join(process: subprocess.Popen[str]) -> None:
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == 0, stderr


def single(body: Any) -> Any:
    if not isinstance(body["inputs"], str):
        return Reply({"error": "Input should be a valid string"}, 400)
    return [[{"label": "A", "score": 0.75}]]


def refresh_all(*views: RouteCoordinator) -> None:
    async def refresh() -> None:
        for _ in range(2):
            for view in views:
                await view.refresh()

    asyncio.run(refresh())


@pytest.mark.parametrize("late", [False, True], ids=["at work already", "begun during the pause"])
def test_a_pause_told_to_one_process_is_kept_by_the_other(late: bool, service: Service, tmp_path: Path) -> None:
    """The other must send nothing before then, once it has looked."""
    seconds = 1 if late else 2
    refused_at: list[float] = []
    arrived: list[float] = []

    def answer(body: Any, *_: Any) -> Any:
        now = time.monotonic()
        texts = body["inputs"] if isinstance(body["inputs"], str) else body["inputs"][0]
        if texts.startswith("theirs"):
            if not refused_at and len(arrived) >= (0 if late else 20):
                refused_at.append(now)
                return Reply({"error": "slow down"}, 429, {"Retry-After": str(seconds)})
        else:
            arrived.append(now)
        time.sleep(0.002)
        return single(body)

    service.answer = answer
    process = start_query(service, tmp_path, 2000 if not late else 1, "theirs")
    engine = {"endpoint": service.url, "cache_dir": str(tmp_path), "max_concurrency": 8}
    if late:
        while not refused_at:
            time.sleep(0.01)
        time.sleep(4 * SYNC_INTERVAL_S)
    rows = 100 if late else 4000

    class Enough:
        def is_set(self) -> bool:
            return bool(refused_at) and time.monotonic() - refused_at[0] > seconds + 0.6

    predict(pd.DataFrame({"text": [f"ours {number}" for number in range(rows)]}), USING, engine, cancel=Enough())
    process.kill() if not late else join(process)
    process.communicate()
    (moment,) = refused_at
    assert [each for each in arrived if moment + 2 * SYNC_INTERVAL_S < each < moment + seconds] == []
    assert any(each > moment + seconds for each in arrived)


def test_two_processes_together_keep_max_concurrency(service: Service, tmp_path: Path) -> None:
    are_both_there = threading.Event()

    def answer(body: Any, *_: Any) -> Any:
        time.sleep(0.002 if are_both_there.is_set() else 0.05)  # the first is not to end before the second begins
        return single(body)

    service.answer = answer
    both = [start_query(service, tmp_path, 500, tag, bound=5) for tag in ("one", "two")]
    deadline = time.monotonic() + 30
    while members(tmp_path) < 2:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    time.sleep(3 * SYNC_INTERVAL_S)
    are_both_there.set()
    assert all(process.poll() is None for process in both), "both are at work"
    service.most_in_flight = service.in_flight
    time.sleep(0.5)
    peak = service.most_in_flight
    for process in both:
        join(process)
    assert peak <= 5
    assert members(tmp_path) == 0, "whoever ends gives its share back"


def members(folder: Path) -> int:
    """Processes that the route's record names."""
    try:
        connection = sqlite3.connect(f"file:{folder}/answers.sqlite?mode=ro", uri=True)
        try:
            records = [
                json.loads(row[0]) for row in connection.execute("SELECT learned FROM routes WHERE learned NOTNULL")
            ]
            return sum(len(record.get("members", ())) for record in records)
        finally:
            connection.close()
    except sqlite3.Error:
        return 0


def test_what_was_learned_is_used_by_the_next_process(service: Service, tmp_path: Path) -> None:
    """Batches, their size, slots: the next one probes nothing, and starts at the limit that was found."""

    def answer(body: Any, *_: Any) -> Any:
        texts = body["inputs"] if isinstance(body["inputs"], list) else [body["inputs"]]
        if len(texts) > 48:
            return Reply({"error": f"batch size {len(texts)} > maximum allowed batch size 48"}, 413)
        return [[{"label": "A", "score": len(text) / 1000}, {"label": "B", "score": 0.1}] for text in texts]

    service.answer = answer
    engine = {"endpoint": service.url, "cache_dir": str(tmp_path)}
    frame = pd.DataFrame({"text": [f"{'x' * (number % 90)} {number}" for number in range(5000)]})
    predict(frame, USING, engine)
    assert min(size(body) for body in service.asked) == 1
    (before,) = [
        state
        for (_, store, _), state in default_session().routes._states.items()
        if isinstance(store, Store) and store.path.parent == tmp_path
    ]
    pace = before.pace()
    close_stores()
    service.asked.clear()
    predict(frame, USING, engine)
    assert min(size(body) for body in service.asked[:-1]) > 1, "lists are known to be taken"
    assert max(size(body) for body in service.asked) <= 48, "and how long they may be"
    latest = [
        state
        for (_, store, _), state in default_session().routes._states.items()
        if isinstance(store, Store) and store.path.parent == tmp_path
    ][-1]
    assert latest is not before
    assert latest.stored_pace["places"] == pytest.approx(pace["places"], rel=0.5)


def size(body: Any) -> int:
    return len(body["inputs"]) if isinstance(body["inputs"], list) else 1


def test_what_was_learned_comes_back_as_it_was_and_is_a_hint_after_an_hour(monkeypatch: pytest.MonkeyPatch) -> None:
    profile = RouteProfile(True, True, BatchSizeTuner(48, 49, True, timely=TimelySize(24)))
    record = to_json(profile, {"places": 12.0, "rate": 5.5})
    found, pace = from_json(record)
    assert found.batch_size.timely.size == 24
    assert (found.has_answered, found.accepts_batches, found.batch_size.best, found.batch_size.smallest_rejected, found.batch_size.settled) == (True, True, 48, 49, True)  # fmt: skip
    assert pace == {"places": 12.0, "rate": 5.5}
    real = time.time
    monkeypatch.setattr(time, "time", lambda: real() + 3601)
    found, pace = from_json(record)
    assert (found.has_answered, found.accepts_batches, found.batch_size.best, pace) == (False, None, 48, {})


def test_what_two_processes_found_is_merged() -> None:
    mine = to_json(RouteProfile(True, None, BatchSizeTuner(32)), {"places": 12.0})
    theirs = to_json(RouteProfile(False, True, BatchSizeTuner(48, 49, True)), {"places": 8.0, "rate": 5.5})
    profile, pace = from_json(merged(theirs, mine))
    assert (profile.has_answered, profile.accepts_batches) == (True, True)
    assert (profile.batch_size.best, profile.batch_size.settled) == (48, True)
    assert pace == {"places": 12.0, "rate": 5.5}
    for nothing in (None, b"", b"[]", b"{}", b"\xff"):
        assert merged(nothing, mine) == mine


GOOD = json.loads(to_json(RouteProfile(True, True), {"places": 8.0}))
ODD_PARTS: list[dict[str, Any]] = [
    {"at": "yesterday"}, {"sizes": 7}, {"sizes": {"best": "many", "refused": 2, "settled": True}},
    {"sizes": {"best": -1, "refused": 2, "settled": True}}, {"sizes": {"best": 1e9, "refused": 2, "settled": True}},
    {"sizes": {"best": 8, "refused": 9, "settled": True, "timely": 0}},
    {"pace": {"places": "many"}}, {"pace": {"rate": 0}}, {"pace": {"rate": -4}}, {"pace": {"rate": 1e-300}}, {"pace": []},
]  # fmt: skip
GARBAGE = [
    b"\xff\x00",
    b"[]",
    b"{}",
    b"null",
    *(json.dumps({**GOOD, **part}).encode() for part in ODD_PARTS),
]


# The names leave out the time in a record: processes that share the tests must name them alike.
@pytest.mark.parametrize("garbage", GARBAGE, ids=lambda garbage: repr(garbage).partition("lists")[2] or repr(garbage))
def test_a_learned_record_of_garbage_is_ignored_with_one_warning(garbage: bytes, service: Service, tmp_path: Path, caplog: Any) -> None:  # fmt: skip
    service.answer = lambda body, *_: single(body)
    frame, engine = pd.DataFrame({"text": ["a"]}), {"endpoint": service.url, "cache_dir": str(tmp_path)}
    predict(frame, USING, engine)
    store = open_store(str(tmp_path))
    assert store.run(lambda connection: connection.execute("UPDATE routes SET learned = ?", (garbage,)).rowcount, 0).result() == 2  # fmt: skip
    close_stores()
    for _ in range(2):
        out = predict(frame, USING, engine)
        assert list(out["y"]) == ["A"]
    assert [record.getMessage() for record in caplog.records if record.levelname == "WARNING"] == [
        "what was learned about a route cannot be read, and is learned anew"
    ]


def test_engines_with_other_bounds_on_one_route_are_as_two_processes(service: Service, tmp_path: Path) -> None:
    """Each keeps its own bound; a pause that one is told holds the other too."""
    service.answer = lambda body, *_: single(body)
    frame = pd.DataFrame({"text": ["a"]})
    for bound in (2, 3):
        predict(frame, USING, {"endpoint": service.url, "cache_dir": str(tmp_path), "max_concurrency": bound})
    two, three = [
        state
        for (_, store, _), state in default_session().routes._states.items()
        if isinstance(store, Store) and store.path.parent == tmp_path
    ]
    assert two.limiter is not three.limiter

    async def rate_limit() -> None:
        await two.limiter.acquire()
        two.limiter.release(Outcome(0.1, False, rate_limited=True, retry_after_s=30.0))

    asyncio.run(rate_limit())
    refresh_all(three.coordinator)
    assert three.coordinator.resume_at > time.monotonic() + 29


def test_the_store_holds_neither_address_nor_key_of_a_route(service: Service, tmp_path: Path) -> None:
    service.answer = lambda body, *_: single(body)
    engine = {"endpoint": service.url, "cache_dir": str(tmp_path), "api_key": "hf_secretOfMine"}
    predict(pd.DataFrame({"text": ["a"]}), USING, engine)
    store = open_store(str(tmp_path))
    rows: list[Any] = store.run(lambda c: c.execute("SELECT * FROM routes").fetchall(), []).result()
    assert rows
    held = b"".join(file.read_bytes() for file in tmp_path.glob("answers.sqlite*"))
    assert b"secretOfMine" not in held
    assert b"127.0.0.1" not in held
