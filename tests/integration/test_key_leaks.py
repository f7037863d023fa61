"""Through a real MindsDB: the key is in no answer to SQL, no log line of ours, no store and no record of ours.

MindsDB's own records of CREATE ML_ENGINE hold it, as SECURITY.md says, and are told apart here by what they are.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from huggingface_api_handler.demo.mindsdb_server import MindsDB, SQLError
from tests.conftest import Reply, Service
from tests.unit.test_key_leaks import Listener, echo, leaks

KEY = "hf_LeakCanary" + "Zq9" * 8 + "SQL"
MINDSDBS_OWN = {("integration", "data")}
"""Where MindsDB itself keeps the arguments of CREATE ML_ENGINE (table and column of its database)."""


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
        return Reply(b"", 307, {"Location": text})
    return Reply({"error": f"no: {echo(headers)}"}, 401 if path.startswith("/refused") else 400)


@pytest.fixture
def service() -> Iterator[Service]:
    running = Service()
    running.answer = answer
    yield running
    running.close()


def asked(mindsdb: MindsDB, statement: str) -> str:
    try:
        return str(mindsdb.sql(statement))
    except SQLError as error:
        return str(error)


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


def test_the_key_is_in_nothing_of_ours(mindsdb: MindsDB, service: Service, tmp_path: Path) -> None:
    elsewhere, seen = Listener(), []
    store = tmp_path / "store"
    for path in ("right", "refused", "page", "answer", "redirect", "bad"):
        name = f"leak_{path}"
        seen.append(
            asked(
                mindsdb,
                f"CREATE ML_ENGINE {name} FROM huggingface_api USING endpoint = '{service.url}/{path}', api_key = '{KEY}', cache_dir = '{store}'",
            )
        )
        mindsdb.sql(
            f"CREATE MODEL mindsdb.{name} PREDICT y USING engine = '{name}', task = 'text-classification', column = 'text', model = 'm'"
        )
        mindsdb.wait_for_model(name)
        url = f"http://127.0.0.1:{elsewhere.port}/"
        seen.append(asked(mindsdb, f"SELECT * FROM mindsdb.{name} WHERE text = '{url}'"))
        seen.append(asked(mindsdb, f"SELECT * FROM mindsdb.{name} WHERE other = 'x'"))
        seen += [asked(mindsdb, f"DESCRIBE mindsdb.{name}{part}") for part in ("", ".settings", ".task", ".model", ".usage", ".nonsense")]  # fmt: skip
    assert elsewhere.heard == [], "a redirect was followed"
    mindsdb.sql(
        "CREATE MODEL mindsdb.leak_elsewhere PREDICT y USING engine = 'leak_right', task = 'text-classification', column = 'text', "
        f"endpoint = 'http://127.0.0.1:{elsewhere.port}/', model = 'm'"
    )
    mindsdb.wait_for_model("leak_elsewhere")
    assert not leaks(str(elsewhere.heard), KEY), (
        "CREATE asks the model's own endpoint what it is, without the engine's key"
    )
    arrived = sum(KEY in headers.get("authorization", "") for headers in service.headers)
    assert arrived >= 6, "the key was to be sent to its own endpoint"
    seen.append(asked(mindsdb, "SELECT y FROM mindsdb.leak_elsewhere WHERE text = 'a' USING max_seconds = 3"))
    assert elsewhere.heard, "the model's own endpoint was to be asked"
    assert not any(leaks(heard.decode("latin-1"), KEY) for heard in elsewhere.heard)
    for statement in (
        "SHOW ML_ENGINES", "SHOW MODELS", "SELECT * FROM information_schema.ml_engines", "SELECT * FROM information_schema.models",
        "SELECT * FROM mindsdb.models", "SELECT * FROM information_schema.queries", "SELECT * FROM information_schema.handlers",
    ):  # fmt: skip
        seen.append(asked(mindsdb, statement))
    assert any("The key was not accepted" in text for text in seen) and any("repeats the key" in text for text in seen)
    assert not [text for text in seen if leaks(text, KEY)]

    log = mindsdb.log.read_text("utf-8", "replace").splitlines()
    ours = [line for line in log if re.search(r"huggingface_api|hf_|aiohttp|huggingface_hub", line)]
    own = [line for line in ours if "CREATE ML_ENGINE" not in line.upper()]  # MindsDB's DEBUG log of SQL
    assert not [line for line in own if leaks(line, KEY)]

    files = [file for file in store.rglob("*") if file.is_file()]
    assert {file.name for file in files} >= {"answers.sqlite"}
    assert not [file.name for file in files if leaks(file.read_bytes().decode("latin-1"), KEY)]
    found: set[tuple[str, str]] = set()
    holders = []
    for file in mindsdb.storage.rglob("*"):
        if not file.is_file() or not leaks(file.read_bytes().decode("latin-1"), KEY):
            continue
        if file.read_bytes()[:15] == b"SQLite format 3":
            found |= in_database(file, KEY)
        elif not file.name.endswith(("-wal", "-journal", ".log")):
            holders.append(str(file.relative_to(mindsdb.storage)))
    assert found == MINDSDBS_OWN, "and there it is, so the search can find it"
    assert holders == []
    for name in ("right", "refused", "page", "answer", "redirect", "bad", "elsewhere"):
        mindsdb.sql(f"DROP MODEL mindsdb.leak_{name}")
