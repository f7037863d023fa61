"""The figures that runs leave in a file in ``docs/``, where ``WRITE_DOCS=1`` asks for it."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

FILE = Path(__file__).parents[2] / "docs/reliability.json"
SERVERS = FILE.with_name("servers.json")


def record(run: str, figures: dict[str, Any], file: Path = FILE) -> None:
    """Put the figures of one ``run`` in the place of those that it left before."""
    if os.environ.get("WRITE_DOCS") != "1":
        return
    earlier = json.loads(file.read_text("utf-8")) if file.exists() else {}
    file.write_text(json.dumps({**earlier, run: figures}, indent=1, sort_keys=True) + "\n", "utf-8")
