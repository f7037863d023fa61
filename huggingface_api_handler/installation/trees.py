"""Compare, copy and remove folders such that an interruption leaves something recognisable."""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
from pathlib import Path


def snapshot(path: Path) -> dict[str, str]:
    """Hash all files below a folder, but for byte-code caches, which Python writes and drops as it likes.

    Args:
        path: The folder, which need not exist, or a link to one.

    Returns:
        Relative path -> SHA-256 in hex, or, of a link, its target. {} where nothing is there.
    """
    if path.is_symlink():
        return {"": f"link to {path.readlink()}"}
    digests: dict[str, str] = {}
    for folder, folders, names in os.walk(path):
        folders[:] = [name for name in folders if name != "__pycache__"]
        links = [name for name in folders if Path(folder, name).is_symlink()]
        for name in [*names, *links]:
            file = Path(folder, name)
            key = file.relative_to(path).as_posix()
            if file.is_symlink():
                digests[key] = f"link to {file.readlink()}"
            else:
                digests[key] = hashlib.sha256(file.read_bytes()).hexdigest()
    return digests


def copy(source: Path, destination: Path) -> None:
    """Copy a folder with times and modes, links as links.

    Args:
        source: The folder, or a link to one.
        destination: Where the copy goes. It must not exist.
    """
    if source.is_symlink():
        destination.symlink_to(source.readlink())
    else:
        shutil.copytree(source, destination, symlinks=True)


def remove(path: Path, last: str | None = None) -> None:
    """Remove a folder or a link to one.

    Args:
        path: What to remove; nothing happens where it does not exist.
        last: The file that is removed after all others. A folder that is recognised by this file is recognised to the
            end, however far an interrupted removal came.
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
    """Rename a folder, or copy it where renaming is impossible.

    Overlay file systems (containers) refuse to rename a folder that an image layer brought, with EXDEV.

    Args:
        source: The folder.
        destination: Its new path. It must not exist.
        staging: Where the copy is made before it is renamed. What is there is removed.

    Raises:
        OSError: The folder can be neither renamed nor copied.
    """
    try:
        source.rename(destination)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        remove(staging)
        copy(source, staging)
        staging.rename(destination)
        remove(source)
