"""6. Money: requests sent over the fewest that would do, told everything beforehand.

Fresh processes that share nothing but the folder of the answer store. Where the fewest is none, the number sent is
told.
"""

from __future__ import annotations

import math
import time
from dataclasses import replace
from typing import Any

from .baselines import Job
from .measure import Remote, Results, arguments, ceiling_of, client, scratch, service, start_client
from .service import Plan

SINGLES = Plan(latency=0.02, capacity=32, queue=256)
LISTS = Plan(latency=0.02, capacity=32, queue=256, largest_batch=32, poison="POISON")
POISONED = 1
"""Requests that a poisoned row needs at the fewest, in one of its own."""
MEETING = 1 + 3 + 1
"""What a route costs that was never asked: one request alone, since what dooms it dooms every row; the same input with
two others and these alone, since lists may be misread; one list larger than it takes, since it may take larger ones.
"""
UNWRITTEN = 0.04
"""Seconds of answers that a kill may find landed and not written: of those that landed in 20 ms the larger half is
written then, and the others with those of the next 20 ms.
"""


def ask(remote: Remote, plan: Plan, job: Job, unanswered: int = 0) -> dict[str, Any]:
    """One run of ours: requests sent, and proof that every row has its answer, but for so many."""
    remote.follow(plan)
    taken = client("ours", job)
    if taken["wrong"] or taken["unanswered"] != unanswered:
        first = taken["receipt"].get("first_error")
        raise RuntimeError(f"{taken['wrong']} rows wrong, {taken['unanswered']} unanswered ({first})")
    stats = remote.stats()
    return {"sent": stats["requests"], "refused": stats["refused"], "seconds": taken["seconds"]}


def killed_and_rerun(remote: Remote, rows: int) -> dict[str, Any]:
    """Kill -9 once half of the rows are answered, then the same query again: requests of both.

    ``in_flight`` is what the service had of the dead one and had not answered, ``rate`` its answers a second.
    """
    with scratch() as folder:
        job = Job(remote.url, rows, folder=folder)
        remote.follow(SINGLES)
        process = start_client("ours", job)
        while (killed := remote.stats())["answered"] < rows // 2:
            if process.poll() is not None:
                raise RuntimeError(f"the client was done before it was killed: {process.communicate()[1][-500:]}")
            time.sleep(0.005)
        process.kill()
        process.communicate()
        time.sleep(5 * SINGLES.latency)  # what the dead one had sent is still being answered
        before = remote.stats()
        after = ask(remote, SINGLES, job)
    return {
        "before": before["requests"],
        "after": after["sent"],
        "sent": before["requests"] + after["sent"],
        "refused": sum(killed["refused"].values()),
        "in_flight": killed["requests"] - killed["answered"] - sum(killed["refused"].values()),
        "rate": SINGLES.capacity / SINGLES.latency,
    }


def main() -> None:
    given = arguments(__doc__ or "")
    results = Results("request_cost", given.quick)
    rows = 1000 if given.quick else 10_000

    def note(name: str, fewest: int, run: dict[str, Any], bound: float) -> None:
        results.body[name] = {"rows": rows, "fewest": fewest, **run, "ratio": run["sent"] / fewest if fewest else None}
        if fewest > 1:
            results.check(f"{name}: requests over the fewest", run["sent"] / fewest, bound)
        else:
            results.check(f"{name}: requests, where {fewest} would do", run["sent"], bound)

    with service() as remote:
        results.body["service"] = ceiling_of(remote, rows)
        # One list is tried, and refused.
        job = Job(remote.url, rows, distinct=rows // 2)
        note("half of the rows are duplicates", rows // 2, ask(remote, SINGLES, job), 1 + 2 / rows)
        with scratch() as folder:
            job = Job(remote.url, rows, folder=folder)
            ask(remote, SINGLES, job)
            note("a rerun", 0, ask(remote, SINGLES, job), 0)
            note("a rerun with one row changed", 1, ask(remote, SINGLES, replace(job, changed=7)), 1)
        fewest = math.ceil((rows - 1) / (LISTS.largest_batch or 1)) + POISONED
        bisecting = 2 * math.log2(LISTS.largest_batch or 1)
        job = Job(remote.url, rows, poisoned=rows // 3)
        most = fewest + bisecting + MEETING
        note("one row is poisoned", fewest, ask(remote, LISTS, job, unanswered=1), most / fewest)
        # What was in flight at the kill is lost, and what had landed just before it; nothing else may be asked twice.
        killed = killed_and_rerun(remote, rows)
        lost = killed["refused"] + killed["in_flight"] + killed["rate"] * UNWRITTEN
        note("killed half way and rerun", rows, killed, 1 + lost / rows)
    results.write()


if __name__ == "__main__":
    main()
