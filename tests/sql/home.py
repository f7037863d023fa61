"""A connection with models on a service in this process, which counts what it is asked."""

from __future__ import annotations

import contextlib
import tempfile
from collections import Counter
from collections.abc import Iterator
from typing import Any

from huggingface_api_handler.sql import connect
from huggingface_api_handler.sql.connection import Connection
from tests.conftest import Reply, Service

LABELS = ["NEGATIVE", "POSITIVE", "TOPIC"]
MODELS = (
    "CREATE MODEL sentiment PREDICT sentiment USING engine = 'hf', task = 'text-classification', column = 'text', "
    "model = 'sentiment'",
    "CREATE MODEL topic PREDICT topic USING engine = 'hf', task = 'text-classification', column = 'text', model = 'topic'",
    "CREATE MODEL verdict PREDICT verdict USING engine = 'hf', task = 'text-classification', column = 'sentiment', "
    "model = 'verdict'",
    "CREATE MODEL alike PREDICT score USING engine = 'hf', task = 'text-ranking', column = 'question', column2 = 'text', "
    "model = 'alike', on_error = 'null'",
)
REVIEWS = (
    (1, "good film", 5),
    (2, "bad film", 1),
    (3, "good film", 4),
    (4, None, 3),
    (5, "good book", 2),
    (6, "dull book", 2),
)
"""Of the table ``t``: id, text, stars."""


def label(model: str, text: str) -> str:
    """What a model says of a text."""
    if model == "topic":
        return text.split()[-1]
    return "POSITIVE" if "good" in text or text == "POSITIVE" else "NEGATIVE"


class Home:
    """The connection and the service.

    Args:
        service: Answers.
        con: Where the models are.

    Attributes:
        asked: How often each input was asked about, by model.
        requests: How many requests came.
        status: What the service answers instead, where it is none of 200.
    """

    def __init__(self, service: Service, con: Connection) -> None:
        self.service, self.con = service, con
        self.asked: dict[str, Counter[str]] = {}
        self.requests = 0
        self.status = 200
        service.answer = self._answer

    def rows(self, text: str, params: Any = None) -> list[tuple[Any, ...]]:
        """The rows of a statement."""
        return self.con.sql(text, params).fetchall()

    def asked_of(self, model: str = "sentiment") -> list[str]:
        """The inputs that a model was asked about, those asked twice twice, in the order of the alphabet."""
        return sorted(self.asked.get(model, Counter()).elements())

    def inputs(self, text: str, params: Any = None, *, model: str = "sentiment") -> list[str]:
        """The inputs that a statement asks a model about."""
        self.forget()
        self.rows(text, params)
        return self.asked_of(model)

    def forget(self) -> None:
        """Count from nothing again."""
        self.asked, self.requests = {}, 0

    def leftovers(self) -> list[str]:
        """Temporary tables that a statement left behind."""
        found = "SELECT table_name FROM duckdb_tables() WHERE table_name LIKE '\\_\\_hf%' ESCAPE '\\'"
        return [name for (name,) in self.con.duckdb.execute(found).fetchall()]

    def is_in_transaction(self) -> bool:
        """Whether a transaction is open."""
        first, second = (self.con.duckdb.execute("SELECT txid_current()").fetchone() for _ in range(2))
        return bool(first == second)

    def _answer(self, body: Any, _headers: dict[str, str], path: str) -> Any:
        model, _, kind = path.removeprefix("/models/").partition("/")
        if kind == "info":
            return {
                "model_id": model,
                "model_type": {"classifier": {"id2label": {str(key): name for key, name in enumerate(LABELS)}}},
                "max_client_batch_size": 32,
            }
        if body is None:
            return Reply({"error": "not found"}, 404)
        self.requests += 1
        if self.status != 200:
            return Reply({"error": "no"}, self.status)
        if "texts" in body:
            self._count(model, [f"{body['query']}|{text}" for text in body["texts"]])
            return [{"index": index, "score": len(text) / 100} for index, text in enumerate(body["texts"])]
        given = body["inputs"]
        texts = [given] if isinstance(given, str) else [each if isinstance(each, str) else each[0] for each in given]
        self._count(model, texts)
        if any("fail" in text for text in texts):
            return Reply({"error": "this text cannot be read", "error_type": "Validation"}, 422)
        answers = [[{"label": label(model, text), "score": 0.9}] for text in texts]
        return answers[0] if isinstance(given, str) else answers

    def _count(self, model: str, texts: list[str]) -> None:
        self.asked.setdefault(model, Counter()).update(texts)


@contextlib.contextmanager
def running_home(path: str = ":memory:", **engine: object) -> Iterator[Home]:
    """A home with the models and the table ``t``.

    Args:
        path: Of the database.
        engine: More arguments of the engine.

    Yields:
        The home.
    """
    service = Service()
    with tempfile.TemporaryDirectory() as folder, connect(path) as con:
        given = "".join(
            f", {name} = '{value}'" if isinstance(value, str) else f", {name} = {value}"
            for name, value in engine.items()
        )
        con.sql(
            f"CREATE ML_ENGINE hf FROM huggingface_api USING endpoint = '{service.url}/models', cache_dir = '{folder}', "
            f"cache = false{given}"
        )
        home = Home(service, con)
        for statement in MODELS:
            con.sql(statement)
        con.sql("CREATE TABLE t (id INTEGER, text VARCHAR, stars INTEGER)")
        con.duckdb.executemany("INSERT INTO t VALUES (?, ?, ?)", [list(row) for row in REVIEWS])
        home.forget()
        yield home
    service.close()
