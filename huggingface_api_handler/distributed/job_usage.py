"""The usage of a job: what all its workers asked and took, in one sum."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable

import orjson

from ..inference.telemetry.usage import Usage, UsageValue

Fetch = Callable[[], Iterable[str]]
"""Gets the reports that an engine holds now."""


def to_report(process: str, usage: Usage) -> str:
    """What a worker's process tells of a job.

    Args:
        process: Its name, which no other process has, and which is another one for each job.
        usage: All that it asked for the job so far.

    Returns:
        JSON, which any engine can carry.
    """
    return orjson.dumps({"process": process, "usage": usage.to_record()}, option=orjson.OPT_NON_STR_KEYS).decode()


class JobUsage:
    """What the workers of a job asked and took, parts that failed or were asked again included.

    Give it to a runner's ``predict``, and read it once the job has run. Given to several, it is the sum of them.

    A process reports all that it has asked so far each time that a part of the table is done, so a report may be lost
    or come twice: the newest counts. Of a process that was killed, the parts that it had done are counted, and the one
    that it was at is not.

    Example:
        >>> total = JobUsage()
        >>> total.as_dict()["requests"]
        0
    """

    def __init__(self) -> None:
        """Begin with nothing asked."""
        self._by_process: dict[str, Usage] = {}
        self._sources: list[Fetch] = []
        self._lock = threading.Lock()  # an engine may report from a thread of its own

    def merge(self, report: str) -> None:
        """Take a report. The order in which they come is of no account.

        Args:
            report: What ``to_report`` made.
        """
        record = orjson.loads(report)
        process, usage = record["process"], Usage.from_record(record["usage"])
        with self._lock:
            newest = self._by_process.get(process)
            if newest is None or newest.queries <= usage.queries:
                self._by_process[process] = usage

    def add_source(self, fetch: Fetch) -> None:
        """Say where more reports are to be had when the sum is read.

        Args:
            fetch: Gets those that are there.
        """
        self._sources.append(fetch)

    def as_dict(self) -> dict[str, UsageValue]:
        """Add up what is reported so far.

        Returns:
            The sum, as ``inference.predict`` has it in ``attrs["usage"]``. ``queries`` counts the parts of the table
            that were asked about, and ``seconds`` adds up their times, many of which passed side by side.
        """
        for fetch in self._sources:
            for report in fetch():
                self.merge(report)
        with self._lock:
            usages = list(self._by_process.values())
        total = Usage("", "", "", queries=0)
        for usage in usages:
            total.add(usage)
        return total.as_dict()
