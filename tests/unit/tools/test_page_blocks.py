"""The blocks of README and of the pages are marked, and marks are read as ``tests/support/page_blocks.py`` says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.support.page_blocks import Page, page_paths, parse_page, read_page, skipped
from tests.support.page_output import is_alike
from tools import generated, readme_picture

README_LINES = 120
QUICK_START_COMMANDS = 5


@pytest.mark.parametrize("path", page_paths(), ids=lambda path: path.name)
def test_every_block_is_marked(path: Path) -> None:
    assert not read_page(path).faults


def test_few_blocks_are_skipped() -> None:
    blocks = [block for path in page_paths() for block in read_page(path).blocks]
    skipped = sum(bool(block.reason) for block in blocks)
    assert all(bool(block.homes) != bool(block.reason) for block in blocks)
    assert skipped * 3 < len(blocks)


def test_readme_is_short() -> None:
    assert len(page_paths()[0].read_text("utf-8").splitlines()) <= README_LINES


@pytest.mark.parametrize("heading", ["In your own process", "In MindsDB"])
def test_the_first_prediction_takes_few_commands(heading: str) -> None:
    page = next(path for path in page_paths() if path.name == "quick_start.md").read_text("utf-8")
    section = page.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    before = section.partition("SELECT ")[0]
    commands = [line for block in re.findall(r"```sh\n(.*?)```", before, re.DOTALL) for line in block.splitlines()]
    assert 1 <= len(commands) <= QUICK_START_COMMANDS
    assert not [line for line in commands if "..." in line or "<" in line]


def test_the_picture_of_readme_is_what_the_tool_would_draw() -> None:
    assert generated.outdated({readme_picture.PICTURE: readme_picture.picture()}) == [], (
        "run `python -m tools.readme_picture`"
    )


def page(text: str) -> Page:
    return parse_page(text, Path("page.md"))


def test_a_block_has_its_homes_and_its_output() -> None:
    (block,) = page("<!-- run: embedded mindsdb -->\n```sql\nSELECT 1;\n```\n\n```text\n  1\n```\n").blocks
    assert (block.language, block.text, block.homes) == ("sql", "SELECT 1;\n", ("embedded", "mindsdb"))
    assert (block.printed, block.line) == ("  1\n", 2)


def test_what_stands_behind_a_sentence_is_no_output() -> None:
    (block,) = page("<!-- run: embedded -->\n```sql\nSELECT 1;\n```\n\nLike this:\n\n```\n1\n```\n").blocks
    assert block.printed is None


def test_a_block_of_a_list_has_no_indentation() -> None:
    (block,) = page("1. First:\n\n   <!-- run: embedded -->\n   ```py\n   if 1:\n       print(1)\n   ```\n").blocks
    assert (block.language, block.text) == ("python", "if 1:\n    print(1)\n")


def test_a_setup_runs_at_its_place_and_a_page_says_what_it_takes_for_granted() -> None:
    found = page(
        "<!-- tables: reviews mails -->\n<!-- service: stand-in mails -->\n<!-- setup: mindsdb\nSELECT 1;\n-->\n"
        "<!-- setup python: embedded\nx = 1\n-->\n"
    )
    assert (found.tables, found.service, found.answers) == (("reviews", "mails"), "stand-in", "mails")
    assert [(block.language, block.text, block.homes) for block in found.blocks] == [
        ("sql", "SELECT 1;\n", ("mindsdb",)),
        ("python", "x = 1\n", ("embedded",)),
    ]
    assert not found.faults


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("```sql\nSELECT 1;\n```\n", "line 1: this block of sql has no mark"),
        ("```console\nls\n```\n", "this block of console has no mark"),
        ("<!-- run: embedded -->\nA sentence.\n```sql\n```\n", "this block of sql has no mark"),
        ("<!-- run: embedded -->\n```text\n```\n", "this mark stands before no block"),
        ("<!-- run: embedded -->\n", "this mark stands before no block"),
        ("<!-- run: here -->\n```sql\n```\n", "'here' names no home"),
        ("<!-- skip: slow -->\n```sql\n```\n", "say why this block is skipped"),
        ("<!-- service: real -->\n", "service is 'real'"),
    ],
)
def test_what_is_wrong_with_a_mark_is_said(text: str, words: str) -> None:
    assert words in "\n".join(page(text).faults)


def test_a_block_with_a_wrong_mark_does_not_hide_the_next_one() -> None:
    found = page("```sql\n```\n\n<!-- run: mindsdb -->\n```sql\nSELECT 2;\n```\n")
    assert len(found.faults) == 1 and len(found.of("mindsdb")) == 1


def test_what_is_skipped_is_told_with_its_reason() -> None:
    block = "<!-- skip: it wants a GPU -->\n```sql\n```\n"
    assert skipped([page(f"<!-- run: mindsdb -->\n```sql\n```\n{block}{block}")]) == [
        "page.md:5, page.md:8: it wants a GPU"
    ]


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


@pytest.mark.parametrize(
    ("printed", "shown", "is_same"),
    [
        ("POSITIVE 0.953, 3 requests, 0.2 s", "POSITIVE 0.951, 4 requests, 1.2 s", True),
        ("POSITIVE 0.953", "POSITIVE 0.900", False),
        ("POSITIVE 0.953", "NEGATIVE 0.953", False),
        ("made abc.json", "made \N{HORIZONTAL ELLIPSIS}.json", True),
        ("made abc.csv", "made \N{HORIZONTAL ELLIPSIS}.json", False),
        ("first\na\nb\nlast", "first\n\N{HORIZONTAL ELLIPSIS}\nlast", True),
        ("first\nlast", "first\n\N{HORIZONTAL ELLIPSIS}\nlast", True),
        ("first\na\nb", "first\n\N{HORIZONTAL ELLIPSIS}\nlast", False),
        ("last", "first\n\N{HORIZONTAL ELLIPSIS}\nlast", False),
    ],
)
def test_what_a_page_leaves_open_may_be_anything(printed: str, shown: str, is_same: bool) -> None:
    assert is_alike(printed, shown) is is_same
