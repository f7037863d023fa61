"""The variables of the environment that the package reads: what each is for, and which names its source reads."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from tools.generated import ROOT

PACKAGE = ROOT / "huggingface_api_handler"

MEANINGS = {
    "HF_TOKEN": "Your Hugging Face token, for engines that name no key. The first of the next four that is set counts. "
    "It goes to Hugging Face only.",
    "HUGGINGFACE_API_KEY": "The same.",
    "HUGGINGFACE_TOKEN": "The same.",
    "HUGGING_FACE_HUB_TOKEN": "The same.",
    "HF_TOKEN_PATH": "The file of the token that `hf auth login` stored. It is read where no variable holds one.",
    "HUGGINGFACE_API_KEY_VARIABLES": "Names with commas between, such as `MY_KEY,OTHER_KEY`: variables that "
    "`api_key_env` may read besides those that begin with `HF_` or `HUGGINGFACE_`. The administrator sets it.",
    "HUGGINGFACE_API_STORE": "Address of the Redis that several machines share, with user and password, such as "
    "`rediss://user:password@host:6379/0`. Engines without `store` use it.",
    "HF_HOME": "The folder of Hugging Face's files. The answer store is in `huggingface_api_handler` below it, unless "
    "the engine has a `cache_dir`, and so is the history of the shell.",
    "XDG_CACHE_HOME": "The folder that holds `huggingface` where `HF_HOME` is not set.",
    "HF_ENDPOINT": "Address of the Hub, where yours is another than `https://huggingface.co`.",
    "HF_HUB_OFFLINE": "With `1` the Hub is not asked how long the inputs of a model may be.",
    "HTTPS_PROXY": "The proxy for `https` addresses. A process reads it once for each address.",
    "HTTP_PROXY": "The proxy for `http` addresses.",
    "NO_PROXY": "Hosts that are reached without a proxy, with commas between. This machine always is.",
    "SSL_CERT_FILE": "The certificates of your company's authority, in one file.",
    "PROMETHEUS_MULTIPROC_DIR": "A folder, empty at the start: MindsDB then serves the metrics of all its processes.",
    "MINDSDB_CONFIG_PATH": "MindsDB's configuration, in which `install --no-prediction-cache` writes, and in which "
    "`status` and `doctor` look for the prediction cache.",
    "MINDSDB_STORAGE_DIR": "MindsDB's folder, whose configuration `status` and `doctor` read too.",
    "XDG_DATA_HOME": "The folder that holds MindsDB's where `MINDSDB_STORAGE_DIR` is not set, on Linux.",
    "LOCALAPPDATA": "The same, on Windows.",
    "HF_HUB_DISABLE_TELEMETRY": "Set to `1` for servers that the package starts.",
    "DO_NOT_TRACK": "Set to `1` for servers that the package starts.",
    "ANONYMIZED_TELEMETRY": "Set to `False` for servers that the package starts.",
    "LITELLM_LOCAL_MODEL_COST_MAP": "Set to `True` for servers that the package starts: LiteLLM then asks for no list "
    "of prices.",
    "PYTHONPATH": "Set for servers that the package starts, so that they find the package.",
    "INFERENCE_SERVER_TOKEN": "Set by `demo` for the local server that it starts: the token that requests carry.",
}
"""Variable -> what it does, in Markdown, in the order of the page."""

OF_LIBRARIES = frozenset({"HF_ENDPOINT", "HF_HUB_OFFLINE", "HTTPS_PROXY", "HTTP_PROXY", "SSL_CERT_FILE"})
"""Those that huggingface_hub, Python or OpenSSL read for the package."""

_NAME = re.compile(r"[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+")
_ENVIRONMENT = re.compile(r"\b(?:environ|environment)$")


def table() -> str:
    """Write the table of variables.

    Returns:
        The table in Markdown, without a line break at its end.
    """
    lines = ["| variable | what it does |", "|---|---|"]
    return "\n".join([*lines, *(f"| `{name}` | {meaning} |" for name, meaning in MEANINGS.items())])


def variables_read(package: Path = PACKAGE) -> set[str]:
    """Find the names of variables in a package's source.

    Args:
        package: The folder of the package.

    Returns:
        What is read of ``environ`` by a literal name; all literals that look like such a name in modules that use
        ``environ``; and what constants with VARIABLE in their name hold.
    """
    return {name for file in sorted(package.rglob("*.py")) for name in _read_in(ast.parse(file.read_text("utf-8")))}


def _read_in(module: ast.Module) -> Iterator[str]:
    is_user = any(isinstance(node, ast.Attribute) and node.attr in ("environ", "getenv") for node in ast.walk(module))
    for node in ast.walk(module):
        if isinstance(node, ast.Call) and node.args and _is_environment(node.func):
            yield from _literals(node.args[0])
        elif isinstance(node, ast.Subscript) and _ENVIRONMENT.search(ast.unparse(node.value)):
            yield from _literals(node.slice)
        elif isinstance(node, ast.Assign) and any("VARIABLE" in ast.unparse(target) for target in node.targets):
            yield from _literals(node.value)
        elif is_user and isinstance(node, ast.Constant) and isinstance(node.value, str) and _NAME.fullmatch(node.value):
            yield node.value


def _is_environment(function: ast.expr) -> bool:
    if not isinstance(function, ast.Attribute):
        return False
    return function.attr == "getenv" or bool(_ENVIRONMENT.search(ast.unparse(function.value)))


def _literals(value: ast.expr) -> Iterator[str]:
    for node in ast.walk(value):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value
