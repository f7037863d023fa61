"""The commands `store` and `usage`, on a real file and a real Redis."""

from __future__ import annotations

import asyncio
import json
import os
import sqlite3
import stat
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from huggingface_api_handler import cli
from huggingface_api_handler.cli.known_names import KnownNames, owner_names
from huggingface_api_handler.cli.store import command as store_command
from huggingface_api_handler.cli.usage_figures import EARLIER, Figures, figures_by
from huggingface_api_handler.config.store_address import parse_store_address
from huggingface_api_handler.config.validation import model_settings
from huggingface_api_handler.inference import predict
from huggingface_api_handler.inference.pricing.spending import Spending
from huggingface_api_handler.inference.storage.open_stores import close_stores
from huggingface_api_handler.inference.storage.redis_store import RedisStore
from huggingface_api_handler.inference.storage.redis_tables import redis_tables
from huggingface_api_handler.inference.storage.response_cache import ResponseCache
from huggingface_api_handler.inference.storage.scope import Scope
from huggingface_api_handler.inference.storage.secret import owner_of
from huggingface_api_handler.inference.storage.sqlite import Store
from huggingface_api_handler.inference.storage.sqlite_tables import sqlite_tables
from huggingface_api_handler.inference.storage.tables import Tables
from huggingface_api_handler.inference.telemetry import usage_log
from huggingface_api_handler.inference.telemetry.usage import Usage
from huggingface_api_handler.inference.telemetry.usage_log import UsageByDay
from huggingface_api_handler.tasks import Media
from tests.conftest import Service
from tests.support.redis_server import RedisServer, redis_server  # noqa: F401

SENTIMENT = {"task": "text-classification", "model": "m", "column": "text"}
ENGINE = "0123456789abcdef"


class Place:
    """A store, with the options that name it.

    Attributes:
        tables: Where a query of another process stores.
        options: Of the commands.
    """

    def __init__(self, store: Store | RedisStore, options: list[str]) -> None:
        self.store, self.options = store, options
        self.tables: Tables = sqlite_tables(store) if isinstance(store, Store) else redis_tables(store)

    def put(self, count: int, scope: str = ENGINE, ttl: float = 1000.0, **more: Any) -> None:
        """Store answers of a scope."""
        cache = ResponseCache(self.tables.answers, scope, "http://here", model_settings(SENTIMENT), ttl, read=True)

        async def put() -> None:
            for number in range(count):
                cache.put(cache.key(f"{scope} {ttl} {number}"), [{"label": "A", "score": number}])
            for item, answer in more.items():
                cache.put(cache.key(item), answer)
            await cache.flush()

        asyncio.run(put())

    def use(self, model: str, usage: Usage) -> None:
        """Count a query of a model."""
        usage_log.record(self.tables.usage, Scope(ENGINE, f"{ENGINE} {model}"), usage)
        self.tables.usage.select(model, 0)


@pytest.fixture(params=["SQLite", "Redis"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    if request.param == "SQLite":
        store = Store(tmp_path)
        yield Place(store, ["--cache-dir", str(tmp_path)])
        store.close()
        return
    server: RedisServer = request.getfixturevalue("redis_server")
    shared = RedisStore(parse_store_address(server.url))
    yield Place(shared, ["--store", server.url])
    shared.close()


def in_file(place: Place) -> bool:
    return isinstance(place.store, Store)


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    status = cli.main(list(arguments))
    out, err = capsys.readouterr()
    return status, out, err


def test_show_counts_answers_by_owner(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    place.put(300)
    place.put(20, "somebody")
    place.use("m1", Usage("text-classification", "org/model", "h", rows=3))
    status, out, _ = run(capsys, "store", "show", *place.options, "--json")
    found = json.loads(out)
    assert (status, found["answers"]) == (0, 320)
    assert time.time() - 60 < found["oldest"] <= found["newest"] <= time.time() + 1
    owners = {(each["name"], each["answers"]) for each in found["owners"]}
    if in_file(place):
        assert owners == {("engine 01234567 (org/model)", 300), (None, 20)}
        assert found["file_bytes"] == (Path(place.options[1]) / "answers.sqlite").stat().st_size
    else:
        assert owners == {(None, 320)}
    status, out, _ = run(capsys, "store", "show", *place.options)
    assert status == 0 and "320 answers" in out and "UTC" in out
    assert ("engine 01234567 (org/model)" in out) == in_file(place)


def test_prune_deletes_what_is_old_and_nothing_else(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    place.put(5000)
    assert run(capsys, "store", "prune", *place.options, "--older-than", "1h", "--yes")[1].endswith(
        "nothing is that old.\n"
    )
    status, out, err = run(capsys, "store", "prune", *place.options, "--older-than", "0s")
    assert status == 2 and "--yes" in err and not out
    assert json.loads(run(capsys, "store", "show", *place.options, "--json")[1])["answers"] == 5000
    time.sleep(1.1)  # times are stored in whole seconds
    status, out, _ = run(capsys, "store", "prune", *place.options, "--older-than", "0s", "--yes")
    assert status == 0 and "5,000 answers deleted" in out
    assert ("smaller" in out) == in_file(place)
    assert json.loads(run(capsys, "store", "show", *place.options, "--json")[1])["answers"] == 0


def test_what_has_expired_is_deleted_and_the_file_gets_smaller(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = Store(tmp_path)
    place = Place(store, ["--cache-dir", str(tmp_path)])
    place.put(3000, ttl=1.0)
    place.put(10, ttl=1000.0)
    time.sleep(2.1)
    before = (tmp_path / "answers.sqlite").stat().st_size
    status, out, _ = run(capsys, "store", "prune", *place.options, "--expired", "--yes")
    assert status == 0 and "3,000 answers deleted" in out
    after = (tmp_path / "answers.sqlite").stat().st_size
    assert after < before / 2
    place.put(5)
    assert json.loads(run(capsys, "store", "show", *place.options, "--json")[1])["answers"] == 15
    store.close()


@pytest.mark.parametrize(("answer", "status", "left"), [("y\n", 0, 0), ("\n", 1, 10)])
def test_prune_asks_whoever_sits_there(
    answer: str,
    status: int,
    left: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    store = Store(tmp_path)
    place = Place(store, ["--cache-dir", str(tmp_path)])
    place.put(10)
    controller, terminal = os.openpty()
    os.write(controller, answer.encode())
    with os.fdopen(terminal, "r") as stdin:
        monkeypatch.setattr("sys.stdin", stdin)
        monkeypatch.setattr("sys.stderr.isatty", lambda: True)
        time.sleep(1.1)
        found, _, err = run(capsys, "store", "prune", *place.options, "--older-than", "0s")
    os.close(controller)
    assert found == status and "10 answers" in err and "Delete them? [y/N]" in err
    assert json.loads(run(capsys, "store", "show", *place.options, "--json")[1])["answers"] == left
    store.close()


def test_export_writes_all_answers_with_their_times(
    place: Place, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    place.put(700, image=Media(b"\x89PNG", "image/png"))
    path = tmp_path / "answers.parquet"
    status, out, err = run(capsys, "store", "export", *place.options, str(path))
    assert (status, err) == (0, "") and "701 answers" in out
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    frame = parquet.read_table(path).to_pandas()
    texts = frame[frame["content_type"].isna()]
    assert sorted(json.loads(answer)[0]["score"] for answer in texts["answer"]) == list(range(700))
    media = frame[frame["content_type"].notna()]
    assert media["media"].tolist() == [b"\x89PNG"] and media["content_type"].tolist() == ["image/png"]
    assert media["answer"].isna().all()
    age = pd.Timestamp.now("UTC") - frame["stored_at"]
    assert age.max() < pd.Timedelta(minutes=1)
    assert set((frame["expires_at"] - frame["stored_at"]).dt.total_seconds()) == {1000.0}
    assert frame["key"].is_unique and frame["key"].str.fullmatch("[0-9a-f]{32}").all()
    if in_file(place):
        assert set(frame["owner"]) == {owner_of(place.store.secret, ENGINE).hex()}
    status, _, err = run(capsys, "store", "export", *place.options, str(path))
    assert status == 2 and "exists" in err
    assert [each.name for each in tmp_path.glob("*.part")] == []


def test_export_leaves_out_what_somebody_else_wrote(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("pyarrow")
    store = Store(tmp_path)
    place = Place(store, ["--cache-dir", str(tmp_path)])
    place.put(4)
    store.close()
    with closing(sqlite3.connect(tmp_path / "answers.sqlite")) as connection:
        connection.execute("UPDATE answers SET answer = answer || X'20' WHERE id = 2")
        connection.execute("UPDATE answers SET expires = expires + 1 WHERE id = 3")  # its checksum is right
        connection.commit()
    status, out, err = run(capsys, "store", "export", *place.options, str(tmp_path / "x.parquet"))
    assert status == 0 and "2 answers" in out and "2 answers were left out" in err


def test_a_store_that_is_not_there_is_not_begun(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for command in (["store", "show"], ["store", "prune", "--expired", "--yes"], ["usage"]):
        status, _, err = run(capsys, *command, "--cache-dir", str(tmp_path / "none"))
        assert status == 2 and "there is no answer store" in err
    assert not (tmp_path / "none").exists()
    status, _, err = run(capsys, "store", "show", "--store", "redis://127.0.0.1:1/0")
    assert status == 2 and "cannot be used" in err


def test_a_damaged_store_is_left_where_it_is(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store = Store(tmp_path)
    Place(store, []).put(10)
    store.close()
    file = tmp_path / "answers.sqlite"
    file.write_bytes(file.read_bytes()[:100] + b"\xff" * 8000)
    damaged = file.read_bytes()
    status, _, err = run(capsys, "store", "show", "--cache-dir", str(tmp_path))
    assert status == 2 and "is damaged" in err
    assert file.read_bytes() == damaged and not list(tmp_path.glob("*.damaged-*"))


def test_the_password_of_a_redis_is_never_shown(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with RedisServer(password="hunter2-hunter2") as server:
        login = server.url.replace("//", "//:wrong-password-0@")
        monkeypatch.setenv("HUGGINGFACE_API_STORE", login)
        status, out, err = run(capsys, "store", "show")
        assert status == 2 and "wrong-password-0" not in out + err and "cannot be used" in err
        monkeypatch.setenv("HUGGINGFACE_API_STORE", server.url.replace("//", "//:hunter2-hunter2@"))
        status, out, err = run(capsys, "store", "show")
        assert status == 0 and "no answers" in out and "hunter2" not in out + err
        assert server.cli("DBSIZE") == "0", "a look stores nothing"


def test_prune_goes_beside_a_query_that_runs(
    service: Service, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Another process deletes while this one stores: what is stored since then is found, and no request is sent twice."""
    import subprocess
    import sys

    service.answer = lambda body, *_: [{"label": "A", "score": 1.0}]
    engine = {"endpoint": service.url, "cache_dir": str(tmp_path), "name": "e"}
    using = {"task": "text-classification", "column": "text"}
    predict(pd.DataFrame({"text": [f"old {number}" for number in range(3000)]}), using, engine)
    code = "from huggingface_api_handler.cli import main; import sys; sys.exit(main(sys.argv[1:]))"
    command = [
        sys.executable,
        "-c",
        code,
        "store",
        "prune",
        "--cache-dir",
        str(tmp_path),
        "--older-than",
        "1s",
        "--yes",
    ]
    time.sleep(1.1)
    outcomes: list[subprocess.CompletedProcess[str]] = []

    def prune() -> None:
        for _ in range(3):
            outcomes.append(subprocess.run(command, capture_output=True, text=True, timeout=60, check=False))

    pruning = threading.Thread(target=prune)
    pruning.start()
    out = predict(pd.DataFrame({"text": [f"new {number}" for number in range(6000)]}), using, engine)
    pruning.join()
    assert [done.returncode for done in outcomes] == [0, 0, 0], outcomes
    assert out["prediction"].tolist() == ["A"] * 6000
    assert "3,000 answers deleted" in "".join(done.stdout for done in outcomes) or "deleted" in outcomes[0].stdout
    close_stores()


@pytest.mark.parametrize("text", ["30", "d", "-3d", "3y", ""])
def test_an_age_needs_a_unit(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        cli.main(["store", "prune", "--older-than", text])
    assert "such as 30d" in capsys.readouterr().err or text == "-3d"


def test_ages() -> None:
    assert [store_command._age(text) for text in ("30d", "12h", "1.5 m", "2W")] == [2_592_000, 43_200, 90, 1_209_600]


# Usage.


def test_usage_by_day_engine_and_model(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    from decimal import Decimal

    paid = Usage("chat-completion", "org/chat", "h", rows=4, distinct=4, cache_hits=1, requests=3, tokens=120)
    paid.spending = Spending(Decimal("0.0021"), priced=3)
    place.use("m1", paid)
    free = Usage("text-classification", "org/model", "h", rows=10, distinct=8, cache_hits=8)
    place.use("m2", free)
    status, out, _ = run(capsys, "usage", *place.options, "--json")
    found = json.loads(out)
    today = time.strftime("%Y-%m-%d", time.gmtime())
    assert status == 0 and [row["day"] for row in found["rows"]] == [today]
    expected = {"queries": 2, "rows": 14, "requests": 3, "tokens": 120, "usd": 0.0021, "unpriced_requests": 0}
    assert expected.items() <= found["total"].items()
    found = json.loads(run(capsys, "usage", *place.options, "--by", "model", "--json")[1])
    assert [row["model"] for row in found["rows"]] == ["org/chat (chat-completion)", "org/model (text-classification)"]
    out = run(capsys, "usage", *place.options, "--by", "engine")[1]
    assert ("engine 01234567" if in_file(place) else "?") in out
    out = run(capsys, "usage", *place.options, "--days", "3")[1]
    assert today in out and "75%" in out and "0.002" in out


def test_usage_as_a_picture(place: Place, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("matplotlib")
    place.use("m1", Usage("chat-completion", "org/$chat$", "h", rows=4, requests=3, tokens=120))
    for name in ("a.svg", "b.svg", "c.png"):
        assert run(capsys, "usage", *place.options, "--by", "model", "--picture", str(tmp_path / name))[0] == 0
    svg = (tmp_path / "a.svg").read_text()
    assert svg == (tmp_path / "b.svg").read_text() and "org/$chat$" in svg and "tokens" in svg
    assert (tmp_path / "c.png").read_bytes().startswith(b"\x89PNG")
    status, _, err = run(capsys, "usage", *place.options, "--picture", str(tmp_path / "a.pdf"))
    assert status == 2 and ".svg" in err


def test_what_no_day_holds_is_earlier() -> None:
    total = Usage("t", "m", "h", queries=5, rows=50, requests=30)
    days = {"2026-11-28": Usage("t", "m", "h", queries=1, rows=7, requests=7)}
    found = figures_by("day", [UsageByDay("e 1", total, days)], KnownNames())
    assert {day: (each.queries, each.rows) for day, each in found.items()} == {EARLIER: (4, 43), "2026-11-28": (1, 7)}
    assert list(figures_by("day", [UsageByDay("e 1", total, days)], KnownNames(), "2026-11-29")) == []
    of_model = figures_by("model", [UsageByDay("e 1", total, days)], KnownNames({"e": "hf"}, {"e 1": "tone"}))
    assert list(of_model) == ["tone: m (t)"] and of_model["tone: m (t)"].rows == 50
    assert list(figures_by("engine", [UsageByDay("e 1", total, days)], KnownNames({"e": "hf"}))) == ["hf"]


def test_dollars_that_are_not_known_are_not_zero() -> None:
    assert Figures(requests=3).known_usd is None and Figures(requests=3).unpriced == 3
    assert Figures(requests=3, unbilled=3).known_usd == 0


def test_owners_are_named_as_far_as_they_are_known(monkeypatch: pytest.MonkeyPatch, service: Service, tmp_path: Path) -> None:  # fmt: skip
    service.answer = lambda body, *_: [{"label": "A", "score": 1.0}]
    monkeypatch.setenv("HF_TOKEN", "hf_OfTheMachine00000")
    secret = b"s" * 32
    used = UsageByDay(f"{ENGINE} m", Usage("t", "org/model", "h"), {})
    names = owner_names(secret, KnownNames({ENGINE: "hf"}), [used])
    assert names[owner_of(secret, ENGINE)] == "hf (org/model)"
    assert set(names.values()) == {"hf (org/model)", "Python, with the key of this machine", "Python, without a key"}
    assert "hf_OfTheMachine00000" not in repr(names)
