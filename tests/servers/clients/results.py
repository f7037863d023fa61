"""What the scripts of clients share: calls one by one, whose results they print as JSON."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping
from typing import Any


def tell(calls: Mapping[str, Callable[[], Any]]) -> None:
    """Print the result of each call by its name; of one that fails, what it raised."""
    results: dict[str, Any] = {}
    for name, call in calls.items():
        try:
            results[name] = call()
        except Exception as error:
            results[name] = {"raised": type(error).__name__, "words": str(error)[:600]}
    json.dump(results, sys.stdout)
