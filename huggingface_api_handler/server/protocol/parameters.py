"""Checked reading of a request's `parameters`. null stands for "not given" everywhere."""

from __future__ import annotations

from collections.abc import Sequence

from .errors import invalid_field
from .json_types import Parameters

_MAX_SHOWN_NAMES = 10
_MAX_SHOWN_NAME_CHARS = 40


def reject_unknown(parameters: Parameters, task: str, supported: Sequence[str]) -> None:
    """Check that a task has all the parameters given.

    Args:
        parameters: The request's parameters.
        task: Name of the task, for the message.
        supported: Names of the parameters that it has.

    Raises:
        HTTPError: 400 for a parameter that the task does not have, naming those it has.
    """
    for name in parameters:
        if name not in supported:
            has = ", ".join(supported) or "no parameters"
            raise invalid_field("parameters", f"`{name}` is not a parameter of {task} on this server; it has: {has}")


def split_known(parameters: Parameters, known: Sequence[str]) -> tuple[Parameters, list[str]]:
    """Leave out parameters that a task does not know.

    Args:
        parameters: The request's parameters.
        known: Names of the parameters that it knows; without any, all are kept.

    Returns:
        The parameters that are known, and the names of others that have a value.
    """
    if not known:
        return parameters, []
    kept = {name: value for name, value in parameters.items() if name in known}
    return kept, [name for name, value in parameters.items() if name not in known and value is not None]


def ignored_warning(names: Sequence[str]) -> str:
    """Say which parameters had no effect, for a response's header.

    Args:
        names: Their names, as the client sent them.

    Returns:
        One line of printable ASCII; empty where there are none.
    """
    if not names:
        return ""
    shown = ", ".join(ascii(name[:_MAX_SHOWN_NAME_CHARS])[1:-1] for name in names[:_MAX_SHOWN_NAMES])
    more = f" and {len(names) - _MAX_SHOWN_NAMES} more" if len(names) > _MAX_SHOWN_NAMES else ""
    return f"not known here, so ignored: {shown}{more}"


def get_bool(parameters: Parameters, name: str, default: bool) -> bool:
    """Read a boolean.

    Args:
        parameters: The request's parameters.
        name: The parameter to read.
        default: Its value when not given.

    Returns:
        The value.

    Raises:
        HTTPError: 400 for another type.
    """
    value = parameters.get(name)
    if value is None:
        return default
    if not isinstance(value, bool):
        raise invalid_field(f"parameters.{name}", f"expected true or false, got {value!r:.80}")
    return value


def get_positive_int(parameters: Parameters, name: str) -> int | None:
    """Read a whole number of at least 1.

    Args:
        parameters: The request's parameters.
        name: The parameter to read.

    Returns:
        The value, or None when not given.

    Raises:
        HTTPError: 400 for another type, and for a number below 1.
    """
    value = parameters.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise invalid_field(f"parameters.{name}", f"expected a whole number of at least 1, got {value!r:.80}")
    return value


def get_number(parameters: Parameters, name: str, default: float, low: float, high: float) -> float:
    """Read a number from `low` to `high`.

    Args:
        parameters: The request's parameters.
        name: The parameter to read.
        default: Its value when not given.
        low: The smallest value allowed.
        high: The largest value allowed.

    Returns:
        The value.

    Raises:
        HTTPError: 400 for another type, and for a number outside the range.
    """
    value = parameters.get(name)
    if value is None:
        return default
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
        raise invalid_field(f"parameters.{name}", f"expected a number from {low:g} to {high:g}, got {value!r:.80}")
    return float(value)


def get_strings(parameters: Parameters, name: str) -> list[str]:
    """Read a string or a list of strings.

    Args:
        parameters: The request's parameters.
        name: The parameter to read.

    Returns:
        The strings; empty when not given.

    Raises:
        HTTPError: 400 for another type, and for an empty string.
    """
    value = parameters.get(name)
    strings = [] if value is None else [value] if isinstance(value, str) else value
    if not isinstance(strings, list) or not all(isinstance(item, str) and item for item in strings):
        raise invalid_field(f"parameters.{name}", f"expected a string or a list of strings, got {value!r:.80}")
    return strings


def get_choice(parameters: Parameters, name: str, allowed: Sequence[str]) -> str:
    """Read one of several words.

    Args:
        parameters: The request's parameters.
        name: The parameter to read.
        allowed: The words allowed; the first is the default.

    Returns:
        The word.

    Raises:
        HTTPError: 400 for any other value.
    """
    value = parameters.get(name)
    if value is None:
        return allowed[0]
    if not isinstance(value, str) or value not in allowed:
        raise invalid_field(f"parameters.{name}", f"expected one of {', '.join(allowed)}, got {value!r:.80}")
    return value


def get_candidate_labels(parameters: Parameters) -> list[str]:
    """Read `candidate_labels`: a list of strings, or labels joined by commas.

    Args:
        parameters: The request's parameters.

    Returns:
        At least one label, without blanks around it.

    Raises:
        HTTPError: 400 when there is none, and for another type.
    """
    value = parameters.get("candidate_labels")
    if value is None:
        raise invalid_field("parameters.candidate_labels", "field required")
    labels = value.split(",") if isinstance(value, str) else value
    if not isinstance(labels, list) or not all(isinstance(label, str) for label in labels):
        raise invalid_field("parameters.candidate_labels", f"expected a list of strings, got {value!r:.80}")
    labels = [label.strip() for label in labels if label.strip()]
    if not labels:
        raise invalid_field("parameters.candidate_labels", "no label given, name at least one")
    return labels
