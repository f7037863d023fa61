"""Folders as values: compare, copy and remove them so that an interruption leaves something recognisable."""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
from pathlib import Path


def snapshot(path: Path) -> dict[str, str]:
    """Relative path -> digest of each file below `path`; a link counts as its target; nothing there is {}.

    Byte-code caches are left out: Python writes and drops them as it likes.
    """
    if path.is_symlink():
        return {"": f"link to {path.readlink()}"}
    found: dict[str, str] = {}
    for folder, folders, names in os.walk(path):
        folders[:] = [name for name in folders if name != "__pycache__"]
        links = [name for name in folders if Path(folder, name).is_symlink()]
        for name in [*names, *links]:
            file = Path(folder, name)
            key = file.relative_to(path).as_posix()
            if file.is_symlink():
                found[key] = f"link to {file.readlink()}"
            else:
                found[key] = hashlib.sha256(file.read_bytes()).hexdigest()
    return found


def copy(source: Path, destination: Path) -> None:
    """Copy a folder with times and modes, links as links. `destination` must not exist."""
    if source.is_symlink():
        destination.symlink_to(source.readlink())
    else:
        shutil.copytree(source, destination, symlinks=True)


def remove(path: Path, last: str | None = None) -> None:
    """Remove a folder, a link to one, or nothing. The file `last` goes when all others are gone.

    So a folder that is known by one file stays known until the end, however far an interrupted removal came.
    """
    if path.is_symlink() or path.is_file():
        path.unlink()
        return
    if not path.exists():
        return
    for entry in sorted(path.iterdir()):
        if entry.name == last:
            continue
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        else:
            entry.unlink()
    if last is not None:
        (path / last).unlink(missing_ok=True)
    path.rmdir()


def move(source: Path, destination: Path, staging: Path) -> None:
    """Rename, or copy by way of `staging` where renaming is impossible.

    Overlay file systems (containers) refuse to rename a folder that an image layer brought, with EXDEV.
    """
    try:
        source.rename(destination)
    except OSError as problem:
        if problem.errno != errno.EXDEV:
            raise
        remove(staging)
        copy(source, staging)
        staging.rename(destination)
        remove(source)
