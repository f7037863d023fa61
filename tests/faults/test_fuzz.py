"""A slice of the fuzzing that ``make fuzz`` runs for ten minutes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from tests.faults.conftest import ROOT
from tests.faults.results import record

SECONDS = float(os.environ.get("FUZZ_SECONDS", "10"))


def test_no_answer_raises_loses_or_misplaces_anything(tmp_path: Path) -> None:
    out = tmp_path / "fuzz.json"
    command = [sys.executable, "-m", "tests.faults.fuzz_answers", str(SECONDS), str(out)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, check=False, text=True, timeout=SECONDS + 300)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-6000:]
    found = json.loads(out.read_text())
    assert all(count >= 100 for count in found["executions"].values()), found
    record("fuzz answers", found)
