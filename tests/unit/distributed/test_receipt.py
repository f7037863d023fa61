"""The newest report of each process counts, in whatever order reports come and however often."""

from __future__ import annotations

import itertools
import random

from huggingface_api_handler.distributed.receipt import Receipt, to_report
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
    whole = Receipt()
    whole.merge(first[-1])
    whole.merge(second[-1])
    assert whole.usage["queries"] == 7 and whole.usage["task"] == "text-classification"
    for order in itertools.islice(itertools.permutations(first + second + first[:1]), 0, 40320, 997):
        receipt = Receipt()
        for report in order:
            receipt.merge(report)
        assert receipt.usage == whole.usage


def test_a_process_that_was_killed_counts_with_what_it_told() -> None:
    told = reports("1", 1, 4)
    receipt = Receipt()
    receipt.merge(told[1])
    before = receipt.usage
    receipt.merge(told[0])
    assert receipt.usage == before and before["queries"] == 2


def test_sources_are_asked_each_time_that_the_receipt_is_read() -> None:
    told = reports("1", 1, 2)
    there: list[str] = []
    receipt = Receipt()
    receipt.add_source(lambda: there)
    assert (receipt.usage["queries"], receipt.usage["p50_seconds"]) == (0, None)
    there += told
    assert receipt.usage["queries"] == 2
