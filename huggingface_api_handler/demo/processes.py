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

STARTUP_POLL_INTERVAL_S = 0.5
"""Between two looks whether a server answers: its start takes seconds."""

GROUP_POLL_INTERVAL_S = 0.1
"""Between two looks whether a process group has ended, which it does at once as a rule."""

KILL_TIMEOUT_S = 5.0
"""For a killed process to be gone, which needs no cooperation of its own."""

MAX_TAIL_LINES = 15
"""Lines of a log that an error shows: a traceback's end."""

# Proxies of the environment are not for loopback.
_DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class ServerError(RuntimeError):
    """A server did not start, stopped early or refused a request; the message says which, and where its log is."""


def free_ports(count: int) -> list[int]:
    """Find ports on 127.0.0.1 that are free now.

    Args:
        count: How many.

    Returns:
        Ports that differ: each stays bound until the last is found.
    """
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_STREAM)) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [int(one.getsockname()[1]) for one in sockets]


def open_direct(request: urllib.request.Request, timeout: float) -> tuple[int, bytes]:
    """Send an HTTP request without proxies.

    Args:
        request: The request.
        timeout: Seconds to wait for the response.

    Returns:
        The status and the body, also of a refusal.

    Raises:
        OSError: There is no response.
    """
    try:
        with _DIRECT.open(request, timeout=timeout) as response:
            return int(response.status), bytes(response.read())
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read()


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
    """Run a server in a process group of its own for the length of the block.

    The block is entered when the server is ready. Its group is stopped whatever happens, Ctrl-C included.

    Args:
        name: What people call it, for progress and errors.
        command: The program and its arguments.
        environment: Its variables.
        folder: Its working folder.
        ready: Whether it answers; called about twice a second.
        timeout: Seconds that its start may take.
        progress: Called about twice a second while it starts.

    Yields:
        The path of its log, which stays where an error ends the block, and is removed otherwise.

    Raises:
        ServerError: It does not start; the message ends with the end of its log.
    """
    descriptor, log_name = tempfile.mkstemp(prefix=f"{name.lower().replace(' ', '_')}_", suffix=".log")
    log, keep_log = Path(log_name), False
    with os.fdopen(descriptor, "wb") as output:
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
        time.sleep(STARTUP_POLL_INTERVAL_S)


def _tail(log: Path) -> str:
    lines = log.read_text(encoding="utf-8", errors="replace").rstrip().splitlines()[-MAX_TAIL_LINES:]
    return "\n".join(["The end of its log:", *(f"    {line}" for line in lines), f"All of it: {log}"])


def stop_group(process: subprocess.Popen[bytes], grace: float = 8.0) -> None:
    """Terminate a process and all of its group, and kill those that do not end.

    A second Ctrl-C while waiting kills at once instead of leaving processes behind.

    Args:
        process: The leader of its group.
        grace: Seconds that the processes have to end by themselves.
    """
    try:
        _signal_group(process, signal.SIGTERM)
        deadline = time.monotonic() + grace
        while _group_is_alive(process) and time.monotonic() < deadline:
            time.sleep(GROUP_POLL_INTERVAL_S)
    finally:
        _signal_group(process, getattr(signal, "SIGKILL", signal.SIGTERM))
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(timeout=KILL_TIMEOUT_S)


def _signal_group(process: subprocess.Popen[bytes], signal_number: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        if hasattr(os, "killpg"):
            os.killpg(process.pid, signal_number)  # start_new_session: the group has the number of its leader
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
