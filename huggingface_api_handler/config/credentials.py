"""Where the key of an engine is found."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING

from pydantic import SecretStr

from ..errors import InputError
from .types import key_problem

if TYPE_CHECKING:
    from .settings import EngineSettings

KEY_VARIABLES = ("HF_TOKEN", "HUGGINGFACE_API_KEY", "HUGGINGFACE_TOKEN", "HUGGING_FACE_HUB_TOKEN")
"""Environment variables that are searched for a key, in this order."""


def resolve_api_key(settings: EngineSettings, environment: Mapping[str, str] = os.environ) -> SecretStr | None:
    """Find the key for one query.

    Args:
        settings: The engine's. Its ``api_key`` comes first, then its ``api_key_env``.
        environment: Variables by name; ``KEY_VARIABLES`` are searched where the engine names no key.

    Returns:
        The key; where there is none, the token that ``hf auth login`` stored, or None.

    Raises:
        InputError: ``api_key_env`` names a variable that is not set, or holds what cannot be a key.
    """
    if settings.api_key is not None:
        return settings.api_key
    if settings.api_key_env is not None:
        value = environment.get(settings.api_key_env, "").strip()
        if not value:
            raise InputError(
                f"api_key_env names the variable {settings.api_key_env}, which is not set where MindsDB runs. "
                "Set it and start MindsDB again"
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
