"""Attacks that succeeded on version 0.1.0, through what is public: Python, the command line, HTTP, the store's files.

This file and ``tests/integration/test_attacks.py`` use no internal name, so they run against 0.1.0 too, where each test
fails. The tests of the modules say more of each promise.
"""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import http.client
import json
import os
import shutil
import socket
import sqlite3
import ssl
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import aiohttp.connector
import pandas as pd
import pytest
import trustme
from aiohttp import web
from huggingface_hub.hf_api import InferenceProviderMapping
from huggingface_hub.inference._providers import _common

from huggingface_api_handler.inference import predict
from tests.conftest import Reply, Service
from tests.support.web_server import WebServer

USING = {"task": "text-classification", "column": "text", "target": "y", "model": "o/m", "on_error": "null"}
UNCACHED = {**USING, "cache": False}
ALICE, BOB, MACHINE = "hf_AliceSecretZq9Zq9Zq9", "hf_BobsOwnKeyZq9Zq9Zq9", "hf_FoundOnTheMachine00"
TIMEOUT_S = 20.0
"""After which a test has failed. Nothing here takes long."""

SERVE = """
import resource, sys
resource.setrlimit(resource.RLIMIT_NOFILE, (256, 256))
from huggingface_api_handler import server
server.run("127.0.0.1", int(sys.argv[1]), None)
"""


def table(*texts: str) -> pd.DataFrame:
    return pd.DataFrame({"text": texts})


def score(body: Any, *_: Any) -> Any:
    one = [{"label": "ok", "score": 0.9}]
    return [one for _ in body["inputs"]] if isinstance(body["inputs"], list) else [one]


def labelled(label: str) -> Reply:
    return Reply(b'[[{"label": "%s", "score": 0.9}]]' % label.encode())


def said(frame: pd.DataFrame, using: dict[str, Any], engine: dict[str, Any] | None) -> str:
    """All that a person can read of a query, however it ends."""
    try:
        return str(predict(frame, using, engine).to_dict())
    except Exception as error:
        return str(error)


class Names(WebServer):
    """A server that speaks TLS as whatever it is called, and keeps the keys that it is sent."""

    def __init__(self, tls: ssl.SSLContext) -> None:
        self.keys: list[str] = []
        super().__init__(contexts=[tls])
        self.port = self.ports[0]

    async def _handle(self, request: web.Request) -> web.Response:
        self.keys.append(request.headers.get("authorization", ""))
        return web.json_response([[{"label": "ok", "score": 0.9}]])


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> Iterator[Names]:
    """All names lead there. Their certificates are valid."""
    authority, serving = trustme.CA(), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("x.endpoints.huggingface.cloud", "mine.test").configure_cert(serving)
    trusting, lookup = ssl.create_default_context(), socket.getaddrinfo
    authority.configure_trust(trusting)
    monkeypatch.setattr(aiohttp.connector, "_SSL_CONTEXT_VERIFIED", trusting)

    def here(host: Any, port: Any, *arguments: Any, **named: Any) -> Any:
        return lookup("127.0.0.1", port, *arguments, **named)

    monkeypatch.setattr(socket, "getaddrinfo", here)
    running = Names(serving)
    yield running
    running.close()


# --- keys ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("named", ["CLOUD_SECRET", "HF_TOKEN"])
def test_an_engine_sends_no_variable_of_the_process_to_its_endpoint(
    service: Service, monkeypatch: pytest.MonkeyPatch, named: str
) -> None:
    monkeypatch.setenv(named, "AKIA-secret-of-the-process")
    service.answer = score
    said(table("a"), USING, {"endpoint": service.url, "api_key_env": named})
    assert not any("authorization" in headers for headers in service.headers)


def test_a_trusted_host_gets_no_key_that_was_found(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", MACHINE)
    service.answer = score
    predict(table("a"), USING, {"endpoint": service.url, "trusted_hosts": "127.0.0.1"})
    assert len(service.headers) == 1 and "authorization" not in service.headers[0]


@pytest.mark.parametrize(
    "engine",
    [
        pytest.param({"endpoint": "https://mine.test/models"}, id="4, a key that was found, of an engine elsewhere"),
        pytest.param({"provider": "together", "api_key": "tgp_v1_KeyOfAProvider"}, id="5, the key of a provider"),
        pytest.param({"api_key": ALICE}, id="7, a key of Hugging Face's"),
    ],
)
def test_somebodys_inference_endpoint_gets_no_key(
    names: Names, monkeypatch: pytest.MonkeyPatch, engine: dict[str, Any]
) -> None:
    monkeypatch.setenv("HF_TOKEN", MACHINE)
    said(table("a"), {**UNCACHED, "endpoint": f"https://x.endpoints.huggingface.cloud:{names.port}"}, engine)
    assert not any(names.keys)


def test_no_refusal_shows_what_is_at_an_internal_address(service: Service) -> None:
    service.answer = lambda *_: Reply({"error": "root_password=hunter2"}, 405)
    assert "hunter2" not in said(table("a"), {**USING, "endpoint": f"{service.url}/secret"}, {"api_key": ALICE})
    assert service.asked == []


def test_a_host_in_digits_of_another_script_gets_no_key_in_clear(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    lookup = socket.getaddrinfo

    def answers(host: Any, port: Any, *arguments: Any, **named: Any) -> Any:
        return lookup("127.0.0.1" if "xn--" in str(host) else host, port, *arguments, **named)

    monkeypatch.setattr(socket, "getaddrinfo", answers)
    service.answer = score
    said(table("a"), USING, {"endpoint": f"http://127.0.0.\u0661:{service.port}", "api_key": ALICE})
    assert service.headers == []


# --- people in one process -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("key", ["MARVELLOUS", '"MARVELLOUS",'])
def test_a_key_that_is_a_word_breaks_nobodys_answers(service: Service, key: str) -> None:
    service.answer = lambda *_: labelled("MARVELLOUS")
    said(table("a"), USING, {"endpoint": service.url, "api_key": key})
    out = predict(table("a", "b"), USING, {"endpoint": service.url, "api_key": ALICE})
    assert list(out["y"]) == ["MARVELLOUS", "MARVELLOUS"]


def test_seventeen_keys_later_a_key_is_still_known(service: Service) -> None:
    begun, over, shown = threading.Event(), asyncio.Event(), []

    async def waits(*_: Any) -> Reply:
        begun.set()
        await over.wait()
        return labelled(f"Bearer {ALICE}")

    def alice() -> None:
        shown.append(said(table("a"), UNCACHED, {"endpoint": service.url, "api_key": ALICE}))

    service.answer = waits
    thread = threading.Thread(target=alice)
    thread.start()
    assert begun.wait(TIMEOUT_S)
    service.answer = score
    for number in range(16):
        predict(table("a"), UNCACHED, {"endpoint": service.url, "api_key": f"hf_AnotherPersons{number:04}"})
    service._loop.call_soon_threadsafe(over.set)
    thread.join(TIMEOUT_S)
    assert len(shown) == 1 and ALICE not in shown[0]


@pytest.mark.parametrize("hidden", ["\\u0068f_AliceSecretZq9Zq9Zq9", "hf_\\u0041liceSecretZq9Zq9Zq9"])
def test_no_escape_hides_a_key_in_an_answer(service: Service, tmp_path: Path, hidden: str) -> None:
    service.answer = lambda *_: labelled(hidden)
    engine = {"endpoint": service.url, "api_key": ALICE, "cache_dir": str(tmp_path)}
    assert ALICE not in said(table("a"), USING, engine)
    assert not any(b"AliceSecret" in file.read_bytes() for file in tmp_path.iterdir())


def test_another_key_of_the_same_name_finds_no_answers(service: Service) -> None:
    service.answer = lambda _, headers, __: labelled("yes") if ALICE in str(headers) else Reply({"error": "no"}, 401)
    for key in (ALICE, BOB):
        shown = said(table("a"), USING, {"endpoint": service.url, "api_key": key, "name": "prod"})
        assert ("yes" in shown) is (key == ALICE)


# --- the store -------------------------------------------------------------------------------------------------------

FILE = "answers.sqlite"


def stored(service: Service, folder: Path) -> int:
    """Ask with the store of a folder; the requests that this took."""
    before = len(service.asked)
    predict(table("a"), USING, {"endpoint": service.url, "cache_dir": str(folder)})
    return len(service.asked) - before


def reopened(folder: Path) -> Path:
    """The same store in another folder, where no process has it open."""
    return Path(shutil.copytree(folder, folder.with_name(f"{folder.name}-again")))


@pytest.fixture
def folder(service: Service, tmp_path: Path) -> Path:
    """A folder for a store, in which nothing is yet."""
    service.answer = score
    made = tmp_path / "store"
    made.mkdir(0o700)
    return made


def planted(folder: Path) -> None:
    (folder / FILE).chmod(0o666)
    folder.chmod(0o1777)


def with_trigger(folder: Path) -> None:
    with closing(sqlite3.connect(folder / FILE)) as connection:
        connection.execute("CREATE TRIGGER free AFTER UPDATE ON quotas BEGIN UPDATE quotas SET used = 0; END")


@pytest.mark.parametrize("change", [planted, with_trigger])
def test_a_store_that_others_may_have_written_is_not_believed(
    service: Service, folder: Path, change: Callable[[Path], None]
) -> None:
    assert [stored(service, folder), stored(service, folder)] == [1, 0]
    untouched = reopened(folder)
    assert stored(service, untouched) == 0
    change(again := reopened(untouched))
    assert stored(service, again) == 1


def test_an_answer_that_was_changed_is_not_believed(service: Service, folder: Path) -> None:
    stored(service, folder)
    again = reopened(folder)
    with closing(sqlite3.connect(again / FILE)) as connection:
        assert connection.execute("UPDATE answers SET expires = expires + 1000000").rowcount == 1
        connection.commit()
    assert stored(service, again) == 1


def test_a_link_leads_to_no_other_database(service: Service, folder: Path) -> None:
    theirs = folder.with_name("theirs.db")
    with closing(sqlite3.connect(theirs)) as connection:
        connection.execute("CREATE TABLE theirs(x)")
    (folder / FILE).symlink_to(theirs)
    stored(service, folder)
    with closing(sqlite3.connect(theirs)) as connection:
        assert connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall() == [("theirs",)]


def test_a_file_of_another_program_keeps_its_name(service: Service, folder: Path) -> None:
    with closing(sqlite3.connect(folder / FILE)) as connection:
        connection.executescript("CREATE TABLE theirs(x); PRAGMA user_version = 1")
    before = (folder / FILE).read_bytes()
    stored(service, folder)
    assert (folder / FILE).read_bytes() == before


# --- a hostile or broken server --------------------------------------------------------------------------------------


def test_each_look_at_a_providers_job_is_counted(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    mapping = InferenceProviderMapping(  # type: ignore[no-untyped-call]
        provider="fal-ai", hf_model_id="o/m", providerId="their/m", status="live", task="text-to-video"
    )
    monkeypatch.setattr(_common, "HARDCODED_MODEL_INFERENCE_MAPPING", {"fal-ai": {"o/m": mapping}})
    for name, module in list(sys.modules.items()):
        if name.startswith("huggingface_") and hasattr(module, "HARDCODED_MODEL_INFERENCE_MAPPING"):
            monkeypatch.setattr(module, "HARDCODED_MODEL_INFERENCE_MAPPING", {"fal-ai": {"o/m": mapping}})
    monkeypatch.setattr("huggingface_hub.constants.INFERENCE_PROXY_TEMPLATE", service.url + "/{provider}")
    monkeypatch.setattr("huggingface_hub.inference._providers.fal_ai._POLLING_INTERVAL", 0.01)
    looks = iter(range(8))

    def job(body: Any, _: Any, path: str) -> Any:
        if body is not None:
            return {"request_id": "1", "status": "IN_QUEUE", "response_url": f"{service.url}/fal-ai/their/m/1",
                    "status_url": f"{service.url}/fal-ai/their/m/1/status"}  # fmt: skip
        return {"status": "IN_QUEUE" if next(looks, None) is not None else "COMPLETED"}

    service.answer = job
    using = {"task": "text-to-video", "column": "text", "target": "y", "model": "o/m", "provider": "fal-ai"}
    said(table("a"), using, {"api_key": ALICE, "requests_per_hour": 3, "name": "jobs"})
    assert len(service.asked) == 1 and len(service.fetched) == 2


@pytest.mark.parametrize(
    ("status", "body"), [(200, b'{"error":' * 1000 + b'"x"' + b"}" * 1000), (400, b"[" * 900 + b"1" + b"]" * 900)]
)
def test_nested_brackets_cost_one_row(service: Service, status: int, body: bytes) -> None:
    service.answer = lambda asked, *_: Reply(body, status) if "bad" in str(asked["inputs"]) else score(asked)
    out = predict(table("a", "bad", "b", "c"), UNCACHED, {"endpoint": service.url})
    assert list(out["y"].isna()) == [False, True, False, False]


def test_megabytes_of_brackets_take_no_gigabytes(service: Service) -> None:
    packed = gzip.compress(b"[" + b"[]," * 11_000_000 + b"[]]")
    service.answer = lambda *_: Reply(packed, 200, {"Content-Encoding": "gzip"})
    code = (
        "import re, sys; import pandas as pd; from huggingface_api_handler.inference import predict\n"
        "using = {'task': 'text-classification', 'column': 'text', 'target': 'y', 'model': 'm', 'cache': False}\n"
        "try: predict(pd.DataFrame({'text': ['a']}), using, {'endpoint': sys.argv[1]})\n"
        "except Exception as error: print(str(error)[:1000], file=sys.stderr)\n"
        "print(re.search(r'VmHWM:\\s+(\\d+)', open('/proc/self/status').read())[1])"
    )
    done = subprocess.run([sys.executable, "-c", code, service.url], capture_output=True, text=True, check=True)
    assert len(service.asked) == 1
    assert int(done.stdout) // 1024 < 400, done.stderr


def test_errors_are_short_and_can_be_printed(service: Service) -> None:
    service.answer = lambda *_: Reply({"error": "\x1b[2J\x1b[31mFAKE\x07\x08 \u202e"}, 400)
    shown = reasons(service)
    assert all("FAKE" in reason and reason.isprintable() for reason in shown)
    service.answer = lambda *_: Reply(b'{"%s": 1}' % (b"k" * 1_000_000))
    assert all(len(reason) <= 1_000 for reason in reasons(service))


def reasons(service: Service) -> list[str]:
    """The errors of a table in which one row is answered and the others are not."""
    refuse = service.answer
    service.answer = lambda body, *rest: score(body) if body["inputs"] in ("good", ["good"]) else refuse(body, *rest)
    out = predict(table("good", "a", "b"), UNCACHED, {"endpoint": service.url})
    return [reason for reason in out["y_error"] if reason is not None]


@pytest.mark.parametrize("url", ["http://169.254.169.254/latest/meta-data", "file:///etc/passwd"])
def test_messages_send_the_model_server_nowhere(service: Service, url: str) -> None:
    service.answer = lambda *_: {"choices": [{"message": {"content": "root:x:0"}}]}
    messages = [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": url}}]}]
    using = {"task": "chat-completion", "messages_column": "text", "target": "y", "model": "m", "cache": False}
    said(table(json.dumps(messages)), using, {"endpoint": service.url})
    assert service.asked == []


# --- the local server and what is installed --------------------------------------------------------------------------


def test_the_server_takes_its_token_from_a_variable(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "huggingface_api_handler", "serve", "--help"]
    assert "--token-env" in subprocess.run(command, capture_output=True, text=True, check=True).stdout


def test_half_open_connections_keep_nobody_out() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    process = subprocess.Popen([sys.executable, "-c", SERVE, str(port)], stderr=subprocess.DEVNULL)
    try:
        with contextlib.ExitStack() as stack:
            while process.poll() is None and not is_healthy(port):
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(0.1)
            for _ in range(400):
                connection = stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT_S))
                connection.sendall(b"GET /health HTTP/1.1\r\n")
            assert is_healthy(port)
    finally:
        process.kill()
        process.wait()


def is_healthy(port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=3)
    with closing(connection), contextlib.suppress(OSError):
        connection.request("GET", "/health")
        return connection.getresponse().status == 200
    return False


def test_the_hub_is_not_asked_where_all_goes_elsewhere(service: Service, tmp_path: Path) -> None:
    code = (
        "import sys; import pandas as pd; from huggingface_api_handler.inference import predict\n"
        "using = {'task': 'text-classification', 'column': 'text', 'target': 'y', 'model': 'm', 'cache': False}\n"
        "predict(pd.DataFrame({'text': ['a']}), using, {'endpoint': sys.argv[1] + '/models'})"
    )
    service.answer = lambda body, *_: score(body) if body else {"harnesses": []}
    # The variable by which huggingface_hub takes a process for one that a coding agent runs.
    environment = {**os.environ, "HF_ENDPOINT": service.url, "HF_HOME": str(tmp_path), "AI_AGENT": "a-new-one"}
    subprocess.run([sys.executable, "-c", code, service.url], env=environment, check=True, capture_output=True)
    assert service.fetched == []
