"""The environment of the processes that are started here: quiet, local, and without keys unless wanted."""

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
    """A copy of the environment for a subprocess, with `extra` on top.

    Without `with_token` no Hugging Face key gets through, neither from a variable nor as the stored login.
    MindsDB's own variables are dropped: a person's configuration must not steer a server that is ours.
    Loopback is reached without a proxy.
    """
    kept = {name: value for name, value in os.environ.items() if not name.startswith("MINDSDB_")}
    if not with_token:
        for name in KEY_VARIABLES:
            kept.pop(name, None)
        kept["HF_TOKEN_PATH"] = os.devnull
    for name in ("NO_PROXY", "no_proxy"):
        kept[name] = ",".join(filter(None, [kept.get(name), "127.0.0.1", "localhost"]))
    return {**kept, **_QUIET, **extra}


def with_this_package(environment: dict[str, str]) -> dict[str, str]:
    """The environment with PYTHONPATH such that this package is found, also from a checkout not installed."""
    here = str(Path(__file__).resolve().parents[2])
    if here in site.getsitepackages():
        return environment
    return {**environment, "PYTHONPATH": os.pathsep.join(filter(None, [here, environment.get("PYTHONPATH")]))}
