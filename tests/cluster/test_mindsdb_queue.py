"""MindsDB's queue of ML tasks on Redis, with two consumers: the answers, the cool-down, and a consumer that is killed.

What MindsDB's queue itself limits is in ``docs/mindsdb_queue.md``; tests here hold what that page says was measured.
"""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import redis
from mindsdb.utilities.ml_task_queue.const import ML_TASK_STATUS
from mindsdb.utilities.ml_task_queue.task import Task
from mindsdb.utilities.ml_task_queue.utils import RedisKey
from walrus import Database

from huggingface_api_handler.demo.mindsdb_server import MindsDB
from huggingface_api_handler.demo.show import installed
from tests.cluster.task_queue import START_TIMEOUT_S, Consumer, TaskQueue, wait_until
from tests.support.paced_service import PacedService
from tests.support.queued_statements import STATEMENTS, create_table, outcome
from tests.support.redis_server import RedisServer

KEY = "hf_OnlyTheConsumersHaveIt0123456789"
TIMED_OUT = "[queued/kept]: Can't get answer in 60 seconds"
RETRY_AFTER_S = 5
ROUNDS = 3
"""The other consumer must have begun before the announced time, which a busy machine may miss."""
LONG_JOIN = "SELECT t.text, m.y FROM files.long AS t JOIN mindsdb.kept AS m"
LONG_TEXTS = [f"text {number}" for number in range(30)]
ANSWERED = 20
"""Rows of them before the consumer is killed."""
IN_FLIGHT = 4


class Statement(threading.Thread):
    """A statement that runs beside the test. ``result`` has what it came to."""

    def __init__(self, mindsdb: MindsDB, text: str) -> None:
        super().__init__(daemon=True)
        self._mindsdb, self._text = mindsdb, text
        self.result: object = None
        self.start()

    def run(self) -> None:
        self.result = outcome(self._mindsdb, self._text)

    def done(self) -> object:
        self.join(120)
        assert not self.is_alive(), self._text
        return self.result


@dataclass
class Cluster:
    """What the tests share: a server, two consumers that work, and what they ask."""

    mindsdb: MindsDB
    queue: TaskQueue
    redis: RedisServer
    service: PacedService
    store: Path
    consumers: list[Consumer] = field(default_factory=list)

    def create(self, engine: str, using: str, model: str) -> None:
        """Make an engine on the service, and a model of it."""
        assert outcome(
            self.mindsdb,
            f"CREATE ML_ENGINE {engine} FROM huggingface_api USING endpoint = '{self.service.url}', "
            f"api_key_env = 'HF_QUEUE_KEY', max_concurrency = {IN_FLIGHT}, {using}",
        ) == []  # fmt: skip
        assert outcome(
            self.mindsdb,
            f"CREATE MODEL mindsdb.{model} PREDICT y USING engine = '{engine}', task = 'text-classification', "
            "column = 'text', model = 'm'",
        ) == "done"  # fmt: skip

    def on(self, consumer: Consumer, text: str, model: str = "kept") -> Statement:
        """Begin ``SELECT`` of one text on that consumer, which has taken the task when this returns."""
        (other,) = (one for one in self.consumers if one is not consumer)
        taken = self.taken()
        with other.kept_from_tasks():
            statement = Statement(self.mindsdb, f"SELECT y, y_error FROM mindsdb.{model} WHERE text = '{text}'")
            wait_until(lambda: self.taken() > taken, "the task is taken")
        return statement

    def taken(self) -> int:
        """How many tasks consumers have taken so far: MindsDB takes a task off the stream as it begins it."""
        with redis.Redis(port=self.redis.port) as client:
            facts = client.xinfo_stream("ml-tasks")
        return int(facts["entries-added"]) - int(facts["length"])

    def wait_for_consumers(self) -> None:
        for consumer in self.consumers:
            wait_until(consumer.is_waiting, "a consumer's start", START_TIMEOUT_S)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    folder = tmp_path_factory.mktemp("queue")
    with (
        installed(),
        RedisServer() as redis_server,
        closing(PacedService()) as service,
        closing(TaskQueue(folder, redis_server, {"HF_QUEUE_KEY": KEY})) as queue,
    ):
        shared = Cluster(queue.start_server(), queue, redis_server, service, folder / "store")
        shared.consumers += [queue.start_consumer(), queue.start_consumer()]
        create_table(shared.mindsdb, folder)
        shared.wait_for_consumers()
        shared.create("queued", f"cache_dir = '{shared.store}'", "kept")
        shared.create("apart", f"store = '{redis_server.url}', requests_per_month = 2", "apart")
        yield shared


@pytest.fixture(scope="module")
def killed(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Statement:
    """A JOIN whose consumer is killed once ANSWERED rows are stored; another consumer takes its place."""
    file = tmp_path_factory.mktemp("long") / "long.csv"
    file.write_text("text\n" + "".join(f"{text}\n" for text in LONG_TEXTS))
    cluster.mindsdb.upload(file, "long")
    cluster.service.hold(after=ANSWERED)
    statement = Statement(cluster.mindsdb, LONG_JOIN)
    wait_until(lambda: count_stored(cluster.store) == ANSWERED, "answers are stored")
    wait_until(lambda: len(cluster.service.requests) > ANSWERED, "requests are on their way")
    port = cluster.service.requests[-1].port
    (victim,) = (one for one in cluster.consumers if one.has(port))
    victim.kill()
    cluster.consumers[cluster.consumers.index(victim)] = cluster.queue.start_consumer()
    return statement


def count_stored(store: Path) -> int:
    try:
        with closing(sqlite3.connect(f"file:{store / 'answers.sqlite'}?mode=ro", uri=True)) as connection:
            (count,) = connection.execute("SELECT count(*) FROM answers").fetchone()
    except sqlite3.OperationalError:  # nothing is stored yet
        return 0
    return int(count)


@pytest.mark.usefixtures("killed")
def test_after_a_killed_consumer_the_statement_works_again_and_asks_nothing_that_is_stored(cluster: Cluster) -> None:
    service = cluster.service
    before, answered = len(service.requests), set(service.answered)
    service.release()
    rows = outcome(cluster.mindsdb, LONG_JOIN)
    assert isinstance(rows, list)
    assert sorted(rows) == sorted([text, text[-1]] for text in LONG_TEXTS)
    assert len(answered) == ANSWERED
    assert sorted(service.texts()[before:]) == sorted(set(LONG_TEXTS) - answered)


@pytest.mark.usefixtures("killed")
def test_the_same_statements_give_the_same_answers_as_without_a_queue(cluster: Cluster) -> None:
    cluster.wait_for_consumers()  # as one starts, MindsDB fails the models that are being made
    outcomes = [(statement, outcome(cluster.mindsdb, statement)) for statement, _ in STATEMENTS]
    assert outcomes == STATEMENTS
    assert {request.key for request in cluster.service.requests} == {KEY}


@pytest.mark.usefixtures("killed")
def test_two_selects_are_served_by_two_consumers_at_once(cluster: Cluster) -> None:
    cluster.wait_for_consumers()
    service = cluster.service
    service.hold(after=0)
    count = len(service.requests)
    statements = [cluster.on(one, f"at {place}") for place, one in enumerate(cluster.consumers)]
    wait_until(lambda: len(service.requests) == count + 2, "both ask")
    ports = {request.text: request.port for request in service.requests[count:]}
    served_by = [[one.has(ports[f"at {place}"]) for one in cluster.consumers] for place in range(2)]
    service.release()
    assert served_by == [[True, False], [False, True]]
    assert [statement.done() for statement in statements] == [[["0", None]], [["1", None]]]


@pytest.mark.usefixtures("killed")
def test_a_429_that_one_consumer_meets_is_kept_by_the_other(cluster: Cluster) -> None:
    cluster.wait_for_consumers()
    service = cluster.service
    for attempt in range(ROUNDS):
        count = len(service.requests)
        service.refuse_for_s, service.resume_at = RETRY_AFTER_S, None
        first, second = (cluster.on(one, f"round {attempt} of {place}") for place, one in enumerate(cluster.consumers))
        began_at = time.monotonic()
        assert [first.done(), second.done()] == [[["0", None]], [["1", None]]]
        assert service.resume_at is not None
        refused, *later = service.requests[count:]
        assert refused.text == f"round {attempt} of 0"
        assert [request for request in later if request.at < service.resume_at] == []
        assert len(later) == 2
        if began_at < service.resume_at:
            return
    pytest.fail("the second consumer never began before the announced time")


@pytest.mark.usefixtures("killed")
def test_consumers_that_share_a_redis_and_no_folder_share_answers_and_quotas(cluster: Cluster) -> None:
    cluster.wait_for_consumers()
    one, other = cluster.consumers
    first = [cluster.on(each, "once", model="apart").done() for each in (one, other)]
    assert first == [[["e", None]], [["e", None]]]
    assert cluster.on(other, "twice", model="apart").done() == [["e", None]]
    third = str(cluster.on(one, "three times", model="apart").done())
    assert "requests_per_month = 2 was reached before this row" in third
    assert cluster.service.texts()[-2:] == ["once", "twice"]
    assert "of requests_per_month = 2 are used" in one.log() + other.log(), "a consumer's log has our warnings"


@pytest.mark.usefixtures("killed")
def test_rows_that_redis_lost_are_told_in_a_sentence(cluster: Cluster) -> None:
    cluster.wait_for_consumers()
    one, other = cluster.consumers
    with one.kept_from_tasks(), other.kept_from_tasks():
        statement = Statement(cluster.mindsdb, "SELECT y FROM mindsdb.kept WHERE text = 'lost'")
        wait_until(lambda: cluster.redis.cli("XLEN", "ml-tasks") == "1", "the task is in the queue")
        (rows,) = cluster.redis.cli("KEYS", "cache:*-dataframe").split()
        cluster.redis.cli("DEL", rows)
    assert "InputError: MindsDB's queue lost the rows of this statement" in str(statement.done())
    assert "lost" not in cluster.service.texts()


def test_a_statement_whose_consumer_is_killed_fails_after_a_minute(cluster: Cluster, killed: Statement) -> None:
    assert killed.done() == TIMED_OUT


def test_mindsdb_does_not_hear_of_a_result_before_it_listens(redis_server: RedisServer) -> None:
    """Why ``task_queue.result_awaited`` waits. Where this fails, MindsDB is mended and nothing has to wait."""
    database = Database(port=redis_server.port, protocol=3)
    task = Task(database, RedisKey(b"a task"))
    task._timeout = 0.1
    database.publish(task.redis_key.status, ML_TASK_STATUS.COMPLETE.value)
    with pytest.raises(Exception, match=r"Can't get answer in 0\.1 seconds"):
        task.result()
