"""One query of a process of its own through a plan, and what became of its rows."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.faults.conftest import ROOT, FaultyService
from tests.faults.oracle import fewest_requests
from tests.faults.plan import Plan, table


@dataclass
class Run:
    """A query that went through a plan: its rows, its usage, and what the service says of it."""

    plan: Plan
    cells: list[str | None]
    got: dict[str, Any]
    state: dict[str, Any]

    @property
    def oracle(self) -> int:
        """The requests of an oracle that is told the plan."""
        return fewest_requests(self.plan, self.cells, self.plan.largest)

    @property
    def ratio(self) -> float:
        sent = self.state["requests"] - self.state["met"].get("away", 0)
        return float(sent / self.oracle)


def run_plan(plan: Plan, rows: int, faulty: FaultyService, folder: Path) -> Run:
    """Predict so many rows, in a process that has stored nothing before."""
    out = folder / "out.json"
    command = [sys.executable, "-m", "tests.faults.client", faulty.url(plan), str(rows), str(out)]
    subprocess.run(command, cwd=ROOT, check=True, timeout=120 + rows / 50)
    return Run(plan, table(rows), json.loads(out.read_text()), faulty.state(plan))


def assert_right(run: Run) -> None:
    """Every row has its right answer or a reason, and none is misplaced."""
    for cell, explain, reason in zip(run.cells, run.got["explain"], run.got["error"], strict=True):
        if cell is None:
            assert explain is None
            assert reason is None
        elif reason is None:
            assert explain == {each["label"]: each["score"] for each in run.plan.answer(cell)}, cell
        else:
            assert explain is None
            assert len(reason) > len("rejected input 400: ")


def figures(run: Run) -> dict[str, Any]:
    met = {
        kind: count for kind, count in run.state["met"].items() if kind not in ("answered", "no batches", "too large")
    }
    return {
        "rows": len(run.cells),
        "seed": run.plan.seed,
        "requests": run.state["requests"],
        "oracle_requests": run.oracle,
        "ratio": round(run.ratio, 3),
        "faults": {kind: count for kind, count in met.items() if kind != "poisoned"},
        "refusals_of_poisoned": met.get("poisoned", 0),
        "rows_with_reason": sum(reason is not None for reason in run.got["error"]),
        "peak_megabytes": round(run.got["megabytes_peak"]),
        "megabytes_before": round(run.got["megabytes_before"]),
        "seconds": round(run.got["seconds"], 1),
    }
