"""What the page says of Spark is so."""

from __future__ import annotations

import doctest

import pytest
from pyspark.sql import SparkSession

from huggingface_api_handler.distributed import spark as module
from tests.distributed.page import PAGE, run_examples
from tests.distributed.sentiment import Sentiment
from tests.distributed.test_spark import spark
from tests.support.page_blocks import Page, pages_of

__all__ = ["spark"]


@pytest.mark.parametrize("page", pages_of("spark"), ids=lambda page: page.name)
def test_the_examples_for_spark_print_what_the_page_says(page: Page, spark: SparkSession, sentiment: Sentiment) -> None:
    count = run_examples(page, "spark", sentiment.service.url)
    if page.name == PAGE:
        assert (count, sentiment.asked.total()) == (2, 3)


def test_the_examples_of_docstrings_run(spark: SparkSession) -> None:
    result = doctest.testmod(module)
    assert result.attempted and not result.failed
