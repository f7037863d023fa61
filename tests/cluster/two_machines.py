"""What namespaces.sh runs: two workers in network namespaces, and a service that counts what both ask.

``python -m tests.cluster.two_machines REDIS_URL SERVICE_ADDRESS``. The namespaces 'one' and 'two' have the workers,
'services' has Redis and the service. REDIS_PASSWORD is what Redis wants.
"""

from __future__ import annotations

import os
import sys
import tempfile
from typing import Any

from huggingface_api_handler.console import text_table
from tests.cluster.jobs import COSTS, Cost, assert_pauses_are_kept, cost_of, finish, workers_of
from tests.support.logged_service import KINDS, LoggedService, logged_service
from tests.support.worker import Outcome, Slice

ROWS = 300
LIMITED_ROWS = 160
IN_NAMESPACE = ("ip", "netns", "exec")
MACHINES = ("one", "two")
ADDRESSES = {"one": "10.99.0.1", "two": "10.99.0.2"}


def run(service: LoggedService, kind: str, parts: list[Slice]) -> list[Outcome]:
    """Predict slices, each on its machine, at the same time.

    Args:
        service: It gets the plan of ``kind``.
        kind: One of ``KINDS``.
        parts: A slice for each machine.

    Returns:
        What became of them.
    """
    service.set_plan(KINDS[kind])
    with workers_of(parts, None, [(*IN_NAMESPACE, part.worker) for part in parts]) as workers:
        for worker in workers:
            worker.go()
        outcomes = finish(workers)
    for outcome in outcomes:
        assert outcome.warnings == [], "Redis can be used"
    for entry in service.log():
        assert entry.address == ADDRESSES[entry.worker], "each worker is on a machine of its own"
    return outcomes


def main(store: str, address: str) -> None:
    """Run two jobs, and the first of them once more with the machines' slices exchanged.

    Args:
        store: The address of Redis.
        address: Where the service is to listen.
    """
    login = {"HUGGINGFACE_API_STORE": store.replace("//", f"//:{os.environ['REDIS_PASSWORD']}@")}
    with (
        tempfile.TemporaryDirectory() as folder,
        logged_service(address, (*IN_NAMESPACE, "services")) as service,
    ):

        def slices(rows: int, machines: tuple[str, ...] = MACHINES, **engine: Any) -> list[Slice]:
            own = {"endpoint": service.url, "store": store, **engine}
            halves = ((0, rows // 2), (rows // 2, rows))
            return [
                Slice(machine, *half, {**own, "cache_dir": f"{folder}/{machine}"}, login)
                for machine, half in zip(machines, halves, strict=True)
            ]

        outcomes = run(service, "200 ms, 64 at once", slices(ROWS))
        cost = cost_of("two machines", "Redis", ROWS, service, outcomes)
        assert cost.twice == 0, "no input is asked twice"

        outcomes = run(service, "200 ms, 64 at once", slices(ROWS, MACHINES[::-1]))
        assert [outcome.usage["stored"] for outcome in outcomes] == [ROWS // 2, ROWS // 2], (
            "each finds what the other asked"
        )
        assert service.log() == []

        outcomes = run(service, "20 a second", slices(LIMITED_ROWS, name="limited"))
        cost = cost_of("two machines, 20 a second", "Redis", LIMITED_ROWS, service, outcomes)
        assert cost.twice == 0, "no input is asked twice"
        assert_pauses_are_kept(service)
    print(text_table(Cost._fields, COSTS))  # noqa: T201 -- a command prints
    print("two machines in network namespaces: tested")  # noqa: T201 -- a command prints


if __name__ == "__main__":
    main(*sys.argv[1:])
