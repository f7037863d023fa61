"""SHOW MODELS, SHOW ML_ENGINES and DESCRIBE."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING

import orjson
import pandas as pd

from .. import lifecycle
from ..config.normalize import suggest
from ..errors import InputError
from ..inference.telemetry import usage_log
from ..redaction import preview
from .catalog_items import Engine, Model
from .models import HANDLER, settings_of, settings_without_key
from .parsing import PROJECT, ModelName, model_name, parsed
from .result import Result, table_of

if TYPE_CHECKING:
    from .connection import Connection
    from .tokens import Statement

_MODEL_COLUMNS = ("name", "engine", "project", "active", "version", "status", "predict", "task", "model")
_MODEL_TYPES = ("VARCHAR", "VARCHAR", "VARCHAR", "BOOLEAN", "INTEGER", "VARCHAR", "VARCHAR", "VARCHAR", "VARCHAR")
_ENGINE_COLUMNS = ("name", "handler", "connection_data")
_ENGINE_TYPES = ("VARCHAR", "VARCHAR", "JSON")
_USAGE_TEXTS = ("model", "query", "request_id", "sha", "errors", "failovers", "usd_note", "cascade")
"""Columns of ``huggingface.usage`` that are texts. Those of seconds and dollars are numbers, all else is counted."""

_MEASURED = re.compile("seconds|^usd")

_CLAUSE = re.compile(r"\bWHERE\b(?P<condition>.+)|\bLIKE\s+(?P<pattern>'(?:[^']|'')*')\s*$", re.IGNORECASE | re.DOTALL)

_MAX_DESCRIBE_CHARS = 10_000
"""Of DESCRIBE with a name. A longer one describes a query, and is DuckDB's."""


def show_engines(statement: Statement, connection: Connection) -> Result:
    """SHOW ML_ENGINES [LIKE text | WHERE condition]; SHOW ML_ENGINE name.

    Args:
        statement: the statement.
        connection: in whose database they are.

    Returns:
        A row for each engine.

    Raises:
        InputError: there is no engine of that name.
    """
    named = statement.words[2:3] if statement.words[1] == "ML_ENGINE" else ()
    engines = [connection.catalog.named_engine(named[0])] if named else connection.catalog.engines()
    rows = [(engine.name, HANDLER, orjson.dumps(_with_stars(engine)).decode()) for engine in engines]
    return _filtered(Result(_ENGINE_COLUMNS, _ENGINE_TYPES, rows), statement)


def show_models(statement: Statement, connection: Connection) -> Result:
    """SHOW MODELS [FROM mindsdb] [LIKE text | WHERE condition].

    Args:
        statement: the statement.
        connection: in whose database they are.

    Returns:
        A row for each version of each model.
    """
    return _filtered(model_rows(connection.catalog.models()), statement)


def model_rows(models: Iterable[Model]) -> Result:
    """Models as SHOW MODELS lists them.

    Args:
        models: of the catalog.

    Returns:
        A row for each.
    """
    rows = []
    for model in models:
        given = (str(model.arguments.get(name)) for name in ("target", "task", "model"))
        rows.append((model.name, model.engine, PROJECT, model.active, model.version, "complete", *given))
    return Result(_MODEL_COLUMNS, _MODEL_TYPES, rows)


def describe(statement: Statement, connection: Connection) -> Result | None:
    """DESCRIBE [MODEL] name [. version] [. attribute]; DESCRIBE ML_ENGINE name.

    Args:
        statement: any DESCRIBE.
        connection: in whose database the model is.

    Returns:
        The table of that name; None where it describes a table or a query, which is DuckDB's.

    Raises:
        InputError: there is no such model or attribute.
        InferenceError: the Hub cannot be asked for the model's name at the provider.
    """
    if len(statement.source) > _MAX_DESCRIBE_CHARS:
        return None
    try:
        tree = parsed(statement)
    except InputError:
        return None
    kind, parts = str(getattr(tree, "type", None) or "").lower(), [str(part) for part in tree.value.parts]
    if kind == "ml_engine":
        engine = connection.catalog.named_engine(parts[-1])
        rows = [(name, _text(value)) for name, value in _with_stars(engine).items()]
        return Result(("argument", "value"), ("VARCHAR", "VARCHAR"), rows)
    if kind not in ("", "model"):
        return None
    meant, attribute = _meant(parts, connection, is_model=kind == "model")
    if meant is None:
        return None
    frame = _described(connection.catalog.named_model(*meant), attribute, connection)
    return Result.of_frame(_with_types(frame) if attribute == "usage" else frame)


def usage_frame(connection: Connection) -> pd.DataFrame:
    """The table ``huggingface.usage``: what the models of the file asked and spent, on this machine.

    Args:
        connection: whose store of each engine has it.

    Returns:
        The rows of DESCRIBE model.usage of every model, with its name and version before them. Models of engines that
        were dropped or that somebody else made have none.
    """
    catalog, frames = connection.catalog, []
    for model in catalog.models():
        engine = catalog.engine(model.engine)
        if engine is None or not connection.trust.is_ours(engine):
            continue
        settings = settings_without_key(engine)
        scope = lifecycle.scope_of(engine.id, {"id": model.id})
        frame = usage_log.usage_table(connection.session.tables(settings).usage, str(scope.model))
        frame.insert(0, "model", model.name)
        frame.insert(1, "version", model.version)
        frames.append(frame)
    filled = [frame for frame in frames if len(frame)]
    if not filled:
        filled = [pd.concat([pd.DataFrame({"model": [], "version": []}), usage_log.no_usage()], axis="columns")]
    return _with_types(pd.concat(filled, ignore_index=True))


def use_mindsdb(statement: Statement, connection: Connection) -> Result | None:
    """USE mindsdb, which scripts for MindsDB begin with: there is one project, so nothing is done.

    Args:
        statement: the statement.
        connection: in which a database or schema may have that name.

    Returns:
        No rows; None where there is one.
    """
    return None if _is_schema(PROJECT, connection) else Result((), ())


def _meant(parts: list[str], connection: Connection, *, is_model: bool) -> tuple[ModelName | None, str | None]:
    """The model and the attribute that DESCRIBE names; no model where a table is meant."""
    catalog = connection.catalog
    whole = model_name(parts)
    if catalog.model(*whole) is not None:
        return whole, None
    if len(parts) > 1 and not parts[-1].isdecimal():
        before = model_name(parts[:-1])
        if catalog.model(*before) is not None:
            return before, parts[-1].lower()
        is_attribute = parts[-1].lower() in lifecycle.DESCRIPTIONS and not _is_schema(parts[0], connection)
        if is_model or is_attribute:
            return before, parts[-1].lower()
    return (whole if is_model or catalog.model(whole.name) is not None else None), None


def _described(model: Model, attribute: str | None, connection: Connection) -> pd.DataFrame:
    if attribute is not None and attribute not in lifecycle.DESCRIPTIONS:
        raise InputError(
            f"DESCRIBE {model.name} has no table {preview(attribute)}{suggest(attribute, lifecycle.DESCRIPTIONS)}"
        )
    engine = connection.catalog.engine_of(model)
    if attribute == "model":
        connection.trust.refuse_foreign(engine, model)
        settings = settings_of(engine, connection)
    else:
        if attribute == "usage" and engine.arguments.get("cache_dir"):
            connection.trust.refuse_foreign(engine)
        settings = settings_without_key(engine)
    scope = lifecycle.scope_of(engine.id, {"id": model.id})
    return lifecycle.describe(attribute, model.arguments, model.discovery, settings, scope, connection.session)


def _with_types(usage: pd.DataFrame) -> pd.DataFrame:
    """Usage with the same types whether there are rows or none, and whether a server reported a figure or not."""
    return usage.astype({str(name): _usage_type(str(name)) for name in usage.columns})


def _usage_type(name: str) -> str:
    if name in _USAGE_TEXTS:
        return "string"
    return "float64" if _MEASURED.search(name) else "Int64"


def _with_stars(engine: Engine) -> dict[str, object]:
    return {**engine.arguments, **({"api_key": "******"} if engine.has_key else {})}


def _text(value: object) -> str:
    return value if isinstance(value, str) else orjson.dumps(value).decode()


def _is_schema(name: str, connection: Connection) -> bool:
    found = connection.duckdb.execute(
        "SELECT 1 FROM duckdb_schemas() WHERE lower(schema_name) = $name OR lower(database_name) = $name LIMIT 1",
        {"name": name.lower()},
    ).fetchall()
    return bool(found)


def _filtered(result: Result, statement: Statement) -> Result:
    """The rows that LIKE or WHERE of a SHOW wants."""
    clause = _CLAUSE.search(statement.source)
    if clause is None:
        return result
    condition = clause["condition"] if clause["condition"] is not None else f"name ILIKE {clause['pattern']}"
    held = table_of(result.columns, result.types, result.fetchall())
    held.execute(f"SELECT * FROM shown WHERE {condition}")
    return Result.of_open(held)
