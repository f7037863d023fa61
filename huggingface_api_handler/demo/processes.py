"""Start a server as a subprocess, wait until it answers, and stop all that it started."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

Progress = Callable[[str, float], None]
"""Called about twice a second with what is waited for and the seconds so far."""

# Proxies of the environment are not for loopback.
_DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class ServerError(RuntimeError):
    """A server did not start, stopped early or refused a request; the message says which, and where its log is."""


def free_ports(count: int) -> list[int]:
    """Ports on 127.0.0.1 that are free now. All are held until the last is found, so they differ."""
    with contextlib.ExitStack() as held:
        sockets = [held.enter_context(socket.socket(socket.AF_INET, socket.SOCK_STREAM)) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [int(each.getsockname()[1]) for each in sockets]


def open_direct(request: urllib.request.Request, timeout: float) -> tuple[int, bytes]:
    """Status and body of an HTTP exchange without proxies; also for refusals. Raises OSError without an answer."""
    try:
        with _DIRECT.open(request, timeout=timeout) as answer:
            return int(answer.status), bytes(answer.read())
    except urllib.error.HTTPError as refusal:
        with refusal:
            return refusal.code, refusal.read()


@contextlib.contextmanager
def running(
    name: str,
    command: Sequence[str],
    *,
    environment: dict[str, str],
    folder: Path,
    ready: Callable[[], bool],
    timeout: float,
    progress: Progress | None = None,
) -> Iterator[Path]:
    """Run `command` in a process group of its own until the block ends, entered when `ready()` is true.

    `timeout` is in seconds. Yields the log's path. The group is stopped whatever happens, Ctrl-C included; the
    log is kept where an error ends the block, and removed otherwise. Raises ServerError with the end of the log
    where it does not start.
    """
    handle, log_name = tempfile.mkstemp(prefix=f"{name.lower().replace(' ', '_')}_", suffix=".log")
    log, keep_log = Path(log_name), False
    with os.fdopen(handle, "wb") as output:
        process = subprocess.Popen(  # noqa: S603 -- the caller's own command, and no shell
            command,
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        _wait(name, process, ready, timeout, progress, log)
        yield log
    except Exception:
        keep_log = True
        raise
    finally:
        stop_group(process)
        if not keep_log:
            log.unlink(missing_ok=True)


def _wait(
    name: str,
    process: subprocess.Popen[bytes],
    ready: Callable[[], bool],
    timeout: float,
    progress: Progress | None,
    log: Path,
) -> None:
    started = time.monotonic()
    while not ready():
        elapsed = time.monotonic() - started
        if process.poll() is not None:
            raise ServerError(f"{name} stopped with status {process.returncode} before it answered.\n{_tail(log)}")
        if elapsed > timeout:
            raise ServerError(f"{name} did not answer within {timeout:.0f} s.\n{_tail(log)}")
        if progress is not None:
            progress(name, elapsed)
        time.sleep(0.5)


def _tail(log: Path, lines: int = 15) -> str:
    text = log.read_text(encoding="utf-8", errors="replace").rstrip().splitlines()[-lines:]
    return "\n".join(["The end of its log:", *(f"    {line}" for line in text), f"All of it: {log}"])


def stop_group(process: subprocess.Popen[bytes], grace: float = 8.0) -> None:
    """Terminate a process and all of its group, and kill what is left after `grace` seconds.

    A second Ctrl-C while waiting kills at once instead of leaving processes behind.
    """
    try:
        _signal_group(process, signal.SIGTERM)
        ends = time.monotonic() + grace
        while _group_is_alive(process) and time.monotonic() < ends:
            time.sleep(0.1)
    finally:
        _signal_group(process, getattr(signal, "SIGKILL", signal.SIGTERM))
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(timeout=5)


def _signal_group(process: subprocess.Popen[bytes], number: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        if hasattr(os, "killpg"):
            os.killpg(process.pid, number)  # start_new_session made it the leader of a group of its number
        elif process.poll() is None:
            process.terminate()


def _group_is_alive(process: subprocess.Popen[bytes]) -> bool:
    process.poll()  # reaps the leader, which would count as alive otherwise
    if not hasattr(os, "killpg"):
        return process.returncode is None
    try:
        os.killpg(process.pid, 0)
    except (ProcessLookupError, PermissionError):
        return False
    return True
