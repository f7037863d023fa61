"""What docs/parquet.md says of the command is so. Its blocks run with those of all pages."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

DOCUMENT = Path(__file__).resolve().parents[3] / "docs" / "parquet.md"


def test_the_page_names_all_statuses() -> None:
    from huggingface_api_handler.cli.predict import EXIT_STATUSES

    statuses = re.findall(r"^  ([\d, ]+?)  ", EXIT_STATUSES, re.M)
    table = re.findall(r"^\| ([\d, ]+?) \|", DOCUMENT.read_text("utf-8"), re.M)
    assert table == statuses


@pytest.mark.parametrize("option", re.findall(r"`(--[a-z-]+)[ `]", DOCUMENT.read_text("utf-8")))
def test_each_option_of_the_page_exists(option: str) -> None:
    import argparse

    from huggingface_api_handler.cli.predict import add_arguments

    parser = argparse.ArgumentParser()
    add_arguments(parser)
    assert option in parser.format_help()
