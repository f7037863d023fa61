"""What CREATE ML_ENGINE, CREATE MODEL, SELECT and DESCRIBE do with arguments, wherever these are stored.

MindsDB's verbs (``handler.py``) and the SQL without a server (``sql/``) both call this. It keeps nothing itself.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from typing import TypeVar, cast

import orjson
import pandas as pd

from .config.normalize import Using
from .config.proxies import FindEngine
from .config.reference import arguments_of
from .config.settings import EngineSettings, ModelSettings
from .config.validation import engine_settings, merge_select_overrides, model_settings
from .errors import InputError
from .inference.protocols.discovery import Discovery
from .inference.protocols.discovery import discover as _discover
from .inference.protocols.endpoint_policy import is_public_only
from .inference.protocols.preflight import MAX_INPUT_TOKENS, check_engine, describe_model, task_of
from .inference.runtime.context import Query
from .inference.runtime.session import Session
from .inference.storage.scope import Scope
from .inference.telemetry import usage_log

DESCRIPTIONS = ("settings", "task", "model", "usage")
"""The tables that DESCRIBE knows of a model."""

Target = str | Sequence[str] | None
"""The column that PREDICT names; MindsDB hands over a list of one in some statements."""

_ENGINE_ID_BYTES = 16
_MODEL_ID_BYTES = 8

_Value = TypeVar("_Value")


def checked_engine(using: Using | None, session: Session) -> EngineSettings:
    """Check the arguments of CREATE ML_ENGINE, and ask its server about the key.

    Args:
        using: the USING clause.
        session: sends the request.

    Returns:
        The engine's settings.

    Raises:
        InputError: an argument is wrong, or the package is missing that ``store`` needs.
        InferenceError: the key is refused. A host that cannot be reached is only a warning.
    """
    engine = engine_settings(using)
    session.shared_store(engine)  # refuses what is missing for it, before anything is recorded
    check_engine(engine, session.http)
    return engine


def new_engine_id() -> str:
    """A random name for an engine, by which its stored answers are found and its requests counted."""
    return secrets.token_hex(_ENGINE_ID_BYTES)


def new_model(
    target: Target, using: Using, engine: EngineSettings, find_engine: FindEngine | None = None
) -> tuple[dict[str, object], ModelSettings]:
    """Check the arguments of CREATE MODEL.

    Args:
        target: the column that PREDICT names.
        using: the USING clause.
        engine: the settings of the engine.
        find_engine: finds the engine that ``cascade`` names.

    Returns:
        The arguments to store, with what was filled in, and the settings made of them.

    Raises:
        MissingArgumentError: an argument that is needed is not given.
        InputError: an argument is wrong, or the endpoint may not be asked.
    """
    using = dict(using)
    using.pop("target", None)
    name = target[0] if isinstance(target, (list, tuple)) and target else target
    model = using.get("model", using.get("model_name"))
    if "task" not in using and isinstance(model, str):
        using["task"] = task_of(model, engine)
    settings = model_settings({**using, "target": name or "prediction"}, engine, find_engine=find_engine)
    is_public_only(settings.endpoint, engine)  # refuses a private address, before anything is recorded
    if (proxy := settings.proxy) is not None:
        is_public_only(proxy.model.endpoint, proxy.engine or engine)
    checked = {"task": settings.task, "model": settings.model, "target": settings.target}
    return {**using, **checked, **settings.columns}, settings


def discover(engine: EngineSettings, model: ModelSettings, session: Session) -> dict[str, object]:
    """Ask once what a model's server is, and give the model a name of its own.

    Args:
        engine: the settings of the engine.
        model: the settings of the model.
        session: sends the requests.

    Returns:
        What is to be stored with the model: what was found, and a random ``id``.

    Raises:
        InputError: the provider does not serve the model.
    """
    return {"id": secrets.token_hex(_MODEL_ID_BYTES), **_discover(engine, model, session.http)}


def scope_of(engine_id: str, discovered: Mapping[str, object]) -> Scope:
    """Whose answers and usage a model's queries are.

    Args:
        engine_id: of ``new_engine_id``.
        discovered: what ``discover`` gave.

    Returns:
        The scope: engines share no answers, and each model's usage is counted for itself.
    """
    return Scope(engine_id, f"{engine_id} {discovered.get('id')}")


def selected_settings(
    using: Using,
    overrides: Using,
    discovered: Mapping[str, object],
    engine: EngineSettings,
    session: Session,
    find_engine: FindEngine | None = None,
) -> ModelSettings:
    """The settings of a model in one SELECT.

    Args:
        using: the arguments that ``new_model`` gave.
        overrides: of the SELECT's USING clause.
        discovered: what ``discover`` gave, which the session is told.
        engine: the settings of the engine.
        session: asks the model.
        find_engine: finds the engine that ``cascade`` names.

    Returns:
        The settings, with what the SELECT overrides.

    Raises:
        InputError: an argument of the SELECT is wrong, or may not change there.
    """
    session.servers.restore(cast(Discovery, discovered), engine)
    return model_settings(merge_select_overrides(using, overrides), engine, statement="SELECT", find_engine=find_engine)


def describe(
    attribute: str | None,
    using: Using,
    discovered: Mapping[str, object],
    engine: EngineSettings,
    scope: Scope,
    session: Session,
) -> pd.DataFrame:
    """What DESCRIBE model and DESCRIBE model.attribute show.

    Args:
        attribute: 'settings', 'task', 'model' or 'usage'; None for the list of these.
        using: the arguments that ``new_model`` gave.
        discovered: what ``discover`` gave.
        engine: the settings of the engine.
        scope: of the model.
        session: asks the server for 'model', and has the store for 'usage'.

    Returns:
        The table of that name.

    Raises:
        InputError: there is no such table.
    """
    if attribute is None:
        return pd.DataFrame({"tables": list(DESCRIPTIONS)})
    model = model_settings(using, engine)
    if attribute == "settings":
        return _table("argument", using)
    if attribute == "task":
        return _task_table(model)
    if attribute == "usage":
        return usage_log.usage_table(session.tables(engine).usage, str(scope.model))
    if attribute == "model":
        session.servers.restore(cast(Discovery, discovered), engine)
        described = describe_model(engine, model, session.http, session.servers)
        query = Query.of(model, engine, session, None)
        if (length := session.http.submit(query.found_length()).result()) is not None:
            described[MAX_INPUT_TOKENS] = length
        return _table("property", described)
    raise InputError(f"DESCRIBE knows {', '.join(DESCRIPTIONS)}, and not {attribute!r}")


def as_sql(value: _Value) -> _Value | str:
    """A value as a column of SQL can hold it.

    Args:
        value: of a prediction or of an argument.

    Returns:
        Lists and maps as JSON text, all else as it is.
    """
    return orjson.dumps(value).decode() if isinstance(value, (list, dict)) else value


def _table(key_column: str, values: Mapping[str, object]) -> pd.DataFrame:
    texts = [value if isinstance(value, str) else orjson.dumps(value).decode() for value in values.values()]
    return pd.DataFrame({key_column: list(values), "value": texts})


def _task_table(model: ModelSettings) -> pd.DataFrame:
    values: dict[str, object] = {**model.columns, **model.parameters}
    rows = [
        (argument.name, argument.type, argument.required, as_sql(values.get(argument.name)), argument.description)
        for argument in arguments_of(model.definition)
    ]
    return pd.DataFrame(rows, columns=["argument", "type", "required", "given", "description"])
