"""The names of USING arguments: spellings seen in the wild, nearest names, and keys where they do not belong."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Collection, Mapping
from difflib import get_close_matches
from typing import Any

from ..errors import InputError
from ..redaction import preview
from ..tasks import ALIASES, TASKS, Task

KEY_NAMES = ("api_key", "huggingface_api_api_key", "huggingface_api_key", "token")

_KEY_LIKE = (*KEY_NAMES, "api_token", "access_token", "hf_token", "apikey", "authorization")
_ALIASES = {"input_column": "column", "input_column2": "column2", "model_name": "model"}
_DEEPEST, _MOST_VALUES = 32, 100_000
_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_RENAMED_CAMEL = {"num_sequences": "num_return_sequences", "steps": "num_inference_steps"}


def normalize(using: Mapping[str, Any] | None) -> dict[str, Any]:
    """USING with the names that this package uses; arguments that are None count as not given."""
    out: dict[str, Any] = {}
    for given_name, given in as_map(using).items():
        name = canonical_name(str(given_name))
        if given is None:
            continue
        value = json_object(name, given) if name in ("parameters", "options") and isinstance(given, str) else given
        for inner, inner_value in value.items() if isinstance(value, Mapping) else ():
            refuse_unsendable(f"{name}.{inner}" if isinstance(inner, str) else name, inner_value)
        refuse_unsendable(name, value)
        if name in out and out[name] != value:
            raise InputError(f"{preview(name)} was given twice under different names, with different values")
        out[name] = value
    return out


def as_map(using: Mapping[str, Any] | None) -> Mapping[str, Any]:
    """USING as a map, an empty one where there is none. Raises InputError."""
    if using is not None and not isinstance(using, Mapping):
        raise InputError(f"USING must be a map of arguments, got {preview(using)}")
    return using or {}


def canonical_name(name: str) -> str:
    """The name this package uses for an argument: snake case, and the present name of a former one."""
    name = _ALIASES.get(name, name)
    snake = _CAMEL.sub("_", name).lower() if not name.isupper() else name
    return _RENAMED_CAMEL.get(snake, _ALIASES.get(snake, snake))


def json_object(name: str, text: str) -> Any:
    """The value of an argument that came as JSON text. Raises InputError."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        raise InputError(f"{name} must be a map, such as {name} = {{'key': value}}; its text is not JSON") from None
    refuse_unsendable(name, value)
    return value


def refuse_unsendable(name: str, value: Any) -> None:
    """Refuse what a request cannot carry as it was meant. Raises InputError."""
    level, seen = [value], 0
    for _ in range(_DEEPEST):
        inner: list[Any] = []
        for one in level:
            if what := _unsendable(one):
                raise InputError(f"{preview(name)} {what}")
            if isinstance(one, Mapping):
                inner += [*one, *one.values()]
            elif isinstance(one, (list, tuple)):
                inner += one
            if seen + len(inner) > _MOST_VALUES:
                raise InputError(f"{preview(name)} holds more than {_MOST_VALUES:,} values")
        level, seen = inner, seen + len(inner)
        if not level:
            return
    raise InputError(f"{preview(name)} is nested more than {_DEEPEST} levels deep")


def _unsendable(value: Any) -> str | None:
    if isinstance(value, str):
        try:
            value.encode()
        except UnicodeEncodeError:
            return f"is not valid Unicode (it holds a lone surrogate): {preview(value)}"
    elif isinstance(value, float) and not math.isfinite(value):
        return f"must be a number that JSON has, got {value}"
    elif isinstance(value, int) and not -(2**63) <= value < 2**64:
        return "is a number of more than 64 bits, which JSON is not sent with"
    elif isinstance(value, Mapping):
        if not all(isinstance(name, str) for name in value):
            return f"holds a map of which a name is no text: {preview(value)}"
    elif value is not None and not isinstance(value, (int, float, list, tuple)):
        return f"must be a text, a number, true or false, a list or a map, got {preview(value)}"
    return None


def task_named(name: Any) -> Task:
    """The task of that name or alias. Raises InputError with the nearest name."""
    if not isinstance(name, str) or not name:
        raise InputError(f"task must be the name of a task, got {preview(name)}. Tasks: {', '.join(sorted(TASKS))}")
    spelled = name.strip().lower().replace("_", "-")[:200]
    known = ALIASES.get(spelled, "translation" if re.fullmatch(r"translation-\w+-to-\w+", spelled) else spelled)
    if known not in TASKS:
        raise InputError(f"there is no task {preview(name)}{suggest(spelled, [*TASKS, *ALIASES])}")
    return TASKS[known]


def refuse_key(using: Mapping[str, Any]) -> None:
    """Refuse a key among a model's arguments (as ``normalize`` made them), which MindsDB would print in clear."""
    for name, value in using.items():
        if name.lower() in _KEY_LIKE:
            raise InputError(
                f"{name} does not belong in CREATE MODEL or SELECT, where MindsDB shows it in clear. "
                "Give it to CREATE ML_ENGINE ... USING api_key = '...' (or api_key_env = 'HF_TOKEN'), "
                "and replace this one: it may be in logs"
            )
        if isinstance(value, Mapping):
            refuse_key({str(inner): inner_value for inner, inner_value in value.items()})


def suggest(name: str, known: Collection[str]) -> str:
    """``; did you mean 'x'?`` with the nearest known name, or the known names where none is near."""
    name = name[:200]
    near = get_close_matches(name, known, n=1, cutoff=0.6) or get_close_matches(name.lower(), known, n=1, cutoff=0.6)
    return f"; did you mean {near[0]!r}?" if near else f". It has: {', '.join(sorted(known))}"
