"""What queries have learned about routes: requests at once, requests a second, inputs in a request.

A store knows a route by a keyed hash of its key, address and model. So a name is told where it can be made again: for
the models of the usage log and of DuckDB files, with the key of this machine or the engine's.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING

import orjson

from ...config.normalize import Using
from ...config.settings import EngineSettings
from ...config.validation import engine_settings, model_settings
from ...errors import HuggingFaceAPIError, InputError
from ...inference.flow_control.route_key import route_key
from ...inference.flow_control.route_registry import route_name
from ...inference.protocols.routing import resolve_route
from ...inference.storage.sqlite_upkeep import open_file
from ...inference.storage.upkeep import Upkeep
from ...inference.telemetry.usage_log import usage_by_day
from ...tasks import TASKS
from ..open_store import open_shared
from .findings import Finding, Wanted

if TYPE_CHECKING:
    from ...sql.catalog_items import Engine, Model

_LISTED_ROUTES = 10
_KEY_CHARS = 8
_PROFILE_FIELDS = {"at", "answered", "lists", "sizes", "length", "pace"}
"""By which a profile is told from the other record that a route has."""

_FRESH_S = 3600.0
"""Older limits are found anew by the next query."""


def routes(wanted: Wanted, engines: Sequence[Engine], models: Sequence[Model]) -> Iterator[Finding]:
    """Look at what was learned.

    Args:
        wanted: In which store.
        engines: Of DuckDB files.
        models: Of the same files.

    Yields:
        A finding for each route, the newest first.
    """
    with ExitStack() as stack:
        shared = None if wanted.is_offline else wanted.store
        try:
            opening = open_file(wanted.cache_dir) if shared is None else open_shared(shared)
            store: Upkeep = stack.enter_context(opening)
            found = list(_profiles(store))
            names = _names(store, engines, models) if found else {}
        except InputError:  # `stores` says why
            found, names = [], {}
    if not found:
        yield Finding("learned limits", "none: no query has stored what it found")
        return
    found.sort(key=_written_at, reverse=True)
    for key, values in found[:_LISTED_ROUTES]:
        name = names.get(key, f"route {key.hex()[:_KEY_CHARS]}")
        yield Finding(name, _in_words(values), data={"key": key.hex(), **values})
    if len(found) > _LISTED_ROUTES:
        yield Finding("more routes", f"{len(found) - _LISTED_ROUTES:,}, used longer ago")


def _profiles(store: Upkeep) -> Iterator[tuple[bytes, dict[str, object]]]:
    for key, record in store.profiles():
        with suppress(ValueError, TypeError):
            values = orjson.loads(record)
            if isinstance(values, dict) and values.keys() >= _PROFILE_FIELDS and isinstance(values["at"], float):
                yield key, values


def _written_at(profile: tuple[bytes, dict[str, object]]) -> float:
    at = profile[1]["at"]
    return at if isinstance(at, float) else 0.0


def _in_words(values: dict[str, object]) -> str:
    pace, sizes = values["pace"], values["sizes"]
    age = time.time() - float(str(values["at"]))
    parts = []
    if isinstance(pace, dict):
        forms = (
            ("places", "{:.0f} requests at once"),
            ("rate", "{:.2f} requests a second"),
            ("answers", "{:.1f} answers a second"),
        )
        parts += [form.format(pace[name]) for name, form in forms if isinstance(pace.get(name), (int, float))]
    if isinstance(sizes, dict) and values["lists"] is True:
        parts.append(f"{sizes.get('best')} inputs in a request")
    elif values["lists"] is False:
        parts.append("one input in a request")
    if values["answered"] is not True:
        parts.append("nothing was answered yet")
    minutes = max(0.0, age) / 60
    old = f"found {minutes:.0f} min ago" if age < _FRESH_S else f"found {minutes / 60:.0f} h ago, so found anew"
    return ", ".join([*parts, old])


def _names(store: Upkeep, engines: Sequence[Engine], models: Sequence[Model]) -> dict[bytes, str]:
    secret = store.secret
    if secret is None:
        return {}
    found: dict[bytes, str] = {}
    for each in usage_by_day(store):
        task = TASKS.get(each.total.task)
        if task is not None:
            columns = {column.argument: "x" for column in task.columns if column.required}
            using = {"task": task.name, "model": each.total.model, **columns}
            _add_name(found, secret, f"{each.total.model} at {each.total.host}", using, EngineSettings())
    arguments = {engine.name.lower(): engine.arguments for engine in engines}
    for model in models:
        with suppress(HuggingFaceAPIError):
            engine = engine_settings(arguments.get(model.engine.lower(), {}))
            _add_name(found, secret, model.name, model.arguments, engine)
    return found


def _add_name(found: dict[bytes, str], secret: bytes, name: str, using: Using, engine: EngineSettings) -> None:
    """Name the route of a model, where it can be told without a request."""
    with suppress(HuggingFaceAPIError, ValueError):
        model = model_settings(using, engine)
        if engine.provider is None and model.provider is None and ":" not in model.model:
            found[route_key(secret, route_name(resolve_route(engine, model, may_ask=False)))] = name
