"""``distributed.spark.predict`` on a standalone cluster of this machine: a master and two workers."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyspark
import pytest
from pyspark.sql import SparkSession

from huggingface_api_handler.distributed.spark import JobUsage, predict
from tests.distributed.connections import ConnectionCounter, process_at
from tests.distributed.sentiment import USING, Sentiment
from tests.distributed.test_spark import HELD_S, check_table, part_of, table

START_S = 120
HOST = "127.0.0.1"


class Cluster:
    """A master and two workers with one core each, as processes of this machine.

    Attributes:
        url: Where the master is.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        port, self._web_port = free_port(), free_port()
        self.url = f"spark://{HOST}:{port}"
        where = ["--host", HOST, "--port", str(port), "--webui-port", str(self._web_port)]
        self._master = self._start("master.Master", *where)
        self.workers: list[subprocess.Popen[bytes]] = []

    def start_workers(self, count: int) -> None:
        """Start workers, and wait until the master has them."""
        where = ["--host", HOST, "--cores", "1", "--memory", "700m", "--work-dir", str(self._folder), self.url]
        self._wait_for(lambda: self._alive() >= 0)
        wanted = self._alive() + count
        self.workers += [self._start("worker.Worker", *where) for _ in range(count)]
        self._wait_for(lambda: self._alive() == wanted)

    def close(self) -> None:
        """End all processes."""
        for process in (*self.workers, self._master):
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()

    def _start(self, name: str, *arguments: str) -> subprocess.Popen[bytes]:
        home = Path(pyspark.__file__).parent
        paths = os.pathsep.join(path for path in (str(Path.cwd()), os.environ.get("PYTHONPATH")) if path)
        environment = {**os.environ, "SPARK_HOME": str(home), "PYTHONPATH": paths, "SPARK_LOCAL_IP": HOST}
        environment |= {"SPARK_DAEMON_MEMORY": "256m", "PYSPARK_PYTHON": sys.executable}
        log = self._folder / f"{name}-{len(list(self._folder.glob('*.log')))}.log"
        with log.open("wb") as out:
            command = ["bash", str(home / "bin" / "spark-class"), f"org.apache.spark.deploy.{name}", *arguments]
            return subprocess.Popen(command, env=environment, stdout=out, stderr=out, start_new_session=True)

    def _alive(self) -> int:
        """How many workers the master has; -1 where it does not answer yet."""
        try:
            with urllib.request.urlopen(f"http://{HOST}:{self._web_port}/json/") as page:
                return str(page.read()).count('"state" : "ALIVE"')
        except OSError:
            return -1

    def _wait_for(self, condition: Callable[[], bool]) -> None:
        for _ in range(START_S * 10):
            if condition():
                return
            try:  # a tenth of a second, and at once where the master has ended
                self._master.wait(0.1)
            except subprocess.TimeoutExpired:
                continue
            break
        logs = "".join(log.read_text()[-2000:] for log in self._folder.glob("*.log"))
        raise AssertionError(f"the cluster did not start: {logs}")


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    folder = tmp_path / "cluster"
    folder.mkdir()
    running = Cluster(folder)
    try:
        running.start_workers(2)
        yield running
    finally:
        running.close()


@pytest.fixture
def spark(cluster: Cluster) -> Iterator[SparkSession]:
    os.environ["PYSPARK_PYTHON"] = sys.executable
    session = (
        SparkSession.builder.master(cluster.url)
        .config("spark.ui.enabled", "false")
        .config("spark.driver.host", HOST)
        .config("spark.driver.bindAddress", HOST)
        .config("spark.executor.memory", "512m")
        .config("spark.executor.cores", "1")
        .getOrCreate()
    )
    session.sparkContext.setLogLevel("ERROR")
    yield session
    session.stop()


@pytest.fixture
def service() -> Iterator[ConnectionCounter]:
    running = ConnectionCounter()
    yield running
    running.close()


def both_work(sentiment: Sentiment) -> Callable[[int], Any]:
    """Hold requests until two partitions are asked about at once."""
    both = asyncio.Event()

    async def hold(count: int) -> None:
        if len({part_of(text) for text in sentiment.asked}) > 1:
            both.set()
        await asyncio.wait_for(both.wait(), HELD_S)

    return hold


def test_two_workers_ask_at_once_for_one_usage(spark: SparkSession, sentiment: Sentiment) -> None:
    sentiment.on_input = both_work(sentiment)
    total = JobUsage()
    out = predict(table(spark, 4), USING, sentiment.engine, usage=total)
    check_table(out.collect())
    assert set(sentiment.asked.values()) == {1} and len(sentiment.asked) == 36
    assert total.as_dict()["requests"] == sentiment.requests
    assert (total.as_dict()["queries"], total.as_dict()["answered"]) == (4, 36)
    check_table(out.collect())
    assert sentiment.asked.total() == 36 and total.as_dict()["stored"] == 36


def test_a_killed_worker_loses_no_row_and_doubles_none_and_what_is_stored_is_not_asked_again(
    cluster: Cluster, spark: SparkSession, sentiment: Sentiment, service: ConnectionCounter
) -> None:
    predict(table(spark, 4).where("stars < 10"), USING, sentiment.engine).collect()
    stored = set(sentiment.asked)
    assert len(stored) == 9
    killed: list[int] = []

    def kill(count: int) -> None:
        if count == 25 and not killed:
            python = process_at(service.last_peer)
            victim = next(worker for worker in cluster.workers if worker.pid in session_of(python))
            killed.append(victim.pid)
            os.kill(python, signal.SIGKILL)
            os.killpg(victim.pid, signal.SIGKILL)

    sentiment.on_input = kill
    check_table(predict(table(spark, 4), USING, sentiment.engine).collect())
    assert killed and len(sentiment.asked) == 36
    again = {text for text, times in sentiment.asked.items() if times > 1}
    assert again and not again & stored
    assert max(sentiment.asked.values()) == 2


def session_of(process: int) -> set[int]:
    """A process, its parent, and so on to the first."""
    found: set[int] = set()
    while process > 1:
        found.add(process)
        status = Path(f"/proc/{process}/stat").read_text()
        process = int(status.rpartition(")")[2].split()[1])
    return found
