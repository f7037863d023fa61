"""The names of engines and models, which a store does not hold: those of DuckDB files, and what the usage log tells.

A store knows an engine by its random id, or by a keyed hash of that. MindsDB has the names in its own database.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..inference.telemetry.usage_log import UsageByDay
    from ..sql.catalog_items import Engine, Model

_ID_CHARS = 8
"""Of an id, where there is no name."""

_LISTED_MODELS = 3


@dataclass(frozen=True)
class KnownNames:
    """Names by what a store knows them by.

    Attributes:
        engines: Names of engines by their id.
        models: Names of models by the id of the engine and their own, with a space between (``Scope.model``).
    """

    engines: Mapping[str, str] = field(default_factory=dict)
    models: Mapping[str, str] = field(default_factory=dict)

    def engine(self, scope: str) -> str:
        """Name the engine of a model.

        Args:
            scope: As of ``Scope.model``; in Redis a hash of it, which does not tell the engine.

        Returns:
            Its name, else the begin of its id; '?' where that is not known.
        """
        engine, space, _ = scope.partition(" ")
        return self.engine_of_id(engine) if space else "?"

    def engine_of_id(self, engine: str) -> str:
        """Name an engine.

        Args:
            engine: Its id.

        Returns:
            Its name, else the begin of its id.
        """
        return self.engines.get(engine, f"engine {engine[:_ID_CHARS]}")


def add_names_argument(parser: argparse.ArgumentParser) -> None:
    """Add the option that says where names are.

    Args:
        parser: Of the command.
    """
    parser.add_argument(
        "--database",
        action="append",
        default=[],
        type=Path,
        metavar="FILE.duckdb",
        help="file of `huggingface-api-handler sql` with the names of engines and models; may be repeated",
    )


def read_catalog(path: Path) -> tuple[list[Engine], list[Model]]:
    """Read the engines and models of a DuckDB file. Nothing is sent, and nothing in the file is run.

    Args:
        path: The file.

    Returns:
        The engines, and the models in all versions.

    Raises:
        InputError: It cannot be opened, or DuckDB 2 is not installed.
    """
    from ..errors import InputError
    from ..sql.opening import open_database

    try:
        from ..sql.catalog import Catalog
    except ImportError as error:
        raise InputError(f"{path} needs the extra sql ({error}): pip install 'huggingface_api_handler[sql]'") from None
    connection = open_database(str(path), read_only=True)
    try:
        catalog = Catalog(connection)
        return catalog.engines(), catalog.models()
    finally:
        connection.close()


def names_of(engines: Iterable[Engine], models: Iterable[Model]) -> KnownNames:
    """The names of engines and models.

    Args:
        engines: Of files.
        models: Of the same files.

    Returns:
        The names.
    """
    of_engines = list(engines)
    ids = {engine.name.lower(): engine.id for engine in of_engines}
    named = {f"{ids[model.engine.lower()]} {model.id}": model.name for model in models if model.engine.lower() in ids}
    return KnownNames({engine.id: engine.name for engine in of_engines}, named)


def names_in(databases: Sequence[Path]) -> KnownNames:
    """The names in DuckDB files.

    Args:
        databases: The files.

    Returns:
        The names.

    Raises:
        InputError: A file cannot be read.
    """
    engines: dict[str, str] = {}
    models: dict[str, str] = {}
    for path in databases:
        found = names_of(*read_catalog(path))
        engines.update(found.engines)
        models.update(found.models)
    return KnownNames(engines, models)


def owner_names(secret: bytes, names: KnownNames, usage: Iterable[UsageByDay]) -> dict[bytes, str]:
    """Name the owners of stored answers: engines, and whoever asks from Python with the key of this machine or none.

    Args:
        secret: Of the store.
        names: That are known.
        usage: Of the same store, which tells the ids of engines and what their models are.

    Returns:
        A name for each owner that can be told.
    """
    from ..config.credentials import resolve_api_key
    from ..config.settings import EngineSettings
    from ..inference.protocols.key_policy import KeyDecision
    from ..inference.storage.scope import hash_of
    from ..inference.storage.secret import owner_of

    found = {owner_of(secret, engine): name for engine, name in names.engines.items()}
    models: dict[str, set[str]] = {}
    for each in usage:
        engine, space, _ = each.model.partition(" ")
        if space:
            models.setdefault(engine, set()).add(each.total.model)
    for engine, of_engine in models.items():
        listed = sorted(of_engine)
        more = f" and {len(listed) - _LISTED_MODELS} more" if len(listed) > _LISTED_MODELS else ""
        asked = ", ".join(listed[:_LISTED_MODELS])
        found[owner_of(secret, engine)] = f"{names.engine_of_id(engine)} ({asked}{more})"
    accounts = {"": "Python, without a key"}
    key = resolve_api_key(EngineSettings())
    if key is not None:
        own = "Python, with the key of this machine"
        accounts.update({KeyDecision(key).account: own, key.get_secret_value(): own})
    for account, name in accounts.items():
        found[owner_of(secret, f"None {hash_of(account)}")] = name
    return found
