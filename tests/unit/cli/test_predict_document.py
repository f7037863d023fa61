"""The quick start of docs/parquet.md runs as it is written, at a service in the place of the local server."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import Service

DOCUMENT = Path(__file__).resolve().parents[3] / "docs" / "parquet.md"
ADDRESS = "http://127.0.0.1:8900"


def test_the_quick_start_runs(service: Service, tmp_path: Path) -> None:
    service.answer = lambda body, headers, path: [
        [{"label": "POSITIVE", "score": 0.9 if "love" in text else 0.2}, {"label": "NEGATIVE", "score": 0.1}]
        for text in (body["inputs"] if isinstance(body["inputs"], list) else [body["inputs"]])
    ]
    quick_start = DOCUMENT.read_text("utf-8").partition("## Quick start")[2].partition("\n## ")[0]
    assert ADDRESS in quick_start
    blocks = re.findall(r"```(sh|python)\n(.*?)```(?:\n\n```\n(.*?)```)?", quick_start, re.S)
    assert [kind for kind, _, _ in blocks] == ["python", "sh", "python"]
    root = str(DOCUMENT.parents[1])
    environment = {**os.environ, "PYTHONPATH": root, "HF_HOME": str(tmp_path / "home")}
    for kind, text, printed in blocks:
        code = text.replace(ADDRESS, service.url).replace(
            "huggingface-api-handler", f"'{sys.executable}' -m huggingface_api_handler"
        )
        command = [sys.executable, "-c", code] if kind == "python" else ["sh", "-e", "-c", code]
        done = subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False, timeout=300
        )
        assert done.returncode == 0, done.stderr
        if kind == "sh":
            assert done.stdout.startswith("dry run: 4 rows, 1 NULL or blank, ")
            assert "moods.parquet: 4 rows in " in done.stderr
        elif printed:
            assert done.stdout == printed


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
