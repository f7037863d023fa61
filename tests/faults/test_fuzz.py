"""A slice of the fuzzing that ``make fuzz`` runs for ten minutes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.faults.conftest import ROOT
from tests.support.results import record

SECONDS = float(os.environ.get("FUZZ_SECONDS", "5"))


def fuzzed(target: str, out: Path) -> dict[str, Any]:
    """What ``tests.faults.fuzz_<target>`` tried. What it found fails the test."""
    command = [sys.executable, "-m", f"tests.faults.fuzz_{target}", str(SECONDS), str(out)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, check=False, text=True, timeout=SECONDS + 300)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-6000:]
    found: dict[str, Any] = json.loads(out.read_text())
    assert all(count >= 100 for count in found["executions"].values()), found
    record(f"fuzz {target}", found)
    return found


def test_no_answer_raises_loses_or_misplaces_anything(tmp_path: Path) -> None:
    fuzzed("answers", tmp_path / "fuzz.json")


def test_no_hostile_body_takes_more_than_its_row(tmp_path: Path) -> None:
    fuzzed("bodies", tmp_path / "fuzz.json")


@pytest.mark.parametrize("target", ["answers", "protocols", "addresses", "statements"])
def test_nothing_that_coverage_leads_to_raises(target: str, tmp_path: Path) -> None:
    pytest.importorskip("atheris", reason="NOT FUZZED: the extra fuzz is not installed")
    out = tmp_path / "fuzz.json"
    command = [sys.executable, "-m", "tests.faults.fuzz_parsers", target, str(SECONDS), str(out)]
    done = subprocess.run(command, cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, check=False, text=True, timeout=SECONDS + 300)  # fmt: skip
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-6000:]
    assert json.loads(out.read_text())["executions"][target] >= 100


def test_no_argument_or_cell_brings_more_than_a_sentence(tmp_path: Path) -> None:
    found = fuzzed("arguments", tmp_path / "fuzz.json")
    assert all(found["outcomes"][f"{target}: taken"] >= 10 for target in found["executions"]), found["outcomes"]
