"""A job: what every worker is told, checked before any of them begins."""

from __future__ import annotations

import secrets
from collections.abc import Hashable, Iterable
from dataclasses import dataclass, field
from typing import TypeVar

import pandas as pd

from ..config.normalize import Using
from ..errors import InputError
from ..inference import Settings, checked_settings
from ..inference.runtime.columns import column_types
from ..tasks import read_inputs

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
        model = settings.model
        if model.cascade is not None and parts is not None:
            model = model.model_copy(update={"cascade": model.cascade.of_each(parts)})
            settings = settings._replace(model=model)
        names = list(columns)
        read_inputs(settings.model.definition, pd.DataFrame(columns=names, dtype=object), settings.model)
        return cls(settings, parts)

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
