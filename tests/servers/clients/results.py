"""What the scripts of clients share: calls one by one, whose results they print as JSON."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Mapping
from typing import Any


def tell(calls: Mapping[str, Callable[[], Any]]) -> None:
    """Print the result of each call by its name; of one that fails, what it raised.

    ``LEFT_OUT`` has the names of those that are not made.
    """
    results: dict[str, Any] = {}
    left_out = os.environ.get("LEFT_OUT", "").split()
    for name, call in calls.items():
        if name in left_out:
            continue
        try:
            results[name] = call()
        except Exception as error:
            results[name] = {"raised": type(error).__name__, "words": str(error)[:600]}
    json.dump(results, sys.stdout)
