"""The names of USING arguments: aliases, the nearest valid name, and keys where they do not belong."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Collection, Iterable, Mapping
from difflib import get_close_matches

from ..errors import InputError
from ..redaction import preview
from ..tasks import ALIASES, TASKS, Task, canonical_task

Using = Mapping[str, object]
"""A USING clause as SQL or a Python caller wrote it: nothing is known of its values before they are checked."""

KEY_NAMES = ("api_key", "huggingface_api_api_key", "huggingface_api_key", "token")
"""The names under which CREATE ML_ENGINE takes the key, the preferred one first."""

_KEY_LIKE = (*KEY_NAMES, "api_token", "access_token", "hf_token", "apikey", "authorization")
_ALIASES = {"input_column": "column", "input_column2": "column2", "model_name": "model"}
# Far beyond what a person writes, and little enough that one argument costs neither the stack nor seconds.
_MAX_DEPTH = 32
_MAX_VALUES = 100_000
# A name is repeated in an error and compared with all others, which takes time that grows with its length.
_MAX_COMPARED_CHARS = 200
_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_RENAMED_CAMEL = {"num_sequences": "num_return_sequences", "steps": "num_inference_steps"}


def normalize(using: Using | None) -> dict[str, object]:
    """Give the arguments of a USING clause the names that this package uses.

    Args:
        using: The clause, or None. Arguments that are None count as not given.

    Returns:
        Canonical name -> value. ``parameters`` and ``options`` that came as JSON text are parsed.

    Raises:
        InputError: The clause is no map, an argument was given twice with different values, or a value cannot be sent.

    >>> normalize({"input_column": "text", "topK": 3, "threshold": None})
    {'column': 'text', 'top_k': 3}
    """
    normalized: dict[str, object] = {}
    for raw_name, raw_value in as_map(using).items():
        name = canonical_name(str(raw_name))
        if raw_value is None:
            continue
        is_json = name in ("parameters", "options", "cascade") and isinstance(raw_value, str)
        value = json_object(name, str(raw_value)) if is_json else raw_value
        for inner, inner_value in value.items() if isinstance(value, Mapping) else ():
            refuse_unsendable(f"{name}.{inner}" if isinstance(inner, str) else name, inner_value)
        refuse_unsendable(name, value)
        if name in normalized and normalized[name] != value:
            raise InputError(f"{preview(name)} was given twice under different names, with different values")
        normalized[name] = value
    return normalized


def as_map(using: object) -> Using:
    """Take a USING clause for a map.

    Args:
        using: The clause as MindsDB or a Python caller handed it over, or None.

    Returns:
        The clause itself, or an empty map where there is none.

    Raises:
        InputError: It is neither a map nor None.
    """
    if using is not None and not isinstance(using, Mapping):
        raise InputError(f"USING must be a map of arguments, got {preview(using)}")
    return using or {}


def canonical_name(name: str) -> str:
    """Give the name that this package uses for an argument: snake case, and today's name for a former one.

    Args:
        name: The name as it was written.

    Returns:
        The canonical name; a name that is not known comes back in snake case.

    >>> canonical_name("modelName"), canonical_name("maxLength")
    ('model', 'max_length')
    """
    name = _ALIASES.get(name, name)
    snake = _CAMEL.sub("_", name).lower() if not name.isupper() else name
    return _RENAMED_CAMEL.get(snake, _ALIASES.get(snake, snake))


def json_object(name: str, text: str) -> object:
    """Parse an argument that came as JSON text.

    Args:
        name: The argument's name, for the error.
        text: The JSON text.

    Returns:
        The parsed value, of any JSON type.

    Raises:
        InputError: The text is not JSON, or holds what a request cannot carry.
    """
    try:
        value: object = json.loads(text)
    except (ValueError, RecursionError):
        raise InputError(f"{name} must be a map, such as {name} = {{'key': value}}; its text is not JSON") from None
    refuse_unsendable(name, value)
    return value


def refuse_unsendable(name: str, value: object) -> None:
    """Refuse a value that a JSON request cannot carry as it was meant.

    Args:
        name: The argument's name, for the error.
        value: The value, searched to a depth of 32 and 100,000 values.

    Raises:
        InputError: It holds lone surrogates, NaN or infinity, integers of more than 64 bits, other types than
            JSON's, or is too deep or too large.
    """
    level: list[object] = [value]
    count = 0
    for _ in range(_MAX_DEPTH):
        next_level: list[object] = []
        for element in level:
            if problem := _unsendable(element):
                raise InputError(f"{preview(name)} {problem}")
            next_level += _children(element)
            if count + len(next_level) > _MAX_VALUES:
                raise InputError(f"{preview(name)} holds more than {_MAX_VALUES:,} values")
        level, count = next_level, count + len(next_level)
        if not level:
            return
    raise InputError(f"{preview(name)} is nested more than {_MAX_DEPTH} levels deep")


def _children(value: object) -> Iterable[object]:
    if isinstance(value, Mapping):
        return [*value, *value.values()]
    return value if isinstance(value, (list, tuple)) else ()


def _unsendable(value: object) -> str | None:
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
    elif type(value).__name__ == "Identifier":  # of MindsDB's parser
        name = ".".join(map(str, getattr(value, "parts", ["..."])))
        return f"needs its value in quotes: {preview(name)}"
    elif value is not None and not isinstance(value, (int, float, list, tuple)):
        return f"must be a text, a number, true or false, a list or a map, got {preview(value)}"
    return None


def task_named(name: object) -> Task:
    """Find a task by its name or alias.

    Args:
        name: The value of ``task``. Case, and ``_`` for ``-``, do not matter.

    Returns:
        The task.

    Raises:
        InputError: There is no such task; the message has the nearest name.

    >>> task_named("sentiment_analysis").name
    'text-classification'
    """
    if not isinstance(name, str) or not name:
        raise InputError(f"task must be the name of a task, got {preview(name)}. Tasks: {', '.join(sorted(TASKS))}")
    spelled = name.strip().lower().replace("_", "-")[:_MAX_COMPARED_CHARS]
    task = canonical_task(spelled)
    if task not in TASKS:
        raise InputError(f"there is no task {preview(name)}{suggest(spelled, [*TASKS, *ALIASES])}")
    return TASKS[task]


def refuse_key(using: Using) -> None:
    """Refuse a key among a model's arguments, which MindsDB would print in clear.

    Args:
        using: The arguments as ``normalize`` made them; maps within them are searched too.

    Raises:
        InputError: An argument has the name of a key. The message does not repeat its value.
    """
    for name, value in using.items():
        if name.lower() in _KEY_LIKE:
            raise InputError(
                f"{name} does not belong in CREATE MODEL or SELECT, where it is stored and shown in clear. "
                "Give it to CREATE ML_ENGINE ... USING api_key = '...' (or api_key_env = 'HF_TOKEN'), "
                "and replace this one: it may be in logs"
            )
        if isinstance(value, Mapping):
            refuse_key({str(inner): inner_value for inner, inner_value in value.items()})


def suggest(name: str, valid: Collection[str]) -> str:
    """End an error about a name that is not valid.

    Args:
        name: The name as it was written.
        valid: The names that would have been valid.

    Returns:
        ``; did you mean 'x'?`` with the nearest valid name, or all of them where none is near.

    >>> suggest("colum", ["column", "task"])
    "; did you mean 'column'?"
    """
    name = name[:_MAX_COMPARED_CHARS]
    near = get_close_matches(name, valid, n=1, cutoff=0.6) or get_close_matches(name.lower(), valid, n=1, cutoff=0.6)
    return f"; did you mean {near[0]!r}?" if near else f". It has: {', '.join(sorted(valid))}"
