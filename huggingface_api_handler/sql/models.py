"""A model of the catalog, ready to be asked: its settings in one statement, the columns that it reads and gives."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from .. import lifecycle
from ..config.normalize import KEY_NAMES, Using
from ..config.proxies import FindEngine, NamedEngine
from ..config.settings import EngineSettings, ModelSettings
from ..config.validation import engine_settings
from ..errors import InputError
from ..inference.pricing.prices import FREE_OF_CHARGE, NO_PRICES, PriceList
from ..inference.protocols.router_prices import prices_of
from ..inference.runtime.columns import column_types
from ..inference.runtime.context import Query
from ..inference.runtime.session import Session
from ..inference.storage.scope import Scope
from ..inference.telemetry.hooks import InferenceHook
from ..redaction import preview
from .catalog_items import Engine, Model

if TYPE_CHECKING:
    from .connection import Connection

HANDLER = "huggingface_api"
"""The one kind of engine that there is."""

LOCAL = "local"
"""The endpoint of an engine whose server is started here as a child."""


_SOME_LOCAL_ADDRESS = "http://127.0.0.1/models"


@dataclass(frozen=True, eq=False)
class BoundModel:
    """A model with the arguments of one statement.

    Attributes:
        name: of the model, as CREATE MODEL wrote it.
        version: the number of its version.
        settings: its arguments, with those of the statement on top.
        engine: the arguments of its engine, with the key.
        scope: whose stored answers and usage its queries are.
        prices: what its tokens cost; empty where that is not known.
    """

    name: str
    version: int
    settings: ModelSettings
    engine: EngineSettings
    scope: Scope
    prices: PriceList = NO_PRICES

    @cached_property
    def inputs(self) -> tuple[str, ...]:
        """The columns that it reads of its rows, each once: those that arguments name, then those of a template."""
        return tuple({name.lower(): name for name in reversed(self.settings.column_names)}.values())[::-1]

    @cached_property
    def outputs(self) -> dict[str, str]:
        """The SQL type of each column that it gives, in order."""
        return column_types(self.settings)

    def query(self, session: Session, hooks: Sequence[InferenceHook] = ()) -> Query:
        """A query of the model, of which nothing is sent yet.

        Args:
            session: the connections, stores and routes that it uses.
            hooks: who is told of it.

        Returns:
            The query, for ``predict_frames``.

        Raises:
            InputError: the model has no route.
            InferenceError: the Hub cannot be asked for the model's name at the provider.
        """
        is_free = self.prices is FREE_OF_CHARGE
        return Query.of(self.settings, self.engine, session, self.scope, hooks, FREE_OF_CHARGE if is_free else None)


def bind_model(model: Model, using: Using | None, connection: Connection) -> BoundModel:
    """Make a model ready to be asked.

    Args:
        model: of the catalog.
        using: the arguments of the statement that hold for it.
        connection: has the catalog, the keys and the session.

    Returns:
        The model.

    Raises:
        InputError: an argument is wrong; its engine was dropped, lacks its key, or is somebody else's.
    """
    engine = connection.catalog.engine_of(model)
    connection.trust.refuse_foreign(engine, model)
    settings = settings_of(engine, connection)
    find = finder(connection)
    selected = lifecycle.selected_settings(
        model.arguments, using or {}, model.discovery, settings, connection.session, find
    )
    scope = lifecycle.scope_of(engine.id, {"id": model.id})
    is_free = _is_local(engine.arguments) and not (selected.endpoint or selected.provider or settings.provider)
    prices = FREE_OF_CHARGE if is_free else prices_of(model.discovery.get("prices"), settings, selected)
    return BoundModel(model.name, model.version, selected, settings, scope, prices)


def finder(connection: Connection) -> FindEngine:
    """What finds the engine that ``cascade`` names.

    Args:
        connection: has the catalog and the keys.

    Returns:
        A function that raises InputError where there is no such engine, it is somebody else's, or it lacks its key.
    """

    def find(name: str) -> NamedEngine:
        engine = connection.catalog.named_engine(name)
        connection.trust.refuse_foreign(engine)
        settings = settings_of(engine, connection)
        return NamedEngine(settings, engine.id, _is_local(engine.arguments) and not settings.provider)

    return find


def settings_of(engine: Engine, connection: Connection) -> EngineSettings:
    """The settings of an engine, with the key that this connection has for it.

    Args:
        engine: of the catalog.
        connection: has the keys, and starts the local server where the engine wants it.

    Returns:
        The settings.

    Raises:
        InputError: the key was given on another connection, or an argument is wrong.
    """
    arguments = with_address(engine.arguments, connection)
    if engine.has_key:
        if engine.id not in connection.keys:
            raise InputError(
                f"the engine {preview(engine.name)} was made with api_key, and a key lasts as long as its connection: "
                f"it is not stored. Give it again, CREATE ML_ENGINE {engine.name} FROM huggingface_api USING api_key = "
                "'...' with the other arguments as they are; or name a variable of the environment, api_key_env = "
                "'HF_TOKEN', in a new engine"
            )
        arguments["api_key"] = connection.keys[engine.id]
    return engine_settings(arguments)


def settings_without_key(engine: Engine) -> EngineSettings:
    """The settings of an engine, for what sends nothing: no key is needed, and no local server started.

    Args:
        engine: of the catalog.

    Returns:
        The settings.
    """
    arguments = dict(engine.arguments)
    if _is_local(arguments):
        arguments["endpoint"] = _SOME_LOCAL_ADDRESS
    return engine_settings(arguments)


def _is_local(arguments: Mapping[str, object]) -> bool:
    endpoint = arguments.get("endpoint")
    return isinstance(endpoint, str) and endpoint.strip().lower() == LOCAL


def with_address(arguments: Mapping[str, object], connection: Connection) -> dict[str, Any]:
    """The arguments of an engine with an address in place of ``endpoint = 'local'``.

    Args:
        arguments: of CREATE ML_ENGINE.
        connection: starts the local server, or has started it.

    Returns:
        The arguments.

    Raises:
        InputError: the local server cannot be started.
    """
    given = dict(arguments)
    if _is_local(given):
        given["endpoint"] = connection.local_endpoint()
    return given


def without_key(arguments: Mapping[str, object]) -> dict[str, object]:
    """The arguments of an engine as they may be stored.

    Args:
        arguments: of CREATE ML_ENGINE.

    Returns:
        All but the key, under whichever name it was given.
    """
    return {name: value for name, value in arguments.items() if name not in KEY_NAMES}
