"""MindsDB's prediction cache, in MindsDB's configuration files: whether it is on, what it breaks, and switching it off.

MindsDB keeps what a model gave for a JOIN under the model and the table's cells, and answers from there. Each of
``BREAKS`` follows from what its key leaves out.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path

from .steps import InstallationError, Report

CONFIG_VARIABLE = "MINDSDB_CONFIG_PATH"
"""The variable that names MindsDB's configuration file. MindsDB takes it before ``--config``."""

OFF = "none"
"""The type of a cache that keeps nothing."""

BREAKS = (
    "another USING (threshold, labels, max_requests, dry_run) answers from before;",
    "another mapping (ON m.text = t.title, then ON m.text = t.body) answers from before;",
    "rows that failed stay failed, and are never asked again;",
    "of a table of more than 1,000 cells it compares the first and the last three rows (and columns) only.",
)
"""What is wrong where a JOIN is answered from the cache, each in a line."""

HOW_OFF = (
    "Switch it off: `python -m huggingface_api_handler install --no-prediction-cache CONFIG` writes "
    '"cache": {"type": "none"} into that configuration file of MindsDB.',
    "Or, for one session over MySQL: SET predictor_cache = 0.",
)
"""How to switch it off, each way in a line."""


def warning(cache: str) -> list[str]:
    """Say to a person that the cache is on, what that breaks and how to switch it off.

    Args:
        cache: The type of the cache, as ``prediction_cache`` gives it.

    Returns:
        One sentence a line; none where the cache is off.
    """
    if cache == OFF:
        return []
    return [
        f"WARNING: MindsDB's prediction cache is on ({cache}). A JOIN that was asked before is answered from it:",
        *(f"  - {line}" for line in BREAKS),
        *HOW_OFF,
        f"(A configuration that MindsDB gets by --config is not seen here; that of {CONFIG_VARIABLE} is.)",
    ]


def prediction_cache(config: Path | None = None) -> str:
    """Read the type of MindsDB's prediction cache from its configuration files.

    Args:
        config: The configuration file; by default that of ``CONFIG_VARIABLE``. One that MindsDB only gets on its
            command line is not seen.

    Returns:
        'local' (MindsDB's default), 'redis' or 'none'.
    """
    config = config or _config_of_environment()
    user = _read_json(config) if config else {}
    merged = {**_section(user, "cache"), **_section(_read_json(_auto_config(user)), "cache")}
    return str(merged.get("type", "local"))


def switch_off(config: Path | None = None) -> Report:
    """Write into MindsDB's configuration that it keeps no predictions. All else in the file stays. Safe to repeat.

    Args:
        config: The file, which need not exist yet; by default that of ``CONFIG_VARIABLE``.

    Returns:
        What was changed, and what is left for the person to do.

    Raises:
        InstallationError: No file is named, it holds no JSON object, or it cannot be written.
    """
    named = _config_of_environment()
    config = config or named
    if config is None:
        raise InstallationError(
            "Name MindsDB's configuration file: `install --no-prediction-cache CONFIG`. It is the one that MindsDB is "
            f"started with, by --config or {CONFIG_VARIABLE}; it need not exist yet."
        )
    values = _configuration(config)
    changed = _section(values, "cache").get("type") != OFF
    if changed:
        _write(config, {**values, "cache": {**_section(values, "cache"), "type": OFF}})
    verb = "is switched off in" if changed else "was switched off already in"
    sentences = [f"MindsDB's prediction cache {verb} {config}."]
    if named is None:
        sentences.append(
            f"Start MindsDB with it: `python -m mindsdb --config={config}`, or {CONFIG_VARIABLE}={config}."
        )
    elif named.absolute() != config.absolute():
        sentences.append(f"But {CONFIG_VARIABLE} names {named}, which MindsDB reads instead.")
    if prediction_cache(config) != OFF:
        sentences.append(f"But {_auto_config(values)} says otherwise and counts more: take its cache out there too.")
    return Report(changed, tuple(sentences))


def _config_of_environment() -> Path | None:
    path = os.environ.get(CONFIG_VARIABLE)
    return Path(path) if path else None


def _auto_config(user: Mapping[str, object]) -> Path:
    """The file in MindsDB's storage that MindsDB writes itself, and reads after the person's."""
    storage = os.environ.get("MINDSDB_STORAGE_DIR") or _section(user, "paths").get("root") or _default_storage()
    return Path(str(storage)) / "config.auto.json"


def _configuration(config: Path) -> Mapping[str, object]:
    """What is in the file, {} where there is none."""
    try:
        text = config.read_text(encoding="utf-8")
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise InstallationError(f"Cannot read {config}: {error}") from None
    try:
        values = json.loads(text or "{}")
    except ValueError as error:
        raise InstallationError(f"{config} is not JSON ({error}). It was left as it is.") from None
    if not isinstance(values, dict):
        raise InstallationError(f"{config} holds no JSON object, so it is no configuration of MindsDB.")
    return values


def _write(config: Path, values: Mapping[str, object]) -> None:
    """Replace the file at once: what is half written has another name. Links and modes stay."""
    target = config.resolve()
    staging = target.with_name(f".{target.name}.in-progress")
    try:
        try:
            staging.touch(mode=0o600)  # it may hold passwords
            staging.write_text(json.dumps(values, indent=4) + "\n", encoding="utf-8")
            if target.exists():
                shutil.copymode(target, staging)
                with contextlib.suppress(OSError, LookupError):  # only root gives files away
                    shutil.chown(staging, target.stat().st_uid, target.stat().st_gid)
            staging.replace(target)
        finally:
            with contextlib.suppress(OSError):
                staging.unlink(missing_ok=True)
    except OSError as error:
        raise InstallationError(f"Cannot write {config}: {error.strerror or error}") from None


def _section(configuration: Mapping[str, object], name: str) -> Mapping[str, object]:
    section = configuration.get(name)
    return section if isinstance(section, Mapping) else {}


def _default_storage() -> Path:
    home = Path.home()
    if sys.platform == "darwin":
        return home / "Library" / "Application Support" / "mindsdb" / "var"
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA", home / "AppData" / "Local")) / "mindsdb" / "mindsdb" / "var"
    return Path(os.environ.get("XDG_DATA_HOME") or home / ".local" / "share") / "mindsdb" / "var"


def _read_json(path: Path) -> Mapping[str, object]:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}
