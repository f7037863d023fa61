"""One file for what outlives a process: whatever becomes of it, the query is answered."""

from __future__ import annotations

import asyncio
import logging
import os
import sqlite3
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from huggingface_api_handler.inference import predict
from huggingface_api_handler.inference.flow_control.coordination import RouteCoordinator, route_key
from huggingface_api_handler.inference.storage import sqlite as module
from huggingface_api_handler.inference.storage.open_stores import close_stores
from huggingface_api_handler.inference.storage.schema import APPLICATION_ID, SCHEMA_VERSION
from huggingface_api_handler.inference.storage.sqlite import Store, open_store
from tests.conftest import Service

ROOT = Path(__file__).parents[4]
USING = {"task": "text-classification", "column": "text", "target": "y"}
TEXTS = pd.DataFrame({"text": ["the first review", "the second review"]})


def answer(body: Any, *_: Any) -> Any:
    texts = body["inputs"] if isinstance(body["inputs"], list) else [body["inputs"]]
    return [[{"label": "POSITIVE", "score": len(text) / 1000}] for text in texts]


def ask(service: Service, folder: Path) -> int:
    """Requests that the query took. It is answered, whatever the store."""
    service.answer = answer
    before = len(service.asked)
    out = predict(TEXTS, USING, {"endpoint": service.url, "cache_dir": str(folder)})
    assert list(out["y"]) == ["POSITIVE", "POSITIVE"]
    return len(service.asked) - before


def count(connection: sqlite3.Connection) -> int:
    rows: int = connection.execute("SELECT count(*) FROM answers").fetchone()[0]
    return rows


def put(store: Store, first: int, after: int) -> None:
    """An answer in each transaction."""
    for number in range(first, after):
        store.run(partial(insert, number), 0).result()


def insert(number: int, connection: sqlite3.Connection) -> int:
    statement = "INSERT INTO answers(key, answer, kept, expires) VALUES (?, 'x', 0, 9e9)"
    return connection.execute(statement, (b"%d" % number,)).rowcount


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    """Of this package: asyncio tells of the tasks of whatever is garbage collected meanwhile."""
    return [
        record.getMessage()
        for record in caplog.records
        if record.levelno >= logging.WARNING and record.name.startswith("huggingface_api_handler")
    ]


def test_only_its_owner_can_read_the_file(service: Service, tmp_path: Path) -> None:
    folder = tmp_path / "store"
    ask(service, folder)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    files = list(folder.iterdir())
    assert {file.name for file in files} >= {"answers.sqlite", "answers.secret"}
    assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}


def test_neither_inputs_nor_keys_are_in_the_file(service: Service, tmp_path: Path) -> None:
    service.answer = answer
    engine = {"endpoint": service.url, "cache_dir": str(tmp_path), "api_key": "hf_thisIsTheSecretKey", "name": "mine"}
    predict(TEXTS, USING, engine)
    content = b"".join(file.read_bytes() for file in tmp_path.glob("answers.sqlite*"))
    assert b"POSITIVE" in content  # answers are
    for secret in (b"review", b"SecretKey", b"127.0.0.1", b"distilbert"):
        assert secret not in content


@pytest.mark.parametrize("how", ["random bytes", "cut off", "pages flipped", "no secret"])
def test_a_damaged_file_is_set_aside_with_one_warning(how: str, service: Service, tmp_path: Path, caplog: Any) -> None:
    assert ask(service, tmp_path) == 2
    close_stores()
    file = tmp_path / "answers.sqlite"
    data = bytearray(file.read_bytes())
    if how == "random bytes":
        data[:] = os.urandom(len(data))
    elif how == "cut off":
        del data[len(data) // 2 :]
    elif how == "pages flipped":  # but for the first, so that it can be opened
        data[4096:] = bytes(255 - byte for byte in data[4096:])
    if how == "no secret":
        (tmp_path / "answers.secret").unlink()
    else:
        file.write_bytes(data)
    assert ask(service, tmp_path) == 2
    assert len(warnings(caplog)) == 1
    assert "set aside" in warnings(caplog)[0]
    assert len(list(tmp_path.glob("answers.sqlite.damaged-*[0-9]"))) == 1
    assert ask(service, tmp_path) == 0


def test_a_file_damaged_in_the_middle_of_a_query_is_set_aside_and_what_comes_after_is_kept(
    service: Service, tmp_path: Path, caplog: Any
) -> None:
    def harmful(body: Any, *rest: Any) -> Any:
        if len(service.asked) == 1:
            store = open_store(str(tmp_path))
            with store._connection_lock, (tmp_path / "answers.sqlite").open("r+b") as file:
                assert store._connection is not None
                store._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
                file.seek(4096)
                file.write(os.urandom((tmp_path / "answers.sqlite").stat().st_size - 4096))
                store._connection.execute("PRAGMA shrink_memory")  # or it would not look at the file again
        return answer(body, *rest)

    service.answer = harmful
    frame = pd.DataFrame({"text": [f"text {number}" for number in range(50)]})
    engine = {"endpoint": service.url, "cache_dir": str(tmp_path)}
    out = predict(frame, USING, engine)
    assert out["y_error"].isna().all()
    assert len([warning for warning in warnings(caplog) if "set aside" in warning]) == 1
    before = len(service.asked)
    predict(frame, USING, engine)
    assert len(service.asked) - before <= 1, "answers after the damage were not kept"


def test_a_file_of_a_newer_version_is_left_as_it_is(service: Service, tmp_path: Path, caplog: Any) -> None:
    file = tmp_path / "answers.sqlite"
    with sqlite3.connect(file) as connection:
        connection.execute("CREATE TABLE later(x)")
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION + 1}")
    connection.close()
    file.chmod(0o600)
    before = file.read_bytes()
    assert ask(service, tmp_path) == 2
    assert len(warnings(caplog)) == 1
    assert "newer version" in warnings(caplog)[0]
    close_stores()
    assert file.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir() if file.is_file()] == ["answers.sqlite"]


def test_a_folder_that_cannot_be_made_costs_one_warning(service: Service, tmp_path: Path, caplog: Any) -> None:
    (tmp_path / "file").write_text("no folder")
    assert ask(service, tmp_path / "file") == 2
    assert ask(service, tmp_path / "file") == 2
    assert len(warnings(caplog)) == 1
    assert "cache_dir" in warnings(caplog)[0]


def test_a_folder_removed_while_in_use_is_made_anew(service: Service, tmp_path: Path) -> None:
    folder = tmp_path / "store"
    assert ask(service, folder) == 2
    for file in folder.iterdir():
        file.unlink()
    folder.rmdir()
    assert ask(service, folder) == 2
    assert ask(service, folder) == 0
    close_stores()
    assert ask(service, folder) == 0, "what was kept after the removal is on the disk"


def test_a_file_that_another_process_replaced_is_not_written_to_any_more(tmp_path: Path) -> None:
    store = open_store(str(tmp_path))
    put(store, 0, 3)
    (tmp_path / "answers.sqlite").rename(tmp_path / "aside")
    put(store, 3, 5)
    assert store.run(count, -1).result() == 2


def test_a_locked_file_holds_a_query_up_once_and_for_a_bounded_time(
    service: Service, tmp_path: Path, monkeypatch: Any, caplog: Any
) -> None:
    monkeypatch.setattr(module, "_BUSY_TIMEOUT_S", 0.5)
    assert ask(service, tmp_path) == 2
    frame = pd.DataFrame({"text": [f"text {number}" for number in range(3000)]})
    other = sqlite3.connect(tmp_path / "answers.sqlite", isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    started = time.monotonic()
    out = predict(frame, USING, {"endpoint": service.url, "cache_dir": str(tmp_path)})
    seconds = time.monotonic() - started
    other.execute("ROLLBACK")
    other.close()
    assert out["y_error"].isna().all()
    assert seconds < 8, f"{seconds:.1f} s; each transaction waited for the lock"
    assert len([warning for warning in warnings(caplog) if "locked" in warning]) == 1
    assert ask(service, tmp_path) == 0, "it is used again once the lock is gone"


def test_work_that_fails_leaves_no_transaction_open(tmp_path: Path) -> None:
    store = open_store(str(tmp_path))

    def faulty(connection: sqlite3.Connection) -> int:
        connection.execute("INSERT INTO asked VALUES (x'00')")
        raise ValueError("what a damaged record makes of it")

    assert store.run(faulty, -1).result() == -1
    assert store.run(lambda connection: connection.execute("SELECT count(*) FROM asked").fetchone()[0], -1).result() == 0  # fmt: skip
    other = sqlite3.connect(tmp_path / "answers.sqlite", timeout=0)
    other.execute("BEGIN IMMEDIATE")
    other.close()


def test_a_closed_store_is_opened_anew_by_the_next_query(service: Service, tmp_path: Path) -> None:
    assert ask(service, tmp_path) == 2
    close_stores()
    assert ask(service, tmp_path) == 0


def test_parent_and_forked_child_lose_no_answer(tmp_path: Path) -> None:
    code = f"""
import os, time
from huggingface_api_handler.inference.storage.sqlite import open_store
from tests.unit.inference.storage.test_sqlite import put
store = open_store({str(tmp_path)!r})
put(store, 0, 100)
if os.fork() == 0:
    mine = open_store({str(tmp_path)!r})
    put(mine, 1000, 1100)
    time.sleep(0.3)  # the parent closes its own meanwhile
    put(mine, 1100, 1200)
    mine.close()
    os._exit(0)
put(store, 100, 200)
store.close()
os.wait()
"""
    run(code)
    connection = sqlite3.connect(tmp_path / "answers.sqlite")
    assert count(connection) == 400
    assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def test_two_processes_write_thousands_of_answers_and_lose_none(tmp_path: Path) -> None:
    code = "from huggingface_api_handler.inference.storage.sqlite import open_store; from tests.unit.inference.storage.test_sqlite import put; put(open_store({!r}), {}, {})"
    both = [started(code.format(str(tmp_path), first, first + 3000)) for first in (0, 3000)]
    for process in both:
        _, stderr = process.communicate(timeout=120)
        assert process.returncode == 0, stderr
        assert "cannot be used" not in stderr
    connection = sqlite3.connect(tmp_path / "answers.sqlite")
    assert count(connection) == 6000
    assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def test_a_full_disk_costs_a_warning_and_stored_answers_are_still_found(service: Service, tmp_path: Path) -> None:
    """The limit on the size of files stands for the disk; SQLite sees the same failing write."""
    assert ask(service, tmp_path) == 2
    close_stores()
    code = f"""
import os, resource, sys
import pandas as pd
from huggingface_api_handler.inference import predict
from tests.unit.inference.storage.test_sqlite import TEXTS, USING
engine = {{"endpoint": {service.url!r}, "cache_dir": {str(tmp_path)!r}}}
predict(TEXTS.head(1), USING, engine)
size = max(os.path.getsize({str(tmp_path)!r} + "/" + name) for name in os.listdir({str(tmp_path)!r}))
resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
frame = pd.DataFrame({{"text": [f"text {{number}} " * 50 for number in range(500)]}})
out = predict(frame, USING, engine)
assert out["y_error"].isna().all()
out = predict(TEXTS, USING, engine)
print(out.attrs["usage"]["stored"])
"""
    done = run(code)
    assert done.stdout.strip() == "2"
    assert done.stderr.count("cannot be used") == 1, done.stderr


@pytest.mark.skipif(os.geteuid() != 0, reason="to become a user who may not write there takes root")
@pytest.mark.parametrize("what", ["folder", "file"])
def test_a_store_that_may_not_be_written_costs_a_warning(what: str, service: Service, tmp_path: Path) -> None:
    service.answer = answer
    with tempfile.TemporaryDirectory() as folder:  # pytest's own is closed to that user
        ask(service, Path(folder))
        close_stores()
        os.chmod(folder, 0o755 if what == "folder" else 0o777)
        os.chmod(f"{folder}/answers.sqlite", 0o644 if what == "file" else 0o666)
        other = str(tmp_path)
        code = f"""
import os
from huggingface_api_handler.inference import predict
from huggingface_api_handler.inference.storage.open_stores import close_stores
from tests.unit.inference.storage.test_sqlite import TEXTS, USING
predict(TEXTS, USING, {{"endpoint": {service.url!r}, "cache": False, "cache_dir": {other!r}}})  # all modules are read
close_stores()
os.seteuid(65534)
out = predict(TEXTS, USING, {{"endpoint": {service.url!r}, "cache_dir": {folder!r}}})
assert out["y_error"].isna().all()
"""
        done = run(code)
    assert done.stderr.count("cannot be used") == 1, done.stderr


FILES = ["answers.sqlite", "answers.sqlite-wal", "answers.sqlite-shm", "answers.sqlite-journal", "answers.secret"]


def test_a_file_that_is_cut_or_removed_while_in_use_costs_a_warning_at_most(tmp_path: Path) -> None:
    """The process itself once ended by SIGBUS: SQLite maps the file -shm."""
    code = f"""
import logging, os
from pathlib import Path
from huggingface_api_handler.inference.storage.sqlite import open_store
from tests.unit.inference.storage.test_sqlite import FILES, count, put
for name in FILES:
    for how in ("cut", "cut in half", "removed"):
        folder = Path({str(tmp_path)!r}, name, how)
        store, path = open_store(str(folder)), folder / name
        put(store, 0, 300)
        if path.exists():
            path.unlink() if how == "removed" else os.truncate(path, path.stat().st_size // 2 if "half" in how else 0)
        put(store, 300, 600)
        print(store.run(count, -1).result())
        assert not list(folder.glob("*-shm")), "it is mapped"
"""
    done = run(code)
    assert done.stdout.split() == ["300"] * 3 + ["600"] * 3 * (len(FILES) - 1), "what comes after is kept in any case"
    assert len(done.stderr.splitlines()) == 3, done.stderr


READ_ONLY = {"the file": (0o400, 0o700), "the folder": (0o600, 0o500), "both": (0o400, 0o500)}


@pytest.mark.skipif(os.geteuid() != 0, reason="to become a user who is not root, who may write anywhere, takes root")
@pytest.mark.parametrize("what", READ_ONLY)
def test_a_read_only_store_serves_what_it_holds_and_keeps_nothing_with_one_warning(what: str, service: Service) -> None:
    service.answer = answer
    with tempfile.TemporaryDirectory() as above:  # pytest's own is closed to that user
        os.chmod(above, 0o755)
        folder = Path(above) / "store"
        ask(service, folder)
        close_stores()
        for path in (folder, *folder.iterdir()):
            os.chown(path, 65534, -1)
        file_mode, folder_mode = READ_ONLY[what]
        (folder / "answers.sqlite").chmod(file_mode)
        folder.chmod(folder_mode)
        before = (folder / "answers.sqlite").read_bytes()
        code = f"""
import os
import pandas as pd
from huggingface_api_handler.inference import predict
from huggingface_api_handler.inference.storage.open_stores import close_stores
from tests.unit.inference.storage.test_sqlite import TEXTS, USING
engine = {{"endpoint": {service.url!r}, "cache_dir": {str(folder)!r}, "requests_per_hour": 10}}
predict(TEXTS, USING, {{**engine, "cache": False, "cache_dir": {above!r}}})  # all modules are read
close_stores()
os.seteuid(65534)
for _ in range(2):
    out = predict(TEXTS, USING, engine)
    assert out["y_error"].isna().all()
    print(out.attrs["usage"]["stored"])
    out = predict(pd.DataFrame({{"text": ["a third review"]}}), USING, engine)
    assert out["y_error"].isna().all()
    print(out.attrs["usage"]["stored"])
"""
        done = run(code)
        assert (folder / "answers.sqlite").read_bytes() == before
    assert done.stdout.split() == ["2", "0", "2", "0"]
    assert done.stderr.count("is read-only") == len(done.stderr.splitlines()) == 1, done.stderr


@contextmanager
def a_file_for_the_folder(folder: Path) -> Iterator[None]:
    """The folder's name leads to a file for the length of the block. There is no moment in which it leads nowhere."""
    real, link, file = folder.resolve(), folder.with_name("link"), folder.with_name("file")
    file.touch()
    for target in (file, real):
        link.symlink_to(target)
        link.replace(folder)
        if target == file:
            yield


@contextmanager
def a_folder_for_the_file(folder: Path) -> Iterator[None]:
    """The file is a folder for the length of the block."""
    path = folder / "answers.sqlite"
    aside = path.rename(folder / "aside")
    path.mkdir()
    yield
    path.rmdir()
    aside.rename(path)


SPELLS: dict[str, Callable[[Path], AbstractContextManager[None]]] = {
    "the folder is a file": a_file_for_the_folder,
    "the file is a folder": a_folder_for_the_file,
}


@pytest.mark.parametrize("begun", ["before", "in it"])
@pytest.mark.parametrize("what", SPELLS)
def test_what_is_kept_after_a_spell_without_the_store_is_found_by_all(
    what: str, begun: str, service: Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether the process has seen the store before the spell, and knows its secret, or not."""
    monkeypatch.setattr(module, "_REOPEN_AFTER_S", 0.0)
    folder = tmp_path / "store"
    (tmp_path / "real").mkdir(mode=0o700)
    folder.symlink_to(tmp_path / "real")
    ask(service, folder)
    if begun == "in it":
        close_stores()
    with SPELLS[what](folder):
        assert ask(service, folder) == 2
    frame = pd.DataFrame({"text": [f"text {number}" for number in range(50)]})
    engine = {"endpoint": service.url, "cache_dir": str(folder)}
    route = RouteCoordinator(open_store(str(folder)), "a route", 8)
    asyncio.run(route.refresh(active=True))
    predict(frame, USING, engine)
    before = len(service.asked)
    for _ in range(2):
        assert ask(service, folder) == 0, "what was kept before the spell"
        assert predict(frame, USING, engine).attrs["usage"]["stored"] == 50
        close_stores()  # as another process
    assert len(service.asked) == before
    store = open_store(str(folder))
    leases: Any = store.run(lambda c: [key for (key,) in c.execute("SELECT route FROM leases")], []).result()
    assert route_key(store, "a route") in leases


def test_a_secret_that_is_removed_while_in_use_is_put_back(service: Service, tmp_path: Path) -> None:
    assert ask(service, tmp_path) == 2
    (tmp_path / "answers.secret").unlink()
    (tmp_path / "answers.sqlite").rename(tmp_path / "aside")
    (tmp_path / "aside").rename(tmp_path / "answers.sqlite")
    store = open_store(str(tmp_path))
    store.suspend()
    store.resume()
    assert ask(service, tmp_path) == 0
    close_stores()
    assert ask(service, tmp_path) == 0


def started(code: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def run(code: str) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, check=False, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    return done
