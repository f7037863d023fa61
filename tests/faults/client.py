"""One query in a process of its own, so that its memory can be told, by a clock that runs ``SPEED`` times faster.

Backoff, pauses, patience and timeouts all keep their proportions.
``python -m tests.faults.client <url> <rows> <out.json>``.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import time
from pathlib import Path

from tests.faults.clock import real, run_faster

SPEED = 20.0
TIMEOUT = 40.0
"""Seconds of that clock which one request may take: two of ours."""
IN_FLIGHT = 64

_MEGABYTE = 1024  # ru_maxrss counts kilobytes


class WallClock:
    """The module ``time`` for what this client tells its peers, by its own faster clock."""

    @staticmethod
    def time() -> float:
        return time.monotonic()


def run(url: str, rows: int, out: Path) -> None:
    """Predict ``rows`` rows of the plan's table, and write what came of them, the usage and the memory."""
    run_faster(SPEED)
    os.environ["HF_HOME"] = str(out.parent)  # nothing stored or measured before
    import pandas as pd

    from huggingface_api_handler.inference import predict
    from huggingface_api_handler.inference.flow_control import sqlite_ledger
    from tests.faults.plan import table

    vars(sqlite_ledger)["time"] = WallClock  # what processes tell each other is in wall-clock time
    frame = pd.DataFrame({"text": table(rows)})
    using = {"task": "text-classification", "column": "text", "target": "y"}
    before, started = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, real()
    got = predict(frame, using, {"endpoint": url, "max_concurrency": IN_FLIGHT, "timeout": TIMEOUT})
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    result = {
        "seconds": real() - started,
        "megabytes_before": before / _MEGABYTE,
        "megabytes_peak": peak / _MEGABYTE,
        "usage": got.attrs["usage"],
        "explain": list(got["y_explain"]),
        "error": list(got["y_error"]),
    }
    out.write_text(json.dumps(result))


if __name__ == "__main__":
    run(sys.argv[1], int(sys.argv[2]), Path(sys.argv[3]))
