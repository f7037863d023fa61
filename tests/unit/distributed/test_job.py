"""A job is checked once, before any worker begins, and goes to workers without showing its key."""

from __future__ import annotations

import pickle
from typing import Any

import pytest

from huggingface_api_handler.distributed.job import Job
from huggingface_api_handler.errors import InputError
from huggingface_api_handler.inference import output_schema
from huggingface_api_handler.inference.cascade.savings import delta
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


CASCADE = {"model": "small", "accuracy": 0.9, "confidence": 0.9}


def cascade_of(job: Job) -> Any:
    return job.settings.model.cascade


@pytest.mark.parametrize("parts", [1, 2, 7, 100_000])
def test_the_parts_of_a_cascade_break_its_promise_together_as_seldom_as_it_says(parts: int) -> None:
    job = Job.of({**USING, "cascade": CASCADE}, None, ["text"], parts=parts)
    assert delta(cascade_of(job)) * parts == pytest.approx(0.1, rel=1e-9)
    assert cascade_of(job).accuracy == 0.9


@pytest.mark.parametrize("parts", [0, 1])
def test_a_cascade_of_one_part_or_none_is_as_it_was_written(parts: int) -> None:
    using = {**USING, "cascade": {**CASCADE, "confidence": 0.3}}  # of which 1 - (1 - 0.3) is another number
    assert cascade_of(Job.of(using, None, ["text"], parts=parts)).confidence == 0.3


def test_where_nobody_knows_the_parts_a_cascade_promises_each_and_says_so(caplog: pytest.LogCaptureFixture) -> None:
    job = Job.of({**USING, "cascade": CASCADE}, None, ["text"])
    assert cascade_of(job).confidence == 0.9
    assert "so confidence = 0.9 is of each" in caplog.text and "a confidence of 1 - 0.1 / parts" in caplog.text
    caplog.clear()
    Job.of({**USING, "cascade": CASCADE}, None, ["text"], parts=3)
    Job.of(USING, None, ["text"])
    assert not caplog.text


def test_a_job_with_a_cascade_has_both_keys_and_shows_none_and_tells_who_answers() -> None:
    near = {"endpoint": "http://127.0.0.1:9", "api_key": "hf_another_key_of_the_near_1"}
    job = Job.of({**USING, "cascade": {**CASCADE, "engine": near}}, {"api_key": KEY}, ["text"], parts=2)
    copy = pickle.loads(pickle.dumps(job))
    assert copy == job
    proxy = copy.settings.model.proxy
    assert proxy is not None and proxy.engine is not None and proxy.engine.api_key is not None
    assert proxy.engine.api_key.get_secret_value() == near["api_key"]
    assert not [key for key in (KEY, near["api_key"]) if key in f"{job!r} {job} {job.settings!r} {copy!r}"]
    assert job.schema["mood_model"] == "VARCHAR"


def test_the_columns_of_the_small_model_are_checked_and_read_too() -> None:
    using = {**USING, "cascade": {**CASCADE, "column": "summary"}}
    assert Job.of(using, None, ["text", "id", "summary"]).columns_read(["text", "id", "summary"]) == ["text", "summary"]
    with pytest.raises(InputError, match="'summary', which the table does not have"):
        Job.of(using, None, ["text", "id"])
