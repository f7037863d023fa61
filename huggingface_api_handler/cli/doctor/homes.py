"""Where the SQL runs: MindsDB with this handler in it, and this process with DuckDB."""

from __future__ import annotations

import sys
from collections.abc import Iterator

from ...installation import status as installation_status
from ...installation.prediction_cache import CONFIG_VARIABLE, OFF
from ...installation.status import Status
from .findings import Finding, State, Wanted
from .versions import version_of

_HANDLERS = {"ours": "this package's", "shipped": "MindsDB's own", "other": "another one", "none": "none"}
_INSTALL = "`huggingface-api-handler install`, and start MindsDB again"
_SQL_PACKAGES = ("duckdb", "sqlglot", "mindsdb-sql-parser")
_DUCKDB_MAJOR = 2
"""DuckDB's first number. MindsDB pins an older one."""


def homes(_wanted: Wanted) -> Iterator[Finding]:
    """Look at both homes.

    Yields:
        Findings of MindsDB, of its prediction cache, and of SQL in your own process.
    """
    found = installation_status.status(progress=lambda text: print(text, file=sys.stderr, flush=True))
    if found.mindsdb_path is None:
        yield Finding("MindsDB", "not installed in this environment")
    else:
        yield from _mindsdb(found)
    yield _embedded(has_mindsdb=found.mindsdb_path is not None)


def _mindsdb(found: Status) -> Iterator[Finding]:
    version = found.mindsdb_version or "of unknown version"
    yield Finding("MindsDB", f"{version} in {found.mindsdb_path}", data={"version": found.mindsdb_version})
    handler = _HANDLERS[found.active] + (f", version {found.active_version}" if found.active_version else "")
    error = None if found.imported is None else found.imported.error
    advice = ""
    if found.active != "ours" or not found.healthy:
        advice = f"{_INSTALL}." if error is None else "Repair what the import says, then look again."
    yield Finding(
        "handler huggingface_api",
        handler if error is None else f"{handler}; MindsDB cannot import it: {error}",
        State.OK if found.healthy else State.PROBLEM,
        advice,
        {"active": found.active, "version": found.active_version, "error": error},
    )
    cache = found.prediction_cache
    is_off = cache == OFF
    yield Finding(
        "MindsDB's prediction cache",
        "off" if is_off else f"on ({cache}), as far as {CONFIG_VARIABLE} tells: a JOIN may be answered from before",
        State.OK if is_off else State.ADVICE,
        "" if is_off else "`huggingface-api-handler install --no-prediction-cache CONFIG` switches it off.",
        {"type": cache},
    )


def _embedded(*, has_mindsdb: bool) -> Finding:
    versions = {name: version_of(name) for name in _SQL_PACKAGES}
    duckdb = versions["duckdb"]
    data = {"duckdb": duckdb}
    if None not in versions.values() and duckdb is not None and int(duckdb.split(".")[0]) >= _DUCKDB_MAJOR:
        return Finding("SQL in your process", f"ready, on DuckDB {duckdb}", data=data)
    install = "`pip install 'huggingface_api_handler[sql]'`"
    if duckdb is None:
        value, advice = "not installed", f"Where you want it: {install}."
    elif has_mindsdb:
        value = f"not here: MindsDB wants DuckDB {duckdb}"
        advice = f"Where you want it, in another environment: {install}."
    else:
        value, advice = f"not ready (DuckDB {duckdb})", f"{install} brings what is missing."
    # One home is enough. Without MindsDB, people who use neither ask from Python.
    return Finding("SQL in your process", value, State.OK if has_mindsdb else State.ADVICE, advice, data)
