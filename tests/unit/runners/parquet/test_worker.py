"""A worker predicts what nobody else has claimed, and leaves no part that is not done."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from huggingface_api_handler.errors import InferenceError
from huggingface_api_handler.inference.runtime.session import Session
from huggingface_api_handler.runners.parquet import drain as drain_module
from huggingface_api_handler.runners.parquet import job as job_module
from huggingface_api_handler.runners.parquet import worker as worker_module
from huggingface_api_handler.runners.parquet.claims import Claims
from huggingface_api_handler.runners.parquet.drain import Drain
from huggingface_api_handler.runners.parquet.estimate import estimate
from huggingface_api_handler.runners.parquet.job import Job
from huggingface_api_handler.runners.parquet.output import join
from huggingface_api_handler.runners.parquet.parts import done_units, part_path, total_usage
from huggingface_api_handler.runners.parquet.worker import Message, Worker
from tests.conftest import Answer, Reply, Service
from tests.unit.runners.parquet.conftest import MakeJob


@pytest.fixture(autouse=True)
def small_units(monkeypatch: pytest.MonkeyPatch, service: Service) -> None:
    monkeypatch.setattr(job_module, "STORED_UNIT_ROWS", 4)
    service.answer = lambda body, headers, path: [answer(text) for text in texts_of(body)]


@pytest.fixture
def messages(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Message]]:
    found: list[Message] = []
    monkeypatch.setattr(worker_module, "tell", found.append)
    yield found


def texts_of(body: Any) -> list[str]:
    return body["inputs"] if isinstance(body["inputs"], list) else [body["inputs"]]


def answer(text: str) -> list[dict[str, Any]]:
    share = 0.5 + int(text.split()[1]) / 1000
    return [{"label": "POSITIVE", "score": share}, {"label": "NEGATIVE", "score": 1 - share}]


def asked(service: Service) -> list[str]:
    return [text for body in service.asked for text in texts_of(body)]


def run(job: Job, drain: Drain | None = None) -> str | None:
    drain = drain or Drain()
    with Session(limiter=drain) as session:
        return Worker(job, job.query(session), drain).run()


def test_all_units_are_predicted_and_told(make_job: MakeJob, service: Service, messages: list[Message]) -> None:
    job = make_job([10, 3])
    job.open_parts()
    assert run(job) is None
    assert done_units(job.parts) == {0, 1, 2, 3}
    assert [(message.unit, message.rows) for message in messages if message.is_done] == [(0, 4), (1, 4), (2, 2), (3, 3)]
    join(job)
    import pyarrow.parquet as pq

    out = pq.read_table(job.out)
    for text, mood, score in zip(*(out[name].to_pylist() for name in ("text", "mood", "mood_confidence")), strict=True):
        assert (mood, score) == ((None, None) if text is None else ("POSITIVE", answer(text)[0]["score"]))
    usage = total_usage(job.parts)
    assert usage is not None
    assert usage.requests == len(service.asked)


def test_units_that_are_done_or_claimed_are_left_alone(
    make_job: MakeJob, service: Service, messages: list[Message]
) -> None:
    job = make_job([4, 4, 4])
    job.open_parts()
    part_path(job.parts, 0).write_bytes(b"")
    assert Claims(job.claims).take(1)
    assert run(job) is None
    assert set(asked(service)) == {"row 8", "row 9", "row 11"}
    assert [message.unit for message in messages if message.is_done] == [2]


def one_at_a_time(answered: set[str]) -> Answer:
    """A service that takes no lists."""

    def reply(body: Any, headers: Any, path: str) -> Any:
        if isinstance(body["inputs"], list):
            return Reply({"error": "one at a time"}, 400)
        answered.add(body["inputs"])
        return [answer(body["inputs"])]

    return reply


def test_a_unit_with_rows_that_were_not_sent_is_not_done(
    make_job: MakeJob, service: Service, messages: list[Message]
) -> None:
    first: set[str] = set()
    second: set[str] = set()
    service.answer = one_at_a_time(first)
    job = make_job([4, 4, 4], using={"max_requests": 5})
    job.open_parts()
    stopped = run(job)
    assert stopped is not None
    assert "max_requests = 5" in stopped
    done = done_units(job.parts)
    assert len(done) < 3
    assert Claims(job.claims).free([0, 1, 2]) == sorted({0, 1, 2} - done)
    assert not list(job.parts.glob("part-*"))
    service.answer = one_at_a_time(second)
    job = make_job([4, 4, 4])
    job.open_parts()
    assert run(job) is None
    assert done_units(job.parts) == {0, 1, 2}
    assert first
    assert not first & second, "what is stored is not asked again"


def test_a_job_of_which_every_row_would_fail_ends(make_job: MakeJob, service: Service, messages: list[Message]) -> None:
    service.answer = lambda body, headers, path: Reply({"error": "no such key"}, 401)
    job = make_job([4, 4, 4])
    job.open_parts()
    with pytest.raises(InferenceError, match="no such key"):
        run(job)
    assert done_units(job.parts) == set()
    assert Claims(job.claims).free([0, 1, 2]) == [0, 1, 2]
    assert len(service.asked) == 1


def test_what_is_on_its_way_is_stored_at_the_end(
    make_job: MakeJob, service: Service, messages: list[Message], monkeypatch: pytest.MonkeyPatch
) -> None:
    first: set[str] = set()
    second: set[str] = set()
    drain, looks, sleep = Drain(), [0], time.sleep

    def look(seconds: float) -> None:
        looks[0] += 1
        sleep(seconds)

    async def answer_late(body: Any, headers: Any, path: str) -> Any:
        reply = one_at_a_time(first)(body, headers, path)
        if len(first) >= 4:
            drain.begin()
            while looks[0] < 3:  # noqa: ASYNC110 - which a thread counts
                await asyncio.sleep(0.001)
        return reply

    monkeypatch.setattr(drain_module, "time", SimpleNamespace(sleep=look, monotonic=time.monotonic))
    service.answer = answer_late
    job = make_job([40])
    job.open_parts()
    assert run(job, drain) is not None
    assert 4 <= len(first) < 34
    service.answer = one_at_a_time(second)
    assert run(job) is None
    assert not first & second
    assert len(first | second) == 34


def test_a_dry_run_counts_what_is_left_and_sends_nothing(
    make_job: MakeJob, service: Service, messages: list[Message]
) -> None:
    job = make_job([4, 8])
    before, _ = estimate(job)
    assert (before.rows, before.nulls, before.distinct, before.stored) == (12, 2, 10, 0)
    assert not job.parts.exists()
    assert service.asked == []
    job.open_parts()
    run(job)
    part_path(job.parts, 0).unlink()
    after, _ = estimate(job)
    assert (after.rows, after.nulls, after.distinct, after.stored, after.requests) == (4, 1, 3, 3, 0)
