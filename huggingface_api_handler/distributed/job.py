"""A job: what every worker is told, checked before any of them begins."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Hashable, Iterable
from dataclasses import dataclass, field
from typing import TypeVar

from ..config.normalize import Using
from ..errors import InputError
from ..inference import Settings, checked_settings
from ..inference.runtime.columns import column_types
from ..inference.runtime.frames import check_columns

logger = logging.getLogger(__name__)

Label = TypeVar("Label", bound=Hashable)

_ID_BYTES = 8

_OF_ONE_QUERY = ("max_requests", "max_usd", "max_tokens_total", "max_seconds")
"""Arguments that bound one query. Each part of a job is one, so they would hold for each part anew."""


@dataclass(frozen=True, repr=False)
class Job:
    """One call of a runner's ``predict``, for all its workers. It pickles, and its ``repr`` shows no key.

    A key that was given as ``api_key`` travels with it. Where the engine names none, or names a variable with
    ``api_key_env``, each worker finds the key in its own environment.

    Attributes:
        settings: The arguments, checked.
        parts: How many parts the table has; None where the engine does not say.
        id: Tells jobs apart.
    """

    settings: Settings
    parts: int | None = None
    id: str = field(default_factory=lambda: secrets.token_hex(_ID_BYTES))

    @classmethod
    def of(cls, using: Using, engine: Using | None, columns: Iterable[Hashable], *, parts: int | None = None) -> Job:
        """Check all that can be checked before the workers begin. Sends nothing.

        Args:
            using: As for ``inference.predict``.
            engine: As for ``inference.predict``. Paths in it are those of the workers' machines.
            columns: The names of the table's columns.
            parts: How many parts the table has; None where the engine does not say.

        Returns:
            The job.

        Raises:
            InputError: An argument cannot be used, or not in parts, or names a column that the table does not have.
        """
        try:
            settings = checked_settings(using, engine)
        finally:
            del engine  # which holds the key as text, where a crash report would print it
        if parts != 1:
            _refuse_in_parts(settings)
        check_columns(columns, settings.model)
        return cls(_with_promise_of_each(settings, parts), parts)

    @property
    def schema(self) -> dict[str, str]:
        """The SQL type of each column of the predictions, as ``inference.output_schema`` says it."""
        return column_types(self.settings.model)

    def columns_read(self, columns: Iterable[Label]) -> list[Label]:
        """Tell which columns of a table the workers need.

        Args:
            columns: The names of the table's columns.

        Returns:
            Those of them that are read, in their order.
        """
        wanted = {name.lower() for name in self.settings.model.column_names}
        return [name for name in columns if str(name).lower() in wanted]

    def __repr__(self) -> str:
        """Say what is asked, and nothing of the arguments: this is printed in the workers' logs."""
        model = self.settings.model
        return f"<job {self.id}: {model.task} with {model.model}>"


def _with_promise_of_each(settings: Settings, parts: int | None) -> Settings:
    """The settings for each part, so that what a cascade promises holds for all of them together where that can be."""
    cascade = settings.model.cascade
    if cascade is None:
        return settings
    if parts is None:
        logger.warning(
            "cascade: in how many parts this table is asked is not known beforehand, so confidence = %g is of each. "
            "For it to hold for all together, give cascade a confidence of 1 - %.4g / parts",
            cascade.confidence,
            1 - cascade.confidence,
        )
        return settings
    return settings._replace(model=settings.model.model_copy(update={"cascade": cascade.of_each(parts)}))


def _refuse_in_parts(settings: Settings) -> None:
    """Raise InputError for what cannot be done where no query has all rows."""
    model = settings.model
    given = [name for name in _OF_ONE_QUERY if getattr(model, name) is not None]
    if given:
        raise InputError(
            f"{given[0]} bounds one query, and here each part of the table is one. Leave it out. To bound what all "
            "workers ask, set requests_per_hour, requests_per_month or usd_per_month of the engine: workers that share "
            "an answer store count together"
        )
    if _reads_whole_table(settings):
        raise InputError(
            f"{model.task} reads all rows of a table for each question, and a worker has only a part of them. Make "
            "one part of the table first"
        )


def _reads_whole_table(settings: Settings) -> bool:
    model = settings.model
    return any(
        column.data_type == "whole table" and column.argument in model.columns for column in model.definition.columns
    )
