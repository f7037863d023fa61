"""A cascade on Ray: each block is certified for itself."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import ray

from huggingface_api_handler.distributed.ray import JobUsage, predict
from tests.conftest import Service
from tests.distributed.numbered import COLUMNS, CONFIDENCE, ROWS, cascade, check_answers, check_usage, numbered
from tests.distributed.test_ray import start_ray
from tests.support.agreeing_models import AgreeingModels


@pytest.fixture(scope="module", autouse=True)
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    start_ray(tmp_path_factory.mktemp("home"))
    yield
    ray.shutdown()


def dataset(blocks: int) -> Any:
    """The numbered texts in blocks of equal size, in memory."""
    table, size = pa.Table.from_pandas(numbered(), preserve_index=False), ROWS // blocks
    return ray.data.from_arrow([table.slice(start, size) for start in range(0, ROWS, size)])


def test_the_promise_of_all_blocks_holds_and_the_sum_has_both_models(
    models: AgreeingModels, engine: dict[str, Any], service: Service
) -> None:
    total = JobUsage()
    predictions = predict(dataset(3), cascade(), engine, usage=total)
    rows = predictions.take_all()
    assert list(rows[0]) == ["text", "note", *COLUMNS]
    assert [row["text"] for row in rows] == numbered()["text"].tolist()
    assert check_answers(models, rows)["small"] > ROWS / 10
    assert set(models.asked["small"]) == set(range(ROWS))
    receipt = check_usage(total, models, service, parts=3)
    assert (1 - receipt["confidence"]) * 3 == pytest.approx(1 - CONFIDENCE, rel=1e-9)
    models.forget()
    assert predictions.take_all() == rows
    assert not models.asked["large"] and not models.asked["small"]


def test_the_column_of_who_answered_is_in_the_schema_before_anything_is_asked(
    models: AgreeingModels, engine: dict[str, Any], service: Service, tmp_path: Path
) -> None:
    dataset(2).write_parquet(str(tmp_path / "in"))
    schema = predict(ray.data.read_parquet(str(tmp_path / "in")), cascade(), engine).schema()
    assert schema.names == ["text", "note", *COLUMNS]
    assert dict(zip(schema.names, schema.types, strict=True))["mood_model"] == pa.string()
    assert not service.asked


def test_where_the_number_of_blocks_is_not_known_the_promise_is_of_each_which_is_told(
    models: AgreeingModels, engine: dict[str, Any], service: Service, caplog: pytest.LogCaptureFixture
) -> None:
    total = JobUsage()
    with caplog.at_level(logging.WARNING, "huggingface_api_handler"):
        predictions = predict(dataset(1).repartition(2), cascade(), engine, usage=total)
    assert "so confidence = 0.9999 is of each" in caplog.text
    check_answers(models, predictions.take_all())
    assert check_usage(total, models, service, parts=2)["confidence"] == CONFIDENCE


def test_a_dataset_without_blocks_is_predicted_too(engine: dict[str, Any], service: Service) -> None:
    empty = ray.data.from_arrow(pa.table({"text": pa.array([], pa.string())})).materialize()
    assert predict(empty, cascade(), engine).take_all() == []
    assert not service.asked
