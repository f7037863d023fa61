"""Engines that MindsDB has, by name: of the proxy of a cascade, which may be another than its model's."""

from __future__ import annotations

from .config.proxies import NamedEngine
from .config.validation import engine_settings
from .errors import InputError
from .redaction import preview

SCOPE_KEY = "scope"
"""Where an engine's storage holds by what its stored answers are found."""

_HANDLER = "huggingface_api"


def find_engine(name: str) -> NamedEngine:
    """Find an engine of this handler that the person of the statement may use.

    Args:
        name: As CREATE ML_ENGINE gave it.

    Returns:
        The engine.

    Raises:
        InputError: There is no such engine, or it is another handler's.
    """
    from mindsdb.interfaces.database.integrations import integration_controller
    from mindsdb.interfaces.storage.model_fs import HandlerStorage

    found = integration_controller.get(name)
    if found is None:
        raise InputError(f"cascade names the engine {preview(name)}, and there is none. SHOW ML_ENGINES lists them")
    if found["engine"] != _HANDLER:
        raise InputError(
            f"cascade names the engine {preview(name)}, which is of {preview(found['engine'])}. Name one that was made "
            f"with CREATE ML_ENGINE ... FROM {_HANDLER}"
        )
    storage = HandlerStorage(found["id"])
    scope = storage.json_get(SCOPE_KEY) or {}
    return NamedEngine(engine_settings(storage.get_connection_args()), scope.get("id"))
