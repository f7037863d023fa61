"""What the doctor finds: data, which a table or JSON is made of."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path

from ...config.store_address import StoreAddress


class State(Enum):
    """How a finding is."""

    OK = "ok"
    ADVICE = "advice"
    """It works, and something could be better."""
    PROBLEM = "problem"
    """Something will not work."""


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        name: What it is.
        value: What was found, in words.
        state: How it is.
        advice: What to do, in one line; empty where nothing is to be done.
        data: The same as plain values, where a program may want them.
    """

    name: str
    value: str
    state: State = State.OK
    advice: str = ""
    data: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True)
class Wanted:
    """What the doctor is to look at.

    Attributes:
        is_offline: Whether nothing may be asked over a network.
        cache_dir: Folder of the answer store; None for the usual one.
        store: The shared store; None where there is none.
        databases: DuckDB files with engines and models.
    """

    is_offline: bool
    cache_dir: str | None
    store: StoreAddress | None
    databases: Sequence[Path]


def worst(findings: Iterable[Finding]) -> State:
    """The state of many findings.

    Args:
        findings: Any.

    Returns:
        A problem where there is one, else advice where there is any.
    """
    states = {finding.state for finding in findings}
    return next((state for state in (State.PROBLEM, State.ADVICE) if state in states), State.OK)
