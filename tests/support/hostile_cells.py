"""Cells that must not become media, counted as they are rejected, and connections that must not be made."""

from __future__ import annotations

import asyncio
import os
from typing import Any

import pytest

from huggingface_api_handler.errors import MediaError
from huggingface_api_handler.inference.media.loader import MediaPolicy, load

_rejected: dict[str, set[str]] = {}
_connections: list[int] = []


def rejection_reason(cell: str | bytes, kind: str, policy: MediaPolicy) -> str:
    """The error of the row of a ``cell`` that must not be loaded. Fails the test if it is loaded."""
    with pytest.raises(MediaError) as error:
        asyncio.run(load(cell, kind, policy))
    test = os.environ["PYTEST_CURRENT_TEST"].rpartition(" ")[0]
    promise = test.partition("::")[2].partition("[")[0].removeprefix("test_").replace("_", " ")
    _rejected.setdefault(promise, set()).add(f"{test} {cell!r}")
    return str(error.value)


def record_connections(count: int) -> None:
    """Record how many connections were made to a listener that no cell may reach."""
    _connections.append(count)


def counts() -> dict[str, Any]:
    """What this run rejected, by promise. A cell counts again where another test or server rejects it."""
    return {
        "refused": {promise: len(cells) for promise, cells in sorted(_rejected.items())},
        "listeners": len(_connections),
        "connections": sum(_connections),
    }
