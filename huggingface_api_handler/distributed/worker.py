"""What a worker's process does: its parts of the table, with the connections and limits that it has already.

All parts use the default session of the process. So connections, and what was learned of the route, are there for the
next part, and for the next job.
"""

from __future__ import annotations

import logging
import os
import secrets
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

from ..config.settings import ModelSettings
from ..inference import Table, predict_tables
from ..inference.runtime.context import Query
from ..inference.runtime.failure_tally import MIN_FAILURES_OF_PARTITION
from ..inference.runtime.query_run import Cancel
from ..inference.telemetry.usage import Usage
from .job import Job
from .job_usage import to_report

logger = logging.getLogger(__name__)

_MAX_JOBS = 1000  # that a process remembers
_PROCESS_BYTES = 8


@dataclass
class _Share:
    """What this process did for one job.

    Attributes:
        process: Names the process in reports.
        usage: The sum of its parts that are done.
        unanswered: Rows of parts of which no row was answered.
    """

    process: str = field(default_factory=lambda: f"{os.getpid()}-{secrets.token_hex(_PROCESS_BYTES)}")
    usage: Usage = field(default_factory=lambda: Usage("", "", "", queries=0))
    unanswered: int = 0

    def add(self, usage: Usage) -> None:
        """Add the usage of a part that is done.

        Args:
            usage: The query's.
        """
        self.usage.add(usage)
        if not usage.answered:
            self.unanswered += usage.errors.total()

    @property
    def has_answers(self) -> bool:
        """Whether any row of the job was answered here."""
        return self.usage.answered > 0

    @property
    def has_answers_of_proxy(self) -> bool:
        """Whether the proxy of a cascade has answered a part here: only then is a part certified."""
        return self.usage.cascade is not None and self.usage.cascade.parts > 0


class _Shares:
    """The shares of the jobs that this process works for, or has worked for lately."""

    def __init__(self) -> None:
        self._by_job: OrderedDict[str, _Share] = OrderedDict()
        self._lock = threading.Lock()

    def of(self, job_id: str) -> _Share:
        with self._lock:
            share = self._by_job.setdefault(job_id, _Share())
            self._by_job.move_to_end(job_id)
            while len(self._by_job) > _MAX_JOBS:
                self._by_job.popitem(last=False)
            return share

    def add(self, share: _Share, usage: Usage) -> str:
        """Add the usage of a part, and return the report of the whole share."""
        with self._lock:
            share.add(usage)
            return to_report(share.process, share.usage)

    def reports(self, job_id: str) -> list[str]:
        with self._lock:
            share = self._by_job.get(job_id)
            return [] if share is None or not share.usage.queries else [to_report(share.process, share.usage)]

    def forget(self) -> None:
        """Begin anew in a forked child: what its parent did is the parent's to report."""
        self.__init__()  # type: ignore[misc]


_shares = _Shares()
os.register_at_fork(after_in_child=_shares.forget)


def predict_part(
    job: Job,
    tables: Iterable[Table],
    *,
    report: Callable[[str], None] | None = None,
    cancel: Cancel | None = None,
) -> Iterator[Table]:
    """Predict the rows of one part of the table, as one query.

    Where ``on_error`` is not given, a part of which no row is answered fails the job only as long as no other part was
    answered in this process: by what fails every row (a wrong key, an unknown model), or by 20 rows that fail alike,
    those of earlier parts counted. A job of one part fails as ``inference.predict`` does. So does a part whose rows the
    proxy of a cascade all refuses; once it has answered a part here, the large model is asked about them.

    Args:
        job: What to ask.
        tables: The pieces of the part, of any kind that ``inference.predict`` takes.
        report: Is told what this process has asked for the job so far, once the part is done or has failed.
        cancel: Ends the part once it is set, with what it has.

    Yields:
        The predictions of each piece, of the same kind.

    Raises:
        InputError: A piece cannot be used, or the key is not in this process's environment.
        InferenceError: No row can be answered, or one failed and ``on_error`` is 'raise'.
    """
    share = _shares.of(job.id)
    settings = job.settings
    query = Query.of(_model_of(job, share), settings.engine, None, settings.scope)
    min_failures = 1 if job.parts == 1 else max(1, MIN_FAILURES_OF_PARTITION - share.unanswered)
    try:
        yield from predict_tables(tables, query, cancel=cancel, min_failures=min_failures)
    finally:
        whole = _shares.add(share, query.usage)
        usage = query.usage
        logger.info(
            "%r: a part of %d rows is done, %d answered with %d requests in %.1f s",
            job, usage.rows, usage.answered, usage.requests, usage.seconds,
        )  # fmt: skip
        if report is not None:
            report(whole)


def _model_of(job: Job, share: _Share) -> ModelSettings:
    """The arguments for the next part. Once a row of the job was answered, no part fails for having no answer."""
    model = job.settings.model
    if model.proxy is not None and share.has_answers_of_proxy:
        model = model.model_copy(update={"proxy": model.proxy.once_it_has_answered()})
    is_judged = model.on_error is None and share.has_answers
    return model.model_copy(update={"on_error": "null"}) if is_judged else model


def reports_here(job_id: str) -> list[str]:
    """What this process has asked for a job so far.

    Args:
        job_id: ``Job.id``.

    Returns:
        One report, or none.
    """
    return _shares.reports(job_id)
