"""Types of JSON: what this server builds, and what it has read but not checked yet."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeAlias

JSON: TypeAlias = "str | int | float | bool | Sequence[JSON] | Mapping[str, JSON] | None"
"""A value that this server builds to be sent as JSON."""

Parameters: TypeAlias = Mapping[str, object]
"""A request's `parameters` by name. Values are unchecked: read them with the functions of `parameters.py`."""
