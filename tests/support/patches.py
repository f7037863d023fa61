"""Patches in git's format, applied without git: in a copy that is no repository, ``git apply`` may find another one."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

_FILE = re.compile(r"^diff --git a/(.+) b/(.+)$")
_HUNK = re.compile(r"^@@ -(\d+)(?:,\d+)? \+\d+(?:,\d+)? @@")


class PatchError(Exception):
    """A patch does not fit the tree."""


class Hunk(NamedTuple):
    """Lines to replace.

    Attributes:
        line: Where they began when the patch was made, from 1; 0 in a new file.
        old: The lines, with those around them.
        new: What takes their place.
    """

    line: int
    old: list[str]
    new: list[str]


class FilePatch(NamedTuple):
    """What a patch does to one file.

    Attributes:
        path: From the root of the tree.
        is_new: Whether the patch makes the file.
        hunks: In the order of the file.
    """

    path: str
    is_new: bool
    hunks: list[Hunk]


def parse(text: str) -> list[FilePatch]:
    """Read a patch.

    Args:
        text: As ``git diff`` writes it, without renamed, deleted or binary files.

    Returns:
        What it does to each file.

    Raises:
        PatchError: It does something else.
    """
    files: list[FilePatch] = []
    for line in text.splitlines():
        if header := _FILE.match(line):
            if header[1] != header[2]:
                raise PatchError(f"a patch of a recipe renames no file: {line}")
            files.append(FilePatch(header[1], False, []))
        elif line.startswith(("deleted file", "Binary files", "GIT binary patch", "\\")):
            raise PatchError(f"a patch of a recipe has none of this: {line}")
        elif not files:
            continue
        elif line.startswith("new file"):
            files[-1] = files[-1]._replace(is_new=True)
        elif hunk := _HUNK.match(line):
            files[-1].hunks.append(Hunk(int(hunk[1]), [], []))
        elif files[-1].hunks:
            if line[:1] in (" ", "-"):
                files[-1].hunks[-1].old.append(line[1:])
            if line[:1] in (" ", "+"):
                files[-1].hunks[-1].new.append(line[1:])
    return files


def apply(text: str, root: Path) -> list[str]:
    """Apply a patch to a tree. Lines may have moved, and must be the same.

    Args:
        text: The patch.
        root: The root of the tree.

    Returns:
        The paths of the files that it made or changed, from the root.

    Raises:
        PatchError: A file or its lines are not as the patch expects them. The tree may be changed in part.
    """
    files = parse(text)
    for file in files:
        path = root / file.path
        if path.exists() is file.is_new:
            raise PatchError(f"{file.path}: {'is there already' if file.is_new else 'is not there'}")
        lines = [] if file.is_new else path.read_text("utf-8").splitlines()
        shift = 0
        for hunk in file.hunks:
            start = _find(hunk.old, lines, max(0, hunk.line - 1) + shift)
            if start is None:
                expected = "\n".join(f"    {line}" for line in hunk.old)
                raise PatchError(f"{file.path}: near line {hunk.line} there is no longer\n{expected}")
            lines[start : start + len(hunk.old)] = hunk.new
            shift = start - max(0, hunk.line - 1) + len(hunk.new) - len(hunk.old)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join(f"{line}\n" for line in lines), "utf-8")
    return [file.path for file in files]


def _find(wanted: Sequence[str], lines: Sequence[str], expected: int) -> int | None:
    """Where lines begin among others: where they are expected, or as near to it as they are found."""
    found = [start for start in range(len(lines) - len(wanted) + 1) if lines[start : start + len(wanted)] == wanted]
    return min(found, key=lambda start: abs(start - expected), default=None)
