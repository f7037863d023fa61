"""What the page says of Dask is so."""

from __future__ import annotations

import doctest
from pathlib import Path

import dask
import pytest

from huggingface_api_handler.distributed import dask as module
from tests.distributed.page import run_examples
from tests.distributed.sentiment import Sentiment


def test_the_examples_for_dask_print_what_the_page_says(
    sentiment: Sentiment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with dask.config.set(scheduler="threads"):
        assert run_examples("Dask", sentiment.service.url) == 4
    assert sentiment.asked.total() == 3


def test_the_examples_of_docstrings_run() -> None:
    result = doctest.testmod(module)
    assert result.attempted and not result.failed
