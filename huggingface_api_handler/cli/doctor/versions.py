"""Versions: Python, this package, what it stands on, and the extras."""

from __future__ import annotations

import platform
import sys
from collections.abc import Iterator
from importlib import metadata

from ..._version import __version__
from .findings import Finding, State, Wanted

_PYTHONS = ((3, 10), (3, 13))
_DEPENDENCIES = ("huggingface_hub", "aiohttp", "orjson", "pandas", "pydantic")
_EXTRAS = {
    "sql": ("duckdb", "sqlglot", "mindsdb-sql-parser", "prompt-toolkit"),
    "local": ("starlette", "uvicorn", "onnxruntime", "tokenizers"),
    "parquet": ("pyarrow",),
    "plots": ("matplotlib",),
    "redis": ("redis",),
    "metrics": ("prometheus-client",),
    "tracing": ("opentelemetry-api",),
}
"""Packages of the extras that people install one by one."""


def versions(_wanted: Wanted) -> Iterator[Finding]:
    """Look at versions.

    Yields:
        A finding for Python, for this package, for its dependencies and for the extras.
    """
    first, last = _PYTHONS
    is_known = first <= sys.version_info[:2] <= last
    span = f"{first[0]}.{first[1]} to {last[0]}.{last[1]}"
    yield Finding(
        "Python",
        f"{platform.python_version()} in {sys.prefix}",
        State.OK if is_known else State.ADVICE,
        "" if is_known else f"This package is tested with Python {span}.",
        {"version": platform.python_version()},
    )
    yield Finding("huggingface_api_handler", __version__, data={"version": __version__})
    found = {name: version_of(name) for name in _DEPENDENCIES}
    missing = [name for name, version in found.items() if version is None]
    yield Finding(
        "dependencies",
        ", ".join(f"{name} {version or 'MISSING'}" for name, version in found.items()),
        State.PROBLEM if missing else State.OK,
        f"Install what is missing: pip install {' '.join(missing)}" if missing else "",
        found,
    )
    extras = {extra: {name: version_of(name) for name in names} for extra, names in _EXTRAS.items()}
    yield Finding(
        "extras",
        "; ".join(_extra(extra, packages) for extra, packages in extras.items()),
        data=extras,
    )


def version_of(package: str) -> str | None:
    """The version of an installed package.

    Args:
        package: Its name for pip.

    Returns:
        The version; None where it is not installed.
    """
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _extra(name: str, packages: dict[str, str | None]) -> str:
    installed = ", ".join(f"{package} {version}" for package, version in packages.items() if version is not None)
    if None not in packages.values():
        return f"{name}: {installed}"
    return f"{name}: in part ({installed})" if installed else f"{name}: not installed"
