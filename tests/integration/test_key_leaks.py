"""Through a real MindsDB that logs all at DEBUG: the key is in no answer to SQL, log, crash trace, store or record of ours.

MindsDB's own records of CREATE ML_ENGINE hold it, as SECURITY.md says, and are told apart here by what they are. With
``api_key_env`` there are none.
"""

from __future__ import annotations

import asyncio
import re
import signal
import sqlite3
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from aiohttp import web

from huggingface_api_handler.demo.mindsdb_server import MindsDB, SQLError, running_mindsdb
from tests.conftest import Reply, Service
from tests.unit.test_key_leaks import Listener, echo, leaks

KEY = "hf_LeakCanary" + "Zq9" * 8 + "SQL"
VARIABLE = "HF_LEAK_CANARY"
GIVEN = {"huggingface_api_key": KEY, "api_key_env": VARIABLE}
"""How CREATE ML_ENGINE is told the key: by the name that MindsDB masks least, and so that MindsDB never sees it."""
PATHS = ("right", "refused", "page", "answer", "redirect", "bad")
MINDSDBS_OWN = {("integration", "data")}
"""Where MindsDB itself keeps the arguments of CREATE ML_ENGINE (table and column of its database)."""
MINDSDBS_LINE = re.compile(r" DEBUG +mindsdb\.\S+: .*(CREATE ML_ENGINE|connection_args=)")
"""Where MindsDB itself logs them: it masks api_key and token there, and not our former names of them."""


def answer(body: Any, headers: dict[str, str], path: str) -> Any:
    """Right on /right, and on each other path a failure that repeats the key."""
    text = body["inputs"] if isinstance(body, dict) else None
    if body is None or path.startswith("/right"):
        one = [{"label": "A", "score": 0.9}]
        right = [one] * len(text) if isinstance(text, list) else [one]
        return Reply(right if text else dict(headers), 200, {"x-request-id": echo(headers)})
    if path.startswith("/page"):
        return Reply(f"<title>{echo(headers)}</title>".encode(), 403)
    if path.startswith("/answer"):
        return [[{"label": echo(headers), "score": 0.9}]]
    if path.startswith("/redirect"):
        return Reply(b"", 307, {"Location": str(text)})
    return Reply({"error": f"no: {echo(headers)}"}, 401 if path.startswith("/refused") else 400)


@pytest.fixture
def service() -> Iterator[Service]:
    running = Service()
    running.answer = answer
    yield running
    running.close()


@pytest.fixture(scope="module", params=GIVEN)
def given(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def mindsdb(handler_installed: None, given: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[MindsDB]:
    """One for each way of giving the key, so that its whole log and storage are of that way."""
    environment = {
        VARIABLE: KEY,
        "HF_HOME": str(tmp_path_factory.mktemp("home")),
        "MINDSDB_CONSOLE_LOG_LEVEL": "DEBUG",
        "PYTHONFAULTHANDLER": "1",
    }
    with running_mindsdb(environment=environment) as server:
        yield server


def asked(mindsdb: MindsDB, statement: str) -> str:
    try:
        return str(mindsdb.sql(statement))
    except SQLError as error:
        return str(error)


def create(mindsdb: MindsDB, name: str, engine: str, using: str = "") -> None:
    mindsdb.sql(
        f"CREATE MODEL mindsdb.{name} PREDICT y USING engine = '{engine}', task = 'text-classification', column = 'text', "
        f"model = 'm'{using}"
    )
    mindsdb.wait_for_model(name)


def in_database(file: Path, key: str) -> set[tuple[str, str]]:
    """The tables and columns of a SQLite file in which the key is."""
    found = set()
    with sqlite3.connect(f"file:{file}?mode=ro", uri=True) as connection:
        tables = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        for table in tables:
            cursor = connection.execute(f'SELECT * FROM "{table}"')
            columns = [column[0] for column in cursor.description]
            for row in cursor:
                found |= {(table, name) for name, value in zip(columns, row, strict=True) if leaks(str(value), key)}
    return found


def in_storage(storage: Path) -> tuple[set[tuple[str, str]], list[str]]:
    """Where in MindsDB's storage the key is: tables and columns of databases, and other files but the log."""
    columns: set[tuple[str, str]] = set()
    files = []
    for file in storage.rglob("*"):
        if not file.is_file() or not leaks(file.read_bytes().decode("latin-1"), KEY):
            continue
        if file.read_bytes()[:15] == b"SQLite format 3":
            columns |= in_database(file, KEY)
        elif not file.name.endswith(("-wal", "-journal", ".log")):
            files.append(str(file.relative_to(storage)))
    return columns, files


def ours_with_the_key(log: str, given: str) -> list[str]:
    """The lines of MindsDB's log that hold the key and are not its own of CREATE ML_ENGINE."""
    return [line for line in log.splitlines() if leaks(line, KEY) and (given == "api_key_env" or not MINDSDBS_LINE.search(line))]  # fmt: skip


def test_the_key_is_in_nothing_of_ours(mindsdb: MindsDB, service: Service, tmp_path: Path, given: str) -> None:
    elsewhere, seen = Listener(), []
    store, url = tmp_path / "store", f"http://127.0.0.1:{elsewhere.port}/"
    engine = f"FROM huggingface_api USING cache_dir = '{store}', {given} = '{GIVEN[given]}'"
    for path in PATHS:
        name = f"leak_{path}"
        seen.append(asked(mindsdb, f"CREATE ML_ENGINE {name} {engine}, endpoint = '{service.url}/{path}'"))
        create(mindsdb, name, name)
        seen.append(asked(mindsdb, f"SELECT * FROM mindsdb.{name} WHERE text = '{url}'"))
        seen.append(asked(mindsdb, f"SELECT * FROM mindsdb.{name} WHERE other = 'x'"))
        seen += [asked(mindsdb, f"DESCRIBE mindsdb.{name}{part}") for part in ("", ".settings", ".task", ".model", ".usage", ".nonsense")]  # fmt: skip
    assert elsewhere.received == [], "a redirect was followed"
    create(mindsdb, "leak_elsewhere", "leak_right", f", endpoint = '{url}'")
    assert not leaks(str(elsewhere.received), KEY), (
        "CREATE asks the model's own endpoint what it is, without the engine's key"
    )
    arrived = sum(KEY in headers.get("authorization", "") for headers in service.headers)
    assert arrived >= 6, "the key was to be sent to its own endpoint"
    seen.append(asked(mindsdb, "SELECT y FROM mindsdb.leak_elsewhere WHERE text = 'a' USING max_seconds = 3"))
    assert elsewhere.received, "the model's own endpoint was to be asked"
    assert not any(leaks(received.decode("latin-1"), KEY) for received in elsewhere.received)
    elsewhere.close()
    seen.append(asked(mindsdb, f"CREATE ML_ENGINE leak_gone {engine}, endpoint = '{url}'"))
    tables = mindsdb.sql("SELECT table_schema, table_name FROM information_schema.tables").rows
    views = [f"{schema}.{name}" for schema, name in tables if schema in ("information_schema", "mindsdb", "log")]
    assert {"information_schema.ML_ENGINES", "information_schema.MODELS", "information_schema.QUERIES"} <= set(views)
    seen += [asked(mindsdb, f"SELECT * FROM {view}") for view in views]
    seen += [asked(mindsdb, statement) for statement in ("SHOW ML_ENGINES", "SHOW MODELS", "SHOW HANDLERS")]
    assert any("did not accept the key" in text for text in seen) and any("repeats the key" in text for text in seen)
    assert not [text for text in seen if leaks(text, KEY)]

    log = mindsdb.log.read_text("utf-8", "replace")
    assert re.search(r" WARNING +huggingface_api_handler\.", log), "our log is in MindsDB's"
    assert re.search(r" DEBUG +mindsdb\..*CREATE ML_ENGINE leak_gone", log), "at DEBUG"
    assert leaks(log, KEY) is (given != "api_key_env"), "there MindsDB logs it, so the search can find it"
    assert ours_with_the_key(log, given) == []

    files = [file for file in store.rglob("*") if file.is_file()]
    assert {file.name for file in files} >= {"answers.sqlite"}
    assert not [file.name for file in files if leaks(file.read_bytes().decode("latin-1"), KEY)]
    columns, others = in_storage(mindsdb.storage)
    assert columns == (set() if given == "api_key_env" else MINDSDBS_OWN), "and there it is, so the search can find it"
    assert others == []


class Hung(Service):
    """Takes each question and never answers."""

    async def _handle(self, request: web.Request) -> web.Response:
        if request.method == "POST":
            self.headers.append({name.lower(): value for name, value in request.headers.items()})
            await asyncio.Event().wait()
        return web.json_response({"error": "no"}, status=404)


def test_a_crash_of_the_process_that_asks_prints_no_key(mindsdb: MindsDB, given: str) -> None:
    hung = Hung()
    key = f"{given} = '{GIVEN[given]}'"
    asked(mindsdb, f"CREATE ML_ENGINE hung FROM huggingface_api USING endpoint = '{hung.url}', {key}")
    create(mindsdb, "hung", "hung")
    answers: list[str] = []
    asking = threading.Thread(
        target=lambda: answers.append(asked(mindsdb, "SELECT y FROM mindsdb.hung WHERE text = 'a'"))
    )
    asking.start()
    ends = time.monotonic() + 60
    while not hung.headers:
        assert time.monotonic() < ends
        time.sleep(0.05)
    (process,) = connected_to(hung.port)
    process.send_signal(signal.SIGABRT)
    asking.join(60)
    hung.close()
    log = mindsdb.log.read_text("utf-8", "replace")
    assert KEY in hung.headers[0]["authorization"], "the key was in that process"
    assert "Fatal Python error: Aborted" in log
    assert "client.py" in log or "dataframe.py" in log, "our frames are in the trace"
    assert answers and not leaks(answers[0], KEY)
    assert ours_with_the_key(log, given) == []


def connected_to(port: int) -> list[psutil.Process]:
    """Our children with a connection to a port of this machine, but for this process itself."""
    children = psutil.Process().children(recursive=True)
    return [child for child in children if any(link.raddr and link.raddr.port == port for link in child.net_connections())]  # fmt: skip
