"""Files that are made by a tool and committed: write them, or check that they are what the tool would write."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def outdated(files: Mapping[Path, str]) -> list[Path]:
    """Find the files that differ from what their tool would write.

    Args:
        files: Path -> the text that belongs there.

    Returns:
        The paths of those that hold another text, or do not exist.
    """
    return [path for path, text in files.items() if not path.is_file() or path.read_text("utf-8") != text]


def run(command: str, description: str, files: Mapping[Path, str]) -> int:
    """Run a tool: write its files, or, with ``--check``, only say which are outdated.

    Args:
        command: How the tool is called, such as ``python -m tools.write_reference``.
        description: What it does, for ``--help``.
        files: Path -> the text that belongs there.

    Returns:
        The exit status: 1 where ``--check`` found an outdated file, else 0.
    """
    parser = argparse.ArgumentParser(prog=command, description=description)
    parser.add_argument("--check", action="store_true", help="write nothing; fail where a file is outdated")
    args = parser.parse_args()
    paths = outdated(files)
    for path in paths:
        name = path.relative_to(ROOT)
        if args.check:
            print(f"{name} is outdated: run `{command}`")
        else:
            path.write_text(files[path], "utf-8")
            print(f"{name} written")
    return 1 if paths and args.check else 0
