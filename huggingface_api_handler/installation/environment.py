"""The environment variables of the processes that are started here: quiet, local, and without keys unless wanted."""

from __future__ import annotations

import os
import site
from pathlib import Path

from ..config.credentials import KEY_VARIABLES

_QUIET = {
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "DO_NOT_TRACK": "1",
    "ANONYMIZED_TELEMETRY": "False",
    "LITELLM_LOCAL_MODEL_COST_MAP": "True",  # litellm asks GitHub for a price list while it is imported
    "PYTHONUNBUFFERED": "1",
}


def subprocess_environment(*, with_token: bool = False, **extra: str) -> dict[str, str]:
    """Copy the environment for a subprocess.

    MindsDB's own variables are dropped: a person's configuration must not steer a server that is ours. Loopback is
    reached without a proxy.

    Args:
        with_token: Let Hugging Face keys through. Without it none gets through, neither from a variable nor as the
            stored login.
        extra: Variables to set on top.

    Returns:
        Name -> value.
    """
    variables = {name: value for name, value in os.environ.items() if not name.startswith("MINDSDB_")}
    if not with_token:
        for name in KEY_VARIABLES:
            variables.pop(name, None)
        variables["HF_TOKEN_PATH"] = os.devnull
    for name in ("NO_PROXY", "no_proxy"):
        variables[name] = ",".join(filter(None, [variables.get(name), "127.0.0.1", "localhost"]))
    return {**variables, **_QUIET, **extra}


def with_this_package(environment: dict[str, str]) -> dict[str, str]:
    """Let a subprocess find this package, also where it runs from a checkout that is not installed.

    Args:
        environment: Name -> value.

    Returns:
        The same, with PYTHONPATH set where it is needed.
    """
    root = str(Path(__file__).resolve().parents[2])
    if root in site.getsitepackages():
        return environment
    return {**environment, "PYTHONPATH": os.pathsep.join(filter(None, [root, environment.get("PYTHONPATH")]))}
