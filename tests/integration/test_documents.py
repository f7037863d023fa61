"""The blocks of README and of the pages that are for MindsDB run there, and print what the page shows.

Python and shell that need MindsDB's environment, or an extra that only this one has, run here too. The twin of this
module is tests/sql/test_documents.py. ``tests/support/page_blocks.py`` says how a block is marked.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from huggingface_api_handler.cli.sql.output import write_result
from huggingface_api_handler.demo.mindsdb_server import MindsDB, SQLError
from huggingface_api_handler.demo.sql_script import created_model, statements
from tests.support.page_blocks import Page
from tests.support.page_runner import RAN, PageRun, Record, Terminal, chosen_pages, folder_of_page, table_file
from tests.support.page_service import page_service


class MindsDBRows:
    """The rows of a statement, as the shell of the other home reads them."""

    def __init__(self, columns: list[str], rows: Sequence[Sequence[Any]]) -> None:
        self.columns, self.types = columns, ["VARCHAR"] * len(columns)
        self._rows = [tuple(row) for row in rows]

    def fetchmany(self, size: int = 1) -> list[tuple[Any, ...]]:
        """The next rows."""
        given, self._rows = self._rows[:size], self._rows[size:]
        return given


class PageInMindsDB:
    """Runs the SQL of one page, whose engines and models are its own: other pages have some of the same names.

    Args:
        mindsdb: The server that all tests share.
        page: The page.
    """

    def __init__(self, mindsdb: MindsDB, page: Page) -> None:
        self._mindsdb = mindsdb
        self._prefix = "page_" + re.sub(r"\W", "_", page.name.lower().removesuffix(".md"))
        self._engines: list[str] = []
        self._models: list[str] = []

    def __enter__(self) -> PageInMindsDB:
        self._mindsdb.sql(f"CREATE PROJECT {self._prefix}")
        return self

    def __exit__(self, *_: object) -> None:
        for model in reversed(self._models):
            self._mindsdb.sql(f"DROP MODEL IF EXISTS {self._prefix}.{model}")
        for engine in self._engines:
            self._mindsdb.sql(f"DROP ML_ENGINE IF EXISTS {engine}")
        self._mindsdb.sql(f"DROP PROJECT {self._prefix}")

    def run(self, text: str) -> bool:
        """Run statements, and print what a terminal shows of them."""
        for statement in statements(text):
            try:
                self._run(self._with_own_names(statement))
            except SQLError as error:
                sys.stdout.write(self._with_names_of_page(f"{error}\n"))
                return False
        return True

    def _run(self, statement: str) -> None:
        made = created_model(re.sub(r"^\s*(RETRAIN|FINETUNE)\b", "CREATE MODEL", statement, flags=re.IGNORECASE))
        engine = re.match(r"CREATE ML_ENGINE (?:IF NOT EXISTS )?(\w+)", statement, re.IGNORECASE)
        result = self._mindsdb.sql(statement, project=self._prefix)
        if engine:
            self._engines.append(engine[1])
        if made:
            self._models.append(made[1])
            self._mindsdb.wait_for_model(made[1], project=self._prefix)
        elif result.columns:
            out = Terminal()
            write_result(MindsDBRows(result.columns, result.rows), "table", out)
            sys.stdout.write(self._with_names_of_page(out.getvalue()))

    def _with_own_names(self, statement: str) -> str:
        text = re.sub(r"\bmindsdb\.", f"{self._prefix}.", statement)
        text = re.sub(r"(\bML_ENGINE (?:IF (?:NOT )?EXISTS )?)(\w+)", rf"\g<1>{self._prefix}_\g<2>", text)
        return re.sub(r"(\bengine\s*=\s*['\"])(\w+)", rf"\g<1>{self._prefix}_\g<2>", text)

    def _with_names_of_page(self, text: str) -> str:
        return text.replace(f"{self._prefix}_", "").replace(self._prefix, "mindsdb")


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    with folder_of_page(tmp_path, monkeypatch) as folder:
        yield folder


@pytest.mark.parametrize("page", chosen_pages("mindsdb"), ids=lambda page: page.name)
def test_the_blocks_of_a_page_print_what_it_shows(
    page: Page,
    checkout: Path,
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
    record_property: Record,
) -> None:
    blocks = page.of("mindsdb")
    local_server: str = request.getfixturevalue("inference")
    with page_service(page, local_server, monkeypatch) as url:
        if not any(block.language == "sql" for block in blocks):
            faults = PageRun(page, _no_sql, url, checkout).faults(blocks)
        else:
            mindsdb: MindsDB = request.getfixturevalue("mindsdb")
            upload_once: Callable[[Path], None] = request.getfixturevalue("upload_once")
            for name in page.tables:
                upload_once(table_file(name))
            with PageInMindsDB(mindsdb, page) as home:
                faults = PageRun(page, home.run, url, checkout).faults(blocks)
    record_property(RAN, len(blocks))
    assert not page.faults, "\n".join(page.faults)
    assert not faults, "\n\n".join(faults)


def _no_sql(text: str) -> bool:
    raise AssertionError(f"no SQL was to come: {text}")
