"""What is gigabytes here and kilobytes on the wire takes no more of the memory than a few answers do."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.faults.conftest import ROOT
from tests.faults.hostile_bodies import KINDS
from tests.support.results import record

MAX_MEGABYTES = 400
ROWS = 16
KEPT = ("15 MB of text", "30 MB of an image")
"""Answers that a task can need, which are kept as predictions."""


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind not in KEPT])
def test_memory_is_bounded_for_all_requests_in_flight(kind: str, tmp_path: Path) -> None:
    out = tmp_path / "found.json"
    command = [sys.executable, "-m", "tests.faults.hostile_bodies", kind, str(ROWS), str(out)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, check=False, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads(out.read_text())
    record(f"hostile body: {kind}", found)
    assert found["megabytes"] < MAX_MEGABYTES, found
    assert "None" not in found["reasons"], "each row has its reason"
    assert max(map(len, found["reasons"])) <= 2000
