"""What the page says of Dask is so."""

from __future__ import annotations

import doctest
from pathlib import Path

import dask
import pytest

from huggingface_api_handler.distributed import dask as module
from tests.distributed.page import PAGE, folder_of, run_examples
from tests.distributed.sentiment import Sentiment
from tests.support.page_blocks import Page, pages_of


@pytest.mark.parametrize("page", pages_of("dask"), ids=lambda page: page.name)
def test_the_examples_for_dask_print_what_the_page_says(
    page: Page, sentiment: Sentiment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder_of(tmp_path))
    with dask.config.set(scheduler="threads"):
        count = run_examples(page, "dask", sentiment.service.url)
    if page.name == PAGE:
        assert (count, sentiment.asked.total()) == (4, 3)


def test_the_examples_of_docstrings_run() -> None:
    result = doctest.testmod(module)
    assert result.attempted and not result.failed
