"""Checked reading of a task's `parameters`. null stands for "not given" everywhere."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from .errors import invalid_field


def reject_unknown(parameters: Mapping[str, Any], task: str, known: Sequence[str]) -> None:
    """Raise HTTPError 400 for a parameter the task does not have, naming those it has."""
    for name in parameters:
        if name not in known:
            has = ", ".join(known) or "no parameters"
            raise invalid_field("parameters", f"`{name}` is not a parameter of {task} on this server; it has: {has}")


def get_bool(parameters: Mapping[str, Any], name: str, default: bool) -> bool:
    """A boolean."""
    value = parameters.get(name)
    if value is None:
        return default
    if not isinstance(value, bool):
        raise invalid_field(f"parameters.{name}", f"expected true or false, got {value!r:.80}")
    return value


def get_positive_int(parameters: Mapping[str, Any], name: str) -> int | None:
    """A whole number of at least 1, or None when not given."""
    value = parameters.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise invalid_field(f"parameters.{name}", f"expected a whole number of at least 1, got {value!r:.80}")
    return value


def get_number(parameters: Mapping[str, Any], name: str, default: float, low: float, high: float) -> float:
    """A number from `low` to `high`."""
    value = parameters.get(name)
    if value is None:
        return default
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
        raise invalid_field(f"parameters.{name}", f"expected a number from {low:g} to {high:g}, got {value!r:.80}")
    return float(value)


def get_strings(parameters: Mapping[str, Any], name: str) -> list[str]:
    """A string or a list of strings, as a list; empty when not given."""
    value = parameters.get(name)
    found = [] if value is None else [value] if isinstance(value, str) else value
    if not isinstance(found, list) or not all(isinstance(item, str) and item for item in found):
        raise invalid_field(f"parameters.{name}", f"expected a string or a list of strings, got {value!r:.80}")
    return found


def get_choice(parameters: Mapping[str, Any], name: str, allowed: Sequence[str]) -> str:
    """One of `allowed`; the first when not given."""
    value = parameters.get(name)
    if value is None:
        return allowed[0]
    if not isinstance(value, str) or value not in allowed:
        raise invalid_field(f"parameters.{name}", f"expected one of {', '.join(allowed)}, got {value!r:.80}")
    return value
