"""Put this handler into the MindsDB of the running Python environment, and take it out again.

MindsDB ships a handler folder of the same name. `install` sets that one aside, next to MindsDB's `handlers`
folder where nothing is scanned or imported, and `uninstall` puts it back as it was. Each step of both is atomic or
leaves a state that the next run recognises, so you can run either again after any interruption. What is set aside is
copied, proven complete by a file written last, and only then removed; renaming it would be simpler and fails on the
layered file systems of containers.
"""

from __future__ import annotations

import contextlib
import errno
import importlib.util
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from .._version import __version__
from .folder import MARKER, folder_contents, is_our_init, marker_version, read_marker
from .mindsdb_package import MindsDBPackage, find_mindsdb
from .trees import copy, move, remove, snapshot

ABOUT = "about.json"
"""The description of what is set aside, written last and deleted first: without it the copy is incomplete."""

RESTART = "Restart MindsDB where it is running: it reads its handlers when it starts."


class InstallationError(RuntimeError):
    """Installing or uninstalling is not possible; the message says why and what to do."""


@dataclass(frozen=True)
class Report:
    """What a call changed.

    Attributes:
        changed: False where there was nothing to do.
        sentences: What was done, in order.
    """

    changed: bool
    sentences: tuple[str, ...]


def install(package: Path | None = None) -> Report:
    """Make this the `huggingface_api` handler of MindsDB. Safe to repeat, and how an upgrade is applied.

    Args:
        package: MindsDB's package folder; by default that of the running environment.

    Returns:
        What was changed.

    Raises:
        InstallationError: There is no MindsDB, or its folder cannot be written.
    """
    mindsdb = _mindsdb(package)
    with _exclusively(mindsdb):
        target, contents = mindsdb.handler, folder_contents()
        foreign = foreign_files(target)
        if not foreign and _is_current(target, contents):
            return Report(False, (f"Handler {__version__} is installed already in {target}.",))
        sentences = _set_aside(mindsdb, foreign)
        previous = marker_version(target) if read_marker(target) is not None else None
        _write_folder(mindsdb.staging, contents)
        remove(target, last=MARKER)
        mindsdb.staging.rename(target)
        verb = "Installed" if previous is None else f"Replaced version {previous} of the handler by"
        sentences.append(f"{verb} handler huggingface_api {__version__} in {target}.")
        return Report(True, (*sentences, RESTART))


def uninstall(package: Path | None = None) -> Report:
    """Take this handler out of MindsDB and put back what was there before. Safe to repeat.

    Args:
        package: As in ``install``.

    Returns:
        What was changed.

    Raises:
        InstallationError: As in ``install``.
    """
    mindsdb = _mindsdb(package)
    with _exclusively(mindsdb):
        target, original = mindsdb.handler, mindsdb.aside / "original"
        foreign = foreign_files(target)
        set_aside = snapshot(original) if is_set_aside(mindsdb) else None
        has_ours = read_marker(target) is not None
        if set_aside is not None and (not foreign or _is_remainder(mindsdb, foreign, set_aside)):
            copy(original, mindsdb.staging)
            remove(target, last=MARKER)
            mindsdb.staging.rename(target)
            _discard_aside(mindsdb)
            return Report(True, (f"Put back the handler that was in {target} before.", RESTART))
        if not has_ours and set_aside is None:
            if not foreign:
                remove(target)  # an empty folder is what an interrupted run may have left
            return Report(False, ("This handler is not installed in MindsDB; nothing to do.",))
        sentences = []
        if has_ours:
            _remove_ours(target, foreign)
            sentences.append(
                f"Removed the handler from {target}; what MindsDB's upgrade put there stays."
                if foreign
                else "Removed the handler; MindsDB had none of this name before."
            )
        if set_aside is not None and foreign == set_aside:
            _discard_aside(mindsdb)
            sentences.append(f"The original handler is back in {target}.")
        elif set_aside is not None:
            sentences.append(_retire_aside(mindsdb))
        return Report(True, (*sentences, RESTART))


def foreign_files(folder: Path) -> dict[str, str]:
    """Find what in a handler folder is not ours.

    Without our marker that is all of it. With our marker it depends on `__init__.py`: MindsDB's upgrade writes its
    files over and between ours, while an `__init__.py` of ours, edited or not, or none at all, is an installation of
    ours that is to be replaced.

    Args:
        folder: The handler folder.

    Returns:
        Relative path -> SHA-256 in hex.
    """
    files = snapshot(folder)
    installed = read_marker(folder)
    if installed is None:
        return files
    if "__init__.py" not in files or is_our_init(folder / "__init__.py"):
        return {}
    return {name: digest for name, digest in files.items() if name != MARKER and installed.get(name) != digest}


def is_set_aside(mindsdb: MindsDBPackage) -> bool:
    """Say whether an original is set aside in full.

    Args:
        mindsdb: The MindsDB to look at.

    Returns:
        Whether its description is there, which is written last and deleted first.
    """
    return (mindsdb.aside / ABOUT).is_file()


def _mindsdb(package: Path | None) -> MindsDBPackage:
    mindsdb = find_mindsdb() if package is None else MindsDBPackage(package)
    if mindsdb is None:
        spec = importlib.util.find_spec("mindsdb")
        folders = list(spec.submodule_search_locations or []) if spec is not None else []
        hint = f" What is left in {folders[0]} is no complete MindsDB and may be deleted." if folders else ""
        raise InstallationError(
            "MindsDB is not installed in this Python environment. Run `pip install mindsdb`, or use the Python "
            f"that runs your MindsDB: `/path/to/its/python -m huggingface_api_handler install`.{hint}"
        )
    if not mindsdb.handler.parent.is_dir():
        raise InstallationError(
            f"{mindsdb.handler.parent} does not exist: MindsDB {mindsdb.version or 'of this version'} keeps its "
            "handlers elsewhere. This handler is tested with MindsDB 26.1."
        )
    return mindsdb


@contextlib.contextmanager
def _exclusively(mindsdb: MindsDBPackage) -> Iterator[None]:
    """Hold the lock of the folder we work in, start and end without leftovers, explain refused writes."""
    try:
        with _folder_lock(mindsdb.aside.parent):
            remove(mindsdb.staging)
            if mindsdb.aside.exists() and not is_set_aside(mindsdb):
                remove(mindsdb.aside)
            yield
    except OSError as error:
        if error.errno not in (errno.EACCES, errno.EPERM, errno.EROFS):
            raise
        raise InstallationError(
            f"Cannot change {error.filename or mindsdb.handler}: {error.strerror}. Run this as the user who "
            "installed MindsDB (for a system-wide one: sudo), or install MindsDB into a virtual environment of "
            "your own."
        ) from None


@contextlib.contextmanager
def _folder_lock(folder: Path) -> Iterator[None]:
    """Hold a lock, so that one installation runs at a time; where the system has no flock, hold none."""
    try:
        import fcntl
    except ImportError:
        yield
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _set_aside(mindsdb: MindsDBPackage, foreign: dict[str, str]) -> list[str]:
    """Copy what is not ours out of the handler folder, unless it is set aside already. The folder stays."""
    if not foreign:
        return []
    set_aside = snapshot(mindsdb.aside / "original") if is_set_aside(mindsdb) else None
    if set_aside is not None and (foreign == set_aside or _is_remainder(mindsdb, foreign, set_aside)):
        return []
    shipped = mindsdb.is_shipped_in_full(foreign)
    mindsdb.staging.mkdir()
    copied = mindsdb.staging / "original"
    copy(mindsdb.handler, copied)
    if read_marker(copied) is not None:
        _remove_ours(copied, foreign)
    about = {"shipped": shipped, "mindsdb_version": mindsdb.version}
    (mindsdb.staging / ABOUT).write_text(json.dumps(about) + "\n", encoding="utf-8")
    sentences = [_retire_aside(mindsdb)] if set_aside is not None else []
    mindsdb.staging.rename(mindsdb.aside)
    whose = "MindsDB's own handler" if shipped else "The handler that was there (not as MindsDB ships it)"
    return [*sentences, f"{whose} is set aside in {mindsdb.aside}."]


def _is_remainder(mindsdb: MindsDBPackage, foreign: dict[str, str], set_aside: dict[str, str]) -> bool:
    """Whether the files are what an interrupted removal left of the original that is set aside."""
    return foreign != set_aside and foreign.items() <= set_aside.items() and not mindsdb.is_shipped_in_full(foreign)


def _retire_aside(mindsdb: MindsDBPackage) -> str:
    """Drop the original that something newer replaced where it is MindsDB's own; else keep it under a number."""
    try:
        about = json.loads((mindsdb.aside / ABOUT).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        about = {}
    if about.get("shipped"):
        _discard_aside(mindsdb)
        return "MindsDB was upgraded in between; the handler of its former version is dropped."
    number = 1
    while (destination := mindsdb.aside.with_name(f"{mindsdb.aside.name}.{number}")).exists():
        number += 1
    move(mindsdb.aside, destination, mindsdb.aside.with_name(f"{mindsdb.staging.name}.{number}"))
    return f"An older handler, not as MindsDB ships it, is kept in {destination}."


def _discard_aside(mindsdb: MindsDBPackage) -> None:
    (mindsdb.aside / ABOUT).unlink()
    remove(mindsdb.aside)


def _remove_ours(folder: Path, foreign: dict[str, str]) -> None:
    """Remove our files, the marker last, from a folder with files of others; all of the folder where there are none."""
    if not foreign:
        remove(folder, last=MARKER)
        return
    for name in read_marker(folder) or {}:
        if name not in foreign:
            (folder / name).unlink(missing_ok=True)
            for cached in (folder / "__pycache__").glob(f"{Path(name).stem}.*.pyc"):
                cached.unlink()
    (folder / MARKER).unlink()


def _write_folder(folder: Path, contents: dict[str, bytes]) -> None:
    folder.mkdir()
    for name, content in contents.items():
        (folder / name).write_bytes(content)


def _is_current(folder: Path, contents: dict[str, bytes]) -> bool:
    return not folder.is_symlink() and all(
        (folder / name).is_file() and (folder / name).read_bytes() == content for name, content in contents.items()
    )
