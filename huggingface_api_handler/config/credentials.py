"""Where the key of an engine is found, and whether it is the engine's or the machine's; who logs in at its Redis."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING

from pydantic import SecretStr

from ..errors import InputError
from ..redaction import preview
from .store_address import STORE_VARIABLE, StoreAddress, parse_store_address
from .types import key_problem

if TYPE_CHECKING:
    from .settings import EngineSettings

KEY_VARIABLES = ("HF_TOKEN", "HUGGINGFACE_API_KEY", "HUGGINGFACE_TOKEN", "HUGGING_FACE_HUB_TOKEN")
"""Environment variables that are searched for a key, in this order."""


ALLOWED_VARIABLES = "HUGGINGFACE_API_KEY_VARIABLES"
"""The variable by which an administrator lists, with commas between, others that ``api_key_env`` may name."""

_ALLOWED_PREFIXES = ("HF_", "HUGGINGFACE_")


def is_machine_key(settings: EngineSettings, environment: Mapping[str, str] = os.environ) -> bool:
    """Whether an engine's key is one that is found on the machine, which nobody gave to this engine.

    Args:
        settings: The engine's.
        environment: Variables by name.

    Returns:
        True where the engine names no key, or names one of ``KEY_VARIABLES`` that the administrator did not list.
    """
    name = settings.api_key_env
    if settings.api_key is not None:
        return False
    # Windows looks variables up whatever their case, so HF_Token is HF_TOKEN there.
    return name is None or (name.upper() in KEY_VARIABLES and name not in _listed(environment))


def resolve_api_key(settings: EngineSettings, environment: Mapping[str, str] = os.environ) -> SecretStr | None:
    """Find the key for one query.

    Args:
        settings: The engine's. Its ``api_key`` comes first, then its ``api_key_env``.
        environment: Variables by name; ``KEY_VARIABLES`` are searched where the engine names no key.

    Returns:
        The key; where there is none, the token that ``hf auth login`` stored, or None.

    Raises:
        InputError: ``api_key_env`` names a variable that is not set or that it may not name, or holds what cannot be a
            key.
    """
    if settings.api_key is not None:
        return settings.api_key
    if settings.api_key_env is not None:
        _refuse_variable(settings.api_key_env, environment)
        value = environment.get(settings.api_key_env, "").strip()
        if not value:
            raise InputError(
                f"api_key_env names the variable {settings.api_key_env}, which is not set in the environment of "
                "this program. Set it and start the program again (MindsDB, where that runs the engine)"
            )
        if (problem := key_problem(value)) is not None:
            raise InputError(f"api_key_env names the variable {settings.api_key_env}, whose value {problem}")
        return SecretStr(value)
    for variable in KEY_VARIABLES:
        if environment.get(variable, "").strip():
            return SecretStr(environment[variable].strip())
    from huggingface_hub import get_token

    stored = get_token()
    return SecretStr(stored) if stored else None


def check_key_variable(settings: EngineSettings, environment: Mapping[str, str] = os.environ) -> None:
    """Check that the variable in which an engine's key is can be used. The key itself is not handed out.

    Args:
        settings: The engine's.
        environment: Variables by name.

    Raises:
        InputError: As ``resolve_api_key`` does.
    """
    if settings.api_key_env is not None:
        resolve_api_key(settings, environment)


def resolve_store(settings: EngineSettings, environment: Mapping[str, str] = os.environ) -> StoreAddress | None:
    """Find the Redis that an engine shares with other machines.

    Args:
        settings: The engine's. Its ``store`` comes first.
        environment: Variables by name; ``STORE_VARIABLE`` has the address of engines without ``store``.

    Returns:
        The address; None where nothing is shared. User and password are those of the variable, where that names the
        same server.

    Raises:
        InputError: The variable holds no such address.
    """
    named = environment.get(STORE_VARIABLE, "").strip()
    try:
        machine = parse_store_address(named) if named else None
    except ValueError as error:
        raise InputError(f"the variable {STORE_VARIABLE} {error}. Set it anew and start this program again") from None
    if settings.store is None:
        return machine
    return parse_store_address(settings.store).with_login_of(machine)


def _refuse_variable(name: str, environment: Mapping[str, str]) -> None:
    """Raise InputError for a variable that is not meant for engines: who creates one could read it at their server."""
    if name.upper() == STORE_VARIABLE:
        raise InputError(f"api_key_env may not read the variable {STORE_VARIABLE}: it holds the password of a Redis")
    if name.startswith(_ALLOWED_PREFIXES) or name in KEY_VARIABLES or name in _listed(environment):
        return
    raise InputError(
        f"api_key_env may not read the variable {preview(name)}: its name begins with neither HF_ nor HUGGINGFACE_. "
        f"Rename it, or set {ALLOWED_VARIABLES} to its name in the environment of this program (MindsDB, where "
        "that runs the engine), and start it again"
    )


def _listed(environment: Mapping[str, str]) -> set[str]:
    return {name.strip() for name in environment.get(ALLOWED_VARIABLES, "").split(",")}


def key_in_variable(variable: str) -> str:
    """The key in a variable that a command line names. Whoever has the shell has its variables, so it may be any.

    Args:
        variable: Its name.

    Returns:
        The key.

    Raises:
        InputError: The variable is not set.
    """
    key = os.environ.get(variable, "").strip()
    if not key:
        raise InputError(
            f"--api-key-env names the variable {variable}, which is not set. Set it, or leave --api-key-env out"
        )
    return key
