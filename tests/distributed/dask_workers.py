"""A Dask cluster of processes, started from the shell as people start it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from distributed import Client

_TIMEOUT_S = 60


class Workers:
    """``dask scheduler`` and some ``dask worker`` on this machine, and a client of them.

    Args:
        folder: For their files and logs.
        count: How many workers, of one thread each.
        environment: Variables that only the workers have.
    """

    def __init__(self, folder: Path, count: int = 2, environment: Mapping[str, str] = {}) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._logs = folder / "log"
        found = folder / "scheduler.json"
        loopback = ("--host", "127.0.0.1", "--scheduler-file", str(found))
        self._processes = [self._start("scheduler", *loopback, "--port", "0", "--no-dashboard", "--no-show", more={})]
        alone = ("--nthreads", "1", "--no-nanny", "--no-dashboard", "--local-directory", str(folder))
        while not found.exists():  # which a worker would not wait for
            assert self._processes[0].poll() is None, self.log
        self.pids = []
        for _ in range(count):
            self._processes.append(self._start("worker", *loopback, *alone, more=environment))
            self.pids.append(self._processes[-1].pid)
        self.client = Client(scheduler_file=str(found), timeout=_TIMEOUT_S, set_as_default=True)
        self.client.wait_for_workers(count, timeout=_TIMEOUT_S)

    def _start(self, command: str, *arguments: str, more: Mapping[str, str]) -> subprocess.Popen[bytes]:
        with self._logs.open("ab") as log:
            return subprocess.Popen(
                [sys.executable, "-m", "dask", command, *arguments],
                env={**os.environ, "HF_HUB_OFFLINE": "1", **more},
                stdout=log,
                stderr=log,
            )

    @property
    def log(self) -> str:
        """What the scheduler and the workers have logged."""
        return self._logs.read_text("utf-8", "replace")

    def kill(self, worker: int) -> None:
        """End a worker at once, by its number."""
        os.kill(self.pids[worker], signal.SIGKILL)

    def close(self) -> None:
        """End all of them. A worker that is told to end while its scheduler does may never end, so none is told."""
        self.client.close()
        for process in reversed(self._processes):
            process.kill()
            process.wait()
