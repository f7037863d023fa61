"""A cascade over a Parquet file: each unit is certified for itself, so that the promise holds for the whole file."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from huggingface_api_handler.errors import InputError
from huggingface_api_handler.inference import predict
from huggingface_api_handler.inference.cascade.savings import delta
from huggingface_api_handler.inference.runtime.session import Session
from huggingface_api_handler.inference.storage.open_stores import close_stores
from huggingface_api_handler.runners.parquet import job as job_module
from huggingface_api_handler.runners.parquet import worker as worker_module
from huggingface_api_handler.runners.parquet.drain import Drain
from huggingface_api_handler.runners.parquet.estimate import estimate
from huggingface_api_handler.runners.parquet.job import Arguments, Job
from huggingface_api_handler.runners.parquet.output import join
from huggingface_api_handler.runners.parquet.parts import done_units, total_usage, write_usage
from huggingface_api_handler.runners.parquet.worker import Worker
from tests.conftest import Service
from tests.support.agreeing_models import AgreeingModels
from tests.support.fixed_draws import fix_draws

ROW_GROUPS = (500, 500, 20, 380)
ROWS = sum(ROW_GROUPS)
CONFIDENCE = 0.9999

MakeCascade = Callable[..., Job]


@pytest.fixture
def models(service: Service) -> AgreeingModels:
    return AgreeingModels(service)


@pytest.fixture
def make(tmp_path: Path, service: Service, monkeypatch: pytest.MonkeyPatch) -> MakeCascade:
    """Makes jobs over a file of numbered texts."""
    monkeypatch.setattr(worker_module, "tell", lambda message: None)
    source = tmp_path / "in.parquet"
    table = pa.table({"text": [f"text {number}" for number in range(ROWS)], "note": ["unread"] * ROWS})
    with pq.ParquetWriter(source, table.schema) as writer:
        start = 0
        for count in ROW_GROUPS:
            writer.write_table(table[start : start + count], row_group_size=count)
            start += count

    def job(
        cascade: dict[str, Any] | None = None,
        engine: dict[str, Any] | None = None,
        out: str = "out.parquet",
        **more: Any,
    ) -> Job:
        using = {
            "task": "text-classification",
            "model": "large",
            "column": "text",
            "target": "mood",
            "cascade": {"model": "small", "accuracy": 0.9, "confidence": CONFIDENCE, **(cascade or {})},
            **more,
        }
        at = {"endpoint": f"{service.url}/models", "cache_dir": str(tmp_path / "store"), **(engine or {})}
        return Job.of(Arguments(str(source), str(tmp_path / out), using, at))

    return job


@pytest.fixture(autouse=True)
def fixed(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Draws that are the same in each run."""
    fix_draws(monkeypatch)
    yield
    close_stores()


def run(job: Job) -> str | None:
    job.open_parts()
    drain = Drain()
    with Session(limiter=drain) as session:
        return Worker(job, job.query(session), drain).run()


def predicted(job: Job) -> pd.DataFrame:
    assert run(job) is None
    join(job)
    out: pd.DataFrame = pq.read_table(job.out).to_pandas()
    return out


def share_right(out: pd.DataFrame) -> float:
    pairs = zip(out["text"], out["mood"], strict=True)
    right: list[bool] = [mood == AgreeingModels.truth(int(text.split()[1])) for text, mood in pairs]
    return sum(right) / len(out)


def test_the_parts_of_a_file_keep_what_is_promised_of_the_whole(make: MakeCascade, models: AgreeingModels) -> None:
    job = make()
    promised = job.model.cascade
    assert promised is not None
    assert delta(promised) * len(job.units) == pytest.approx(1 - CONFIDENCE, rel=1e-9)
    out = predicted(job)
    assert out.columns.tolist() == [
        *("text", "note", "mood", "mood_confidence", "mood_explain", "mood_model", "mood_error")
    ]
    assert share_right(out) >= 0.9
    by = Counter(out["mood_model"])
    assert by["small"] > 200 and by["large"] == len(models.asked["large"])
    for number, row in enumerate(out.to_dict("records")):
        shown = row["mood"], row["mood_confidence"]
        assert shown == ((AgreeingModels.truth(number), 0.9) if row["mood_model"] == "large" else models.guess(number))


def test_a_small_unit_is_the_large_models_alone_and_that_is_told(make: MakeCascade, models: AgreeingModels) -> None:
    out = predicted(make())
    assert (out["mood_model"].iloc[1000:1020] == "large").all()
    assert set(models.asked["small"]) == {*range(1000), *range(1020, ROWS)}


def test_the_receipt_adds_both_models_up_also_of_a_process_that_is_killed(
    make: MakeCascade, models: AgreeingModels, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is written each time that a unit is done has the requests to both models until then."""
    written: list[tuple[dict[str, Any], int]] = []

    def write(folder: Path, name: str, record: dict[str, Any]) -> None:
        write_usage(folder, name, record)
        written.append((record, len(service.paths)))

    monkeypatch.setattr(worker_module, "write_usage", write)
    job = make()
    assert run(job) is None
    first, last = written[0], written[-1]
    assert 0 < first[0]["cascade"]["proxy_requests"] < first[0]["requests"] == first[1]
    assert last[1] > first[1]
    usage = total_usage(job.parts)
    assert usage is not None and usage.cascade is not None
    posted = Counter(path.rpartition("/")[2] for path in service.paths)
    assert (usage.requests, usage.cascade.proxy_requests) == (sum(posted.values()), posted["small"])
    counts = usage.cascade
    assert (counts.parts, counts.straight_parts, counts.rows) == (3, 1, ROWS)
    assert counts.asked_inputs == len(models.asked["large"])
    assert counts.proxy_asked_inputs == ROWS - 20
    assert counts.proxy_rows == ROWS - counts.asked_inputs


def test_as_many_rows_of_the_whole_are_right_as_in_one_query(
    make: MakeCascade, models: AgreeingModels, service: Service, tmp_path: Path
) -> None:
    out, asked = predicted(make()), len(models.asked["large"])
    models.forget()
    using = {"task": "text-classification", "model": "large", "column": "text", "target": "mood"}
    cascade = {"model": "small", "accuracy": 0.9, "confidence": CONFIDENCE}
    engine = {"endpoint": f"{service.url}/models", "cache_dir": str(tmp_path / "other")}
    whole = predict(out[["text"]], {**using, "cascade": cascade}, engine)
    assert share_right(out) >= 0.9 and share_right(out.assign(mood=whole["mood"])) >= 0.9
    assert len(models.asked["large"]) < asked < ROWS  # one certificate costs less than several that hold together


def test_the_same_job_again_asks_nothing_and_shows_the_same(make: MakeCascade, models: AgreeingModels) -> None:
    first = predicted(make())
    models.forget()
    again = predicted(make(out="again.parquet"))
    pd.testing.assert_frame_equal(first, again)
    assert not models.asked["large"] and not models.asked["small"]


def test_a_budget_that_ends_the_job_is_both_models_and_another_one_goes_on(
    make: MakeCascade, models: AgreeingModels, service: Service
) -> None:
    job = make(max_requests=25)
    assert "max_requests = 25" in str(run(job))
    assert len(service.asked) == 25
    done = done_units(job.parts)
    assert len(done) < len(job.units)
    before = {name: set(asked) for name, asked in models.asked.items()}
    models.forget()
    out = predicted(make(max_requests=10_000))
    assert share_right(out) >= 0.9
    for name, asked in models.asked.items():
        assert not before[name] & set(asked)


def test_each_engine_gets_its_own_key_and_the_folder_of_the_job_none(
    make: MakeCascade, models: AgreeingModels, service: Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_NEAR", "hf_nearKey1234567890")
    near = Service()
    try:
        models_there = AgreeingModels(near)
        there = {"endpoint": f"{near.url}/models", "api_key_env": "HF_NEAR", "cache_dir": str(tmp_path / "there")}
        job = make({"engine": there}, {"api_key": "hf_farKey12345678901"})
        assert run(job) is None
        description = (job.parts / "job.json").read_text()
        join(job)
    finally:
        near.close()
    assert {headers.get("authorization") for headers in service.headers} == {"Bearer hf_farKey12345678901"}
    assert {headers.get("authorization") for headers in near.headers} == {"Bearer hf_nearKey1234567890"}
    assert len(models_there.asked["small"]) == ROWS - 20 and not models.asked["small"]
    assert json.loads(description)["settings"]["proxy"]["endpoint"] == f"{near.url}/models"
    assert "Key1234" not in description


@pytest.mark.parametrize(
    ("cascade", "words"),
    [
        ({"column": "txet"}, "'txet', which the table does not have"),
        ({"engine": "near"}, "the engine 'near' has a name in SQL. Here give a map"),
    ],
)
def test_what_the_small_model_cannot_use_is_told_before_anything_is_sent(
    make: MakeCascade, service: Service, cascade: dict[str, Any], words: str
) -> None:
    with pytest.raises(InputError, match=words):
        make(cascade)
    assert not service.asked


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"model": "smaller"}, "proxy.model is 'small' there and 'smaller' here"),
        ({"accuracy": 0.8}, "cascade.accuracy is 0.9 there and 0.8 here"),
        ({"engine": {"endpoint": "http://127.0.0.1:9/x"}}, "cascade.engine is None there"),
    ],
)
def test_parts_with_another_cascade_are_another_jobs(make: MakeCascade, change: dict[str, Any], words: str) -> None:
    make().open_parts()
    with pytest.raises(InputError, match=f"another job: {words}"):
        make(change).open_parts()


def test_an_estimate_counts_each_unit_for_itself(make: MakeCascade, models: AgreeingModels, service: Service) -> None:
    counted, cost = estimate(make({"confidence": 0.95, "prices": {"request": 0.001}}, {"prices": {"request": 0.01}}))
    assert not service.asked
    assert counted.requests == ROWS + ROWS - 20
    note = str(counted.note)
    assert note.startswith(f"cascade: {ROWS - 20} requests to small, then ")
    assert note.endswith(f" to {ROWS} to large; parts too small to save any: 1 of 4")
    fewest = int(note.split(" to ")[1].split()[-1])
    assert 20 < fewest < ROWS / 2
    assert cost.usd is not None
    assert cost.usd.low == pytest.approx((ROWS - 20) * 0.001 + fewest * 0.01)
    assert cost.usd.high == pytest.approx((ROWS - 20) * 0.001 + ROWS * 0.01)


def test_units_that_are_all_too_small_cost_what_the_large_model_costs(
    make: MakeCascade, models: AgreeingModels, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(job_module, "STORED_UNIT_ROWS", 20)
    job = make({"confidence": 0.95})
    counted, _ = estimate(job)
    assert counted.requests == ROWS
    assert counted.note == "cascade: too few inputs to save any, so all are asked of large"
    out = predicted(job)
    assert not models.asked["small"] and share_right(out) == 1.0
