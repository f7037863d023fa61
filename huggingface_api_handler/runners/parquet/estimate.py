"""What a job would still ask, counted without asking."""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd

from ...inference.cascade.dry_run import count_all
from ...inference.pricing.estimate import Estimate
from ...inference.runtime.dry_run import Counted
from ...inference.runtime.frames import open_frame
from ...inference.runtime.session import Session
from .job import Job
from .parts import done_units
from .source import UnitReader


def estimate(job: Job) -> tuple[Counted, Estimate]:
    """Count what is left of a job. Sends no request, and writes nothing.

    Args:
        job: The job, which may have parts already.

    Returns:
        The sums, of which ``seconds`` are those of one process, and what it costs.
    """
    done = done_units(job.parts) if job.parts.exists() else set()
    reader = UnitReader(job.source)

    def frames() -> Iterator[pd.DataFrame | None]:
        for unit in job.units:
            if unit.number not in done:
                for table in reader.read(unit):
                    yield open_frame(table, job.model).frame
                yield None  # a cascade certifies each unit for itself

    with Session() as session:
        return count_all(frames(), job.query(session, job.model.model_copy(update={"dry_run": True})))
