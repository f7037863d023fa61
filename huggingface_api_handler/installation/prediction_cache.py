"""MindsDB's prediction cache, as MindsDB's configuration files say."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path


def prediction_cache() -> str:
    """Read the type of MindsDB's prediction cache from its configuration files.

    Returns:
        'local' (MindsDB's default), 'redis' or 'none'. A configuration that MindsDB only gets on its command line is
        not seen.
    """
    path = os.environ.get("MINDSDB_CONFIG_PATH")
    user = _read_json(Path(path)) if path else {}
    storage = os.environ.get("MINDSDB_STORAGE_DIR") or _section(user, "paths").get("root") or _default_storage()
    merged = {**_section(user, "cache"), **_section(_read_json(Path(str(storage)) / "config.auto.json"), "cache")}
    return str(merged.get("type", "local"))


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
