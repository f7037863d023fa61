"""The figures that runs leave in ``docs/reliability.json``, where ``WRITE_DOCS=1`` asks for it."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

FILE = Path(__file__).parents[2] / "docs/reliability.json"


def record(run: str, figures: dict[str, Any]) -> None:
    """Put the figures of one ``run`` in the place of those that it left before."""
    if os.environ.get("WRITE_DOCS") != "1":
        return
    earlier = json.loads(FILE.read_text("utf-8")) if FILE.exists() else {}
    FILE.write_text(json.dumps({**earlier, run: figures}, indent=1, sort_keys=True) + "\n", "utf-8")
