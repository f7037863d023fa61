"""AskedInputs: a query that is told its inputs piece by piece, and gives back what became of each."""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence

import pandas as pd

from ...errors import InferenceError
from ...tasks import Input
from .context import Query
from .progress import Phase, Report
from .query_run import Cancel, QueryRun
from .results import Result
from .rows import Rows
from .stream import max_live_rows
from .usage_record import UsageRecord

PIECE_INPUTS = 4096
"""Inputs that are best told at once: enough that none of many slots is unused, few enough to fit in memory."""

_NO_INDEX = pd.RangeIndex(0)


class AskedInputs:
    """Asks one query about distinct inputs, as many at once as ``predict_frames`` has on their way.

    The caller counts rows, and says what to raise where none is answered.
    """

    def __init__(
        self,
        query: Query,
        record: UsageRecord,
        report: Report,
        cancel: Cancel | None,
        since: float,
        phase: Callable[[], Phase | None],
    ) -> None:
        """Ask nothing yet.

        Args:
            query: What is asked, and of which route.
            record: Is told when the first input is asked.
            report: Is called with how far the query is, as ``QueryRun`` does.
            cancel: As for ``predict_frames``.
            since: From when ``max_seconds`` counts, on the monotonic clock.
            phase: Gives the phase of the cascade that it is part of.
        """
        self._query, self._record = query, record
        self._run = QueryRun(query, report, cancel, since=since, phase=phase)
        self._count = 0

    @property
    def count(self) -> int:
        """How many inputs it was asked about so far."""
        return self._count

    def ask(self, pieces: Iterable[Sequence[Input]]) -> Iterator[list[Result]]:
        """Ask about inputs, all of which are given back before this ends.

        Args:
            pieces: They are read as far ahead as fits in memory. No two inputs of a query are equal.

        Yields:
            The prediction or failure of each input of a piece, in the order of the pieces.

        Raises:
            InputError: A budget cannot be held, so that nothing was sent.
            InferenceError: Nobody is answered, such as for a wrong key.
        """
        pending: deque[Rows] = deque()
        live = 0
        for inputs in pieces:
            rows = Rows(_NO_INDEX, start=self._count, new=self._count, stop=self._count + len(inputs))
            self._count = rows.stop
            self._record.begin(inputs)
            self._run.ask(rows, inputs)
            pending.append(rows)
            live += len(inputs)
            most = max_live_rows(self._query.usage, self._run.results.answered)
            while len(pending) > 1 and (live > most or self._run.has_answered(pending[0])):
                live -= pending[0].stop - pending[0].start
                yield self._give_back(pending)
        while pending:
            yield self._give_back(pending)

    def end(self) -> None:
        """Say that no more inputs come, and wait until answers are stored.

        Raises:
            InferenceError: As for ``ask``.
        """
        self._run.end()
        if (fatal := self._run.fatal) is not None:
            raise InferenceError(fatal.message)

    def close(self) -> None:
        """End the query now, where it has not ended, and keep its usage."""
        self._run.abandon()
        self._record.end(sys.exc_info()[1], was_forked=self._run.was_forked)

    def _give_back(self, pending: deque[Rows]) -> list[Result]:
        self._run.wait_for(pending[0])
        rows = pending.popleft()
        if (fatal := self._run.fatal) is not None:
            raise InferenceError(fatal.message)
        results = [self._run.results[index] for index in range(rows.start, rows.stop)]
        self._run.drop_before(rows.stop)
        return results
