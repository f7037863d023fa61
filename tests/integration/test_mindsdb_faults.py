"""What MindsDB itself does wrong while several things happen at once, and what this handler mends of it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from huggingface_api_handler.demo.mindsdb_server import MindsDB, SQLError
from tests.conftest import Reply, Service
from tests.integration.conftest import answer_moods, wait_for

USING = "engine = 'slow_to_make', task = 'text-classification', column = 'text'"


class SlowToMake:
    """A service that CREATE MODEL waits for: what it asks first, what kind of server it is, comes once it may."""

    def __init__(self) -> None:
        self.service = Service()
        self.service.answer = answer_moods
        self.service.info = self._info
        self.is_asked = threading.Event()
        self.may_answer = threading.Event()
        self.may_answer.set()

    def _info(self) -> Reply:
        self.is_asked.set()
        self.may_answer.wait(60)
        return Reply({"error": "not found"}, 404)


@pytest.fixture
def slow(mindsdb: MindsDB) -> Iterator[SlowToMake]:
    slow = SlowToMake()
    mindsdb.sql(
        f"CREATE ML_ENGINE slow_to_make FROM huggingface_api USING endpoint = '{slow.service.url}', cache = false"
    )
    mindsdb.sql(f"CREATE MODEL mindsdb.bystander PREDICT y USING {USING}, join_learn_process = true")
    yield slow
    slow.may_answer.set()
    mindsdb.sql("DROP MODEL mindsdb.bystander")
    mindsdb.sql("DROP ML_ENGINE slow_to_make")
    slow.service.close()


def test_a_model_dropped_while_it_is_made_does_not_break_the_others(mindsdb: MindsDB, slow: SlowToMake) -> None:
    """Without ``recover_session`` each statement fails with PendingRollbackError until the ML process was idle for 120 s."""
    slow.is_asked.clear()
    slow.may_answer.clear()
    mindsdb.sql(
        "CREATE MODEL mindsdb.dropped_early PREDICT y USING engine = 'slow_to_make', task = 'embeddings', column = 'text'"
    )
    assert slow.is_asked.wait(60)
    mindsdb.sql("DROP MODEL mindsdb.dropped_early")
    slow.may_answer.set()
    for _ in range(3):
        assert mindsdb.sql("SELECT y FROM mindsdb.bystander WHERE text = 'awful'").rows == [["NEGATIVE"]]
        time.sleep(0.5)
    mindsdb.sql(f"CREATE MODEL mindsdb.next PREDICT y USING {USING}, join_learn_process = true")
    assert mindsdb.sql("SELECT y FROM mindsdb.next WHERE text = 'awful'").rows == [["NEGATIVE"]]
    mindsdb.sql("DROP MODEL mindsdb.next")


def asked_while(mindsdb: MindsDB, statement: str, change: Callable[[], None]) -> list[str]:
    """The errors of a statement that two clients repeat while something changes."""
    is_done = threading.Event()

    def ask() -> list[str]:
        errors = []
        while not is_done.is_set():
            try:
                assert mindsdb.sql(statement).rows
            except SQLError as error:
                errors.append(str(error))
        return errors

    with ThreadPoolExecutor(2) as pool:
        clients = [pool.submit(ask) for _ in range(2)]
        try:
            change()
        finally:
            is_done.set()
        return [error for client in clients for error in client.result()]


def test_set_active_changes_a_model_that_is_being_asked(mindsdb: MindsDB, slow: SlowToMake) -> None:
    def change() -> None:
        mindsdb.sql(f"RETRAIN mindsdb.bystander USING {USING}, threshold = 0.9, active = 0")
        wait_for(mindsdb, "SELECT status FROM mindsdb.models WHERE name = 'bystander'", [["complete"], ["complete"]])
        mindsdb.sql("SET ACTIVE mindsdb.bystander.2")

    errors = asked_while(mindsdb, "SELECT y FROM mindsdb.bystander WHERE text = 'awful'", change)
    assert errors == []
    assert mindsdb.sql("SELECT y FROM mindsdb.bystander WHERE text = 'awful'").rows == [["uncertain"]]
