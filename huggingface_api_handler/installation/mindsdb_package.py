"""Where MindsDB is in this environment, found without importing it: its import takes seconds."""

from __future__ import annotations

import base64
import csv
import importlib.util
import json
import os
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HANDLER_PATH = "integrations/handlers/huggingface_api_handler"


@dataclass(frozen=True)
class MindsDBPackage:
    """MindsDB's package folder and the places in it that concern us.

    MindsDB 26.1 scans the folders below `integrations/handlers` and nothing else, so what is set aside or
    half made stays beside that folder, under names with a dot, which cannot be imported by accident.
    """

    root: Path

    @property
    def handler(self) -> Path:
        return self.root / HANDLER_PATH

    @property
    def aside(self) -> Path:
        return self.root / "integrations" / "huggingface_api_handler.set-aside"

    @property
    def staging(self) -> Path:
        return self.root / "integrations" / "huggingface_api_handler.in-progress"

    @property
    def version(self) -> str | None:
        try:
            text = (self.root / "__about__.py").read_text(encoding="utf-8")
        except OSError:
            return None
        found = re.search(r"""^__version__\s*=\s*["']([^"']+)["']""", text, re.MULTILINE)
        return found[1] if found else None

    def is_shipped_in_full(self, files: dict[str, str]) -> bool:
        """Whether files (relative path -> SHA-256 in hex) are all that pip recorded for the handler folder.

        False also where pip left no record (a checkout, conda).
        """
        recorded = self._recorded()
        return bool(recorded) and recorded == files

    def _recorded(self) -> dict[str, str]:
        """What pip recorded for the handler folder: relative path -> SHA-256 in hex."""
        prefix = f"{self.root.name}/{HANDLER_PATH}/"
        found: dict[str, str] = {}
        for record in self.root.parent.glob("[mM]inds[dD][bB]-*.dist-info/RECORD"):
            with record.open(encoding="utf-8", newline="") as lines:
                for row in csv.reader(lines):
                    if len(row) < 2 or not row[0].startswith(prefix) or not row[1].startswith("sha256="):
                        continue
                    value = row[1].removeprefix("sha256=")
                    found[row[0].removeprefix(prefix)] = base64.urlsafe_b64decode(value + "==").hex()
        return found


def find_mindsdb() -> MindsDBPackage | None:
    """MindsDB in the running environment, or None; a folder that a removed MindsDB left behind is none."""
    spec = importlib.util.find_spec("mindsdb")
    return MindsDBPackage(Path(spec.origin).parent) if spec is not None and spec.origin else None


def prediction_cache() -> str:
    """The type of MindsDB's prediction cache by its configuration files: 'local' (its default), 'redis', 'none'.

    A configuration that MindsDB is only given on its command line is not seen.
    """
    user = _read_json(Path(os.environ["MINDSDB_CONFIG_PATH"])) if os.environ.get("MINDSDB_CONFIG_PATH") else {}
    storage = os.environ.get("MINDSDB_STORAGE_DIR") or user.get("paths", {}).get("root") or _default_storage()
    merged = {**user.get("cache", {}), **_read_json(Path(storage) / "config.auto.json").get("cache", {})}
    return str(merged.get("type", "local"))


def _default_storage() -> Path:
    home = Path.home()
    if sys.platform == "darwin":
        return home / "Library" / "Application Support" / "mindsdb" / "var"
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA", home / "AppData" / "Local")) / "mindsdb" / "mindsdb" / "var"
    return Path(os.environ.get("XDG_DATA_HOME") or home / ".local" / "share") / "mindsdb" / "var"


def _read_json(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}
