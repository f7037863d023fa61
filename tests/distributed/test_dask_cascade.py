"""A cascade on Dask: each partition is certified for itself, so that the promise holds for all together."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dask
import dask.dataframe as dd
import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from distributed import Client, LocalCluster

from huggingface_api_handler.distributed.dask import JobUsage, predict
from huggingface_api_handler.errors import InferenceError, InputError
from huggingface_api_handler.inference import predict as predict_frame
from tests.conftest import Reply, Service
from tests.distributed.numbered import (
    COLUMNS,
    CONFIDENCE,
    FAR_KEY,
    NEAR_KEY,
    ROWS,
    cascade,
    check_answers,
    check_usage,
    numbered,
)
from tests.support.agreeing_models import AgreeingModels
from tests.support.fixed_draws import fix_draws


@pytest.fixture(autouse=True)
def in_threads() -> Iterator[None]:
    """Dask's own threads, whatever else this process is a client of."""
    with dask.config.set(scheduler="threads"):
        yield


@pytest.fixture(autouse=True)
def draws(monkeypatch: pytest.MonkeyPatch) -> None:
    """Draws that are the same in each run, but for those of workers in processes."""
    fix_draws(monkeypatch)


def table(partitions: int, rows: int = ROWS) -> Any:
    return dd.from_pandas(numbered(rows), npartitions=partitions)


def test_the_promise_of_the_whole_holds_and_the_sum_has_both_models(
    models: AgreeingModels, engine: dict[str, Any], service: Service, tmp_path: Path
) -> None:
    total = JobUsage()
    predictions = predict(table(3), cascade(), engine, usage=total)
    assert predictions.columns.tolist() == COLUMNS and not service.asked
    out = predictions.compute()
    assert out.dtypes.to_dict() == predictions.dtypes.to_dict()
    by = check_answers(models, out.to_dict("records"))
    assert by["small"] > ROWS / 10
    assert set(models.asked["small"]) == set(range(ROWS))
    receipt = check_usage(total, models, service, parts=3)
    # The probabilities that one part breaks its promise add up to that of the whole.
    assert (1 - receipt["confidence"]) * 3 == pytest.approx(1 - CONFIDENCE, rel=1e-9)
    asked = len(models.asked["large"])
    models.forget()
    whole = predict_frame(numbered(), cascade(), {**engine, "cache_dir": str(tmp_path / "other")})
    check_answers(models, whole.to_dict("records"))
    assert len(models.asked["large"]) < asked, "one certificate costs less than three that hold together"


def test_the_promise_is_broken_by_no_more_jobs_than_it_says(service: Service, tmp_path: Path) -> None:
    """Jobs of ten parts, at a confidence of 0.5 for all ten, and a proxy that is wrong just so often."""
    broken, jobs, rows = 0, 12, 150
    for seed in range(jobs):
        AgreeingModels(service, worst=0.4)
        texts = [f"text {10_000 * seed + number}" for number in range(10 * rows)]
        engine = {"endpoint": f"{service.url}/models", "cache_dir": str(tmp_path / str(seed))}
        ddf = dd.from_pandas(pd.DataFrame({"text": texts}), npartitions=10)
        out = predict(ddf, cascade(confidence=0.5), engine).compute()
        right = np.array([mood == AgreeingModels.truth(number) for number, mood in enumerate(out["mood"])])
        # Of each part: the whole may keep its promise though one part does not.
        broken += bool((right.reshape(10, rows).mean(axis=1) < 0.9).any())
    # More come with a probability of 0.02 where one in two is broken, and nearly always at 0.5 for each of ten parts.
    assert broken <= 9


def test_one_partition_asks_what_predict_asks_and_its_certificate_is_found_again(
    models: AgreeingModels, engine: dict[str, Any]
) -> None:
    whole = predict_frame(numbered(), cascade(), engine)
    models.forget()
    out = predict(table(1), cascade(), engine).compute()
    assert not models.asked["large"] and not models.asked["small"]
    assert out["mood_model"].tolist() == whole["mood_model"].tolist()
    assert out["mood"].tolist() == whole["mood"].tolist()


def test_a_job_that_runs_again_asks_nothing_and_shows_the_same(models: AgreeingModels, engine: dict[str, Any]) -> None:
    predictions = predict(table(3), cascade(), engine)
    first = predictions.compute()
    models.forget()
    pd.testing.assert_frame_equal(predictions.compute(), first)
    assert not models.asked["large"] and not models.asked["small"]


def test_small_partitions_are_the_large_models_and_that_is_told(
    models: AgreeingModels, engine: dict[str, Any], service: Service
) -> None:
    total = JobUsage()
    out = predict(table(40, 400), cascade(), engine, usage=total).compute()
    assert not models.asked["small"] and (out["mood_model"] == "large").all()
    receipt = check_usage(total, models, service, parts=40)
    assert (receipt["parts"], receipt["straight_parts"]) == (0, 40)


def test_predictions_go_to_parquet_with_the_column_of_who_answered(
    models: AgreeingModels, engine: dict[str, Any], tmp_path: Path
) -> None:
    predict(table(2, 600), cascade(), engine).to_parquet(str(tmp_path / "out"))
    out = pq.read_table(tmp_path / "out").to_pandas()
    assert set(out["mood_model"]) == {"large", "small"}


def test_each_model_gets_the_key_of_its_own_engine_also_on_workers_elsewhere(
    models: AgreeingModels, engine: dict[str, Any], service: Service, tmp_path: Path
) -> None:
    near = Service()
    try:
        there = {"endpoint": f"{near.url}/models", "api_key": NEAR_KEY, "cache_dir": str(tmp_path / "there")}
        models_there, total = AgreeingModels(near), JobUsage()
        with (
            LocalCluster(n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None) as cluster,
            Client(cluster),
            dask.config.set(scheduler=None),
        ):
            predictions = predict(table(2), cascade(engine=there), {**engine, "api_key": FAR_KEY}, usage=total)
            assert NEAR_KEY not in str(list(predictions.dask)) + repr(predictions)
            out = predictions.compute()
            usage: dict[str, Any] = total.as_dict()
    finally:
        near.close()
    assert {headers.get("authorization") for headers in service.headers} == {f"Bearer {FAR_KEY}"}
    assert {headers.get("authorization") for headers in near.headers} == {f"Bearer {NEAR_KEY}"}
    assert set(models_there.asked["small"]) == set(range(ROWS)) and not models.asked["small"]
    assert check_answers(models, out.to_dict("records"))["small"] > ROWS / 10
    assert usage["requests"] == len(service.asked) + len(near.asked)
    assert (usage["cascade"]["parts"], usage["cascade"]["rows"]) == (2, ROWS)


def test_a_column_that_only_the_small_model_reads_is_brought_and_checked(
    models: AgreeingModels, engine: dict[str, Any], service: Service
) -> None:
    frame = numbered().rename(columns={"text": "summary"}).assign(text=numbered()["text"])
    using = cascade(column="summary")
    check_answers(models, predict(dd.from_pandas(frame, npartitions=2), using, engine).compute().to_dict("records"))
    assert len(models.asked["small"]) == ROWS
    service.asked.clear()
    with pytest.raises(InputError, match="'summary', which the table does not have"):
        predict(table(2), using, engine)
    assert not service.asked


def test_rows_that_the_small_model_all_refuses_are_the_large_models_once_it_has_answered_others(
    models: AgreeingModels, engine: dict[str, Any]
) -> None:
    models.refused["small"] = set(range(600, ROWS))
    predictions = predict(table(2), cascade(), engine)
    predictions.partitions[0].compute()
    out = predictions.compute()
    assert out["mood_error"].isna().all() and (out["mood_model"].iloc[600:] == "large").all()
    assert check_answers(models, out.to_dict("records"))["small"] > 50


def test_a_small_model_that_answers_nobody_fails_the_job_before_the_large_one_is_asked(
    models: AgreeingModels, engine: dict[str, Any]
) -> None:
    models.failing["small"] = Reply({"error": "no such model"}, 404)
    for on_error in (None, "null"):
        with pytest.raises(InferenceError, match="the proxy of the cascade answers nobody"):
            predict(table(2), {**cascade(), "on_error": on_error}, engine).compute()
    assert not models.asked["large"]


def test_a_dry_run_counts_each_partition_and_has_the_columns_that_were_told(
    models: AgreeingModels, engine: dict[str, Any], service: Service
) -> None:
    predictions = predict(table(2), {**cascade(confidence=0.95), "dry_run": True}, engine)
    out = predictions.compute()
    assert out.columns.tolist() == predictions.columns.tolist()
    assert Counter(out["requests"]) == {ROWS: ROWS}
    assert out["mood"].str.contains("cascade: 600 requests to small, then ").all()
    assert not service.asked
