"""A job is checked before anything is sent, and parts of another one are refused."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from huggingface_api_handler.errors import InputError
from huggingface_api_handler.inference.telemetry.usage import Usage
from huggingface_api_handler.runners.parquet.job import Job
from huggingface_api_handler.runners.parquet.parts import total_usage, write_usage
from huggingface_api_handler.runners.parquet.units import STORED_UNIT_ROWS, UNSTORED_UNIT_ROWS
from tests.conftest import Service
from tests.unit.runners.parquet.conftest import MakeJob, write

KEY = "hf_abcdefghijklmnopqrstuvwxyz"


@pytest.mark.parametrize(
    ("using", "words"),
    [
        ({"task": "no-task"}, "no-task"),
        ({"column": "txet"}, "txet"),
        ({"target": "ID"}, "has a column 'ID' already"),
        ({"target": "x", "no_argument": 1}, "no_argument"),
        ({"task": "table-question-answering", "table_columns": ["id"]}, "read in pieces"),
    ],
)
def test_what_cannot_be_used_is_told_before_anything_is_sent(
    make_job: MakeJob, service: Service, using: dict[str, Any], words: str
) -> None:
    with pytest.raises(InputError, match=words):
        make_job(using=using)
    assert service.asked == []


def test_a_file_that_is_no_parquet_is_refused(make_job: MakeJob) -> None:
    job = make_job()
    Path(job.arguments.source).write_bytes(b"no")
    with pytest.raises(InputError, match="cannot be read as Parquet"):
        Job.of(job.arguments)


def test_a_key_comes_from_the_environment_and_goes_nowhere(make_job: MakeJob, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match="MY_KEY, which is not set"):
        make_job(key_variable="MY_KEY")
    monkeypatch.setenv("MY_KEY", KEY)
    job = make_job(key_variable="MY_KEY")
    assert job.engine.api_key is not None
    assert job.engine.api_key.get_secret_value() == KEY
    job.open_parts()
    assert KEY not in str(job.description())
    assert KEY not in str(job.arguments)
    assert KEY.encode() not in (job.parts / "job.json").read_bytes()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"using": {"column": "kind"}}, "columns.column is 'text' there and 'kind' here"),
        ({"using": {"model": "other/model"}}, "model is"),
        ({"using": {"target": "other"}}, "target is"),
        ({"engine": {"endpoint": "http://127.0.0.1:9/other"}}, "endpoint is"),
        ({"row_groups": (3, 4)}, "another input file, or the file has changed"),
        ({"engine": {"cache": False}}, "its parts are others"),
    ],
)
def test_parts_of_another_job_are_refused(make_job: MakeJob, changes: dict[str, Any], words: str) -> None:
    make_job().open_parts()
    other = make_job(**changes)
    with pytest.raises(InputError, match=f"0 finished parts of another job: .*{words}.*remove the folder"):
        other.open_parts()


@pytest.mark.parametrize(
    "changes",
    [
        {"using": {"max_requests": 7}},
        {"using": {"max_usd": 1, "max_tokens_total": 9}},
        {"engine": {"max_concurrency": 3, "timeout": 5}},
        {},
    ],
)
def test_what_a_run_may_cost_makes_no_other_job(make_job: MakeJob, changes: dict[str, Any]) -> None:
    make_job().open_parts()
    make_job(**changes).open_parts()


def test_a_copy_of_the_input_is_the_same_job(make_job: MakeJob, tmp_path: Path) -> None:
    job = make_job()
    job.open_parts()
    copy = tmp_path / "elsewhere.parquet"
    shutil.copy(job.arguments.source, copy)
    Job.of(job.arguments._replace(source=str(copy))).open_parts()


def test_an_input_that_changes_meanwhile_is_refused(make_job: MakeJob) -> None:
    job = make_job()
    job.source.check_unchanged()
    write(Path(job.arguments.source), [4, 4])
    with pytest.raises(InputError, match="has changed since the job began"):
        job.source.check_unchanged()


def test_units_are_small_where_answers_are_not_stored(make_job: MakeJob) -> None:
    assert make_job().unit_rows == STORED_UNIT_ROWS
    assert make_job(engine={"cache": False}).unit_rows == UNSTORED_UNIT_ROWS
    assert make_job(using={"task": "text-generation", "model": "m"}).unit_rows == UNSTORED_UNIT_ROWS


def test_the_parts_are_gone_at_once_and_what_a_kill_left_of_them_goes_too(make_job: MakeJob, tmp_path: Path) -> None:
    job = make_job()
    job.open_parts()
    job.remove_parts()
    assert not job.parts.exists()
    left_over = tmp_path / "out.parquet.parts.removed-1"
    left_over.mkdir()
    job.open_parts()
    assert not left_over.exists()


def test_the_receipt_is_the_sum_of_all_processes(tmp_path: Path) -> None:
    assert total_usage(tmp_path) is None
    for name, requests in (("one", 3), ("two", 4), ("one", 5)):
        usage = Usage("task", "model", "host", requests=requests)
        usage.latencies[3] += 1
        write_usage(tmp_path, name, usage.to_record())
    total = total_usage(tmp_path)
    assert total is not None
    assert (total.requests, dict(total.latencies)) == (9, {3: 2})


def test_a_column_with_a_dot_in_its_name_is_read(make_job: MakeJob) -> None:
    job = make_job()
    pq.write_table(pa.table({"a.b": ["x", "y"], "a": [1, 2]}), job.arguments.source)
    arguments = job.arguments._replace(using={**job.arguments.using, "column": "A.b"})
    source = Job.of(arguments).source
    assert source.columns == ["a.b"]
    (batch,) = source.batches(0, source.columns)
    assert batch.to_pydict() == {"a.b": ["x", "y"]}
