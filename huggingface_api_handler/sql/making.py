"""CREATE MODEL, RETRAIN and DROP MODEL."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from .. import lifecycle
from ..errors import InputError, MissingArgumentError
from ..redaction import preview
from .catalog import Catalog
from .catalog_items import Engine, Model
from .describing import model_rows
from .models import finder, settings_of
from .parsing import arguments_of, model_name, parsed, plain_name
from .result import Result

if TYPE_CHECKING:
    from .connection import Connection
    from .tokens import Statement

_OF_TIME_SERIES = ("order_by", "group_by", "window", "horizon")


def create_model(statement: Statement, connection: Connection) -> Result:
    """CREATE [OR REPLACE] MODEL [IF NOT EXISTS] name PREDICT column USING ... Nothing is trained.

    Args:
        statement: the statement.
        connection: in whose database the model is made.

    Returns:
        Its row of SHOW MODELS.

    Raises:
        InputError: an argument is wrong, a table has the name, or the provider does not serve the model.
    """
    tree = parsed(statement)
    name, catalog = plain_name(tree.name, "model"), connection.catalog
    if name.isdecimal():
        raise InputError(f"the name of a model is no number, which would be read as a version: got {preview(name)}")
    existing = catalog.model(name)
    if existing is not None and tree.if_not_exists:
        return model_rows([existing])
    if existing is not None and not tree.is_replace:
        raise InputError(
            f"there is a model {preview(name)} already. DROP MODEL {name} first, or CREATE OR REPLACE MODEL"
        )
    _refuse_time_series(tree)
    catalog.refuse_read_only()
    if catalog.view(name) is not None:
        raise InputError(f"there is a view {preview(name)}. Give the model another name")
    catalog.refuse_taken(name, "model")
    arguments = arguments_of(tree.using)
    engine = _engine_meant(arguments.pop("engine", None), catalog)
    arguments.pop("active", None)
    model = _made(name, 1, _target(tree), arguments, engine, connection)
    catalog.drop(*(held for held in catalog.models() if held.name.lower() == name.lower()))
    catalog.add(model)
    return model_rows([model])


def retrain(statement: Statement, connection: Connection) -> Result:
    """RETRAIN name [PREDICT column] [USING ...]: another version, with all its arguments given again, or the former.

    Args:
        statement: the statement.
        connection: in whose database the model is.

    Returns:
        The row of SHOW MODELS of the new version.

    Raises:
        InputError: there is no such model, or an argument is wrong.
    """
    tree = parsed(statement)
    catalog = connection.catalog
    former = catalog.named_model(plain_name(tree.name, "model"))
    _refuse_time_series(tree)
    catalog.refuse_read_only()
    given = arguments_of(tree.using)
    active = given.pop("active", True)
    target = _target(tree) if tree.targets else str(former.arguments.get("target"))
    engine = _engine_meant(given.pop("engine", None) or former.engine, catalog)
    connection.trust.refuse_foreign(former)
    arguments = given or {name: value for name, value in former.arguments.items() if name != "target"}
    version = 1 + max(held.version for held in catalog.models() if held.name.lower() == former.name.lower())
    try:
        model = _made(former.name, version, target, arguments, engine, connection, bool(active))
    except MissingArgumentError as error:
        raise InputError(
            f"{error}. In RETRAIN ... USING give all arguments again: they are put in the place of the former ones"
        ) from None
    catalog.add(model)
    return model_rows([model])


def drop_model(statement: Statement, connection: Connection) -> Result:
    """DROP MODEL [IF EXISTS] name [. version].

    Args:
        statement: the statement.
        connection: in whose database it is.

    Returns:
        No rows.

    Raises:
        InputError: there is no such model, or the version is the active one of several.
    """
    tree = parsed(statement)
    name, version = model_name([str(part) for part in tree.name.parts])
    catalog = connection.catalog
    if tree.if_exists and catalog.model(name, version) is None:
        return Result((), ())
    model = catalog.named_model(name, version)
    held = [other for other in catalog.models() if other.name.lower() == model.name.lower()]
    if version is None:
        catalog.drop(*held)
    elif model.active and len(held) > 1:
        raise InputError(
            f"version {version} of {preview(model.name)} is the active one. Drop the others, or the whole model"
        )
    else:
        catalog.drop(model)
    return Result((), ())


def _made(
    name: str,
    version: int,
    target: str,
    arguments: Mapping[str, object],
    engine: Engine,
    connection: Connection,
    active: bool = True,
) -> Model:
    connection.trust.refuse_foreign(engine)
    settings = settings_of(engine, connection)
    stored, model = lifecycle.new_model(target, arguments, settings, finder(connection))
    discovered = lifecycle.discover(settings, model, connection.session)
    return Model(name, version, engine.name, str(discovered["id"]), stored, discovered, active)


def _engine_meant(name: object, catalog: Catalog) -> Engine:
    if name is not None:
        return catalog.named_engine(str(name))
    engines = catalog.engines()
    if len(engines) == 1:
        return engines[0]
    if not engines:
        raise InputError("there is no engine yet. Make one first: CREATE ML_ENGINE hf FROM huggingface_api USING ...")
    raise InputError(f"say which engine: engine = '...'. There are {', '.join(engine.name for engine in engines)}")


def _target(tree: Any) -> str:
    targets = tree.targets or []
    if len(targets) != 1:
        raise InputError("PREDICT names one column, that of the prediction")
    target = targets[0]
    parts = getattr(target, "parts", None)
    value = ".".join(str(part) for part in parts) if parts else getattr(target, "value", None)
    if not isinstance(value, str) or not value or getattr(target, "alias", None) is not None:
        raise InputError("PREDICT names the column of the prediction: PREDICT sentiment")
    return value


def _refuse_time_series(tree: Any) -> None:
    for name in _OF_TIME_SERIES:
        if getattr(tree, name, None) is not None:
            clause = name.upper().replace("_", " ")
            raise InputError(f"{clause} is for time series, which no model here predicts. Leave it out")
