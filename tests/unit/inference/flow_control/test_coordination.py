"""Processes of one machine on one route: pauses, slots and route profiles are shared."""

from __future__ import annotations

import asyncio
import json
import signal
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
from huggingface_api_handler.inference.flow_control import coordination
from huggingface_api_handler.inference.flow_control.batch_size import BatchSizeTuner
from huggingface_api_handler.inference.flow_control.coordination import (
    PEERS_POLL_INTERVAL_S,
    RouteCoordinator,
    from_json,
    quota_share,
    to_json,
)
from huggingface_api_handler.inference.flow_control.limiter import Limiter, Outcome
from huggingface_api_handler.inference.flow_control.request_rate import RateEstimator
from huggingface_api_handler.inference.flow_control.route_profile import RouteProfile
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
                await view.refresh(active=True)

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
        time.sleep(4 * PEERS_POLL_INTERVAL_S)
    rows = 100 if late else 4000

    class Enough:
        def is_set(self) -> bool:
            return bool(refused_at) and time.monotonic() - refused_at[0] > seconds + 0.6

    predict(pd.DataFrame({"text": [f"ours {number}" for number in range(rows)]}), USING, engine, cancel=Enough())
    process.kill() if not late else join(process)
    process.communicate()
    (moment,) = refused_at
    assert [each for each in arrived if moment + 2 * PEERS_POLL_INTERVAL_S < each < moment + seconds] == []
    assert any(each > moment + seconds for each in arrived)


@pytest.mark.parametrize(("bound", "owners"), [(1, 2), (5, 2), (8, 3), (10, 4), (49, 7), (1024, 3), (3, 5)])
def test_slots_are_shared_out_whole_and_in_sum_not_over_the_bound(bound: int, owners: int) -> None:
    def slots(share: float) -> int:
        class Peers:
            resume_at = float("-inf")

            def __init__(self) -> None:
                self.quota_share = share

            def publish_pause(self, seconds: float) -> None: ...

        async def count() -> int:
            limiter = Limiter(bound, peers=Peers())
            limiter.concurrency.limit = float(bound)
            waiting = [asyncio.ensure_future(limiter.acquire()) for _ in range(bound + 1)]
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            for each in waiting:
                each.cancel()
            return limiter.in_flight

        return asyncio.run(count())

    shared_out = [slots(quota_share(bound, rank, owners)) for rank in range(owners)]
    assert min(shared_out) >= 1
    assert sum(shared_out) == max(bound, owners)
    assert slots(quota_share(bound, 0, 1)) == bound


def test_two_processes_together_keep_max_concurrency(service: Service, tmp_path: Path) -> None:
    are_both_there = threading.Event()

    def answer(body: Any, *_: Any) -> Any:
        time.sleep(0.002 if are_both_there.is_set() else 0.05)  # the first is not to end before the second begins
        return single(body)

    service.answer = answer
    both = [start_query(service, tmp_path, 500, tag, bound=5) for tag in ("one", "two")]
    deadline = time.monotonic() + 30
    while lease_count(tmp_path) < 2:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    time.sleep(3 * PEERS_POLL_INTERVAL_S)
    are_both_there.set()
    assert all(process.poll() is None for process in both), "both are at work"
    service.most_in_flight = service.in_flight
    time.sleep(0.5)
    peak = service.most_in_flight
    for process in both:
        join(process)
    assert peak <= 5
    assert lease_count(tmp_path) == 0, "whoever ends gives its share back"


def lease_count(folder: Path) -> int:
    try:
        connection = sqlite3.connect(f"file:{folder}/answers.sqlite?mode=ro", uri=True)
        try:
            return int(connection.execute("SELECT count(*) FROM leases").fetchone()[0])
        finally:
            connection.close()
    except sqlite3.Error:
        return 0


def test_a_killed_owner_gives_its_share_back_by_expiry(
    service: Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def slow(body: Any, *_: Any) -> Any:
        time.sleep(0.01)
        return single(body)

    service.answer = slow
    process = start_query(service, tmp_path, 100_000, "theirs", bound=8)
    while lease_count(tmp_path) == 0:
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    store = open_store(str(tmp_path))
    (route,) = store.run(lambda connection: connection.execute("SELECT route FROM leases").fetchone(), (b"",)).result()
    mine = RouteCoordinator(store, "any", 8)
    monkeypatch.setattr(RouteCoordinator, "_route", route)
    refresh_all(mine)
    assert mine.quota_share < 0.5, "the dead one is still counted"
    real = time.time
    monkeypatch.setattr(time, "time", lambda: real() + coordination._LEASE_S)
    mine._renewed_at = float("-inf")
    refresh_all(mine)
    assert mine.quota_share == 1.0


def test_leases_and_pauses_of_a_clock_that_was_set_back_hold_nobody_up(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two = RouteCoordinator(store, "r", 8), RouteCoordinator(store, "r", 8)
    real = time.time
    monkeypatch.setattr(time, "time", lambda: real() + 86_400)
    refresh_all(one)
    one.publish_pause(100)
    monkeypatch.setattr(time, "time", real)
    refresh_all(two)
    assert two.quota_share == 1.0
    assert two.resume_at <= time.monotonic()


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
        state for (_, store, _), state in default_session().routes._states.items() if store.path.parent == tmp_path
    ]
    pace = before.pace()
    close_stores()
    service.asked.clear()
    predict(frame, USING, engine)
    assert min(size(body) for body in service.asked[:-1]) > 1, "lists are known to be taken"
    assert max(size(body) for body in service.asked) <= 48, "and how long they may be"
    latest = [
        state for (_, store, _), state in default_session().routes._states.items() if store.path.parent == tmp_path
    ][-1]
    assert latest is not before
    assert latest.stored_pace["places"] == pytest.approx(pace["places"], rel=0.5)


def size(body: Any) -> int:
    return len(body["inputs"]) if isinstance(body["inputs"], list) else 1


def test_what_was_learned_comes_back_as_it_was_and_is_a_hint_after_an_hour(monkeypatch: pytest.MonkeyPatch) -> None:
    profile = RouteProfile(True, True, BatchSizeTuner(48, 49, True))
    record = to_json(profile, {"places": 12.0, "rate": 5.5})
    found, pace = from_json(record)
    assert (found.has_answered, found.accepts_batches, found.batch_size.best, found.batch_size.smallest_rejected, found.batch_size.settled) == (True, True, 48, 49, True)  # fmt: skip
    assert pace == {"places": 12.0, "rate": 5.5}
    real = time.time
    monkeypatch.setattr(time, "time", lambda: real() + 3601)
    found, pace = from_json(record)
    assert (found.has_answered, found.accepts_batches, found.batch_size.best, pace) == (False, None, 48, {})


GOOD = json.loads(to_json(RouteProfile(True, True), {"places": 8.0}))
ODD_PARTS: list[dict[str, Any]] = [
    {"at": "yesterday"}, {"sizes": 7}, {"sizes": {"best": "many", "refused": 2, "settled": True}},
    {"sizes": {"best": -1, "refused": 2, "settled": True}}, {"sizes": {"best": 1e9, "refused": 2, "settled": True}},
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
    assert store.run(lambda connection: connection.execute("UPDATE routes SET learned = ?", (garbage,)).rowcount, 0).result() == 1  # fmt: skip
    close_stores()
    for _ in range(2):
        out = predict(frame, USING, engine)
        assert list(out["y"]) == ["A"]
    assert [record.getMessage() for record in caplog.records if record.levelname == "WARNING"] == [
        "what was learned about a route cannot be read, and is learned anew"
    ]


def test_a_rate_learned_beside_another_process_is_not_passed_on(store: Store) -> None:
    """It is what that process left of the limit, and the next query may be alone."""
    rate_estimator = RateEstimator(8.0)
    limiter = Limiter(rate_estimator=rate_estimator)
    assert limiter.pace()["rate"] == 8.0
    mine, theirs = RouteCoordinator(store, "r", 8), RouteCoordinator(store, "r", 8)
    mine.on_neighbours = rate_estimator.on_neighbours
    refresh_all(mine)
    assert limiter.pace()["rate"] == 8.0
    refresh_all(theirs, mine)
    assert "rate" not in limiter.pace()


def test_engines_with_other_bounds_on_one_route_are_as_two_processes(service: Service, tmp_path: Path) -> None:
    """Each keeps its own bound; a pause that one is told holds the other too."""
    service.answer = lambda body, *_: single(body)
    frame = pd.DataFrame({"text": ["a"]})
    for bound in (2, 3):
        predict(frame, USING, {"endpoint": service.url, "cache_dir": str(tmp_path), "max_concurrency": bound})
    two, three = [
        state for (_, store, _), state in default_session().routes._states.items() if store.path.parent == tmp_path
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
