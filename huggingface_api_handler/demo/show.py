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
from typing import NoReturn, Protocol

from ..console import text_table
from ..installation import RESTART, InstallationError, Report, install, uninstall
from ..installation.status import status
from .mindsdb_server import SQLError, Table, running_inference_server, running_mindsdb
from .processes import Progress, ServerError
from .sql_script import created_model, statements

LOCAL_ENGINE = "00_engine_local.sql"
HUGGING_FACE_ENGINE = "00_engine_hugging_face.sql"
EXAMPLE_URL = "http://127.0.0.1:8900"
"""The address in examples/00_engine_local.sql, where `serve` listens by default; the demo's server has another."""

PROGRESS_INTERVAL_S = 15.0
"""Between two lines of progress where there is no terminal: few enough for the log of a build."""

EXIT_TERMINATED = 143
"""128 + SIGTERM, as shells report it."""


class DemoError(RuntimeError):
    """The demo cannot run; the message says why and what to do."""


class Server(Protocol):
    """What the script needs of a running MindsDB."""

    def sql(self, statement: str) -> Table:
        """Run one statement.

        Args:
            statement: The statement, without a semicolon.

        Returns:
            Its result.

        Raises:
            SQLError: It was refused.
            ServerError: Nothing answers.
        """

    def wait_for_model(self, name: str, project: str) -> float:
        """Wait until CREATE MODEL is done.

        Args:
            name: The model's name.
            project: The project it is in.

        Returns:
            The seconds it took.

        Raises:
            SQLError: The model failed, or was not done in time.
            ServerError: Nothing answers.
        """


@dataclass(frozen=True)
class Summary:
    """What a run of the script came to.

    Attributes:
        statements: How many statements were run.
        rows: How many rows their results had, together.
        seconds: How long they took.
    """

    statements: int
    rows: int
    seconds: float


def run_demo(examples: Path | None = None) -> int:
    """Run the demo. What it starts and installs is gone afterwards.

    Args:
        examples: Folder with the .sql files; by default the checkout's.

    Returns:
        The exit status: 1 where something failed, with the reason on stderr, else 0.

    Raises:
        SystemExit: SIGTERM came; the exit status is 143.
    """
    folder = examples_folder(examples)
    started = time.monotonic()
    try:
        with terminable(), contextlib.ExitStack() as stack:
            with_token = bool(os.environ.get("HF_TOKEN"))
            script = demo_script(folder, with_token=with_token)
            stack.enter_context(installed())
            show_progress = progress()
            url = None if with_token else stack.enter_context(running_inference_server(progress=show_progress))
            print(f"Predictions come from {url or 'Hugging Face, with the token in HF_TOKEN'}.", flush=True)
            server = stack.enter_context(running_mindsdb(progress=show_progress, with_token=with_token))
            print(f"MindsDB answers at {server.url} ({time.monotonic() - started:.0f} s).", flush=True)
            server.upload(folder / "reviews.csv", "reviews")
            try:
                summary = run_script(server, [_with_url(statement, url) for statement in script])
            except SQLError:
                print(f"\nMindsDB's log: {server.log}", file=sys.stderr)
                raise
    except (DemoError, InstallationError, ServerError, SQLError) as error:
        print(f"\nThe demo stopped: {error}", file=sys.stderr)
        return 1
    print_summary(summary, time.monotonic() - started)
    return 0


def examples_folder(given: Path | None) -> Path:
    """Say where the examples are.

    Args:
        given: The folder that the person named, if any.

    Returns:
        That folder, or else the checkout's.
    """
    return given or Path(__file__).resolve().parents[2] / "examples"


def demo_script(folder: Path, *, with_token: bool) -> list[str]:
    """Read the statements of the examples in order.

    Args:
        folder: The folder with the .sql files.
        with_token: Take the engine of Hugging Face; otherwise that of the local server.

    Returns:
        The statements, without semicolons.

    Raises:
        DemoError: The folder has no examples.
    """
    files = sorted(folder.glob("[0-9]*.sql"))
    if not files or not (folder / "reviews.csv").is_file():
        raise DemoError(
            f"There are no examples in {folder}. They are in the source repository, not in the installed "
            "package: `python -m huggingface_api_handler demo --examples PATH/TO/examples`."
        )
    skipped = LOCAL_ENGINE if with_token else HUGGING_FACE_ENGINE
    return [
        statement
        for file in files
        if file.name != skipped
        for statement in statements(file.read_text(encoding="utf-8"))
    ]


def run_script(server: Server, script: list[str]) -> Summary:
    """Print and run each statement, waiting for models to be created.

    Args:
        server: The MindsDB to run them on.
        script: The statements.

    Returns:
        What it came to.

    Raises:
        SQLError: A statement was refused, or a model failed.
        ServerError: Nothing answers.
    """
    started, rows = time.monotonic(), 0
    for statement in script:
        print(f"\n{statement};\n", flush=True)
        statement_started = time.monotonic()
        result = server.sql(statement)
        model = created_model(statement)
        if model is not None:
            project, name = model
            server.wait_for_model(name, project)
            print(f"  model {project}.{name} is complete ({time.monotonic() - statement_started:.1f} s)", flush=True)
        elif result.columns:
            rows += len(result.rows)
            print(text_table(result.columns, result.rows), flush=True)
            row_count = f"{len(result.rows):,} {'row' if len(result.rows) == 1 else 'rows'}"
            print(f"  ({row_count}, {time.monotonic() - statement_started:.1f} s)", flush=True)
        else:
            print(f"  done ({time.monotonic() - statement_started:.1f} s)", flush=True)
    return Summary(len(script), rows, time.monotonic() - started)


def print_summary(summary: Summary, seconds: float) -> None:
    """Print what a run came to.

    Args:
        summary: Of the script.
        seconds: How long all of it took.
    """
    print(
        f"\n{summary.statements} statements, {summary.rows:,} rows, {summary.seconds:.1f} s "
        f"({seconds:.0f} s with starting and stopping)."
    )


@contextlib.contextmanager
def installed() -> Iterator[None]:
    """Install this handler into MindsDB for the length of the block; it stays where it was active before."""
    was_active = status(try_import=False).active == "ours"
    try:
        _print_report(install())
        yield
    finally:
        if not was_active:
            try:
                _print_report(uninstall())
            except InstallationError as error:  # must not hide why the demo stopped
                print(error, file=sys.stderr)


def _print_report(report: Report) -> None:
    for sentence in report.sentences:
        if sentence != RESTART:  # the demo starts a MindsDB of its own
            print(sentence, flush=True)


def progress() -> Progress:
    """Show the seconds that a start takes.

    Returns:
        A function that overwrites one line of a terminal; where there is none it prints a line each 15 s.
    """
    is_terminal, last = sys.stderr.isatty(), ("", 0.0)

    def show(name: str, elapsed: float) -> None:
        nonlocal last
        if is_terminal:
            print(f"\r  starting {name} ... {elapsed:3.0f} s \r", end="", file=sys.stderr, flush=True)
        elif name != last[0] or elapsed - last[1] >= PROGRESS_INTERVAL_S:
            print(f"  starting {name} ... {elapsed:.0f} s", file=sys.stderr, flush=True)
            last = (name, elapsed)

    return show


@contextlib.contextmanager
def terminable() -> Iterator[None]:
    """Let SIGTERM unwind the stack as Ctrl-C does, so that nothing that was started is left behind.

    Yields:
        Nothing.

    Raises:
        SystemExit: SIGTERM came; the exit status is 143.
    """

    def terminate(_signal_number: int, _frame: FrameType | None) -> NoReturn:
        raise SystemExit(EXIT_TERMINATED)

    previous = signal.signal(signal.SIGTERM, terminate)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, previous)


def _with_url(statement: str, url: str | None) -> str:
    return statement if url is None else statement.replace(EXAMPLE_URL, url)
