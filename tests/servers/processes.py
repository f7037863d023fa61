"""Servers that others wrote, started as a person would, each from its own environment."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parents[2]
STARTED_WITHIN_S = 300
STOPPED_WITHIN_S = 10


def environments() -> Path | None:
    """The folder of the environments that run.sh made; None where it did not run."""
    folder = os.environ.get("SERVERS_ENVIRONMENTS")
    return Path(folder) if folder else None


def python_of(environment: str) -> Path:
    """The Python of an environment."""
    folder = environments()
    assert folder is not None
    return folder / environment / "bin/python"


@dataclass(frozen=True)
class Process:
    """A server with its models.

    Attributes:
        environment: Where it is installed.
        command: What starts it, with ``{bin}``, ``{port}``, ``{models}``, ``{root}``, ``{folder}``, ``{backend}`` for the values.
        models: The tiny models to make for it.
        variables: Of its environment, with the same values.
        ready: The path that answers once it serves.
        files: Text files to write into ``{folder}`` first, by name, with the same values.
        backend: The server that it asks.
        key: The key that it wants.
        packages: Whose versions are told.
        work_in: The folder that it runs in.
    """

    environment: str
    command: tuple[str, ...]
    packages: tuple[str, ...]
    models: tuple[str, ...] = ()
    variables: Mapping[str, str] = field(default_factory=dict, hash=False)
    ready: str = "/health"
    files: Mapping[str, str] = field(default_factory=dict, hash=False)
    backend: Process | None = None
    key: str | None = None
    work_in: str = "{folder}"


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return int(listening.getsockname()[1])


def make_models(environment: str, folder: Path, names: Iterable[str]) -> None:
    """Make tiny models with the libraries of an environment."""
    command = [str(python_of(environment)), "-m", "tests.servers.models", str(folder), *names]
    done = subprocess.run(
        command, check=False, cwd=ROOT, env=_variables({"PYTHONPATH": str(ROOT)}), capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-3000:]


@contextmanager
def running(process: Process, models: Path, folder: Path) -> Iterator[str]:
    """Run a server, and what it asks, for a while.

    Args:
        process: The server.
        models: The folder of its models.
        folder: For its files and its log.

    Returns:
        The server's base address.
    """
    with ExitStack() as stack:
        backend = stack.enter_context(running(process.backend, models, folder)) if process.backend else ""
        port = free_port()
        folder = folder / f"{process.environment}-{port}"
        folder.mkdir(parents=True)
        program = python_of(process.environment).parent
        values = {"bin": program, "port": port, "models": models, "root": ROOT, "folder": folder, "backend": backend}
        for name, text in process.files.items():
            (folder / name).write_text(_placed(text, values))
        variables = {name: _placed(value, values) for name, value in process.variables.items()}
        variables["PATH"] = f"{program}{os.pathsep}{os.environ['PATH']}"
        log = folder / "log"
        with log.open("wb") as output:
            started = subprocess.Popen(
                [_placed(part, values) for part in process.command],
                cwd=_placed(process.work_in, values),
                env=_variables(variables),
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        stack.callback(_end, started)
        _wait(f"http://127.0.0.1:{port}{process.ready}", started, log)
        yield f"http://127.0.0.1:{port}"


def _placed(text: str, values: Mapping[str, object]) -> str:
    for name, value in values.items():
        text = text.replace(f"{{{name}}}", str(value))
    return text


def _variables(more: Mapping[str, str]) -> dict[str, str]:
    # No server asks the Hub for anything, and none counts for its makers.
    offline = {
        "HF_HUB_OFFLINE": "1",
        "DO_NOT_TRACK": "1",
        "VLLM_NO_USAGE_STATS": "1",
        "TOKENIZERS_PARALLELISM": "false",
    }
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST", "HF_", "COV_"))}
    return {**inherited, **offline, **more}


def _wait(url: str, started: subprocess.Popen[bytes], log: Path) -> None:
    end = time.monotonic() + STARTED_WITHIN_S
    while time.monotonic() < end:
        if started.poll() is not None:
            break
        try:
            with urllib.request.urlopen(url, timeout=5):
                return
        except OSError:
            time.sleep(0.2)
    raise AssertionError(f"{url} did not answer:\n{log.read_text(errors='replace')[-3000:]}")


def _end(started: subprocess.Popen[bytes]) -> None:
    """End it with all that it started."""
    for sent in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(started.pid, sent)
        except ProcessLookupError:
            break
        try:
            started.wait(STOPPED_WITHIN_S)
        except subprocess.TimeoutExpired:
            continue
    started.wait()


def versions(process: Process) -> dict[str, str]:
    """The version of each of a server's packages."""
    script = "import sys; from importlib.metadata import version; print(*map(version, sys.argv[1:]), sep='\\n')"
    command = [str(python_of(process.environment)), "-c", script, *process.packages]
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    return dict(zip(process.packages, printed, strict=True))
