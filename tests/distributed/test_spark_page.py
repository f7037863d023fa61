"""What the page says of Spark is so."""

from __future__ import annotations

import doctest

from pyspark.sql import SparkSession

from huggingface_api_handler.distributed import spark as module
from tests.distributed.page import run_examples
from tests.distributed.sentiment import Sentiment
from tests.distributed.test_spark import spark

__all__ = ["spark"]


def test_the_examples_for_spark_print_what_the_page_says(spark: SparkSession, sentiment: Sentiment) -> None:
    assert run_examples("Spark", sentiment.service.url) == 2
    assert sentiment.asked.total() == 3


def test_the_examples_of_docstrings_run(spark: SparkSession) -> None:
    result = doctest.testmod(module)
    assert result.attempted and not result.failed
