"""`make demo-embedded`: the same SQL run in this process, on DuckDB, without MindsDB.

Without a token the local inference server answers, which `endpoint = 'local'` starts as a child; with `HF_TOKEN` in the
environment Hugging Face does.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

from ..errors import InferenceError, InputError
from ..sql import Connection, connect
from .mindsdb_server import SQLError, Table
from .show import EXAMPLE_URL, DemoError, demo_script, examples_folder, print_summary, run_script, terminable

_EXAMPLE_ENDPOINT = f"'{EXAMPLE_URL}/models'"
_LOCAL_ENDPOINT = "'local'"


class Embedded:
    """A connection as ``run_script`` wants a server.

    Attributes:
        first_prediction_s: Seconds from its making to the end of the first statement that asked a model.
    """

    def __init__(self, connection: Connection) -> None:
        """Run statements on a connection.

        Args:
            connection: The connection, which stays open.
        """
        self._connection = connection
        self._started = time.monotonic()
        self.first_prediction_s: float | None = None

    def sql(self, statement: str) -> Table:
        """Run one statement.

        Args:
            statement: The statement.

        Returns:
            Its result.

        Raises:
            SQLError: It was refused, or no prediction could be made.
        """
        import duckdb

        try:
            result = self._connection.sql(statement)
            table = Table(result.columns, [list(row) for row in result.fetchall()])
        except (InputError, InferenceError, duckdb.Error) as error:
            raise SQLError(str(error)) from error
        if self.first_prediction_s is None and result.queries:
            self.first_prediction_s = time.monotonic() - self._started
        return table

    def wait_for_model(self, name: str, project: str) -> float:
        """Wait for nothing: CREATE MODEL is done when it returns.

        Args:
            name: The model's name.
            project: The project it is in.

        Returns:
            No seconds.
        """
        return 0.0


def run_embedded_demo(examples: Path | None = None) -> int:
    """Run the demo in this process. Nothing of it stays, but for stored answers.

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
        with terminable(), connect() as connection:
            with_token = bool(os.environ.get("HF_TOKEN"))
            print(f"Predictions come from {_source(with_token=with_token)}.", flush=True)
            server = Embedded(connection)
            summary = run_script(server, embedded_script(folder, with_token=with_token))
    except (DemoError, InputError, SQLError) as error:
        print(f"\nThe demo stopped: {error}", file=sys.stderr)
        return 1
    print_summary(summary, time.monotonic() - started)
    if server.first_prediction_s is not None:
        print(f"The first prediction was there after {server.first_prediction_s:.1f} s.")
    return 0


def embedded_script(folder: Path, *, with_token: bool) -> list[str]:
    """Read the statements of the examples, with one before them that loads the reviews.

    Args:
        folder: The folder with the .sql files.
        with_token: Take the engine of Hugging Face; otherwise one with `endpoint = 'local'`.

    Returns:
        The statements, without semicolons.

    Raises:
        DemoError: The folder has no examples.
    """
    script = demo_script(folder, with_token=with_token)
    quoted = str(folder / "reviews.csv").replace("'", "''")
    load = f"CREATE TABLE reviews AS FROM '{quoted}'"
    return [load, *(statement.replace(_EXAMPLE_ENDPOINT, _LOCAL_ENDPOINT) for statement in script)]


def _source(*, with_token: bool) -> str:
    if with_token:
        return "Hugging Face, with the token in HF_TOKEN"
    return "the local inference server, which is started for them"
