"""A MindsDB whose ML tasks go through Redis, and consumers that run them, all of them real processes."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil

from huggingface_api_handler.demo.mindsdb_server import MindsDB, answers
from huggingface_api_handler.demo.processes import free_ports, stop_group
from huggingface_api_handler.installation.environment import subprocess_environment, with_this_package
from tests.support.redis_server import RedisServer

IDLE_CPU = Path(__file__).parent / "idle_cpu"
START_TIMEOUT_S = 180.0
WAIT_TIMEOUT_S = 60.0
_POLL_INTERVAL_S = 0.02
_LOG_TAIL_BYTES = 4000


def wait_until(condition: Callable[[], bool], what: str, timeout_s: float = WAIT_TIMEOUT_S) -> None:
    """Look again and again until something is so.

    Args:
        condition: What is looked at.
        what: Is said where it does not come.
        timeout_s: Seconds to wait at most.

    Raises:
        AssertionError: It did not come in time.
    """
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, f"waited {timeout_s:.0f} s in vain: {what}"
        time.sleep(_POLL_INTERVAL_S)


class Consumer:
    """``python -m mindsdb --ml_task_queue_consumer``: a leader, its child that takes tasks, and processes that run them.

    Args:
        process: The leader of the process group.
        log: What all of them print.
        redis: Where the tasks are.
    """

    def __init__(self, process: subprocess.Popen[bytes], log: Path, redis: RedisServer) -> None:
        self._process, self._log, self._redis = process, log, redis

    def has(self, port: int) -> bool:
        """Whether one of its processes has a connection with this port at its own end."""
        return any(connection.laddr.port == port for one in self._processes() for connection in _connections(one))

    def kill(self) -> None:
        """End all its processes with SIGKILL, as a machine that fails does."""
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

    def stop(self) -> None:
        """End all its processes."""
        stop_group(self._process, grace=1.0)

    def is_waiting(self) -> bool:
        """Whether it waits for a task at this moment."""
        assert self._process.poll() is None, self.log()
        reader = self._reader()
        return reader is not None and self._is_reading(reader)

    def log(self) -> str:
        """The end of what it printed."""
        return self._log.read_bytes()[-_LOG_TAIL_BYTES:].decode(errors="replace")

    @contextlib.contextmanager
    def kept_from_tasks(self) -> Iterator[None]:
        """Let it take no task while the block runs. What it runs goes on."""
        reader = self._reader()
        assert reader is not None, self.log()
        reader.suspend()
        try:
            wait_until(lambda: not self._is_reading(reader), "MindsDB's consumer asks for tasks for a second at a time")
            yield
        finally:
            reader.resume()

    def _processes(self) -> list[psutil.Process]:
        try:
            leader = psutil.Process(self._process.pid)
            return [leader, *leader.children(recursive=True)]
        except psutil.NoSuchProcess:
            return []

    def _reader(self) -> psutil.Process | None:
        return next((one for one in self._processes() if self._ports(one)), None)

    def _ports(self, process: psutil.Process) -> set[int]:
        """Its ends of connections with Redis."""
        there = self._redis.port
        return {one.laddr.port for one in _connections(process) if one.raddr and one.raddr.port == there}

    def _is_reading(self, reader: psutil.Process) -> bool:
        ports = self._ports(reader)
        clients = (dict(part.partition("=")[::2] for part in line.split()) for line in self._clients())
        return any("b" in one["flags"] and int(one["addr"].rpartition(":")[2]) in ports for one in clients)

    def _clients(self) -> list[str]:
        return self._redis.cli("CLIENT", "LIST").splitlines()


def _connections(process: psutil.Process) -> list[Any]:
    try:
        return list(process.net_connections("tcp"))
    except psutil.Error:  # it ended meanwhile
        return []


class TaskQueue:
    """What a server and its consumers share: MindsDB's storage folder, with its database in it, and Redis.

    Args:
        folder: For the storage and the logs.
        redis: The queue.
        environment: Variables of the consumers alone.
    """

    def __init__(self, folder: Path, redis: RedisServer, environment: dict[str, str]) -> None:
        self._folder, self._redis, self._environment = folder, redis, environment
        (self._http_port,) = free_ports(1)
        self._stack = contextlib.ExitStack()
        self._started = 0

    def close(self) -> None:
        """End all that was started."""
        self._stack.close()

    def start_server(self) -> MindsDB:
        """Start a server that runs no ML task itself, and wait until it answers."""
        process, log = self._start("server", ["--api", "http"], {})
        url = f"http://127.0.0.1:{self._http_port}"
        wait_until(lambda: _is_up(process, log) and answers(f"{url}/api/status"), "MindsDB's start", START_TIMEOUT_S)
        return MindsDB(url, 0, self._folder / "storage", log)

    def start_consumer(self) -> Consumer:
        """Start a consumer with a home of its own. It waits for tasks a few seconds later."""
        self._started += 1
        arguments = ["--api", "", "--ml_task_queue_consumer"]
        name = f"consumer{self._started}"
        environment = {**self._environment, "HF_HOME": str(self._folder / name / "home")}
        process, log = self._start(name, arguments, environment)
        return Consumer(process, log, self._redis)

    def _start(self, name: str, arguments: list[str], extra: dict[str, str]) -> tuple[subprocess.Popen[bytes], Path]:
        storage, folder = self._folder / "storage", self._folder / name
        (folder / "temporary").mkdir(parents=True)
        storage.mkdir(exist_ok=True)
        configuration = {
            "paths": {"root": str(storage)},
            "api": {"http": {"host": "127.0.0.1", "port": str(self._http_port)}},
            "gui": {"open_on_start": False, "autoupdate": False},
            "cache": {"type": "none"},
            # What a consumer would do beside its tasks, and each of these is a process that imports MindsDB.
            "jobs": {"disable": True},
            "tasks": {"disable": True},
        }
        (folder / "config.json").write_text(json.dumps(configuration), encoding="utf-8")
        variables = subprocess_environment(
            MINDSDB_STORAGE_DIR=str(storage),
            MINDSDB_ML_QUEUE_TYPE="redis",
            MINDSDB_ML_QUEUE_HOST="127.0.0.1",
            MINDSDB_ML_QUEUE_PORT=str(self._redis.port),
            TMPDIR=str(folder / "temporary"),
        )
        variables = with_this_package({**variables, **extra})
        variables["PYTHONPATH"] = os.pathsep.join(filter(None, [str(IDLE_CPU), variables.get("PYTHONPATH")]))
        log = folder / "log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                [sys.executable, "-m", "mindsdb", f"--config={folder / 'config.json'}", *arguments],
                cwd=folder,
                env=variables,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self._stack.callback(stop_group, process, 1.0)
        return process, log


def _is_up(process: subprocess.Popen[bytes], log: Path) -> bool:
    assert process.poll() is None, log.read_text(errors="replace")[-_LOG_TAIL_BYTES:]
    return True
