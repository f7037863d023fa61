"""What the page says of Ray is so."""

from __future__ import annotations

import doctest
from collections.abc import Iterator

import pytest
import ray

from huggingface_api_handler.distributed import ray as module
from tests.distributed.page import PAGE, run_examples
from tests.distributed.sentiment import Sentiment
from tests.distributed.test_ray import start_ray
from tests.support.page_blocks import Page, pages_of


@pytest.fixture(scope="module", autouse=True)
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    start_ray(tmp_path_factory.mktemp("home"))
    yield
    ray.shutdown()


@pytest.mark.parametrize("page", pages_of("ray"), ids=lambda page: page.name)
def test_the_examples_for_ray_print_what_the_page_says(page: Page, sentiment: Sentiment) -> None:
    count = run_examples(page, "ray", sentiment.service.url)
    if page.name == PAGE:
        assert (count, sentiment.asked.total()) == (2, 3)


def test_the_examples_of_docstrings_run() -> None:
    result = doctest.testmod(module)
    assert result.attempted and not result.failed
