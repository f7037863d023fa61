"""A cascade on Spark: each partition is certified for itself, with the confidence that was given."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from huggingface_api_handler.distributed.spark import JobUsage, predict
from tests.conftest import Service
from tests.distributed.numbered import COLUMNS, CONFIDENCE, ROWS, cascade, check_answers, check_usage, numbered
from tests.distributed.test_spark import spark as spark
from tests.support.agreeing_models import AgreeingModels


@pytest.fixture
def service() -> Iterator[Service]:
    running = Service()
    yield running
    running.close()


def test_each_partition_is_certified_with_the_confidence_that_was_given(
    spark: SparkSession, service: Service, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    models, total = AgreeingModels(service), JobUsage()
    engine = {"endpoint": f"{service.url}/models", "cache_dir": str(tmp_path / "store")}
    table = spark.createDataFrame(list(numbered().itertuples(index=False, name=None)), "text string, note string")
    with caplog.at_level(logging.WARNING, "huggingface_api_handler"):
        predictions = predict(table.coalesce(1).repartition(2, "text"), cascade(), engine, usage=total)
    assert "so confidence = 0.9999 is of each" in caplog.text
    assert predictions.columns == ["text", "note", *COLUMNS]
    assert dict(predictions.dtypes)["mood_model"] == "string"
    assert not service.asked
    rows = sorted((row.asDict() for row in predictions.collect()), key=lambda row: int(row["text"].split()[1]))
    assert [row["text"] for row in rows] == numbered()["text"].tolist()
    assert check_answers(models, rows)["small"] > ROWS / 10
    assert check_usage(total, models, service, parts=2)["confidence"] == CONFIDENCE
