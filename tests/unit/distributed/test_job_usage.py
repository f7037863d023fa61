"""The newest report of each process counts, in whatever order reports come and however often."""

from __future__ import annotations

import itertools
import random

from huggingface_api_handler.distributed.job_usage import JobUsage, to_report
from huggingface_api_handler.inference.telemetry.usage import Usage


def reports(process: str, seed: int, parts: int) -> list[str]:
    """What a process tells after each of its parts."""
    chance, total, told = random.Random(seed), Usage("", "", "", queries=0), []
    for _ in range(parts):
        part = Usage("text-classification", "owner/name", "host", rows=chance.randrange(1, 9))
        for _ in range(chance.randrange(1, 5)):
            part.record_request(1, 10)
            part.record_response(chance.random(), 20, {})
        part.errors["transient"] += chance.randrange(2)
        total.add(part)
        told.append(to_report(process, total))
    return told


def test_reports_may_come_twice_late_and_in_any_order() -> None:
    first, second = reports("1", 1, 4), reports("2", 2, 3)
    whole = JobUsage()
    whole.merge(first[-1])
    whole.merge(second[-1])
    assert whole.as_dict()["queries"] == 7 and whole.as_dict()["task"] == "text-classification"
    for order in itertools.islice(itertools.permutations(first + second + first[:1]), 0, 40320, 997):
        total = JobUsage()
        for report in order:
            total.merge(report)
        assert total.as_dict() == whole.as_dict()


def test_a_process_that_was_killed_counts_with_what_it_told() -> None:
    told = reports("1", 1, 4)
    total = JobUsage()
    total.merge(told[1])
    before = total.as_dict()
    total.merge(told[0])
    assert total.as_dict() == before and before["queries"] == 2


def test_sources_are_asked_each_time_that_the_sum_is_read() -> None:
    told = reports("1", 1, 2)
    there: list[str] = []
    total = JobUsage()
    total.add_source(lambda: there)
    assert (total.as_dict()["queries"], total.as_dict()["p50_seconds"]) == (0, None)
    there += told
    assert total.as_dict()["queries"] == 2
