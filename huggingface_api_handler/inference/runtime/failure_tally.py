"""Why a query answered nothing: the commonest reason, and how many rows have it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from ...errors import InferenceError
from ..failures import Failure
from ..flow_control.circuit_breaker import alike
from ..telemetry.usage import Usage
from .rows import Rows

MIN_FAILURES_OF_PARTITION = 20
"""Rows that fail alike in a part of a table, without any answer, before the part fails: others may be answered."""


class FailureTally:
    """The reasons of rows, as long as no row of the query has an answer.

    Args:
        min_failures: how many rows must have failed alike before the query fails.
    """

    def __init__(self, min_failures: int = 1) -> None:
        self._min_failures = min_failures
        self._rows: Counter[str] = Counter()
        self._first: dict[str, Failure] = {}

    def count(self, rows: Rows, failures: Mapping[int, Failure], usage: Usage) -> None:
        """Count the rows of a frame in the usage of its query, and their reasons while none has an answer.

        Args:
            rows: Those of the frame.
            failures: Of the rows without a prediction, by the number of the row.
            usage: Of the query.
        """
        usage.errors.update(failure.kind.value for failure in failures.values())
        usage.answered += len(rows.inputs) - rows.nulls - len(failures)
        if usage.answered:
            return
        for failure in failures.values():
            words = alike(failure.message)
            self._rows[words] += 1
            self._first.setdefault(words, failure)

    def error(self, rows: int) -> InferenceError | None:
        """What to raise at the end of a query that answered none of its rows.

        Args:
            rows: how many rows it has.

        Returns:
            The commonest reason, the number of rows that have it, and what to do; None where too few failed.
        """
        if not self._rows:
            return None
        ((words, count),) = self._rows.most_common(1)
        if count < self._min_failures:
            return None
        failure = self._first[words]
        if rows == 1:
            return InferenceError(failure.message)
        others = f", the commonest of {len(self._rows)} reasons" if len(self._rows) > 1 else ""
        return InferenceError(
            f"{failure.message.rstrip('.')} (so for {count} of {rows} rows{others}; no row was answered). "
            f"{failure.kind.advice} To get the table all the same, with each row's reason: on_error = 'null'"
        )
