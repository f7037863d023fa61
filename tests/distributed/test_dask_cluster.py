"""``distributed.dask.predict`` on workers that are processes of their own: a ``LocalCluster``, and some from the shell."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

import dask
import dask.dataframe as dd
import pandas as pd
import pytest
from distributed import Client, LocalCluster

from huggingface_api_handler.distributed.dask import JobUsage, predict
from huggingface_api_handler.errors import InferenceError
from huggingface_api_handler.inference import predict as predict_frame
from tests.distributed.dask_workers import Workers
from tests.distributed.sentiment import USING, Sentiment, check_predictions, reviews

KEY = "hf_a_key_that_nobody_may_see_1"
VARIABLE = "HUGGINGFACE_KEY_OF_WORKERS"


@pytest.fixture(scope="module")
def local_cluster() -> Iterator[LocalCluster]:
    """Two processes that Dask starts by itself, with a scheduler that keeps one event, as of a job of many partitions."""
    with (
        dask.config.set({"distributed.admin.low-level-log-length": 1}),
        LocalCluster(n_workers=2, threads_per_worker=2, processes=True, dashboard_address=None) as local,
    ):
        yield local


@pytest.fixture(scope="module")
def one_thread() -> Iterator[LocalCluster]:
    """One process that does one thing at a time."""
    with LocalCluster(n_workers=1, threads_per_worker=1, processes=True, dashboard_address=None) as local:
        yield local


@pytest.fixture
def cluster(local_cluster: LocalCluster) -> Iterator[Client]:
    """A client of the two processes."""
    with Client(local_cluster) as client:
        yield client


@pytest.fixture(scope="module")
def workers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workers]:
    """Two workers from the shell, which alone have a key in their environment."""
    running = Workers(tmp_path_factory.mktemp("cluster"), environment={VARIABLE: KEY})
    yield running
    running.close()


@pytest.fixture
def killable(tmp_path: Path) -> Iterator[Workers]:
    """Two workers from the shell for one test."""
    running = Workers(tmp_path / "cluster")
    yield running
    running.close()


def stored_answers(sentiment: Sentiment, texts: Sequence[str]) -> int:
    """To how many texts the answer is stored."""
    out = predict_frame(pd.DataFrame({"text": texts}), {**USING, "dry_run": True}, sentiment.engine)
    return int(out["stored"][0])


def test_processes_ask_each_text_once_and_add_up_to_one_usage(cluster: Client, sentiment: Sentiment) -> None:
    frame, total = reviews(400), JobUsage()
    predictions = predict(dd.from_pandas(frame, npartitions=8), USING, sentiment.engine, usage=total)
    check_predictions(frame, predictions.compute())
    assert set(sentiment.asked.values()) == {1} and len(sentiment.asked) == 360
    usage = total.as_dict()
    assert usage["requests"] == sentiment.requests
    assert (usage["queries"], usage["rows"], usage["nulls"], usage["answered"]) == (8, 400, 40, 360)


def test_a_client_that_comes_after_the_call_gets_the_usage_too(one_thread: LocalCluster, sentiment: Sentiment) -> None:
    total = JobUsage()
    predictions = predict(dd.from_pandas(reviews(40), npartitions=4), USING, sentiment.engine, usage=total)
    with Client(one_thread):
        predictions.compute()
        assert total.as_dict()["requests"] == sentiment.requests > 0


def test_a_key_is_in_no_log_of_the_cluster(workers: Workers, sentiment: Sentiment) -> None:
    table = dd.from_pandas(reviews(40), npartitions=4)
    engine = {**sentiment.engine, "api_key": KEY}
    predict(table, USING, engine).compute()
    assert {headers["authorization"] for headers in sentiment.service.headers} == {f"Bearer {KEY}"}
    sentiment.status = 401
    with pytest.raises(InferenceError, match="401") as failed:
        predict(table, {**USING, "model": "owner/another"}, engine).compute()
    logs = [workers.log, str(workers.client.get_worker_logs()), str(workers.client.get_scheduler_logs())]
    assert "401" in workers.log  # so the failure is there
    assert KEY not in "".join([*logs, repr(failed.value), str(workers.client.get_events())])


def test_workers_find_the_key_in_their_own_environment(workers: Workers, sentiment: Sentiment) -> None:
    engine = {**sentiment.engine, "api_key_env": VARIABLE}
    check_predictions(reviews(40), predict(dd.from_pandas(reviews(40), npartitions=4), USING, engine).compute())
    assert {headers["authorization"] for headers in sentiment.service.headers} == {f"Bearer {KEY}"}


def test_a_worker_that_is_killed_loses_no_row_and_no_stored_answer(killable: Workers, sentiment: Sentiment) -> None:
    frame = reviews(200)
    stored: set[str] = set()
    texts = frame["text"].dropna().tolist()

    async def kill_once_some_are_stored() -> None:
        while stored_answers(sentiment, texts) < 40:  # noqa: ASYNC110 - it is other processes that store them
            await asyncio.sleep(0.01)
        killable.kill(0)
        stored.update(text for text in texts if stored_answers(sentiment, [text]))  # while nothing else is answered

    sentiment.on_input = lambda count: kill_once_some_are_stored() if count == 80 else None
    out = predict(dd.from_pandas(frame, npartitions=4), USING, sentiment.engine).compute()
    check_predictions(frame, out)
    assert set(sentiment.asked) == set(texts)
    assert len(stored) >= 40 and {sentiment.asked[text] for text in stored} == {1}
    asked = sentiment.asked.total()
    predict(dd.from_pandas(frame, npartitions=3), USING, sentiment.engine).compute()
    assert sentiment.asked.total() == asked


def test_a_job_that_nobody_wants_any_more_asks_no_more(one_thread: LocalCluster, sentiment: Sentiment) -> None:
    begun, goes_on = threading.Event(), threading.Event()

    async def hold() -> None:
        begun.set()
        await asyncio.to_thread(goes_on.wait)

    sentiment.on_input = lambda count: hold() if count == 1 else None
    with Client(one_thread):
        predictions = predict(dd.from_pandas(reviews(400), npartitions=1), USING, sentiment.engine).persist()
        assert begun.wait(60)
        del predictions  # so nobody waits for it any more
        # The next job has to wait for the only thread, which the first one gives up without its answer.
        other = reviews(3)
        check_predictions(other, predict(dd.from_pandas(other, npartitions=1), USING, sentiment.engine).compute())
    goes_on.set()
    assert sentiment.asked.total() == 1 + 3


def test_connections_of_a_worker_are_kept_between_partitions(cluster: Client, sentiment: Sentiment) -> None:
    engine = {**sentiment.engine, "max_concurrency": 4}
    check_predictions(reviews(400), predict(dd.from_pandas(reviews(400), npartitions=40), USING, engine).compute())
    assert len(sentiment.service.connections) <= 2 * 4
