"""The output is written once, by whoever gets to it, and others find it."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from pathlib import Path
from typing import Any

import orjson
import pyarrow.parquet as pq
import pytest

from huggingface_api_handler.errors import InputError
from huggingface_api_handler.runners.parquet import claims as claims_module
from huggingface_api_handler.runners.parquet import supervisor as supervisor_module
from huggingface_api_handler.runners.parquet.claims import Owner
from huggingface_api_handler.runners.parquet.job import Job
from huggingface_api_handler.runners.parquet.output import join
from huggingface_api_handler.runners.parquet.supervisor import Outcome, Progress, Supervisor
from tests.conftest import Reply, Service
from tests.unit.runners.parquet.conftest import MakeJob, write
from tests.unit.runners.parquet.test_output import write_parts

NO_PROCESS = 2**22 + 1
"""No process has such a number."""


class Person:
    """Remembers what was said and shown, and does something at some words."""

    def __init__(self) -> None:
        self.said: list[str] = []
        self.shown: list[Progress] = []

    def run(self, job: Job) -> Outcome:
        return Supervisor(job, self.said.append, self.shown.append).run()


@pytest.fixture
def done(make_job: MakeJob) -> Job:
    """A job of which nothing is left but the output."""
    job = make_job([4, 3])
    job.open_parts()
    write_parts(job)
    return job


def hold_join(job: Job, **changes: object) -> Path:
    path = job.claims / "-1.1"
    path.write_bytes(orjson.dumps({**Owner.current()._asdict(), **changes}))
    return path


def test_what_is_done_is_joined_without_a_worker(done: Job, service: Service) -> None:
    person = Person()
    assert person.run(done) == Outcome(True, 7, Counter(), None)
    assert pq.read_table(done.out)["id"].to_pylist() == list(range(7))
    assert not done.parts.exists()
    assert (person.said, service.asked) == ([], [])


def test_the_output_of_a_process_that_was_killed_is_written_by_another(done: Job) -> None:
    hold_join(done, pid=NO_PROCESS)
    (done.parts / "joined.1.tmp").write_bytes(b"half of it")
    assert Person().run(done).is_written
    assert pq.ParquetFile(done.out).metadata.num_rows == 7
    assert not done.parts.exists()


def test_while_another_machine_writes_the_output_it_is_waited_for(done: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    hold_join(done, machine="another one")
    write_parts(done, {"row 2": "rejected input 400: no"})
    monkeypatch.setattr(supervisor_module, "_LOOK_INTERVAL_S", 0.001)
    free, looks = claims_module.Claims.free, []

    def looked(self: claims_module.Claims, units: list[int]) -> list[int]:
        looks.append(units)
        if len(looks) == 3:  # the other one is done
            join(done)
            done.remove_parts()
        return free(self, units)

    monkeypatch.setattr(claims_module.Claims, "free", looked)
    person = Person()
    assert person.run(done) == Outcome(True, 7, Counter({"rejected input": 1}), None)
    assert person.said == ["Another machine wrote the output."]


def test_what_other_machines_work_on_is_waited_for(make_job: MakeJob, monkeypatch: pytest.MonkeyPatch) -> None:
    job = make_job([4, 3])
    job.open_parts()
    for unit in (0, 1):
        (job.claims / f"{unit}.1").write_bytes(orjson.dumps({**Owner.current()._asdict(), "machine": "another one"}))
    monkeypatch.setattr(supervisor_module, "_LOOK_INTERVAL_S", 0.001)
    monkeypatch.setattr(supervisor_module, "_WORKER_POLL_INTERVAL_S", 0.001)
    person = Person()

    def show(progress: Progress) -> None:
        person.shown.append(progress)
        if len(person.shown) == 3:
            write_parts(job)

    assert Supervisor(job, person.said.append, show).run().is_written
    assert person.said == ["Other machines work on what is left, 2 parts. Waiting for them."]
    assert [progress.rows for progress in person.shown][:3] == [0, 0, 0]


def test_a_job_whose_parts_were_removed_meanwhile_is_another_machines(make_job: MakeJob) -> None:
    job = make_job([4])
    job.open_parts()
    supervisor = Supervisor(job, (person := Person()).said.append, person.shown.append)
    write_parts(job)
    join(job)
    job.remove_parts()
    assert supervisor.run().is_written
    assert person.said == ["Another machine wrote the output."]


def test_an_input_that_changed_is_not_joined(done: Job) -> None:
    write(Path(done.arguments.source), [4, 2])
    with pytest.raises(InputError, match="has changed"):
        Person().run(done)
    assert not done.out.exists()
    assert json.loads((done.parts / "job.json").read_bytes())["rows"] == 7


def test_two_workers_have_one_budget_and_a_run_with_more_asks_for_the_rest(make_job: MakeJob, service: Service) -> None:
    asked: Counter[str] = Counter()

    async def answer(body: Any, headers: dict[str, str], _: str) -> Any:
        text = body["inputs"]
        if not isinstance(text, str):
            return Reply({"error": "lists are not supported"}, 400)
        asked[text] += 1
        await asyncio.sleep(0.02)  # so that one worker is not done before the other begins
        return [[{"label": text, "score": 0.5}]]

    service.answer = answer
    options: dict[str, Any] = {"workers": 2, "engine": {"prices": {"request": 0.001}, "max_concurrency": 2}}
    first = make_job([10] * 8, using={"max_usd": 0.02}, **options)
    first.open_parts()
    outcome = Person().run(first)
    assert not outcome.is_written
    assert "max_usd = 0.02 was reached" in str(outcome.stopped)
    assert 16 <= asked.total() <= 20
    second = make_job([10] * 8, using={"max_usd": 1}, **options)
    second.open_parts()
    assert Person().run(second).is_written
    assert set(asked.values()) == {1}, "what was paid for is not paid for again"
    table = pq.read_table(second.out)
    assert table["mood"].to_pylist() == table["text"].to_pylist()
