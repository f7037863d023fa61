"""The models of a cascade: the settings of the one that answers in the large one's place."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

from ..errors import InputError
from ..redaction import preview
from ..tasks import parameters_of
from ..tasks.embeddings import VECTORS
from .cascade import CascadeArguments, check_cascade, check_pair, proxy_arguments
from .normalize import normalize, task_named
from .settings import EngineSettings, ModelSettings, Proxy
from .validated import validated

_A_CASCADE = "cascade = {'model': 'small', 'accuracy': 0.95}"


class NamedEngine(NamedTuple):
    """An engine that ``cascade`` names.

    Attributes:
        settings: Its arguments.
        id: By which its stored answers are found; None where it has none of its own.
        is_free: Whether its server costs nothing.
    """

    settings: EngineSettings
    id: str | None = None
    is_free: bool = False


FindEngine = Callable[[str], NamedEngine]
"""Finds an engine by its name, or raises ``InputError``."""

Check = Callable[..., ModelSettings]
"""``validation.model_settings``, which itself needs this module."""


def with_proxy(
    settings: ModelSettings,
    arguments: Mapping[str, object],
    cascade_map: object,
    engine: EngineSettings | None,
    find_engine: FindEngine | None,
    check: Check,
) -> ModelSettings:
    """The settings of a large model, with those of the one that answers in its place.

    Args:
        settings: Of the large model, checked.
        arguments: Of which they were made.
        cascade_map: The argument ``cascade``.
        engine: Of the large model.
        find_engine: Finds the engine that ``cascade`` names; None where it is looked for later.
        check: Checks the arguments of a model.

    Returns:
        The settings, with what makes both models answer the same twice.

    Raises:
        InputError: The models cannot be a cascade.
    """
    if not isinstance(cascade_map, Mapping):
        raise InputError(f"cascade must be a map, such as {_A_CASCADE}, or false, got {preview(cascade_map)}")
    check_cascade(settings.definition, settings)
    own = normalize(cascade_map)
    if "cascade" in own or (own.get("proxy") is None and not {"model", "task", "endpoint"} & own.keys()):
        raise InputError(f"cascade needs the model that answers in this one's place, such as {_A_CASCADE}")
    asked = {name: own.pop(name) for name in CascadeArguments.model_fields if name in own}
    if "accuracy" not in asked:
        raise InputError(f"cascade needs accuracy, the least share of rows that must be right, such as {_A_CASCADE}")
    cascade = validated(CascadeArguments, asked, "cascade")
    found = find_engine(cascade.engine) if cascade.engine is not None and find_engine is not None else None
    task = task_named(VECTORS if cascade.is_learned else own.get("task", arguments["task"]))
    used = found.settings if found is not None else engine
    model = check(proxy_arguments(arguments, task, own), used, statement="cascade")
    if not cascade.is_learned:
        check_cascade(model.definition, model)
    check_pair(settings, model, is_learned=cascade.is_learned)
    proxy = Proxy(model=_fixed(model, used))
    if found is not None:
        proxy = Proxy(model=proxy.model, engine=found.settings, engine_id=found.id, is_free=found.is_free)
    return _fixed(settings, engine).model_copy(update={"cascade": cascade, "proxy": proxy})


def _fixed(settings: ModelSettings, engine: EngineSettings | None) -> ModelSettings:
    """Settings with which a model answers the same twice, as far as the person did not say otherwise."""
    changes: dict[str, object] = {}
    if settings.cache is None and (engine is None or engine.cache is None):
        changes["cache"] = True
    if "temperature" in parameters_of(settings.definition) and not settings.definition.deterministic:
        changes["parameters"] = {"temperature": 0, **settings.parameters}
    return settings.model_copy(update=changes)
