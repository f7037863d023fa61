"""Queries in a process of its own, by a clock that runs faster. It uses only what is public, so it runs on 0.1.0 too.

``python -m tests.support.fast_client`` reads a job of JSON from each line, and writes its result as a line.
"""

from __future__ import annotations

import json
import os
import queue
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from typing import Any

from tests.faults.clock import run_faster

SPEED = 50.0
"""A backoff of a second takes 20 ms."""

_ROOT = Path(__file__).parents[2]


class FastClient:
    """The process, started with the first job."""

    def __init__(self) -> None:
        self._home = tempfile.TemporaryDirectory()
        self._process: subprocess.Popen[str] | None = None
        self._lines: queue.SimpleQueue[str] = queue.SimpleQueue()

    def predict(
        self, columns: dict[str, list[Any]], using: dict[str, Any], engine: dict[str, Any], within_s: float
    ) -> Any:
        """``{"columns", "usage"}`` of a query, or ``{"raised", "message"}``. Fails where that takes too long."""
        process = self._process or self._start()
        assert process.stdin is not None
        process.stdin.write(json.dumps({"columns": columns, "using": using, "engine": engine}) + "\n")
        process.stdin.flush()
        try:
            line = self._lines.get(timeout=within_s)
        except queue.Empty:
            self.close()
            return {"raised": "nothing", "message": f"no end within {within_s:g} s"}
        return json.loads(line)

    def _start(self) -> subprocess.Popen[str]:
        keys = {"HF_TOKEN", "HUGGINGFACE_API_KEY", "HUGGINGFACE_TOKEN", "HUGGING_FACE_HUB_TOKEN"}
        environment = {name: value for name, value in os.environ.items() if name not in keys}
        self._process = process = subprocess.Popen(
            [sys.executable, "-m", "tests.support.fast_client"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=_ROOT,
            env={**environment, "HF_HOME": self._home.name, "PYTHONPATH": str(_ROOT)},
        )
        lines: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._lines = lines

        def read() -> None:
            for line in process.stdout or ():
                lines.put(line)

        threading.Thread(target=read, daemon=True).start()
        return process

    def close(self) -> None:
        """End the process."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None


def _serve() -> None:
    run_faster(SPEED)
    import logging

    import pandas as pd

    from huggingface_api_handler.inference import predict

    logging.disable()
    results = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what anything else prints is no result
    for line in sys.stdin:
        job = json.loads(line)
        try:
            got = predict(pd.DataFrame(job["columns"], dtype=object), job["using"], job["engine"])
            found = got.astype(object).where(got.notna(), None) if len(got) else got
            result: Any = {"columns": found.to_dict("list"), "usage": got.attrs["usage"]}
        except Exception as error:
            result = {"raised": type(error).__name__, "message": str(error)}
        results.write(json.dumps(result, default=str) + "\n")
        results.flush()


if __name__ == "__main__":
    _serve()
