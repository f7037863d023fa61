"""A job is checked once, before any worker begins, and goes to workers without showing its key."""

from __future__ import annotations

import pickle
from typing import Any

import pytest

from huggingface_api_handler.distributed.job import Job
from huggingface_api_handler.errors import InputError
from huggingface_api_handler.inference import output_schema
from tests.conftest import Service

USING = {"task": "text-classification", "column": "text", "target": "mood"}
KEY = "hf_a_key_that_nobody_may_see_1"


def test_a_job_pickles_whole_and_shows_no_key() -> None:
    job = Job.of(USING, {"api_key": KEY, "name": "mine"}, ["text"], parts=3)
    copy = pickle.loads(pickle.dumps(job))
    assert copy == job and copy.id == job.id
    key = copy.settings.engine.api_key
    assert key is not None and key.get_secret_value() == KEY
    assert KEY not in f"{job!r} {job} {job.settings!r} {copy!r}"


def test_two_jobs_are_told_apart() -> None:
    assert Job.of(USING, None, ["text"]).id != Job.of(USING, None, ["text"]).id


def test_a_variable_is_looked_up_by_workers_and_not_at_the_call(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HUGGINGFACE_KEY_OF_WORKERS", raising=False)
    job = Job.of(USING, {"api_key_env": "HUGGINGFACE_KEY_OF_WORKERS"}, ["text"])
    monkeypatch.setenv("HUGGINGFACE_KEY_OF_WORKERS", KEY)
    assert KEY.encode() not in pickle.dumps(job)


def test_the_columns_are_known_and_checked_without_a_request(service: Service) -> None:
    engine = {"endpoint": f"{service.url}/v1"}
    job = Job.of(USING, engine, ["ID", "Text", 3])
    assert job.schema == output_schema(USING, engine)
    assert job.columns_read(["ID", "Text", 3]) == ["Text"]
    with pytest.raises(InputError, match="'text', which the table does not have"):
        Job.of(USING, engine, ["ID", "body"])
    assert service.asked == service.fetched == []


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"max_requests": 10}, "max_requests bounds one query"),
        ({"max_usd": 0.5}, "max_usd bounds one query.* usd_per_month"),
        ({"max_tokens_total": 10}, "max_tokens_total bounds one query"),
        ({"max_seconds": 10}, "max_seconds bounds one query"),
        ({"task": "table-question-answering", "table_columns": ["a", "b"]}, "all rows of a table"),
        ({"api_key": KEY}, "api_key"),
        ({"treshold": 0.5}, "threshold"),
    ],
    ids=str,
)
def test_what_cannot_be_done_in_parts_is_refused(more: dict[str, Any], words: str) -> None:
    for parts in (None, 2):
        with pytest.raises(InputError, match=words) as refused:
            Job.of({**USING, **more}, None, ["text", "a", "b"], parts=parts)
        assert KEY not in str(refused.value)


def test_one_part_is_one_query_and_has_its_budget() -> None:
    assert Job.of({**USING, "max_requests": 10}, None, ["text"], parts=1).settings.model.max_requests == 10
