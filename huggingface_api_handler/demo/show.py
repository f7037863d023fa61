"""`make demo`: the SQL of examples/ run in order through a MindsDB that is started for it.

Without a token a local inference server answers; with `HF_TOKEN` in the environment Hugging Face does. Only the
CREATE ML_ENGINE statement differs between the two.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any, Protocol

from ..console import text_table
from ..installation import RESTART, InstallationError, Report, install, uninstall
from ..installation.status import status
from .mindsdb_server import SQLError, Table, running_inference_server, running_mindsdb
from .processes import Progress, ServerError
from .sql_script import created_model, statements

LOCAL_ENGINE = "00_engine_local.sql"
HUGGING_FACE_ENGINE = "00_engine_hugging_face.sql"
WRITTEN_URL = "http://127.0.0.1:8900"
"""The address in examples/00_engine_local.sql, where `serve` listens by default; the demo's is another."""


SPARSELY = 15.0
"""Seconds between lines of progress where there is no terminal."""


class DemoError(RuntimeError):
    """The demo cannot run; the message says why and what to do."""


class Server(Protocol):
    """What of a running MindsDB the script needs."""

    def sql(self, statement: str) -> Table: ...

    def wait_for_model(self, name: str, project: str) -> float: ...


@dataclass(frozen=True)
class Summary:
    """What a run of the script came to: statements, rows in their answers, seconds."""

    statements: int
    rows: int
    seconds: float


def run_demo(examples: Path | None = None) -> int:
    """Run the demo; 0, or 1 where something failed. What it starts and installs is gone afterwards."""
    folder = examples or Path(__file__).resolve().parents[2] / "examples"
    started = time.monotonic()
    try:
        with _terminable(), contextlib.ExitStack() as stack:
            with_token = bool(os.environ.get("HF_TOKEN"))
            script = demo_script(folder, with_token=with_token)
            stack.enter_context(installed())
            waiting = progress()
            address = None if with_token else stack.enter_context(running_inference_server(progress=waiting))
            print(f"Predictions come from {address or 'Hugging Face, with the token in HF_TOKEN'}.", flush=True)
            server = stack.enter_context(running_mindsdb(progress=waiting, with_token=with_token))
            print(f"MindsDB answers at {server.url} ({time.monotonic() - started:.0f} s).", flush=True)
            server.upload(folder / "reviews.csv", "reviews")
            try:
                done = run_script(server, [_at(each, address) for each in script])
            except SQLError:
                print(f"\nMindsDB's log: {server.log}", file=sys.stderr)
                raise
    except (DemoError, InstallationError, ServerError, SQLError) as problem:
        print(f"\nThe demo stopped: {problem}", file=sys.stderr)
        return 1
    print(
        f"\n{done.statements} statements, {done.rows:,} rows, {done.seconds:.1f} s "
        f"({time.monotonic() - started:.0f} s with starting and stopping)."
    )
    return 0


def demo_script(folder: Path, *, with_token: bool) -> list[str]:
    """The statements of the examples in order, with the engine that fits. Raises DemoError."""
    files = sorted(folder.glob("[0-9]*.sql"))
    if not files or not (folder / "reviews.csv").is_file():
        raise DemoError(
            f"There are no examples in {folder}. They are in the source repository, not in the installed "
            "package: `python -m huggingface_api_handler demo --examples PATH/TO/examples`."
        )
    skipped = LOCAL_ENGINE if with_token else HUGGING_FACE_ENGINE
    return [each for file in files if file.name != skipped for each in statements(file.read_text(encoding="utf-8"))]


def run_script(server: Server, script: list[str]) -> Summary:
    """Print and run each statement, waiting for models to be created. Raises SQLError with the reason."""
    started, rows = time.monotonic(), 0
    for statement in script:
        print(f"\n{statement};\n", flush=True)
        began = time.monotonic()
        answer = server.sql(statement)
        model = created_model(statement)
        if model is not None:
            project, name = model
            server.wait_for_model(name, project)
            print(f"  model {project}.{name} is complete ({time.monotonic() - began:.1f} s)", flush=True)
        elif answer.columns:
            rows += len(answer.rows)
            print(text_table(answer.columns, answer.rows), flush=True)
            counted = f"{len(answer.rows):,} {'row' if len(answer.rows) == 1 else 'rows'}"
            print(f"  ({counted}, {time.monotonic() - began:.1f} s)", flush=True)
        else:
            print(f"  done ({time.monotonic() - began:.1f} s)", flush=True)
    return Summary(len(script), rows, time.monotonic() - started)


@contextlib.contextmanager
def installed() -> Iterator[None]:
    """This handler in MindsDB for the length of the block, and for good where it was there before."""
    was_there = status(try_import=False).active == "ours"
    try:
        _tell(install())
        yield
    finally:
        if not was_there:
            try:
                _tell(uninstall())
            except InstallationError as problem:  # must not hide why the demo stopped
                print(problem, file=sys.stderr)


def _tell(report: Report) -> None:
    for sentence in report.sentences:
        if sentence != RESTART:  # the demo starts a MindsDB of its own
            print(sentence, flush=True)


def progress() -> Progress:
    """Elapsed seconds: one line that is overwritten on a terminal, a line each 15 s elsewhere."""
    terminal, last = sys.stderr.isatty(), ("", 0.0)

    def show(name: str, elapsed: float) -> None:
        nonlocal last
        if terminal:
            print(f"\r  starting {name} ... {elapsed:3.0f} s \r", end="", file=sys.stderr, flush=True)
        elif name != last[0] or elapsed - last[1] >= SPARSELY:
            print(f"  starting {name} ... {elapsed:.0f} s", file=sys.stderr, flush=True)
            last = (name, elapsed)

    return show


@contextlib.contextmanager
def _terminable() -> Iterator[None]:
    """SIGTERM unwinds the stack like Ctrl-C does, so that nothing that was started is left behind."""

    def leave(_number: int, _frame: FrameType | None) -> Any:
        raise SystemExit(143)

    before = signal.signal(signal.SIGTERM, leave)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _at(statement: str, address: str | None) -> str:
    return statement if address is None else statement.replace(WRITTEN_URL, address)
