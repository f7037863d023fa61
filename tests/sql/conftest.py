"""These tests need DuckDB 2 (run.sh makes an environment that has it); in any other they are not collected, which is said."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from huggingface_api_handler.config.credentials import KEY_VARIABLES
from tests.conftest import Service
from tests.support.fixed_draws import fix_draws
from tests.support.page_runner import write_summary

LEAST_DUCKDB = 2
NEEDED = ("sqlglot", "mindsdb_sql_parser", "prompt_toolkit")


def reason_not_to_collect() -> str:
    """What this environment lacks of the extra ``sql``, or nothing."""
    try:
        version = importlib.metadata.version("duckdb")
    except importlib.metadata.PackageNotFoundError:
        return "there is no DuckDB here"
    if int(version.partition(".")[0]) < LEAST_DUCKDB:
        return f"DuckDB {version} is here, which MindsDB wants, and not {LEAST_DUCKDB}"
    missing = [module for module in NEEDED if importlib.util.find_spec(module) is None]
    return f"there is no {missing[0]} here" if missing else ""


if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # of a shell's background job: no child would see Ctrl-C
    signal.signal(signal.SIGINT, signal.default_int_handler)

NOT_COLLECTED = reason_not_to_collect()
if NOT_COLLECTED:
    collect_ignore_glob = ["*"]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say what was left out, also where all else passed, and which blocks of the pages ran."""
    if NOT_COLLECTED:
        terminalreporter.write_line(
            f"NOT TESTED: tests/sql, because {NOT_COLLECTED}; `make test-sql` runs them", red=True
        )
    write_summary(terminalreporter, "the embedded home")


Make = Callable[..., Any]


@pytest.fixture(autouse=True)
def draws(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a cascade draw the same inputs in each run."""
    fix_draws(monkeypatch)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """The path of a database that is not there yet."""
    return tmp_path / "my.duckdb"


@pytest.fixture
def open_file(file: Path) -> Iterator[Make]:
    """Opens the database of ``file``, as often as it is called."""
    from huggingface_api_handler.sql import connect

    opened = []

    def make(path: object = file, **arguments: Any) -> Any:
        opened.append(connect(str(path), **arguments))
        return opened[-1]

    yield make
    for connection in opened:
        connection.close()


@pytest.fixture
def con(open_file: Make) -> Any:
    """A connection to a database in memory."""
    return open_file(":memory:")


@pytest.fixture
def labels(service: Service) -> Service:
    """A service of a text classifier, which says POSITIVE of everything."""
    service.answer = lambda body, headers, path: [[{"label": "POSITIVE", "score": 0.9}]]
    return service


def make_engine(connection: Any, service: Service, name: str = "hf", **using: object) -> None:
    """CREATE ML_ENGINE at a service."""
    arguments = {"endpoint": f"{service.url}/models", **using}
    listed = ", ".join(f"{key} = '{value}'" for key, value in arguments.items())
    connection.sql(f"CREATE ML_ENGINE {name} FROM huggingface_api USING {listed}")


def make_model(connection: Any, name: str = "sentiment", engine: str = "hf", more: str = "") -> None:
    """CREATE MODEL of a text classifier."""
    connection.sql(
        f"CREATE MODEL {name} PREDICT sentiment USING task = 'text-classification', column = 'text', "
        f"engine = '{engine}'{more}"
    )


@pytest.fixture
def newcomer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Somebody without a key and with an empty store; gives a folder of theirs."""
    for name in KEY_VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HOME", str(tmp_path / "hf"))
    return tmp_path
