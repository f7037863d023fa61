"""What a job would still ask, counted without asking."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pandas as pd

from ...inference.runtime.frames import open_frame
from ...inference.runtime.session import Session
from ...inference.runtime.stream import dry_runs
from .job import Job
from .parts import done_units
from .source import UnitReader


@dataclass
class Estimate:
    """The sums of dry runs.

    Attributes:
        rows: Rows that are not done.
        nulls: Rows of them without an input, which are not sent.
        distinct: Different inputs of each unit, added up.
        stored: Answers that are stored.
        requests: Requests that the others take.
        seconds: How long they take one process; None where no query has shown how fast the route is.
    """

    rows: int = 0
    nulls: int = 0
    distinct: int = 0
    stored: int = 0
    requests: int = 0
    seconds: float | None = 0.0


def estimate(job: Job) -> Estimate:
    """Count what is left of a job. Sends no request, and writes nothing.

    Args:
        job: The job, which may have parts already.

    Returns:
        The sums.
    """
    done = done_units(job.parts) if job.parts.exists() else set()
    reader, total = UnitReader(job.source), Estimate()

    def frames() -> Iterator[pd.DataFrame]:
        for unit in job.units:
            if unit.number not in done:
                for table in reader.read(unit):
                    yield open_frame(table, job.model).frame

    with Session() as session:
        query = job.query(session, job.model.model_copy(update={"dry_run": True}))
        for out in dry_runs(frames(), query):
            first = out.iloc[0]
            total.rows += int(first["rows"])
            total.nulls += int(first["nulls"])
            total.distinct += int(first["distinct_inputs"])
            total.stored += int(first["stored"])
            total.requests += int(first["requests"])
            seconds = first["seconds"]
            is_known = total.seconds is not None and seconds is not None and seconds == seconds
            total.seconds = total.seconds + float(seconds) if is_known and total.seconds is not None else None
    return total
