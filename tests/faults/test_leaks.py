"""Hundreds of queries leave no thread, socket, task or memory behind."""

from __future__ import annotations

import asyncio
import gc
import os
import threading
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from huggingface_api_handler.errors import InferenceError
from huggingface_api_handler.inference import Session, predict, predict_batches
from huggingface_api_handler.inference.flow_control.retry import RetryPolicy
from huggingface_api_handler.inference.runtime.session import default_session
from tests.faults.conftest import FaultyService
from tests.faults.plan import Plan
from tests.support.results import record

QUERIES = int(os.environ.get("LEAK_QUERIES", "300"))
WARM = 50
IDLE_CONNECTIONS = 4
"""Connections that are kept for the next query, and which may just have been lost or made."""
PAGE = os.sysconf("SC_PAGE_SIZE")
USING = {"task": "text-classification", "column": "text", "target": "y"}


def held() -> dict[str, int]:
    """What this process holds that a query could leave behind."""

    async def tasks() -> int:
        await asyncio.sleep(0.05)  # cancelled ones get their turn to end
        return len(asyncio.all_tasks()) - 1

    running = default_session().http.submit(tasks()).result(10)
    gc.collect()
    links: Counter[str] = Counter()
    for entry in Path("/proc/self/fd").iterdir():
        with suppress(FileNotFoundError):  # the one that lists them
            links[os.readlink(entry).partition(":")[0]] += 1
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return {
        "threads": threading.active_count(),
        "sockets": links["socket"],
        "files": sum(links.values()) - links["socket"],
        "tasks": running,
        "kilobytes": pages * PAGE // 1024,
        "objects": len(gc.get_objects()),
    }


def well(faulty: FaultyService, number: int) -> None:
    predict(pd.DataFrame({"text": [f"a {number}", f"b {number}"]}), USING, {"endpoint": faulty.url(Plan(share=0.0))})


def badly(faulty: FaultyService, number: int) -> None:
    """Broken connections, bodies cut off, redirects: each ends in a reason."""
    kinds = (
        "reset after headers",
        "reset before headers",
        "truncated",
        "closed early",
        "wrong shape",
        "redirect",
        "500",
    )
    plan = Plan(share=1.0, kinds=(kinds[number % len(kinds)],), tag="leaks")
    with suppress(InferenceError):
        predict(pd.DataFrame({"text": [f"a {number}", f"b {number}"]}), USING, {"endpoint": faulty.url(plan)})


def in_a_session_of_its_own(faulty: FaultyService, number: int) -> None:
    with Session() as session:
        frames = (pd.DataFrame({"text": [f"{number} {row}"]}) for row in range(3))
        outs = predict_batches(frames, USING, {"endpoint": faulty.url(Plan(share=0.0))}, session=session)
        assert sum(len(out) for out in outs) == 3


class Soon:
    """Set when it is looked at for the third time."""

    looks = 0

    def is_set(self) -> bool:
        self.looks += 1
        return self.looks > 2


def cancelled(faulty: FaultyService, number: int) -> None:
    """The query ends while a request waits for an answer that never comes."""
    texts = [f"{number} {row}" for row in range(5)]
    out = predict(pd.DataFrame({"text": texts}), USING, {"endpoint": faulty.url(STALLED)}, cancel=Soon())
    assert out["y_error"].str.startswith("not sent").all()


STALLED = Plan(share=1.0, kinds=("stall",), tag="leaks")


@pytest.mark.parametrize("ask", [well, badly, cancelled, in_a_session_of_its_own])
def test_hundreds_of_queries_leave_nothing_behind(
    ask: Callable[[FaultyService, int], None], faulty: FaultyService, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(RetryPolicy, "_backoff_s", lambda policy, attempt: 0.0 * 2.0 ** (attempt - 1))
    monkeypatch.setattr("huggingface_api_handler.inference.runtime.query_run._WATCH_INTERVAL_S", 0.004)
    for number in range(WARM):
        ask(faulty, number)
    before: dict[str, Any] = held()
    for number in range(WARM, WARM + QUERIES):
        ask(faulty, number)
    after = held()
    grown = {name: after[name] - before[name] for name in before}
    record(f"leaks {ask.__name__}", {"queries": QUERIES, "grown": grown})
    assert grown["threads"] <= 0
    assert grown["tasks"] <= 0
    assert grown["files"] <= 0
    assert grown["sockets"] <= IDLE_CONNECTIONS
    assert grown["objects"] <= QUERIES, "an object for each query"
    assert grown["kilobytes"] <= 8 * QUERIES
    if ask is cancelled:
        assert faulty.state(STALLED)["requests"] >= QUERIES
