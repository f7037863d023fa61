"""A store that was damaged, as by a loss of power, is begun anew: limits are not."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from huggingface_api_handler.inference.storage.open_stores import close_stores
from huggingface_api_handler.inference.storage.quota import Quota, Reservation
from huggingface_api_handler.inference.storage.quota_recovery import read_quotas
from huggingface_api_handler.inference.storage.schema import SCHEMA
from huggingface_api_handler.inference.storage.sqlite import open_store
from huggingface_api_handler.inference.storage.sqlite_tables import SqliteQuotas

LIMITS = {"requests_per_month": 10}


def granted(folder: Path, asked: int) -> int:
    async def ask() -> int:
        quota = Quota(SqliteQuotas(open_store(str(folder))), b"e", LIMITS)
        found = [await quota.reserve() for _ in range(asked)]
        await quota.release()
        return sum(isinstance(each, Reservation) for each in found)

    return asyncio.run(ask())


def damage(file: Path, *tables: str) -> None:
    """Flip every bit of the first pages of tables."""
    with closing(sqlite3.connect(file)) as connection:
        (page_bytes,) = connection.execute("PRAGMA page_size").fetchone()
        pages = dict(connection.execute("SELECT name, rootpage FROM sqlite_master"))
    with file.open("r+b") as opened:
        for table in tables:
            opened.seek((pages[table] - 1) * page_bytes)
            page = opened.read(page_bytes)
            opened.seek(-page_bytes, 1)
            opened.write(bytes(255 - byte for byte in page))


def use_answers(connection: sqlite3.Connection) -> int:
    connection.execute("PRAGMA shrink_memory")  # or it would not look at the file again
    return len(connection.execute("SELECT * FROM answers").fetchall())


def test_requests_counted_before_the_damage_count_after_it(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    assert granted(tmp_path, 7) == 7
    close_stores()
    damage(tmp_path / "answers.sqlite", "answers")
    assert open_store(str(tmp_path)).run(use_answers, -1).result() == 0
    assert "set aside" in caplog.text
    close_stores()
    assert granted(tmp_path, 7) == 3


def test_a_store_whose_secret_is_gone_is_begun_anew_with_its_counts(tmp_path: Path) -> None:
    granted(tmp_path, 7)
    close_stores()
    (tmp_path / "answers.secret").unlink()
    assert granted(tmp_path, 7) == 3


def test_counts_that_cannot_be_read_cost_nothing_else(tmp_path: Path) -> None:
    granted(tmp_path, 7)
    close_stores()
    damage(tmp_path / "answers.sqlite", "answers", "quotas")
    open_store(str(tmp_path)).run(use_answers, -1).result()
    close_stores()
    assert granted(tmp_path, 7) == 7


HOSTILE: dict[str, Callable[[sqlite3.Connection], Any]] = {
    "a view, which need not end": lambda c: c.executescript(
        "DROP TABLE quotas; CREATE VIEW quotas AS SELECT x'00' AS scope, '2026-11' AS period, 7 AS used"
    ),
    "values of other types": lambda c: c.execute("INSERT INTO quotas VALUES ('text', 1, 'many')"),
    "less than nothing": lambda c: c.execute("INSERT INTO quotas VALUES (x'00', '2026-11', -5)"),
    "more than can be sent": lambda c: c.execute("INSERT INTO quotas VALUES (x'00', '2026-11', ?)", (2**62,)),
    "no table": lambda c: c.execute("DROP TABLE quotas"),
}


@pytest.mark.parametrize("how", HOSTILE)
def test_what_is_no_count_is_left_behind(how: str, tmp_path: Path) -> None:
    file = tmp_path / "damaged.sqlite"
    with closing(sqlite3.connect(file)) as connection:
        connection.executescript(SCHEMA)
        HOSTILE[how](connection)
        connection.commit()
    assert read_quotas(file) == []


def test_a_file_that_is_no_database_or_missing_has_no_counts(tmp_path: Path) -> None:
    (tmp_path / "random").write_bytes(b"no database" * 1000)
    assert read_quotas(tmp_path / "random") == []
    assert read_quotas(tmp_path / "missing") == []
