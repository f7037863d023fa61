"""Starts the workers of a job, replaces those that die, and writes the output once all units are done."""

from __future__ import annotations

import contextlib
import queue
import secrets
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

import orjson

from ...inference.telemetry.usage import Usage
from .claims import Claims, renewing
from .drain import MAX_DRAIN_S
from .job import Job
from .output import failures_in, join
from .parts import done_units, total_usage
from .worker import Message

_WORKER_MODULE = f"{__package__}.worker"

_WORKER_POLL_INTERVAL_S = 0.2
_LOOK_INTERVAL_S = 1.0
"""Between two looks at what other machines have done, and at whose claims are lost."""

_MORE_DEATHS = 2
"""Workers that may die beyond one for each, without any unit done between, before the job is given up."""

_STOP_TIMEOUT_S = MAX_DRAIN_S + 5.0
"""For workers to end by themselves: what is on its way, and the store."""

_RUN_ID_BYTES = 8

_JOIN = -1
"""The number under which the writing of the output is claimed."""

Say = Callable[[str], None]
"""Tells the person something."""


class Progress(NamedTuple):
    """How far a job is.

    Attributes:
        rows: Rows that are done.
        failures: Rows without a prediction in this run, by the kind of failure.
    """

    rows: int
    failures: Counter[str]


class Outcome(NamedTuple):
    """How a run of a job ended.

    Attributes:
        is_written: Whether the output is there.
        rows: Rows that are done.
        failures: Rows of the output without a prediction, by the kind of failure.
        usage: What was used, also in earlier runs; None where nothing was.
        stopped: Why it ended before all was done.
    """

    is_written: bool
    rows: int
    failures: Counter[str]
    usage: Usage | None
    stopped: str | None = None


@dataclass
class _Running:
    """A worker process."""

    number: int
    process: subprocess.Popen[bytes]
    reader: threading.Thread
    units: dict[int, Message] = field(default_factory=dict)


class Supervisor:
    """Runs one job.

    Args:
        job: Whose folder of parts is open.
        say: Tells the person something.
        show: Is called with the progress.

    Attributes:
        is_stopping: Set it to end the run: workers end with what is on its way.
    """

    def __init__(self, job: Job, say: Say, show: Callable[[Progress], None]) -> None:
        self.is_stopping = threading.Event()
        self._job, self._workers, self._say, self._show = job, job.arguments.workers, say, show
        self._claims = Claims(job.claims)
        self._messages: queue.Queue[tuple[_Running, Message]] = queue.Queue()
        self._running: list[_Running] = []
        self._done = done_units(job.parts)
        self._failures: Counter[str] = Counter()
        self._run_id = secrets.token_hex(_RUN_ID_BYTES)
        self._deaths = 0
        self._looked_at = float("-inf")
        self._is_waiting = False
        self._stopped: str | None = None

    def run(self, row_group_rows: int | None = None) -> Outcome:
        """Do what is left of the job.

        Args:
            row_group_rows: Rows of a row group of the output; None for those of the input.

        Returns:
            How it ended.
        """
        try:
            while not self._is_over():
                self._receive()
                self._reap()
                if time.monotonic() - self._looked_at >= _LOOK_INTERVAL_S:
                    self._look()
                self._show(self._progress())
        finally:
            self._stop_workers()
        if len(self._done) < len(self._job.units):
            return Outcome(False, self._rows_done(), Counter(), total_usage(self._job.parts), self._stopped)
        return self._finish(row_group_rows)

    def _is_over(self) -> bool:
        if self._stopped is not None or self.is_stopping.is_set():
            return True
        return len(self._done) == len(self._job.units)

    def _receive(self) -> None:
        """Take the messages of workers, and wait a little where there are none."""
        timeout: float | None = _WORKER_POLL_INTERVAL_S
        with contextlib.suppress(queue.Empty):
            while True:
                self._take(*self._messages.get(timeout=timeout) if timeout else self._messages.get_nowait())
                timeout = None

    def _take(self, worker: _Running, message: Message) -> None:
        if message.stopped is not None:
            self._stopped = self._stopped or message.stopped
            return
        if message.unit is None:
            return
        if message.is_done:
            worker.units.pop(message.unit, None)
            self._done.add(message.unit)
            self._failures.update(message.failures)
            self._deaths = 0
        else:
            worker.units[message.unit] = message

    def _reap(self) -> None:
        """Tell of workers that died. Those without work have ended by themselves."""
        for worker in [each for each in self._running if each.process.poll() is not None]:
            worker.reader.join()  # of what it said, nothing is left out
            self._receive_all()
            self._running.remove(worker)
            _close(worker)
            status = worker.process.returncode
            self._looked_at = float("-inf")
            if status == 0 or self.is_stopping.is_set():
                continue
            self._deaths += 1
            how = f"was killed by {_signal_name(-status)}" if status < 0 else f"ended with status {status}"
            if self._deaths > self._workers + _MORE_DEATHS:
                self._stopped = (
                    f"Worker {worker.number + 1} {how}, the last of {self._deaths} with no rows done between"
                )
            else:
                self._say(f"Worker {worker.number + 1} {how}. Another one takes over its rows.")

    def _receive_all(self) -> None:
        with contextlib.suppress(queue.Empty):
            while True:
                self._take(*self._messages.get_nowait())

    def _look(self) -> None:
        """See what is done, also by other machines, and start workers where there is work for them."""
        self._looked_at = time.monotonic()
        try:
            self._done |= done_units(self._job.parts)
            left_over = [unit.number for unit in self._job.units if unit.number not in self._done]
            free = self._claims.free(left_over)
        except FileNotFoundError:  # another machine has written the output, and removed the folder
            self._done = {unit.number for unit in self._job.units}
            return
        numbers = sorted(set(range(self._workers)) - {worker.number for worker in self._running})
        for number, _ in zip(numbers, free, strict=False):
            self._start(number)
        if left_over and not self._running and not self._is_waiting:
            self._is_waiting = True
            self._say(f"Other machines work on what is left, {len(left_over):,} parts. Waiting for them.")

    def _start(self, number: int) -> None:
        arguments = self._job.arguments._replace(run=self._run_id)
        process = subprocess.Popen(  # noqa: S603 - this program itself, and no shell
            [sys.executable, "-m", _WORKER_MODULE],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,  # so Ctrl-C comes here alone
        )
        worker = _Running(number, process, threading.Thread(target=lambda: self._read(worker), daemon=True))
        self._running.append(worker)
        self._is_waiting = False
        if process.stdin is not None:
            with contextlib.suppress(BrokenPipeError):  # it died at once, which is told of as of any other
                process.stdin.write(orjson.dumps(arguments._asdict()) + b"\n")
                process.stdin.flush()
        worker.reader.start()

    def _read(self, worker: _Running) -> None:
        for line in worker.process.stdout or ():
            with contextlib.suppress(ValueError, TypeError):  # a line that a kill cut off
                self._messages.put((worker, Message(**orjson.loads(line))))

    def _progress(self) -> Progress:
        failures = self._failures.copy()
        rows = self._rows_done()
        for worker in self._running:
            for message in worker.units.values():
                rows += message.rows
                failures.update(message.failures)
        return Progress(rows, failures)

    def _rows_done(self) -> int:
        units = self._job.units
        return sum(units[number].rows for number in self._done)

    def _stop_workers(self) -> None:
        """Have workers end by themselves, then by force. A second Ctrl-C comes to the latter at once."""
        try:
            for worker in self._running:
                if worker.process.stdin is not None:
                    with contextlib.suppress(BrokenPipeError):
                        worker.process.stdin.close()
            deadline = time.monotonic() + _STOP_TIMEOUT_S
            for worker in self._running:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    worker.process.wait(max(0.0, deadline - time.monotonic()))
        finally:
            for worker in self._running:
                worker.process.kill()
                worker.process.wait()
                worker.reader.join()
                _close(worker)
            self._receive_all()

    def _finish(self, row_group_rows: int | None) -> Outcome:
        """Write the output, or wait for the machine that does."""
        job = self._job
        with contextlib.suppress(FileNotFoundError):  # another machine has removed the folder
            while job.parts.exists():
                self._claims.free([_JOIN])  # where the one that wrote it was killed
                if self._claims.take(_JOIN):
                    job.source.check_unchanged()
                    with renewing(self._claims):
                        failures = join(job, row_group_rows)
                    usage = total_usage(job.parts)
                    job.remove_parts()
                    return Outcome(True, job.source.rows, failures, usage)
                if self.is_stopping.wait(_LOOK_INTERVAL_S):
                    return Outcome(False, job.source.rows, Counter(), None)
        self._say("Another machine wrote the output.")
        return Outcome(True, job.source.rows, failures_in(job), None)


def _close(worker: _Running) -> None:
    for pipe in (worker.process.stdin, worker.process.stdout):
        if pipe is not None:
            with contextlib.suppress(BrokenPipeError):
                pipe.close()


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
