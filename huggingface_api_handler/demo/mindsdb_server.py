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
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..installation.environment import subprocess_environment, with_this_package
from .processes import Progress, ServerError, free_ports, open_direct, running


class SQLError(RuntimeError):
    """MindsDB refused a statement; str() is MindsDB's message."""


@dataclass(frozen=True)
class Table:
    """The answer to a statement: column names, and rows of as many values. Both are empty where it has none."""

    columns: list[str]
    rows: list[list[Any]]


@dataclass(frozen=True)
class MindsDB:
    """A running server: where its HTTP and its MySQL port are, and where its storage and its log are."""

    url: str
    mysql_port: int
    storage: Path
    log: Path

    def sql(self, statement: str, timeout: float = 600.0) -> Table:
        """Run one statement. `timeout` is in seconds. Raises SQLError, and ServerError where nothing answers."""
        status, body = self._exchange("POST", "/api/sql/query", _json({"query": statement}), timeout)
        try:
            answer = json.loads(body)
        except ValueError:
            raise ServerError(f"MindsDB answered {status} with no JSON: {body[:300]!r}") from None
        if answer.get("type") == "error":
            raise SQLError(_without_traceback(str(answer.get("error_message"))))
        if status != 200:
            raise ServerError(f"MindsDB answered {status}: {body[:300]!r}")
        return Table(answer.get("column_names") or [], answer.get("data") or [])

    def wait_for_model(self, name: str, project: str = "mindsdb", timeout: float = 300.0) -> float:
        """Wait until CREATE MODEL, which returns at once, is done; the seconds it took. Raises SQLError."""
        started = time.monotonic()
        while (waited := time.monotonic() - started) < timeout:
            quoted = name.replace("'", "''")
            query = f"SELECT status, error FROM {project}.models WHERE name = '{quoted}'"  # noqa: S608 -- quoted
            found = self.sql(query).rows
            if not found:
                raise SQLError(f"There is no model {project}.{name}")
            state, error = found[0]
            if state == "complete":
                return waited
            if state == "error":
                raise SQLError(f"CREATE MODEL {name}: {_without_traceback(str(error))}")
            time.sleep(0.3)
        raise SQLError(f"CREATE MODEL {name} was not done within {timeout:.0f} s")

    def upload(self, file: Path, table: str, timeout: float = 300.0) -> None:
        """Make a CSV file the table `files.<table>`. Raises ServerError with MindsDB's words."""
        boundary = uuid.uuid4().hex
        head = (
            f'--{boundary}\r\nContent-Disposition: form-data; name="original_file_name"\r\n\r\n{file.name}\r\n'
            f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="{file.name}"\r\n'
            "Content-Type: text/csv\r\n\r\n"
        )
        body = head.encode() + file.read_bytes() + f"\r\n--{boundary}--\r\n".encode()
        content = (body, f"multipart/form-data; boundary={boundary}")
        status, answer = self._exchange("PUT", f"/api/files/{urllib.parse.quote(table)}", content, timeout)
        if status != 200:
            raise ServerError(f"MindsDB refused {file.name} as files.{table} ({status}): {answer[:300]!r}")

    def _exchange(self, method: str, path: str, content: tuple[bytes, str], timeout: float) -> tuple[int, bytes]:
        body, kind = content
        # The URL is that of a server we started.
        request = urllib.request.Request(self.url + path, body, {"Content-Type": kind}, method=method)  # noqa: S310
        try:
            return open_direct(request, timeout)
        except OSError as problem:
            raise ServerError(f"MindsDB at {self.url} does not answer: {problem}") from None


@contextlib.contextmanager
def running_mindsdb(
    *,
    progress: Progress | None = None,
    timeout: float = 300.0,
    with_token: bool = False,
    environment: dict[str, str] | None = None,
    python: str = sys.executable,
) -> Iterator[MindsDB]:
    """A MindsDB server on free loopback ports, for the length of the block.

    `timeout` (seconds) is for its start. It sees no Hugging Face token unless `with_token`; `environment` adds
    variables. `python` is the interpreter of the environment that MindsDB is in. Storage and processes are gone
    afterwards, also after Ctrl-C. Raises ServerError, with the end of MindsDB's log, where it does not start.
    """
    storage = Path(tempfile.mkdtemp(prefix="mindsdb_storage_"))
    try:
        http_port, mysql_port = free_ports(2)
        configuration = storage / "config.json"
        configuration.write_text(json.dumps(_configuration(storage, http_port, mysql_port)), encoding="utf-8")
        url = f"http://127.0.0.1:{http_port}"
        temporary = storage / "temporary"  # MindsDB leaves certificates and uploads where TMPDIR is
        temporary.mkdir()
        own = {"MINDSDB_STORAGE_DIR": str(storage), "TMPDIR": str(temporary), **(environment or {})}
        variables = subprocess_environment(with_token=with_token, **own)
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
    """The local inference server on a free loopback port, for the length of the block; yields its URL.

    With `token` it refuses requests without that key. Raises ServerError where it does not start.
    """
    (port,) = free_ports(1)
    url = f"http://127.0.0.1:{port}"
    command = [sys.executable, "-m", "huggingface_api_handler", "serve", "--host", "127.0.0.1", "--port", str(port)]
    if token is not None:
        command += ["--token", token]
    with (
        # A folder of its own: `-m` imports from the working directory first, and anybody may write to /tmp.
        tempfile.TemporaryDirectory(prefix="inference_server_") as folder,
        running(
            "Inference server",
            command,
            environment=with_this_package(subprocess_environment()),
            folder=Path(folder),
            ready=lambda: answers(f"{url}/health", refusal_counts=token is not None),
            timeout=timeout,
            progress=progress,
        ),
    ):
        yield url


def answers(url: str, *, refusal_counts: bool = False) -> bool:
    """Whether a GET is answered with 200, or, where that counts too, refused for want of a key."""
    try:
        # The URL is that of a server we started.
        status = open_direct(urllib.request.Request(url), timeout=5)[0]  # noqa: S310
    except OSError:
        return False
    return status == 200 or (refusal_counts and status == 401)


def _accepts(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=5):
            return True
    except OSError:
        return False


def _configuration(storage: Path, http_port: int, mysql_port: int) -> dict[str, Any]:
    return {
        "paths": {"root": str(storage)},
        "api": {
            "http": {"host": "127.0.0.1", "port": str(http_port)},
            "mysql": {"host": "127.0.0.1", "port": str(mysql_port)},
        },
        "gui": {"open_on_start": False, "autoupdate": False},
        "cache": {"type": "none"},
    }


def _json(value: dict[str, Any]) -> tuple[bytes, str]:
    return json.dumps(value).encode(), "application/json"


def _without_traceback(message: str) -> str:
    """MindsDB appends the traceback of an ML process to its message; people need the message."""
    return message.split("Traceback (most recent call last)", 1)[0].strip() or message
