"""Cells that no media may come of, counted as they are refused, and who came where nobody may."""

from __future__ import annotations

import asyncio
import os
from typing import Any

import pytest

from huggingface_api_handler.errors import MediaError
from huggingface_api_handler.inference.media.loader import MediaPolicy, load

_refused: dict[str, set[str]] = {}
_visitors: list[int] = []


def refused(cell: Any, kind: str, policy: MediaPolicy) -> str:
    """The reason that the row of a ``cell`` gets, which must not be loaded."""
    with pytest.raises(MediaError) as error:
        asyncio.run(load(cell, kind, policy))
    test = os.environ["PYTEST_CURRENT_TEST"].rpartition(" ")[0]
    promise = test.partition("::")[2].partition("[")[0].removeprefix("test_").replace("_", " ")
    _refused.setdefault(promise, set()).add(f"{test} {cell!r}")
    return str(error.value)


def listened(visitors: int) -> None:
    """A listener where no cell may lead has ended, and so many connections were made to it."""
    _visitors.append(visitors)


def figures() -> dict[str, Any]:
    """What this run refused, by promise: one cell counts again where another test or server refuses it."""
    return {
        "refused": {promise: len(cells) for promise, cells in sorted(_refused.items())},
        "listeners": len(_visitors),
        "connections": sum(_visitors),
    }
