"""Where MindsDB is in this environment, found without importing it: its import takes seconds."""

from __future__ import annotations

import base64
import csv
import importlib.util
import re
from dataclasses import dataclass
from pathlib import Path

HANDLER_PATH = "integrations/handlers/huggingface_api_handler"
"""The handler folder, below MindsDB's package folder."""


@dataclass(frozen=True)
class MindsDBPackage:
    """MindsDB's package folder and the paths in it that concern us.

    MindsDB 26.1 scans the folders below `integrations/handlers` and nothing else, so what is set aside or
    half made stays beside that folder, under names with a dot, which cannot be imported by accident.

    Attributes:
        root: The package folder.
    """

    root: Path

    @property
    def handler(self) -> Path:
        """The handler folder that MindsDB imports."""
        return self.root / HANDLER_PATH

    @property
    def aside(self) -> Path:
        """Where the handler that was there before is set aside."""
        return self.root / "integrations" / "huggingface_api_handler.set-aside"

    @property
    def staging(self) -> Path:
        """Where a folder is made before it is renamed into place."""
        return self.root / "integrations" / "huggingface_api_handler.in-progress"

    @property
    def version(self) -> str | None:
        """MindsDB's version, or None where it cannot be read."""
        try:
            text = (self.root / "__about__.py").read_text(encoding="utf-8")
        except OSError:
            return None
        assignment = re.search(r"""^__version__\s*=\s*["']([^"']+)["']""", text, re.MULTILINE)
        return assignment[1] if assignment else None

    def is_shipped_in_full(self, files: dict[str, str]) -> bool:
        """Say whether a handler folder is the one that MindsDB ships, with nothing changed, added or missing.

        Args:
            files: Relative path -> SHA-256 in hex of what is in the folder.

        Returns:
            Whether pip recorded exactly these. False also where pip left no record (a checkout, conda).
        """
        recorded = self._recorded()
        return bool(recorded) and recorded == files

    def _recorded(self) -> dict[str, str]:
        """What pip recorded for the handler folder: relative path -> SHA-256 in hex."""
        prefix = f"{self.root.name}/{HANDLER_PATH}/"
        digests: dict[str, str] = {}
        for record in self.root.parent.glob("[mM]inds[dD][bB]-*.dist-info/RECORD"):
            with record.open(encoding="utf-8", newline="") as lines:
                for row in csv.reader(lines):
                    if len(row) < 2 or not row[0].startswith(prefix) or not row[1].startswith("sha256="):
                        continue
                    encoded = row[1].removeprefix("sha256=")
                    digests[row[0].removeprefix(prefix)] = base64.urlsafe_b64decode(encoded + "==").hex()
        return digests


def find_mindsdb() -> MindsDBPackage | None:
    """Find MindsDB in the running environment.

    Returns:
        Its package, or None. A folder that a removed MindsDB left behind is none.
    """
    spec = importlib.util.find_spec("mindsdb")
    return MindsDBPackage(Path(spec.origin).parent) if spec is not None and spec.origin else None
