"""requests_per_hour and requests_per_month: never exceeded, whoever asks."""

from __future__ import annotations

import asyncio
import calendar
import json
import logging
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from huggingface_api_handler.inference import predict
from huggingface_api_handler.inference.failures import Failure, FailureKind
from huggingface_api_handler.inference.storage import quota as module
from huggingface_api_handler.inference.storage.open_stores import close_stores
from huggingface_api_handler.inference.storage.quota import Quota, Reservation
from huggingface_api_handler.inference.storage.sqlite import Store, open_store
from huggingface_api_handler.inference.storage.sqlite_tables import SqliteQuotas
from tests.conftest import Service

ROOT = Path(__file__).parents[4]
USING = {"task": "text-classification", "column": "text", "target": "y"}
NOON = float(calendar.timegm((2026, 1, 31, 12, 0, 0)))
HOUR = 3600.0


class Clock:
    now = NOON

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    monkeypatch.setattr(module, "_warned", set())
    return Clock()


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    yield open_store(str(tmp_path))


def answer(body: Any, *_: Any) -> Any:
    texts = body["inputs"] if isinstance(body["inputs"], list) else [body["inputs"]]
    return [[{"label": "POSITIVE", "score": 0.75}] for _ in texts]


def granted(quota: Quota, asked: int) -> int:
    """How many of so many requests at once may go, in one query."""

    async def ask() -> int:
        taken = await asyncio.gather(*(quota.reserve() for _ in range(asked)))
        await quota.release()
        return sum(isinstance(each, Reservation) for each in taken)

    return asyncio.run(ask())


def refusal(quota: Quota) -> str:
    async def ask() -> str:
        failure = await quota.reserve()
        assert isinstance(failure, Failure)
        assert failure.kind is FailureKind.NOT_SENT
        return failure.message

    return asyncio.run(ask())


@pytest.mark.parametrize("limit", [1, 7, 100, 3000])
def test_all_of_a_limit_may_be_used_and_no_more_however_many_ask_at_once(
    limit: int, store: Store, clock: Clock
) -> None:
    assert granted(Quota(SqliteQuotas(store), b"e", {"requests_per_hour": limit}, clock), limit + 200) == limit
    assert granted(Quota(SqliteQuotas(store), b"e", {"requests_per_hour": limit}, clock), 5) == 0
    assert granted(Quota(SqliteQuotas(store), b"another engine", {"requests_per_hour": limit}, clock), 1) == 1


def test_what_a_query_does_not_use_is_given_back(store: Store, clock: Clock) -> None:
    for _ in range(50):
        assert granted(Quota(SqliteQuotas(store), b"e", {"requests_per_hour": 1000}, clock), 1) == 1
    assert granted(Quota(SqliteQuotas(store), b"e", {"requests_per_hour": 1000}, clock), 2000) == 950


def test_periods_begin_anew_in_utc_and_an_hour_does_not_free_a_month(store: Store, clock: Clock) -> None:
    limits = {"requests_per_hour": 10, "requests_per_month": 25}
    clock.now = NOON - 1
    assert granted(Quota(SqliteQuotas(store), b"e", limits, clock), 99) == 10
    clock.now = NOON
    assert granted(Quota(SqliteQuotas(store), b"e", limits, clock), 99) == 10
    clock.now = NOON + HOUR
    quota = Quota(SqliteQuotas(store), b"e", limits, clock)
    assert granted(quota, 99) == 5
    assert "requests_per_month = 25" in refusal(quota)
    assert "with the next month (UTC)" in refusal(quota)
    clock.now = NOON + 12 * HOUR
    assert granted(Quota(SqliteQuotas(store), b"e", limits, clock), 99) == 10
    quota = Quota(SqliteQuotas(store), b"e", limits, clock)
    assert "requests_per_hour = 10 was reached before this row; it begins anew with the next full hour" in refusal(
        quota
    )


def test_what_was_taken_in_one_hour_is_not_used_in_the_next(store: Store, clock: Clock) -> None:
    quota = Quota(SqliteQuotas(store), b"e", {"requests_per_hour": 1000, "requests_per_month": 1000}, clock)
    asyncio.run(quota.reserve())
    clock.now = NOON + HOUR
    assert granted(quota, 2000) == 999, "what is left of the hour before goes back to the month"


def test_counts_of_past_months_are_let_go(store: Store, clock: Clock) -> None:
    limits = {"requests_per_hour": 10, "requests_per_month": 100}
    for _ in range(3):
        granted(Quota(SqliteQuotas(store), b"e", limits, clock), 1)
        clock.now += 31 * 24 * HOUR
    periods = store.run(lambda connection: connection.execute("SELECT count(*) FROM quotas").fetchone()[0], -1).result()
    assert periods == 2


def test_there_is_one_warning_at_four_fifths_in_each_period(store: Store, clock: Clock, caplog: Any) -> None:
    def warnings() -> list[str]:
        return [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]

    for _ in range(7):
        granted(Quota(SqliteQuotas(store), b"e", {"requests_per_hour": 10}, clock), 1)
    assert warnings() == []
    for _ in range(5):
        granted(Quota(SqliteQuotas(store), b"e", {"requests_per_hour": 10}, clock), 1)
    assert warnings() == ["8 of requests_per_hour = 10 are used; it begins anew with the next full hour (UTC)"]
    clock.now += HOUR
    granted(Quota(SqliteQuotas(store), b"e", {"requests_per_hour": 10}, clock), 9)
    assert len(warnings()) == 2


def test_while_the_store_is_locked_the_count_goes_on_in_memory_from_what_was_seen(
    tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_api_handler.inference.storage.sqlite._BUSY_TIMEOUT_S", 0.2)
    store = open_store(str(tmp_path))
    assert granted(Quota(SqliteQuotas(store), b"e", {"requests_per_hour": 10}, clock), 6) == 6
    other = sqlite3.connect(tmp_path / "answers.sqlite", isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    assert granted(Quota(SqliteQuotas(store), b"e", {"requests_per_hour": 10}, clock), 12) == 4
    other.execute("ROLLBACK")
    other.close()


def test_two_queries_share_a_limit_and_the_rest_says_why(service: Service) -> None:
    service.answer = answer
    engine = {"endpoint": service.url, "name": "mine", "requests_per_hour": 30, "max_concurrency": 8}
    using = {**USING, "cache": False}
    first = predict(pd.DataFrame({"text": [f"a {number}" for number in range(5)]}), using, engine)
    assert first["y_error"].isna().all()
    close_stores()  # as another process would
    second = predict(pd.DataFrame({"text": [f"{'b' * 50000} {number}" for number in range(2000)]}), using, engine)
    assert len(service.asked) == 30
    assert second["y_error"].str.contains("requests_per_hour = 30").any()
    assert second["y"].notna().any()


def test_a_query_with_both_limits_keeps_both_and_gives_back_what_it_does_not_send(service: Service) -> None:
    service.answer = answer
    engine = {"endpoint": service.url, "name": "mine", "requests_per_hour": 3000}
    frame = pd.DataFrame({"text": [f"{'b' * 50000} {number}" for number in range(2000)]})
    for asked in (20, 40, 60):
        predict(frame, {**USING, "cache": False, "max_requests": 20}, engine)
        assert len(service.asked) == asked
    rest = {**engine, "requests_per_hour": 70}
    predict(frame, {**USING, "cache": False}, rest)
    assert len(service.asked) == 70


def test_queries_of_two_processes_share_an_hour_and_each_row_that_was_too_many_says_so(
    service: Service, tmp_path: Path
) -> None:
    service.answer = answer
    code = """
import json, sys
import pandas as pd
from huggingface_api_handler.inference import predict
using, engine, tag = json.load(sys.stdin)
out = predict(pd.DataFrame({"text": [f"{tag} {'x' * 60000} {number}" for number in range(600)]}), using, engine)
print(json.dumps([int(out["y"].notna().sum()), int(out["y_error"].str.contains("requests_per_hour = 40").sum())]))
"""
    engine = {"endpoint": service.url, "name": "mine", "requests_per_hour": 40, "cache_dir": str(tmp_path)}
    pipe = subprocess.PIPE
    both = [subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stdin=pipe, stdout=pipe, text=True) for _ in "ab"]
    for process, tag in zip(both, "ab", strict=True):
        assert process.stdin is not None
        process.stdin.write(json.dumps([{**USING, "cache": False, "on_error": "null"}, engine, tag]))
        process.stdin.close()
        process.stdin = None
    counts = [json.loads(process.communicate(timeout=60)[0]) for process in both]
    assert len(service.asked) == 40
    assert all(answered + refused == 600 for answered, refused in counts)
    assert sum(answered for answered, _ in counts) > 0


def test_a_query_that_uses_four_fifths_says_so_in_the_log(
    service: Service, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    service.answer = answer
    engine = {"endpoint": service.url, "name": "mine", "requests_per_month": 5, "max_concurrency": 1}
    using = {**USING, "cache": False}
    predict(pd.DataFrame({"text": ["1", "2", "3"]}), using, engine)
    assert "requests_per_month" not in caplog.text
    predict(pd.DataFrame({"text": ["4"]}), using, engine)
    assert "4 of requests_per_month = 5 are used; it begins anew with the next month (UTC)" in caplog.text


def test_two_processes_at_once_never_exceed_a_limit_and_use_all_of_it(tmp_path: Path) -> None:
    code = f"""
import asyncio
from huggingface_api_handler.inference.storage.quota import Quota, Reservation
from huggingface_api_handler.inference.storage.sqlite import open_store
from huggingface_api_handler.inference.storage.sqlite_tables import SqliteQuotas
async def ask():
    quota = Quota(SqliteQuotas(open_store({str(tmp_path)!r})), b"e", {{"requests_per_month": 20000}})
    taken = 0
    await quota.release()
    print("ready", flush=True)
    input()
    while True:
        got = [await quota.reserve() for _ in range(10)]
        taken += sum(isinstance(each, Reservation) for each in got)
        if not isinstance(got[-1], Reservation):
            break
    await quota.release()
    return taken
print(asyncio.run(ask()))
"""
    pipe = subprocess.PIPE
    both = [
        subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stdin=pipe, stdout=pipe, text=True) for _ in (1, 2)
    ]
    assert [process.stdout.readline() for process in both if process.stdout] == ["ready\n", "ready\n"]
    for process in both:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    counts = [int(process.communicate(timeout=60)[0]) for process in both]
    assert min(counts) > 0
    assert sum(counts) <= 20_000
    assert sum(counts) >= 20_000 - 16, "one may have held a few when the other gave up"
