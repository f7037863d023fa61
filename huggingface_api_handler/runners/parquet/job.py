"""A job: which file is predicted how, checked before anything is sent, and described in the folder of its parts."""

from __future__ import annotations

import glob
import hashlib
import os
import secrets
import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import orjson

from ...config.credentials import check_key_variable, key_in_variable
from ...config.settings import EngineSettings, ModelSettings
from ...errors import InputError
from ...inference import checked_settings
from ...inference.runtime.columns import column_types
from ...inference.runtime.context import Query
from ...inference.runtime.session import Session
from ...inference.storage.scope import Scope
from ...redaction import preview, redact
from .parts import done_units, sync_folder, temporary_path
from .source import Source
from .units import STORED_UNIT_ROWS, UNSTORED_UNIT_ROWS, Unit, units_of

if TYPE_CHECKING:
    from typing import Any

_FORMAT = 1
_DESCRIPTION = "job.json"
_REMOVED = ".removed-"
_HASH_BYTES = 1 << 20
_DESCRIPTION_WAIT_S = 2.0
_DESCRIPTION_POLL_INTERVAL_S = 0.05

# What may change between two runs of one job: how long it may go on, what it may cost, and what is stored.
_NOT_DESCRIBED = {
    *("max_requests", "max_usd", "max_tokens_total", "max_seconds"),
    *("on_error", "cache", "dry_run", "description", "endpoint", "provider", "proxy"),
}


class Arguments(NamedTuple):
    """What a job is told, as it can be handed to another process: without a key.

    Attributes:
        source: The file that is read.
        out: The file that is written.
        using: As for ``inference.predict``.
        engine: As for ``inference.predict``, without a key.
        key_variable: The variable of the environment that holds the key; None for those that are always tried.
        workers: Processes of this machine that share the job.
        run: Tells the run of the job on this machine, whose processes share one budget; None where each has its own.
    """

    source: str
    out: str
    using: Mapping[str, object]
    engine: Mapping[str, object]
    key_variable: str | None = None
    workers: int = 1
    run: str | None = None


@dataclass
class Job:
    """A checked job.

    Attributes:
        arguments: What it was made of.
        model: The checked arguments of the model.
        engine: The checked arguments of the engine.
        scope: Whose the stored answers are.
        source: The file that is read.
    """

    arguments: Arguments
    model: ModelSettings
    engine: EngineSettings
    scope: Scope | None
    source: Source
    units: Sequence[Unit] = field(init=False)

    def __post_init__(self) -> None:
        self.units = units_of(self.source.row_groups, self.unit_rows)
        if (cascade := self.model.cascade) is not None:
            self.model = self.model.model_copy(update={"cascade": cascade.of_each(len(self.units))})

    @classmethod
    def of(cls, arguments: Arguments) -> Job:
        """Check a job. Reads no more of the file than what it says of itself, and sends nothing.

        Args:
            arguments: Of the job.

        Returns:
            The job.

        Raises:
            InputError: An argument, the file or a column cannot be used.
        """
        # Who can start a program on this machine reaches its private addresses anyway.
        engine_using = {"allow_private_endpoints": True, **arguments.engine}
        if arguments.key_variable is not None:
            engine_using["api_key"] = key_in_variable(arguments.key_variable)
        model, engine, scope = checked_settings(arguments.using, engine_using, statement="predict")
        if any(column.data_type == "whole table" and column.argument in model.columns
               for column in model.definition.columns):  # fmt: skip
            raise InputError(
                "table_columns makes one table of all rows, and a Parquet file is read in pieces. Use table_column"
            )
        for each in (engine, model.proxy.engine if model.proxy is not None else None):
            if each is not None:
                check_key_variable(each)  # before a row is read
        return cls(arguments, model, engine, scope, Source.open(Path(arguments.source), model))

    @property
    def out(self) -> Path:
        """The file that is written."""
        return Path(self.arguments.out)

    @property
    def parts(self) -> Path:
        """The folder of its parts, beside the file that is written."""
        return self.out.with_name(f"{self.out.name}.parts")

    @property
    def claims(self) -> Path:
        """The folder of its claims."""
        return self.parts / "claims"

    @property
    def is_stored(self) -> bool:
        """Whether answers are stored, as ``Query`` decides it."""
        wanted = self.model.cache if self.model.cache is not None else self.engine.cache
        return self.model.definition.deterministic if wanted is None else wanted

    @property
    def unit_rows(self) -> int:
        """The most rows of a unit."""
        return STORED_UNIT_ROWS if self.is_stored else UNSTORED_UNIT_ROWS

    def remove_parts(self) -> None:
        """Remove the folder of the parts. It is gone at once for all who look, or it is whole."""
        removed = self.parts.with_name(f"{self.parts.name}{_REMOVED}{secrets.token_hex(4)}")
        self.parts.rename(removed)
        shutil.rmtree(removed)

    def query(self, session: Session, model: ModelSettings | None = None) -> Query:
        """A query of the job, of which nothing is sent yet.

        Args:
            session: The connections, stores and routes that it uses.
            model: Another model's arguments, such as those of a dry run; None for the job's.

        Returns:
            The query.
        """
        return Query.of(model or self.model, self.engine, session, self.scope, job=self.arguments.run)

    def description(self) -> dict[str, Any]:
        """Say what tells this job from others. Reads the whole file.

        Returns:
            Plain values, without keys.
        """
        settings, proxy = _described(self.model, self.engine), self.model.proxy
        if proxy is not None:
            settings["proxy"] = _described(proxy.model, proxy.engine or self.engine)
        return {
            "format": _FORMAT,
            "input": _hash_of(self.source.path),
            "rows": self.source.rows,
            "unit_rows": self.unit_rows,
            "settings": settings,
            "columns": column_types(self.model),
        }

    def open_parts(self) -> None:
        """Make the folder of the parts, or find that of an earlier run of the same job.

        Raises:
            InputError: The parts are another job's.
        """
        description = self.description()
        for removed in self.out.parent.glob(f"{glob.escape(self.parts.name)}{_REMOVED}*"):  # and killed meanwhile
            shutil.rmtree(removed, ignore_errors=True)
        self.claims.mkdir(parents=True, exist_ok=True)
        _create(self.parts / _DESCRIPTION, orjson.dumps(description, option=orjson.OPT_INDENT_2))
        found = _read(self.parts / _DESCRIPTION)
        if found != orjson.loads(orjson.dumps(description)):
            done = len(done_units(self.parts))
            raise InputError(
                f"{self.parts} holds {done:,} finished {'part' if done == 1 else 'parts'} of another job: "
                f"{_difference(found, description)}. Finish that one with its own arguments, name another output, or "
                "remove the folder to begin anew"
            )


def _described(model: ModelSettings, engine: EngineSettings) -> dict[str, Any]:
    """What tells the answers of a model from others', without keys."""
    settings: dict[str, Any] = model.model_dump(mode="json", exclude=_NOT_DESCRIBED, exclude_defaults=True)
    where = {
        name: redact(str(value))
        for name in ("endpoint", "provider", "protocol")
        if (value := getattr(model, name, None) or getattr(engine, name)) is not None
    }
    return {**settings, "model": model.model, **where}


def _hash_of(path: Path) -> str:
    """The hash of a file's content, so that a copy on another machine counts as the same file."""
    digest = hashlib.blake2b(digest_size=16)
    with path.open("rb") as file:
        while data := file.read(_HASH_BYTES):
            digest.update(data)
    return digest.hexdigest()


def _create(path: Path, content: bytes) -> None:
    """Write a whole file where there is none; of two processes one does."""
    if path.exists():
        return
    temporary = temporary_path(path.parent, path.stem)
    temporary.write_bytes(content)
    try:
        os.link(temporary, path)
    except FileExistsError:
        pass
    except OSError:  # shared folders without hard links
        temporary.replace(path)
        return
    temporary.unlink()
    sync_folder(path.parent)


def _read(path: Path) -> dict[str, Any]:
    waited_until = time.monotonic() + _DESCRIPTION_WAIT_S
    while True:
        try:
            found = orjson.loads(path.read_bytes())
        except (OSError, ValueError) as error:  # a shared folder may show a file late
            if time.monotonic() > waited_until:
                raise InputError(f"{path} cannot be read: {error}. Remove the folder to begin anew") from None
            time.sleep(_DESCRIPTION_POLL_INTERVAL_S)
            continue
        return found if isinstance(found, dict) else {}


def _difference(found: Mapping[str, Any], wanted: Mapping[str, Any]) -> str:
    """In what two jobs differ, in words."""
    if found.get("format") != wanted["format"]:
        return "another version of this program wrote it"
    if found.get("input") != wanted["input"]:
        return "it reads another input file, or the file has changed since"
    theirs, ours = found.get("settings"), wanted["settings"]
    if not isinstance(theirs, dict) or theirs == ours:
        return "its columns or its parts are others"
    names: list[str] = []
    while isinstance(theirs, dict) and isinstance(ours, dict):  # a map is too long to be compared by eye
        name = sorted(name for name in {*theirs, *ours} if theirs.get(name) != ours.get(name))[0]
        names, theirs, ours = [*names, name], theirs.get(name), ours.get(name)
    return f"{'.'.join(names)} is {preview(theirs)} there and {preview(ours)} here"
