"""What `pip install ".[sql,local]"` brings: few packages, and less than 500 MB. run.sh runs it before tests' packages come.

It is no test of pytest, which is not there yet. What is wrong ends it with a sentence.
"""

from __future__ import annotations

import importlib.metadata
import re
import subprocess
import sys
from pathlib import Path

from tools.disk_size import size_on_disk

SIZE_BOUND_BYTES = 500_000_000
HEAVY = frozenset(
    ("mindsdb", "pyarrow", "polars", "scipy", "scikit-learn", "torch", "transformers", "spacy", "ipython", "matplotlib")
)
"""Packages that this way to use the handler is without."""

MODULES = ("huggingface_api_handler.sql", "huggingface_api_handler.cli.sql.shell", "huggingface_api_handler.server.app")
"""Imported each in a process of its own."""


def package_names() -> set[str]:
    """The distributions of this environment, in the spelling of package indexes."""
    return {re.sub(r"[-_.]+", "-", each.metadata["Name"]).lower() for each in importlib.metadata.distributions()}


def main() -> None:
    """Say what is here, and end with an error where it is too much."""
    names, size = package_names(), size_on_disk(Path(sys.prefix))
    print(f".[sql,local]: {len(names)} packages, {size / 1e6:.0f} MB of at most {SIZE_BOUND_BYTES / 1e6:.0f}")
    if names & HEAVY:
        raise SystemExit(f"the extras sql and local bring {', '.join(sorted(names & HEAVY))}")
    if size >= SIZE_BOUND_BYTES:
        raise SystemExit("the extras sql and local bring too much")
    subprocess.run([sys.executable, "-m", "pip", "--disable-pip-version-check", "check"], check=True)
    for module in MODULES:
        subprocess.run([sys.executable, "-c", f"import {module}"], check=True)


if __name__ == "__main__":
    main()
