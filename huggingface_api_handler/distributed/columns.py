"""Tables without an index: predictions become columns beside those that a table has."""

from __future__ import annotations

from collections.abc import Iterable

from ..errors import InputError
from ..redaction import preview
from .job import Job


def refuse_taken_names(job: Job, columns: Iterable[str]) -> None:
    """Check that no column of the predictions has the name of one of the table. Case does not count, as in SQL.

    Args:
        job: Which columns the predictions have.
        columns: The names of the table's columns.

    Raises:
        InputError: A name is taken.
    """
    taken = {name.lower(): name for name in columns}
    for name in job.schema:
        if name.lower() in taken:
            raise InputError(
                f"the table has a column {preview(taken[name.lower()])} already, where a column {preview(name)} of the "
                "predictions would go. Choose another target, or rename or drop that column"
            )
