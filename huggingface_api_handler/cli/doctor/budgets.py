"""What is left of the limits of engines: requests an hour and a month, dollars a month."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from ...config.validation import engine_settings
from ...errors import HuggingFaceAPIError, InputError
from ...inference.runtime.budgets import EngineBudget, engine_budgets
from ...inference.storage.quota import ENGINE_LIMITS
from ...inference.storage.sqlite_upkeep import open_file
from ...inference.storage.upkeep import Upkeep
from ..open_store import open_shared
from .findings import Finding, State, Wanted

if TYPE_CHECKING:
    from ...sql.catalog_items import Engine

_LITTLE = 0.2
"""Share of a limit that is little, as queries warn of it."""


def budgets(wanted: Wanted, engines: Sequence[Engine]) -> Iterator[Finding]:
    """Look at the limits of engines.

    Args:
        wanted: In which store they are counted.
        engines: Of DuckDB files.

    Yields:
        A finding for each limit.
    """
    limited = [engine for engine in engines if any(name in engine.arguments for name in ENGINE_LIMITS)]
    if not limited:
        sentence = "no engine of these files has one" if wanted.databases else "no engine is known here"
        where = "" if wanted.databases else ": --database FILE.duckdb names yours, MindsDB keeps its own to itself"
        yield Finding("budgets", sentence + where)
        return
    try:
        with (
            open_file(wanted.cache_dir)
            if wanted.store is None or wanted.is_offline
            else open_shared(wanted.store) as store
        ):
            for engine in limited:
                yield from _of_engine(engine, store)
    except InputError as error:
        yield Finding("budgets", f"not known: {error}", State.ADVICE, "See the store above.")


def _of_engine(engine: Engine, store: Upkeep) -> Iterator[Finding]:
    # A file is data: no folder and no server that it names is used, only the store that the person named.
    elsewhere = [name for name in ("cache_dir", "store") if engine.arguments.get(name)]
    if elsewhere:
        given = engine.arguments[elsewhere[0]]
        value = f"counted in its own {elsewhere[0]} = {given!r}, which is not looked at"
        option = elsewhere[0].replace("_", "-")
        yield Finding(f"budgets of {engine.name}", value, State.ADVICE, f"Name it: doctor --{option} {given}")
        return
    try:
        settings = engine_settings(engine.arguments)
    except HuggingFaceAPIError as error:
        yield Finding(f"budgets of {engine.name}", str(error), State.ADVICE, "Create the engine anew.")
        return
    for budget in engine_budgets(settings, store.counts(engine.id.encode()), store.now):
        yield _finding(engine.name, budget)


def _finding(name: str, budget: EngineBudget) -> Finding:
    used, limit, remaining = budget.show(budget.used), budget.show(budget.limit), budget.show(budget.remaining)
    data = {"engine": name, "limit": limit, "used": used, "remaining": remaining}
    value = f"{remaining} of {limit} are left; it begins anew {budget.reset} (UTC)"
    title = f"{budget.name} of {name}"
    if not budget.remaining:
        return Finding(title, value, State.PROBLEM, "Its queries answer from the store only, until then.", data)
    if budget.remaining < budget.limit * _LITTLE:
        return Finding(title, value, State.ADVICE, f"Raise {budget.name}, or wait.", data)
    return Finding(title, value, data=data)
