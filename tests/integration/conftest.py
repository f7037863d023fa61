"""One MindsDB and one local inference server for the whole run, with this handler installed for its length."""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pymysql
import pytest

from huggingface_api_handler.demo.mindsdb_server import MindsDB, SQLError, running_inference_server, running_mindsdb
from huggingface_api_handler.demo.show import installed
from tests.conftest import Reply, Service
from tests.support.page_runner import write_summary
from tests.support.postgres_server import HOW_TO_INSTALL, PostgresServer, find_programs

KEY = "hf_IntegrationSecret0123456789"
MOOD_TEXTS = {1: "I love it", 2: "awful thing", 3: "great day", 4: "awful food"}
"""The texts of the table ``reviews`` in the databases that tests make, by their ids."""
MOODS = {number: "NEGATIVE" if "awful" in text else "POSITIVE" for number, text in MOOD_TEXTS.items()}
"""What the model ``mood_model`` says of them."""
FETCH_SIZE = 25
"""Rows that MindsDB reads of PostgreSQL at once: the parts of a query in parts, whose failure is told from 20 rows."""
_POLL_INTERVAL_S = 0.2


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say which blocks of the pages ran."""
    write_summary(terminalreporter, "MindsDB and its environment")


def rows_of(mindsdb: MindsDB, statement: str) -> list[list[Any]]:
    """The rows of a statement's result, whose cells are any JSON values."""
    return mindsdb.sql(statement).rows


def refusal(mindsdb: MindsDB, statement: str) -> str:
    """MindsDB's message for a statement that it refuses."""
    with pytest.raises(SQLError) as refused:
        mindsdb.sql(statement)
    return str(refused.value)


def wait_for(mindsdb: MindsDB, statement: str, expected: list[list[Any]], timeout: float = 90.0) -> None:
    """Ask until a statement gives these rows. While it is refused they are not there yet."""
    deadline = time.monotonic() + timeout
    found: Any = None
    while found != expected:
        assert time.monotonic() < deadline, f"{statement} still gives {found}"
        time.sleep(_POLL_INTERVAL_S)
        try:
            found = mindsdb.sql(statement).rows
        except SQLError as error:
            found = error


def texts_of(body: Any) -> list[str]:
    """The texts of a request, which carries one or, once that was tried, several."""
    return body["inputs"] if isinstance(body["inputs"], list) else [body["inputs"]]


def answer_moods(body: Any, headers: dict[str, str], path: str) -> Any:
    """Text classification: NEGATIVE where the text says awful, with a score of 0.75."""
    if not isinstance(body, dict):  # CREATE ML_ENGINE sends no input: it asks whether the key is accepted
        return Reply({"error": "no input"}, 400)
    labels = ["NEGATIVE" if "awful" in text else "POSITIVE" for text in texts_of(body)]
    return [[{"label": label, "score": 0.75}, {"label": "other", "score": 0.25}] for label in labels]


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
        running_mindsdb(
            environment={"HF_OTHER_KEY": KEY, "HF_HOME": home},
            settings={
                "jobs": {"check_interval": 1},  # and up to 10 seconds more, instead of 30 and 10
                "data_stream": {"fetch_size": FETCH_SIZE},
            },
        ) as server,
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


@pytest.fixture(scope="session")
def mood_service() -> Iterator[Service]:
    service = Service()
    service.answer = answer_moods
    yield service
    service.close()


@pytest.fixture(scope="session")
def moods(mindsdb: MindsDB, mood_service: Service) -> str:
    """A model of ``answer_moods`` that reads ``text`` and stores no answers, so that requests can be counted."""
    mindsdb.sql(
        f"CREATE ML_ENGINE mood_engine FROM huggingface_api USING endpoint = '{mood_service.url}', cache = false"
    )
    mindsdb.sql(
        "CREATE MODEL mindsdb.mood_model PREDICT sentiment USING engine = 'mood_engine', task = 'text-classification', "
        "column = 'text', model = 'm', join_learn_process = true"
    )
    return "mindsdb.mood_model"


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    if find_programs() is None:
        pytest.skip(HOW_TO_INSTALL)
    with PostgresServer() as server:
        yield server


@pytest.fixture(scope="session")
def pg(mindsdb: MindsDB, postgres: PostgresServer) -> str:
    """The name in MindsDB of a real PostgreSQL with a table ``reviews``."""
    postgres.execute("CREATE TABLE reviews (id INT PRIMARY KEY, text TEXT)")
    for number, text in MOOD_TEXTS.items():
        postgres.execute(f"INSERT INTO reviews VALUES ({number}, '{text}')")
    mindsdb.sql(f"CREATE DATABASE pg WITH ENGINE = 'postgres', PARAMETERS = {json.dumps(postgres.parameters)}")
    return "pg"


@pytest.fixture
def mysql(mindsdb: MindsDB) -> Iterator[pymysql.connections.Connection[pymysql.cursors.Cursor]]:
    connection = pymysql.connect(
        host="127.0.0.1", port=mindsdb.mysql_port, user="mindsdb", password="", database="mindsdb"
    )
    yield connection
    connection.close()


@pytest.fixture(scope="session")
def upload_once(mindsdb: MindsDB) -> Callable[[Path], None]:
    """Uploads a CSV file of the project as a table of its name, where that is not there yet."""
    uploaded: set[Path] = set()

    def upload(file: Path) -> None:
        if file not in uploaded:
            mindsdb.upload(file, file.stem)
            uploaded.add(file)

    return upload
