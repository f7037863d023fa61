"""Workers: processes that predict slices of one table, as the machines of a cluster do.

``python -m tests.support.worker SOCKET`` is one, with the file descriptor of a socket: it reads a ``Slice`` as JSON from
a line, says its process id once all is imported, waits for another line, and sends an ``Outcome``. With ``forks`` it
imports first and then forks a worker for each socket that it is sent, which takes no second.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from bench.measure import ROOT, client_environment
from bench.service import score

_START_TIMEOUT_S = 120.0
SCORE_TOLERANCE = 2e-6
_MAX_EXAMPLES = 5


def text_of(number: int) -> str:
    """The text of a row of the table.

    Args:
        number: From 0.

    Returns:
        A text that no other row has.
    """
    return f"row {number} of the table"


@dataclass(frozen=True)
class Slice:
    """What one worker predicts: rows ``first`` to ``end``, the last one excluded, with what the engine is told.

    Attributes:
        worker: Its name, by which the service knows it.
        first: The number of the first row.
        end: The number after the last row.
        engine: Arguments of the engine.
        environment: Variables that it gets besides those of every client.
    """

    worker: str
    first: int
    end: int
    engine: dict[str, Any]
    environment: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Outcome:
    """What became of a slice.

    Attributes:
        rows: How many rows came back.
        wrong: Some of the rows with another answer than theirs.
        unanswered: Some of the rows without an answer, with the reason.
        usage: As ``predict`` tells it.
        seconds: How long it took.
        warnings: What the package logged as a warning, each once.
        raised: The exception that ended it, empty where none did.
    """

    rows: int = 0
    wrong: list[str] = field(default_factory=list)
    unanswered: list[str] = field(default_factory=list)
    usage: dict[str, Any] = field(default_factory=dict)
    seconds: float = 0.0
    warnings: list[str] = field(default_factory=list)
    raised: str = ""


class Worker:
    """A process that predicts a slice.

    Args:
        part: What it predicts.
        forks: What forks it. None: it is a program of its own.
        prefix: The command that runs that program, such as one that sets its clock.
    """

    def __init__(self, part: Slice, forks: WorkerForks | None = None, prefix: Sequence[str] = ()) -> None:
        self.part = part
        self._pid: int | None = None
        self._socket, theirs = socket.socketpair()
        self._lines = self._socket.makefile("rw")
        self._program: subprocess.Popen[bytes] | None = None
        with theirs:
            if forks is not None and not prefix:
                forks.fork(theirs)
            else:
                self._program = _start(theirs, prefix)
        self._say(json.dumps(asdict(part)))

    def _say(self, line: str) -> None:
        self._lines.write(line + "\n")
        self._lines.flush()

    def _hear(self, within_s: float) -> str:
        """The next line; empty where the worker has ended."""
        self._socket.settimeout(within_s)
        try:
            return self._lines.readline()
        except ConnectionResetError:
            return ""

    def wait_until_ready(self) -> None:
        """Wait until everything is imported.

        Raises:
            RuntimeError: It ended. What it said is in the standard error stream.
        """
        line = self._hear(_START_TIMEOUT_S)
        if not line:
            raise RuntimeError(f"{self.part.worker} did not start")
        self._pid = int(line)

    def go(self) -> None:
        """Begin the query."""
        self._say("go")

    def kill(self) -> None:
        """End it with SIGKILL, and wait for its end."""
        if self._pid is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._pid, signal.SIGKILL)
            while self._hear(_START_TIMEOUT_S):
                pass
        self.close()

    def close(self) -> None:
        """Let go of it. A worker that has not begun ends by itself."""
        self._pid = None
        self._lines.close()
        self._socket.close()
        if self._program is not None:
            self._program.wait(_START_TIMEOUT_S)

    def outcome(self, within_s: float) -> Outcome:
        """Wait for its end.

        Args:
            within_s: Seconds after which it is killed.

        Returns:
            What became of the slice.

        Raises:
            RuntimeError: It ended without saying so.
            TimeoutError: It took too long.
        """
        try:
            line = self._hear(within_s)
            if not line:
                raise RuntimeError(f"{self.part.worker} ended without an outcome")
            if self._hear(within_s):
                raise RuntimeError(f"{self.part.worker} said more than its outcome")
        except BaseException:
            self.kill()
            raise
        self.close()
        return Outcome(**json.loads(line))


class WorkerForks:
    """A process that has imported everything, and forks workers."""

    def __init__(self) -> None:
        self._socket, theirs = socket.socketpair()
        with theirs:
            self._program = _start(theirs, (), "forks")

    def fork(self, theirs: socket.socket) -> None:
        """Fork a worker.

        Args:
            theirs: The worker's end of its socket.
        """
        socket.send_fds(self._socket, [b"fork"], [theirs.fileno()])

    def close(self) -> None:
        """End it. Its workers stay."""
        self._socket.close()
        self._program.wait(_START_TIMEOUT_S)


@contextlib.contextmanager
def worker_forks() -> Iterator[WorkerForks]:
    """Have one for the length of the block."""
    forks = WorkerForks()
    try:
        yield forks
    finally:
        forks.close()


def _start(theirs: socket.socket, prefix: Sequence[str], *more: str) -> subprocess.Popen[bytes]:
    """Run this module as a program, which ends with the other end of its socket."""
    return subprocess.Popen(
        [*prefix, sys.executable, "-m", "tests.support.worker", str(theirs.fileno()), *more],
        cwd=ROOT,
        env=client_environment(),
        stdin=subprocess.DEVNULL,
        pass_fds=[theirs.fileno()],
    )


class _Collected(logging.Handler):
    """Keeps warnings."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.messages: dict[str, None] = {}

    def emit(self, record: logging.LogRecord) -> None:
        self.messages[record.getMessage()[:300]] = None


def predict_slice(part: Slice) -> Outcome:
    """Predict a slice in this process, and check each row.

    Args:
        part: What to predict.

    Returns:
        What became of it.
    """
    import pandas as pd

    from huggingface_api_handler.inference import predict

    collected = _Collected()
    logging.getLogger().addHandler(collected)
    texts = [text_of(number) for number in range(part.first, part.end)]
    using = {"task": "text-classification", "column": "text", "target": "y", "model": "m"}
    started = time.monotonic()
    try:
        out = predict(pd.DataFrame({"text": texts}), using, part.engine)
    except Exception as error:
        seconds = time.monotonic() - started
        return Outcome(seconds=seconds, warnings=list(collected.messages), raised=f"{type(error).__name__}: {error}")
    seconds = time.monotonic() - started
    wrong, unanswered = [], []
    for text, shares, reason in zip(texts, out["y_explain"], out["y_error"], strict=True):
        if not isinstance(shares, dict):
            unanswered.append(f"{text}: {reason}")
        elif abs(shares["POSITIVE"] - score(text)) > SCORE_TOLERANCE:
            wrong.append(text)
    usage = json.loads(json.dumps(out.attrs["usage"], default=str))
    return Outcome(
        len(out), wrong[:_MAX_EXAMPLES], unanswered[:_MAX_EXAMPLES], usage, seconds, list(collected.messages)
    )


def _import_all() -> None:
    """Import what a query needs, what its first use imports included: eight workers on two cores would take a second."""
    import huggingface_hub.file_download  # noqa: F401
    import pandas  # noqa: F401

    import huggingface_api_handler.inference
    import huggingface_api_handler.inference.flow_control.redis_ledger
    import huggingface_api_handler.inference.storage.redis_tables  # noqa: F401


def _serve(told: socket.socket) -> None:
    """Be the worker at the other end of a socket."""
    lines = told.makefile("rw")
    part = Slice(**json.loads(lines.readline()))
    os.environ.update(part.environment)
    _import_all()
    from huggingface_api_handler.inference.protocols import routing

    vars(routing)["user_agent_headers"] = lambda: {"user-agent": part.worker}  # the service's log has it
    lines.write(f"{os.getpid()}\n")
    lines.flush()
    if lines.readline() == "go\n":
        lines.write(json.dumps(asdict(predict_slice(part))) + "\n")
        lines.flush()


def _fork_workers(told: socket.socket) -> None:
    """Fork a worker for each socket that comes, until the other end is closed."""
    _import_all()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody asks how they ended
    while True:
        message, descriptors, _, _ = socket.recv_fds(told, 100, 1)
        if not message:
            return
        worker = socket.socket(fileno=descriptors[0])
        if os.fork() == 0:
            told.close()
            _serve(worker)
            return
        worker.close()


if __name__ == "__main__":
    _told = socket.socket(fileno=int(sys.argv[1]))
    (_fork_workers if "forks" in sys.argv else _serve)(_told)
