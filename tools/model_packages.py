"""Print the packages that hold the weights of the local server, as pyproject.toml pins them: model_packages.py [EXTRA ...]."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

PYPROJECT = Path(__file__).resolve().parent.parent / "pyproject.toml"
EXTRAS = ("local", "local-ner", "local-media", "local-chat")
RUNTIMES = ("faster-whisper", "piper-tts")
"""Pinned as well, and programs rather than weights."""


def model_requirements(extras: Sequence[str] = EXTRAS) -> list[str]:
    """Read the requirements that pin one version: weights change with nothing else.

    Args:
        extras: The extras to look through.

    Returns:
        The requirements, as pyproject.toml writes them.
    """
    required = tomllib.loads(PYPROJECT.read_text("utf-8"))["project"]["optional-dependencies"]
    pinned = [
        requirement for extra in extras for requirement in required[extra] if "==" in requirement.partition(";")[0]
    ]
    return [requirement for requirement in pinned if not requirement.startswith(RUNTIMES)]


if __name__ == "__main__":
    print("\n".join(model_requirements(sys.argv[1:] or EXTRAS)))
