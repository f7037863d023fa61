"""Parts of a job in one process: whether a part fails is judged by all that the process has seen of the job."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest

from huggingface_api_handler.distributed import worker
from huggingface_api_handler.distributed.job import Job
from huggingface_api_handler.distributed.job_usage import JobUsage
from huggingface_api_handler.distributed.worker import predict_part, reports_here
from huggingface_api_handler.errors import InferenceError
from tests.conftest import Reply, Service

USING = {"task": "text-classification", "column": "text", "target": "mood", "model": "owner/name"}


@pytest.fixture
def refusing(service: Service) -> Service:
    """Answers each text, except those that begin with "bad"."""

    def answer(body: Any, headers: dict[str, str], path: str) -> Any:
        if isinstance(body["inputs"], list) or body["inputs"].startswith("bad"):
            return Reply({"error": "this text is refused"}, 400)
        return [{"label": "POSITIVE", "score": 0.9}]

    service.answer = answer
    return service


def job_at(service: Service, *, parts: int | None = None, **using: Any) -> Job:
    return Job.of({**USING, **using}, {"endpoint": f"{service.url}/models"}, ["text"], parts=parts)


def part(job: Job, *texts: str | None) -> pd.DataFrame:
    (out,) = predict_part(job, [pd.DataFrame({"text": texts})])
    return out


def bad(count: int, first: int = 0) -> list[str]:
    return [f"bad {number}" for number in range(first, first + count)]


def test_a_part_whose_rows_fail_does_not_fail_the_job_which_may_have_others(refusing: Service) -> None:
    out = part(job_at(refusing), *bad(3))
    assert out["mood_error"].str.contains("refused").all()


def test_rows_that_fail_alike_are_counted_over_parts_until_one_is_answered(refusing: Service) -> None:
    job = job_at(refusing)
    for first in (0, 6, 12):
        part(job, *bad(6, first))
    with pytest.raises(InferenceError, match="refused"):
        part(job, *bad(6, 18))


def test_once_a_row_was_answered_no_part_fails(refusing: Service) -> None:
    job = job_at(refusing)
    part(job, "good")
    assert part(job, *bad(30))["mood_error"].str.contains("refused").all()
    refusing.answer = lambda body, headers, path: Reply({"error": "wrong key"}, 401)
    assert part(job, "another")["mood_error"].str.contains("wrong key").all()


def test_what_fails_every_row_fails_the_first_part(refusing: Service) -> None:
    refusing.answer = lambda body, headers, path: Reply({"error": "wrong key"}, 401)
    with pytest.raises(InferenceError, match="wrong key"):
        part(job_at(refusing), "one", "two")
    assert len(refusing.asked) == 1


def test_a_job_of_one_part_fails_as_a_query_does(refusing: Service) -> None:
    with pytest.raises(InferenceError, match="refused"):
        part(job_at(refusing, parts=1), *bad(3))


def test_on_error_is_kept_where_it_is_given(refusing: Service) -> None:
    job = job_at(refusing, on_error="raise")
    part(job, "good")
    with pytest.raises(InferenceError, match="refused"):
        part(job, *bad(1))
    assert part(job_at(refusing, on_error="null"), *bad(30))["mood_error"].notna().all()


CASCADE = {"model": "owner/small", "accuracy": 0.9}


@pytest.fixture
def picky(service: Service) -> Service:
    """Has a small model that refuses the texts that begin with "bad", and a large one that answers all."""

    def answer(body: Any, headers: dict[str, str], path: str) -> Any:
        if isinstance(body["inputs"], list) or (path.endswith("/small") and body["inputs"].startswith("bad")):
            return Reply({"error": "this text is refused"}, 400)
        return [{"label": "POSITIVE", "score": 0.9}]

    service.answer = answer
    return service


@pytest.mark.parametrize("on_error", [None, "null"])
def test_a_part_that_the_proxy_refuses_is_the_large_models_once_the_proxy_has_answered(
    picky: Service, on_error: str | None
) -> None:
    job = job_at(picky, cascade=CASCADE, on_error=on_error, parts=2)
    first = part(job, *(f"good {number}" for number in range(100)))
    assert "owner/small" in set(first["mood_model"])
    out = part(job, *bad(100))
    assert out["mood_error"].isna().all() and (out["mood_model"] == "owner/name").all()


def test_a_proxy_that_has_answered_nobody_fails_the_first_part_before_the_large_model_is_asked(picky: Service) -> None:
    job = job_at(picky, cascade=CASCADE, on_error="null", parts=2)
    with pytest.raises(InferenceError, match="the proxy of the cascade answers nobody"):
        part(job, *bad(100))
    assert not [path for path in picky.paths if path.endswith("/name")]


def test_parts_of_a_cascade_add_up_in_the_report_and_small_ones_are_told(picky: Service) -> None:
    job = job_at(picky, cascade=CASCADE, parts=3)
    for texts in (
        [f"good {number}" for number in range(100)],
        [f"good {number}" for number in range(100, 200)],
        ["one"],
    ):
        part(job, *texts)
    total = JobUsage()
    total.add_source(lambda: reports_here(job.id))
    usage: dict[str, Any] = total.as_dict()
    counts = usage["cascade"]
    assert (counts["parts"], counts["straight_parts"], counts["rows"]) == (2, 1, 201)
    assert counts["confidence"] == pytest.approx(1 - 0.05 / 3)
    assert usage["requests"] == len(picky.asked)
    assert counts["proxy_requests"] == len([path for path in picky.paths if path.endswith("/small")])


def test_a_part_may_come_in_pieces_of_any_kind_and_is_one_query(refusing: Service) -> None:
    job = job_at(refusing)
    pieces = [pa.table({"text": ["good 1", None]}), pa.table({"text": ["good 2"]})]
    out = list(predict_part(job, pieces))
    assert [table.column("mood").to_pylist() for table in out] == [["POSITIVE", None], ["POSITIVE"]]
    total = JobUsage()
    total.add_source(lambda: reports_here(job.id))
    assert (total.as_dict()["queries"], total.as_dict()["rows"]) == (1, 3)


def test_each_part_is_reported_with_all_before_it_also_where_it_failed(refusing: Service) -> None:
    job, told = job_at(refusing, on_error="raise"), list[str]()

    def asked(*texts: str) -> Iterator[pd.DataFrame]:
        yield from predict_part(job, [pd.DataFrame({"text": texts})], report=told.append)

    list(asked("good"))
    with pytest.raises(InferenceError):
        list(asked("bad"))
    total = JobUsage()
    for report in told:
        total.merge(report)
    assert len(told) == 2 and total.as_dict()["requests"] == len(refusing.asked)
    assert reports_here(job.id) == told[-1:]


def test_parts_use_the_connection_that_is_there(refusing: Service) -> None:
    job = Job.of(USING, {"endpoint": f"{refusing.url}/models", "max_concurrency": 1}, ["text"])
    for number in range(5):
        part(job, f"good {number}")
    assert len(refusing.connections) == 1


def test_each_part_says_in_the_log_what_it_took(refusing: Service, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, worker.__name__)
    job = job_at(refusing)
    part(job, "good", "bad")
    (record,) = caplog.records
    assert job.id in record.message and "2 rows" in record.message and "1 answered" in record.message


def test_a_process_forgets_the_jobs_of_long_ago(refusing: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "_MAX_JOBS", 2)
    jobs = [job_at(refusing) for _ in range(3)]
    for job in jobs:
        part(job, "good")
    assert [len(reports_here(job.id)) for job in jobs] == [0, 1, 1]
