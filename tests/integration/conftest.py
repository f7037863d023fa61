"""One MindsDB and one local inference server for the whole run, with this handler installed for its length."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from typing import Any

import pymysql
import pytest

from huggingface_api_handler.demo.mindsdb_server import MindsDB, running_inference_server, running_mindsdb
from huggingface_api_handler.demo.show import installed
from tests.support.page_runner import write_summary


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say which blocks of the pages ran."""
    write_summary(terminalreporter, "MindsDB and its environment")


KEY = "hf_IntegrationSecret0123456789"


def rows_of(mindsdb: MindsDB, statement: str) -> list[list[Any]]:
    """The rows of a statement's result, whose cells are any JSON values."""
    return mindsdb.sql(statement).rows


@pytest.fixture(scope="session")
def inference() -> Iterator[str]:
    """URL of a local inference server that wants no key."""
    with running_inference_server() as url:
        yield url


@pytest.fixture(scope="session")
def guarded() -> Iterator[str]:
    """URL of a local inference server that wants ``KEY``."""
    with running_inference_server(token=KEY) as url:
        yield url


@pytest.fixture(scope="session")
def handler_installed() -> Iterator[None]:
    with installed():
        yield


@pytest.fixture(scope="session")
def mindsdb(handler_installed: None) -> Iterator[MindsDB]:
    with (
        tempfile.TemporaryDirectory() as home,
        running_mindsdb(environment={"HF_OTHER_KEY": KEY, "HF_HOME": home}) as server,
    ):
        yield server


@pytest.fixture(scope="session")
def engine(mindsdb: MindsDB, inference: str) -> str:
    mindsdb.sql(f"CREATE ML_ENGINE hf_api_engine FROM huggingface_api USING endpoint = '{inference}/models'")
    return "hf_api_engine"


@pytest.fixture(scope="session")
def sentiment(mindsdb: MindsDB, engine: str) -> str:
    """The first example of the documentation: task, column and engine, no model."""
    mindsdb.sql(
        "CREATE MODEL mindsdb.hf_sentiment_classifier PREDICT sentiment "
        f"USING task = 'text-classification', column = 'text', engine = '{engine}'"
    )
    mindsdb.wait_for_model("hf_sentiment_classifier")
    return "mindsdb.hf_sentiment_classifier"


@pytest.fixture
def mysql(mindsdb: MindsDB) -> Iterator[pymysql.connections.Connection[pymysql.cursors.Cursor]]:
    connection = pymysql.connect(
        host="127.0.0.1", port=mindsdb.mysql_port, user="mindsdb", password="", database="mindsdb"
    )
    yield connection
    connection.close()
