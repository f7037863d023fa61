"""Connections to try statements on. These tests run where DuckDB 2 is installed, which MindsDB's environment has not."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Service

try:
    _MAJOR = int(version("duckdb").split(".")[0])
except PackageNotFoundError:
    _MAJOR = 0

collect_ignore_glob = [] if _MAJOR >= 2 else ["test_*.py"]

Make = Callable[..., Any]


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
