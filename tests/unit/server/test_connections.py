"""Whoever opens connections and says nothing keeps nobody else out, and is not waited for."""

from __future__ import annotations

import contextlib
import http.client
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import uvicorn

from huggingface_api_handler import server
from huggingface_api_handler.demo.mindsdb_server import running_inference_server
from huggingface_api_handler.demo.processes import free_ports
from huggingface_api_handler.server import body_reader, connections

TIMEOUT_S = 20.0
"""After which a test has failed. Nothing here takes long."""

TOKEN = "t0ken-of-these-tests"

SERVE = """
import os, resource, sys
resource.setrlimit(resource.RLIMIT_NOFILE, (256, 256))
from huggingface_api_handler import server
server.run("127.0.0.1", int(sys.argv[1]), os.environ["TEST_TOKEN"])
"""


def health(port: int) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=TIMEOUT_S)
    with contextlib.closing(connection):
        connection.request("GET", "/health", headers={"authorization": f"Bearer {TOKEN}"})
        return connection.getresponse().status


def connected(port: int, sent: bytes = b"") -> socket.socket:
    opened = socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT_S)
    opened.sendall(sent)
    return opened


def is_closed(connection: socket.socket) -> bool:
    """Wait until the other side closes; an answer before that is read over."""
    with contextlib.suppress(ConnectionResetError):
        while connection.recv(65536):
            pass
    return True


@contextlib.contextmanager
def serving_process() -> Iterator[int]:
    """The server in a process of its own that may have 256 files open; yields its port."""
    (port,) = free_ports(1)
    process = subprocess.Popen([sys.executable, "-c", SERVE, str(port)], env={**os.environ, "TEST_TOKEN": TOKEN})
    try:
        for _ in range(300):
            with contextlib.suppress(OSError):
                health(port)
                break
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(0.1)
        yield port
    finally:
        process.kill()
        process.wait()


def test_half_open_connections_without_a_key_keep_nobody_out() -> None:
    with serving_process() as port, contextlib.ExitStack() as stack:
        for _ in range(400):
            stack.enter_context(connected(port, b"GET /health HTTP/1.1\r\n"))
        assert health(port) == 200


def test_connections_that_were_answered_once_keep_nobody_out() -> None:
    refused = b"POST /models/x HTTP/1.1\r\nhost: x\r\ncontent-length: 1000\r\n\r\n"
    with serving_process() as port, contextlib.ExitStack() as stack:
        for _ in range(400):
            stack.enter_context(connected(port, refused))
        assert health(port) == 200


@pytest.fixture
def port(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """The port of a server that is run as `serve` runs it, with short waits and few connections."""
    monkeypatch.setattr(connections, "HEAD_TIMEOUT_S", 0.2)
    monkeypatch.setattr(connections, "MAX_CONNECTIONS", 4)
    made: list[uvicorn.Server] = []

    def run(application: object, **options: object) -> None:
        made.append(uvicorn.Server(uvicorn.Config(application, **options)))  # type: ignore[arg-type]

    monkeypatch.setattr(uvicorn, "run", run)
    server.run("127.0.0.1", 0, TOKEN)
    [running] = made
    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=running.run, args=([listening],))
        thread.start()
        try:
            yield listening.getsockname()[1]
        finally:
            running.should_exit = True
            thread.join()


@pytest.mark.parametrize(
    "sent",
    [b"", b"GET /health HTTP/1.1\r\nx", b"GET /health HTTP/1.1\r\nhost: x\r\n\r\nG"],
    ids=["nothing", "half a head", "a second request's first byte"],
)
def test_a_head_that_does_not_come_is_not_waited_for(port: int, sent: bytes) -> None:
    with connected(port, sent) as connection:
        assert is_closed(connection)


def test_a_body_that_does_not_come_is_not_waited_for(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(body_reader, "BODY_TIMEOUT_S", 0.1)
    head = f"POST /models/local/sentiment HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {TOKEN}\r\n"
    with connected(port, f"{head}content-length: 5\r\n\r\n".encode()) as connection:
        assert connection.recv(65536).startswith(b"HTTP/1.1 408 ")


def test_the_one_that_waited_longest_gives_way_to_a_newer_one(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "HEAD_TIMEOUT_S", 3600)
    with contextlib.ExitStack() as stack:
        first, *others = [stack.enter_context(connected(port)) for _ in range(5)]
        assert is_closed(first)
        assert health(port) == 200
        assert is_closed(others[0])
        others[-1].sendall(f"GET /health HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {TOKEN}\r\n\r\n".encode())
        assert b" 200 " in others[-1].recv(65536)


def test_an_endless_head_is_refused(port: int) -> None:
    with connected(port) as connection:
        connection.sendall(b"GET /health HTTP/1.1\r\nx: " + b"x" * connections.MAX_HEAD_BYTES + b"x" * 100)
        assert connection.recv(65536).startswith(b"HTTP/1.1 400 ")


@pytest.mark.skipif(not Path("/proc/self/cmdline").exists(), reason="NOT TESTED: no /proc on this machine")
def test_the_token_is_on_no_command_line() -> None:
    with running_inference_server(token=TOKEN) as url:
        connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=TIMEOUT_S)
        connection.request("GET", "/health", headers={"authorization": f"Bearer {TOKEN}"})
        assert connection.getresponse().status == 200
        commands = [command_line(process) for process in Path("/proc").glob("[0-9]*")]
    assert any(b"--token-env" in command for command in commands)
    assert not any(TOKEN.encode() in command for command in commands)


def command_line(process: Path) -> bytes:
    try:
        return (process / "cmdline").read_bytes()
    except OSError:
        return b""
