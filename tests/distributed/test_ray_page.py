"""What the page says of Ray is so."""

from __future__ import annotations

import doctest
from collections.abc import Iterator

import pytest
import ray

from huggingface_api_handler.distributed import ray as module
from tests.distributed.page import run_examples
from tests.distributed.sentiment import Sentiment
from tests.distributed.test_ray import start_ray


@pytest.fixture(scope="module", autouse=True)
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    start_ray(tmp_path_factory.mktemp("home"))
    yield
    ray.shutdown()


def test_the_examples_for_ray_print_what_the_page_says(sentiment: Sentiment) -> None:
    assert run_examples("Ray Data", sentiment.service.url) == 2
    assert sentiment.asked.total() == 3


def test_the_examples_of_docstrings_run() -> None:
    result = doctest.testmod(module)
    assert result.attempted and not result.failed
