"""Workers: processes that predict slices of one table, as the machines of a cluster do.

``python -m tests.support.worker`` reads a ``Slice`` as JSON from a line, prints ``ready``, waits for another line, and
prints an ``Outcome``.
"""

from __future__ import annotations

import json
import logging
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from bench.measure import ROOT, client_environment
from bench.service import score

START_TIMEOUT_S = 60.0
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
        model: Arguments of the model besides task, column and target.
    """

    worker: str
    first: int
    end: int
    engine: dict[str, Any]
    model: dict[str, Any] = field(default_factory=dict)


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
        prefix: A command that runs it, such as one that sets its clock.
        environment: Variables that it gets besides those of every client.
    """

    def __init__(self, part: Slice, prefix: Sequence[str] = (), environment: dict[str, str] | None = None) -> None:
        self.part = part
        self._process = subprocess.Popen(
            [*prefix, sys.executable, "-m", "tests.support.worker"],
            cwd=ROOT,
            env={**client_environment(), **(environment or {})},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._say(json.dumps(asdict(part)))

    def _say(self, line: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()

    def wait_until_ready(self) -> None:
        """Wait until everything is imported."""
        assert self._process.stdout is not None
        if self._process.stdout.readline() != "ready\n":
            raise RuntimeError(self._process.communicate()[1][-2000:])

    def go(self) -> None:
        """Begin the query."""
        self._say("go")

    def kill(self) -> None:
        """End it with SIGKILL, and wait for its end."""
        self._process.kill()
        self._process.communicate()

    def outcome(self, within_s: float) -> Outcome:
        """Wait for its end.

        Args:
            within_s: Seconds after which it is killed.

        Returns:
            What became of the slice.

        Raises:
            RuntimeError: It ended without saying so.
            subprocess.TimeoutExpired: It took too long.
        """
        try:
            out, errors = self._process.communicate(timeout=within_s)
        except subprocess.TimeoutExpired:
            self.kill()
            raise
        if self._process.returncode != 0:
            raise RuntimeError(errors[-2000:])
        return Outcome(**json.loads(out.splitlines()[-1]))


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
    using = {"task": "text-classification", "column": "text", "target": "y", "model": "m", **part.model}
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


def _import_for(worker: str) -> None:
    """Import what a query needs, and send the worker's name with each request."""
    import pandas  # noqa: F401

    import huggingface_api_handler.inference  # noqa: F401
    from huggingface_api_handler.inference.protocols import routing

    vars(routing)["user_agent_headers"] = lambda: {"user-agent": worker}


def _main() -> None:
    part = Slice(**json.loads(sys.stdin.readline()))
    _import_for(part.worker)
    print("ready", flush=True)  # noqa: T201 -- a command prints
    if sys.stdin.readline() == "go\n":
        print(json.dumps(asdict(predict_slice(part))), flush=True)  # noqa: T201 -- a command prints


if __name__ == "__main__":
    _main()
