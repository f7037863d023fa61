"""What `pip install ".[sql,local]"` brings: few packages, less than 500 MB, and all that a first prediction needs.

run.sh runs it before the tests' packages come. It is no test of pytest, which is not there yet. What is wrong ends it with a sentence.
"""

from __future__ import annotations

import importlib.metadata
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from tools.disk_size import size_on_disk

SIZE_BOUND_BYTES = 500_000_000
HEAVY = frozenset(
    ("mindsdb", "pyarrow", "polars", "scipy", "scikit-learn", "torch", "transformers", "spacy", "ipython", "matplotlib")
)
"""Packages that this way to use the handler is without."""

FIRST_PREDICTION = """
from huggingface_api_handler.sql import connect

with connect() as con:
    con.sql("CREATE ML_ENGINE hf FROM huggingface_api USING endpoint = 'local'")
    con.sql("CREATE MODEL mood PREDICT mood USING task = 'text-classification', column = 'text', engine = 'hf'")
    print(con.sql("SELECT mood FROM mood WHERE text = 'I love you.'").fetchall())
"""
SHELL = "import huggingface_api_handler.cli.sql.shell, sys; sys.exit('pygments' in sys.modules)"


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
    subprocess.run([sys.executable, "-c", SHELL], check=True)
    with tempfile.TemporaryDirectory() as home:
        done = subprocess.run(
            [sys.executable, "-c", FIRST_PREDICTION],
            check=True,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "HF_HOME": home},
        )
    if done.stdout.strip() != "[('POSITIVE',)]":
        raise SystemExit(f"the first prediction is {done.stdout.strip()!r}")


if __name__ == "__main__":
    main()
