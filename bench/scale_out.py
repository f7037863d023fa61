"""Many workers on one service, in virtual time, and what their shared record costs a real Redis.

``python -m bench.scale_out``: 64 and 1,024 workers on a service of 1,000 requests a second and on one of 10,000
slots, relative to one ideal client that knows it. ``docs/scale.md`` is made of the figures.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

from huggingface_api_handler.config.store_address import parse_store_address
from huggingface_api_handler.inference.flow_control import redis_ledger
from huggingface_api_handler.inference.flow_control.redis_ledger import RedisLedger
from huggingface_api_handler.inference.flow_control.route_ledger import Report
from huggingface_api_handler.inference.flow_control.route_record import Limits
from huggingface_api_handler.inference.storage.redis_connection import Client
from huggingface_api_handler.inference.storage.redis_store import RedisStore
from huggingface_api_handler.inference.storage.redis_tables import redis_tables
from huggingface_api_handler.inference.storage.sqlite import Store
from huggingface_api_handler.inference.storage.sqlite_tables import sqlite_tables
from tests.support.cluster_simulation import simulate_cluster
from tests.support.redis_server import RedisServer
from tests.support.simulation import ideal_seconds

from .ceiling import rows_for
from .measure import Results, parse_arguments, temporary_folder
from .service import Plan
from .store_cost import cost_us

SERVICES = {
    "1,000 a second": Plan(latency=0.3, capacity=2048, rate=1000, announce="x-ratelimit"),
    "10,000 slots": Plan(latency=2.0, jitter=0.2, capacity=10_000, queue=2000),
}
SECONDS = {64: 30.0, 1024: 5.0}
"""For so long the ideal client is to be busy, by the number of workers: 1,024 take minutes to simulate a few."""
QUICK_SECONDS = {8: 5.0, 64: 5.0}
MAX_CONCURRENCY = 10_000
"""Of the engine: the largest that it takes."""
RECORD_MEMBERS = (2, 64, 256, 1024)
MEMBER_TTL_S = 600.0
ANSWERS = 100_000
QUICK_ANSWERS = 5_000


def measure_workers(results: Results, name: str, workers: int, seconds: float, seed: int) -> None:
    """Run one query in virtual time, divided over workers.

    Args:
        results: Get the figures.
        name: Of the service.
        workers: How many processes share the rows.
        seconds: For so long the ideal client is busy.
        seed: Of all chance.

    Raises:
        RuntimeError: A row has no answer.
    """
    plan = SERVICES[name]
    rows = rows_for(plan, seconds)
    run = simulate_cluster(plan, rows, workers, seed, max_concurrency=MAX_CONCURRENCY)
    if run.unanswered:
        raise RuntimeError(f"{run.unanswered} rows have no answer")
    figures: dict[str, float] = {
        "rows": rows,
        "seconds": round(run.seconds, 2),
        "time_ratio": round(run.seconds / ideal_seconds(plan, rows), 4),
        "requests_ratio": round(run.stats["requests"] / rows, 4),
        "reports_per_second": round(run.syncs / run.seconds, 1),
    }
    results.body["runs"].append({"service": name, "workers": workers, **figures})
    of = f"{name}, {workers:,} workers"
    results.check(f"{of}: seconds over the ideal client's", figures["time_ratio"], None)
    results.check(f"{of}: requests over rows", figures["requests_ratio"], None)
    results.check(f"{of}: requests before an announced time", run.stats["violations"], 0)
    results.check(f"{of}: reports a second", figures["reports_per_second"], None)


def measure_record(results: Results, members: int) -> None:
    """Let processes report in turn to a real Redis. All of them want slots and turns, and all have some.

    Args:
        results: Get the figures.
        members: How many processes.

    Raises:
        RuntimeError: Some were left out.
    """
    # Here one process reports for all, one after another, which may take longer than a member lives.
    with mock.patch.object(redis_ledger, "MEMBER_TTL_S", MEMBER_TTL_S), RedisServer() as server:
        store = RedisStore(parse_store_address(server.url))
        ledger = RedisLedger(store, "route")

        def report(client: Client, numbers: range) -> int:
            grant = None
            for number in numbers:
                grant = ledger.transact(
                    client,
                    Report(
                        f"12345-{number % members:016x}", number, max_slots=MAX_CONCURRENCY, used=2, in_flight=2,
                        wants_more=True, turns=2, horizon_s=0.3, held_turns=1, sent=1,
                        limits=Limits(2.0 * members, 1000.0, 0.0),
                    ),
                )  # fmt: skip
            return 0 if grant is None else grant.members

        count = max(members, 256)
        run: Callable[[range], int] = lambda numbers: store.run(lambda client: report(client, numbers), 0).result()  # noqa: E731
        run(range(1, members + 1))
        before = server_cpu_s(server)
        if run(range(members + 1, members + 1 + count)) != members:
            raise RuntimeError(f"not all of {members} are in the record")
        cpu_us = (server_cpu_s(server) - before) / count * 1e6
        memory = sum(int(server.cli("MEMORY", "USAGE", key.decode(), "SAMPLES", "0") or 0) for key in ledger.keys)
        store.close()
    results.body["record"].append({"members": members, "cpu_us_per_report": round(cpu_us, 1), "bytes": memory})
    results.check(f"{members:,} members: Redis' CPU time of a report, microseconds", cpu_us, None)
    results.check(f"{members:,} members: Redis memory of the route, bytes", memory, None)


def server_cpu_s(server: RedisServer) -> float:
    """CPU time that a Redis has used.

    Args:
        server: The Redis.

    Returns:
        Seconds.
    """
    lines = dict(line.split(":", 1) for line in server.cli("INFO", "cpu").splitlines() if ":" in line)
    return float(lines["used_cpu_user"]) + float(lines["used_cpu_sys"])


def measure_answers(results: Results, answers: int) -> None:
    """Store answers, a label with its score each, and find them: in Redis, and in the file of a machine.

    Args:
        results: Get the figures.
        answers: How many.
    """
    with RedisServer() as server:
        store = RedisStore(parse_store_address(server.url))
        store.wait_until_open()
        before = _used_memory(server)
        put_us, find_us = cost_us(redis_tables(store).answers, answers)
        size = (_used_memory(server) - before) / answers
        store.close()
    results.body["answers"] = {"redis": _answer_figures(results, "Redis", size, put_us, find_us)}
    with temporary_folder() as folder:
        file = Store(Path(folder))
        put_us, find_us = cost_us(sqlite_tables(file).answers, answers)
        file.close()
        size = sum(each.stat().st_size for each in Path(folder).rglob("answers.sqlite*")) / answers
    results.body["answers"]["sqlite"] = _answer_figures(results, "SQLite", size, put_us, find_us)


def _used_memory(server: RedisServer) -> int:
    lines = dict(line.split(":", 1) for line in server.cli("INFO", "memory").splitlines() if ":" in line)
    return int(lines["used_memory"])


def _answer_figures(results: Results, name: str, size: float, put_us: float, find_us: float) -> dict[str, Any]:
    results.check(f"{name}: bytes of a stored answer", size, None)
    results.check(f"{name}: CPU time to store an answer, microseconds", put_us, None)
    results.check(f"{name}: CPU time to find an answer, microseconds", find_us, None)
    return {"bytes": round(size), "put_cpu_us": round(put_us, 2), "find_cpu_us": round(find_us, 2)}


def main() -> None:
    """The command line."""
    options = parse_arguments(
        __doc__ or "",
        service={"default": "", "help": "a part of the service's name"},
        workers={"type": int, "nargs": "*", "choices": [*QUICK_SECONDS, *SECONDS], "help": "how many workers"},
    )
    seconds = QUICK_SECONDS if options.quick else SECONDS
    results = Results("scale_out", options.quick, {"runs": [], "record": []})
    for members in RECORD_MEMBERS:
        measure_record(results, members)
    measure_answers(results, QUICK_ANSWERS if options.quick else ANSWERS)
    for name in SERVICES:
        for workers in options.workers or seconds:
            if options.service in name:
                measure_workers(results, name, workers, seconds[workers], seed=0)
    results.write()


if __name__ == "__main__":
    main()
