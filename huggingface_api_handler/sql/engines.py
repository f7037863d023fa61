"""CREATE ML_ENGINE and DROP ML_ENGINE."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .. import lifecycle
from ..errors import InputError
from ..redaction import preview
from .catalog_items import Engine
from .models import HANDLER, LOCAL, with_address, without_key
from .parsing import arguments_of, parsed, plain_name
from .result import Result

if TYPE_CHECKING:
    from .connection import Connection
    from .tokens import Statement


def create_engine(statement: Statement, connection: Connection) -> Result:
    """CREATE ML_ENGINE [IF NOT EXISTS] name FROM huggingface_api [USING ...].

    Args:
        statement: the statement.
        connection: in whose database the engine is made. It alone holds the engine's key.

    Returns:
        No rows.

    Raises:
        InputError: an argument is wrong, the name is taken, or it is an engine of another kind.
        InferenceError: the server refused the key.
    """
    tree = parsed(statement)
    name, handler = plain_name(tree.name, "engine"), str(tree.handler)
    _refuse_other_handler(handler)
    catalog = connection.catalog
    arguments = {key: value for key, value in arguments_of(tree.params).items() if value is not None}
    stored = without_key(arguments)
    has_key = len(stored) < len(arguments)
    existing = catalog.engine(name)
    if existing is not None and existing.has_key == has_key and dict(existing.arguments) == stored and has_key:
        _take_key(existing, arguments, connection)
        return Result((), ())
    if existing is not None and tree.if_not_exists:
        return Result((), ())
    if existing is not None:
        raise InputError(
            f"there is an engine {preview(name)} already. DROP ML_ENGINE {name} first, or name it otherwise"
        )
    catalog.refuse_read_only()
    settings = lifecycle.checked_engine(with_address(arguments, connection), connection.session)
    engine = Engine(name, lifecycle.new_engine_id(), stored, has_key)
    catalog.add(engine)
    if settings.api_key is not None:
        connection.keys[engine.id] = settings.api_key
    return Result((), ())


def drop_engine(statement: Statement, connection: Connection) -> Result:
    """DROP ML_ENGINE [IF EXISTS] name. Its models stay, and cannot be asked until an engine has that name again.

    Args:
        statement: the statement.
        connection: in whose database it is.

    Returns:
        No rows.

    Raises:
        InputError: there is no such engine.
    """
    tree = parsed(statement)
    name = plain_name(tree.name, "engine")
    if tree.if_exists and connection.catalog.engine(name) is None:
        return Result((), ())
    engine = connection.catalog.named_engine(name)
    connection.catalog.drop(engine)
    connection.keys.pop(engine.id, None)
    return Result((), ())


def _refuse_other_handler(handler: str) -> None:
    if handler.lower() == HANDLER:
        return
    if handler.lower() == "huggingface":
        raise InputError(
            "huggingface is MindsDB's engine that runs transformers in its own process. Here it is FROM "
            f"{HANDLER}: Hugging Face, a server of yours, or the local server with endpoint = '{LOCAL}'"
        )
    raise InputError(
        f"there is no engine {preview(handler)} here. The one kind is {HANDLER}: CREATE ML_ENGINE ... FROM {HANDLER}"
    )


def _take_key(engine: Engine, arguments: dict[str, object], connection: Connection) -> None:
    """Take the key of an engine that is there already: it lasts as long as a connection."""
    connection.trust.refuse_foreign(engine)
    settings = lifecycle.checked_engine(with_address(arguments, connection), connection.session)
    if settings.api_key is not None:
        connection.keys[engine.id] = settings.api_key
