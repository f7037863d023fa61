"""A MindsDB server of our own for a while: free loopback ports, a storage that is thrown away, SQL over HTTP."""

from __future__ import annotations

import contextlib
import json
import shutil
import socket
import sys
import tempfile
import time
import urllib.parse
import urllib.request
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from ..installation.environment import subprocess_environment, with_this_package
from .processes import Progress, ServerError, free_ports, open_direct, running

MODEL_POLL_INTERVAL_S = 0.3
"""Between two looks at a model that is being created: models of this handler are done in about a second."""

PROBE_TIMEOUT_S = 5.0
"""For a question whether a server answers, which is repeated until it does."""

_TOKEN_VARIABLE = "INFERENCE_SERVER_TOKEN"  # noqa: S105 - its name


class SQLError(RuntimeError):
    """MindsDB refused a statement; str() is MindsDB's message."""


class _Content(NamedTuple):
    """The body of a request and its content type."""

    body: bytes
    type: str


@dataclass(frozen=True)
class Table:
    """The result of a statement; without columns and rows where the statement has no result.

    Attributes:
        columns: The names of the columns.
        rows: The rows, each with a JSON value for each column.
    """

    columns: list[str]
    rows: list[list[object]]


@dataclass(frozen=True)
class MindsDB:
    """A running MindsDB server.

    Attributes:
        url: Its HTTP address.
        mysql_port: Its MySQL port on 127.0.0.1.
        storage: Its storage folder.
        log: Its log file.
    """

    url: str
    mysql_port: int
    storage: Path
    log: Path

    def sql(self, statement: str, timeout: float = 600.0, project: str = "mindsdb") -> Table:
        """Run one statement.

        Args:
            statement: The statement, without a semicolon.
            timeout: Seconds that it may take.
            project: Where names are looked for that name no project.

        Returns:
            Its result.

        Raises:
            SQLError: MindsDB refused it, with MindsDB's message.
            ServerError: Nothing answers, or not with JSON.
        """
        query: dict[str, object] = {"query": statement, "context": {"db": project}}
        status, body = self._request("POST", "/api/sql/query", _json(query), timeout)
        try:
            result = json.loads(body)
        except ValueError:
            raise ServerError(f"MindsDB answered {status} with no JSON: {body[:300]!r}") from None
        if result.get("type") == "error":
            raise SQLError(_without_traceback(str(result.get("error_message"))))
        if status != 200:
            raise ServerError(f"MindsDB answered {status}: {body[:300]!r}")
        return Table(result.get("column_names") or [], result.get("data") or [])

    def wait_for_model(self, name: str, project: str = "mindsdb", timeout: float = 300.0) -> float:
        """Wait until CREATE MODEL, which returns at once, is done.

        Args:
            name: The model's name.
            project: The project it is in.
            timeout: Seconds to wait at most.

        Returns:
            The seconds it took.

        Raises:
            SQLError: The model failed, does not exist, or was not done in time.
        """
        started = time.monotonic()
        while (elapsed := time.monotonic() - started) < timeout:
            quoted = name.replace("'", "''")
            query = f"SELECT status, error FROM {project}.models WHERE name = '{quoted}'"  # noqa: S608 -- quoted
            rows = self.sql(query).rows
            if not rows:
                raise SQLError(f"There is no model {project}.{name}")
            state, error = rows[0]
            if state == "complete":
                return elapsed
            if state == "error":
                raise SQLError(f"CREATE MODEL {name}: {_without_traceback(str(error))}")
            time.sleep(MODEL_POLL_INTERVAL_S)
        raise SQLError(f"CREATE MODEL {name} was not done within {timeout:.0f} s")

    def upload(self, file: Path, table: str, timeout: float = 300.0) -> None:
        """Upload a CSV file.

        Args:
            file: The file.
            table: Its name in SQL: it becomes `files.<table>`.
            timeout: Seconds that the upload may take.

        Raises:
            ServerError: MindsDB refused it, with MindsDB's words, or nothing answers.
        """
        boundary = uuid.uuid4().hex
        head = (
            f'--{boundary}\r\nContent-Disposition: form-data; name="original_file_name"\r\n\r\n{file.name}\r\n'
            f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="{file.name}"\r\n'
            "Content-Type: text/csv\r\n\r\n"
        )
        body = head.encode() + file.read_bytes() + f"\r\n--{boundary}--\r\n".encode()
        content = _Content(body, f"multipart/form-data; boundary={boundary}")
        status, response = self._request("PUT", f"/api/files/{urllib.parse.quote(table)}", content, timeout)
        if status != 200:
            raise ServerError(f"MindsDB refused {file.name} as files.{table} ({status}): {response[:300]!r}")

    def _request(self, method: str, path: str, content: _Content, timeout: float) -> tuple[int, bytes]:
        headers = {"Content-Type": content.type}
        # The URL is that of a server we started.
        request = urllib.request.Request(self.url + path, content.body, headers, method=method)  # noqa: S310
        try:
            return open_direct(request, timeout)
        except OSError as error:
            raise ServerError(f"MindsDB at {self.url} does not answer: {error}") from None


@contextlib.contextmanager
def running_mindsdb(
    *,
    progress: Progress | None = None,
    timeout: float = 300.0,
    with_token: bool = False,
    environment: dict[str, str] | None = None,
    python: str = sys.executable,
    prediction_cache: str = "none",
    settings: Mapping[str, object] | None = None,
) -> Iterator[MindsDB]:
    """Run a MindsDB server on free loopback ports for the length of the block.

    Its storage and its processes are gone afterwards, also after Ctrl-C.

    Args:
        progress: Called about twice a second while it starts.
        timeout: Seconds that its start may take.
        with_token: Let it see the Hugging Face token of this environment.
        environment: Variables to add.
        python: The interpreter of the environment that MindsDB is in.
        prediction_cache: The type of MindsDB's prediction cache: 'none', or MindsDB's own default, 'local'.
        settings: More of MindsDB's configuration, by its sections.

    Yields:
        The server.

    Raises:
        ServerError: It does not start; the message ends with the end of its log.
    """
    storage = Path(tempfile.mkdtemp(prefix="mindsdb_storage_"))
    try:
        http_port, mysql_port = free_ports(2)
        configuration = storage / "config.json"
        values = {
            **_configuration(storage, http_port, mysql_port),
            "cache": {"type": prediction_cache},
            **(settings or {}),
        }
        configuration.write_text(json.dumps(values), encoding="utf-8")
        url = f"http://127.0.0.1:{http_port}"
        temporary = storage / "temporary"  # MindsDB leaves certificates and uploads where TMPDIR is
        temporary.mkdir()
        extra = {"MINDSDB_STORAGE_DIR": str(storage), "TMPDIR": str(temporary), **(environment or {})}
        variables = subprocess_environment(with_token=with_token, **extra)
        command = [python, "-m", "mindsdb", f"--config={configuration}", "--api", "http,mysql"]
        with running(
            "MindsDB",
            command,
            environment=with_this_package(variables),
            folder=storage,
            ready=lambda: answers(f"{url}/api/status") and _accepts(mysql_port),
            timeout=timeout,
            progress=progress,
        ) as log:
            yield MindsDB(url, mysql_port, storage, log)
    finally:
        shutil.rmtree(storage, ignore_errors=True)


@contextlib.contextmanager
def running_inference_server(
    *, token: str | None = None, progress: Progress | None = None, timeout: float = 120.0
) -> Iterator[str]:
    """Run the local inference server on a free loopback port for the length of the block.

    Args:
        token: Refuse requests without this key.
        progress: Called about twice a second while it starts.
        timeout: Seconds that its start may take.

    Yields:
        Its URL.

    Raises:
        ServerError: It does not start; the message ends with the end of its log.
    """
    (port,) = free_ports(1)
    url = f"http://127.0.0.1:{port}"
    command = [sys.executable, "-m", "huggingface_api_handler", "serve", "--host", "127.0.0.1", "--port", str(port)]
    variables = subprocess_environment()
    if token is not None:
        # Not among the arguments, which every user of the machine can read.
        variables[_TOKEN_VARIABLE] = token
        command += ["--token-env", _TOKEN_VARIABLE]
    with (
        # A folder of its own: `-m` imports from the working directory first, and anybody may write to /tmp.
        tempfile.TemporaryDirectory(prefix="inference_server_") as folder,
        running(
            "Inference server",
            command,
            environment=with_this_package(variables),
            folder=Path(folder),
            ready=lambda: answers(f"{url}/health", refusal_counts=token is not None),
            timeout=timeout,
            progress=progress,
        ),
    ):
        yield url


def answers(url: str, *, refusal_counts: bool = False) -> bool:
    """Say whether a server answers a GET.

    Args:
        url: The URL.
        refusal_counts: Take 401, a refusal for want of a key, for an answer too.

    Returns:
        Whether the status is 200 (or 401, where that counts).
    """
    try:
        # The URL is that of a server we started.
        status = open_direct(urllib.request.Request(url), timeout=PROBE_TIMEOUT_S)[0]  # noqa: S310
    except OSError:
        return False
    return status == 200 or (refusal_counts and status == 401)


def _accepts(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=PROBE_TIMEOUT_S):
            return True
    except OSError:
        return False


def _configuration(storage: Path, http_port: int, mysql_port: int) -> dict[str, object]:
    return {
        "paths": {"root": str(storage)},
        "api": {
            "http": {"host": "127.0.0.1", "port": str(http_port)},
            "mysql": {"host": "127.0.0.1", "port": str(mysql_port)},
        },
        "gui": {"open_on_start": False, "autoupdate": False},
    }


def _json(value: dict[str, object]) -> _Content:
    return _Content(json.dumps(value).encode(), "application/json")


def _without_traceback(message: str) -> str:
    """MindsDB appends the traceback of an ML process to its message; people need the message."""
    return message.split("Traceback (most recent call last)", 1)[0].strip() or message
