"""Files of one folder, opened and made so that no link, device or exchange of folders leads out of it.

A path is resolved first and then walked again, part by part, through open folders in which links are not followed:
what was exchanged for a link since it was resolved is found out and refused, so there is no moment to race for.
"""

from __future__ import annotations

import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from ...errors import MediaError

_BY_FOLDER = {os.open, os.stat, os.link, os.unlink} <= os.supports_dir_fd
_FLAGS = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0)
_FLAGS |= getattr(os, "O_NOCTTY", 0) | getattr(os, "O_BINARY", 0)
_OUTSIDE = "the cell names a file outside media_dir, or none. Put the file into media_dir and name it from there"


def read(cell: str, media_dir: Path, largest: int) -> bytes:
    """The bytes of the regular file that ``cell`` names under ``media_dir``.

    Raises MediaError. What lies outside is refused in the same words whether it exists or not.
    """
    outside = MediaError(_OUTSIDE)
    root = os.path.realpath(media_dir)
    try:
        named = os.path.normpath(os.path.join(root, cell))  # noqa: PTH118 - Path folds differently
        given = os.path.normpath(os.path.abspath(media_dir))  # noqa: PTH100
        # Judged by its letters before the disk is asked: a look outside could wake an automount or a file server.
        if not (_is_under(named, root) or _is_under(named, given)):
            raise outside
        path = os.path.realpath(named)
        if not _is_under(path, root):
            raise outside
        with _opened(root, os.path.relpath(path, root)) as handle:
            return _content(handle, largest)
    except (ValueError, FileNotFoundError, NotADirectoryError) as error:
        raise (error if isinstance(error, MediaError) else outside) from None
    except OSError as error:
        raise MediaError(f"the cell's file cannot be read ({error.strerror or type(error).__name__})") from None


def keep(data: bytes, name: str, output_dir: Path) -> str:
    """Make the file ``name`` with ``data`` in ``output_dir`` and return its path. Nothing is ever written over.

    Raises OSError, or MediaError where another file stands there already.
    """
    root = os.path.realpath(output_dir)
    with _folder(root) as folder:
        if not _stands(folder, root, name):
            draft = f".{name}.{secrets.token_hex(8)}.part"
            try:
                _write(_open(folder, root, draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL), data)
                with suppress(FileExistsError):  # by another query, just now
                    _link(folder, root, draft, name)
            finally:
                with suppress(FileNotFoundError):
                    _unlink(folder, root, draft)
        if not _is_same(folder, root, name, data):
            raise MediaError(f"{Path(root) / name} stands where the answer belongs, with other content. Move it away")
    return str(Path(root) / name)


def _is_under(path: str, root: str) -> bool:
    return path != root and path.startswith(root.rstrip(os.sep) + os.sep)


@contextmanager
def _folder(path: str) -> Iterator[int | None]:
    """A folder held open, or None on a system that opens nothing relative to one."""
    if not _BY_FOLDER:
        if not Path(path).is_dir():
            raise NotADirectoryError(path)
        yield None
        return
    handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY | _FLAGS)
    try:
        yield handle
    finally:
        os.close(handle)


@contextmanager
def _opened(root: str, relative: str) -> Iterator[int]:
    """The regular file at ``relative`` below ``root``, no link followed on the way."""
    *folders, name = Path(relative).parts
    with _folder(root) as top:
        held, folder = [], top
        try:
            for part in folders:
                if folder is None:
                    root = os.path.join(root, part)  # noqa: PTH118
                    continue
                folder = os.open(part, os.O_RDONLY | os.O_DIRECTORY | _FLAGS, dir_fd=folder)
                held.append(folder)
            # Looked at before it is opened, since opening a device or a pipe is an act in itself.
            before = _stat(folder, root, name)
            if not stat.S_ISREG(before.st_mode):
                raise MediaError("the cell names something that is not a regular file")
            handle = _open(folder, root, name, os.O_RDONLY)
            held.append(handle)
            if not os.path.samestat(before, os.fstat(handle)):
                raise MediaError(_OUTSIDE)
            yield handle
        finally:
            for handle in held:
                os.close(handle)


def _content(handle: int, largest: int) -> bytes:
    found = os.fstat(handle)
    if not stat.S_ISREG(found.st_mode):
        raise MediaError("the cell names something that is not a regular file")
    if found.st_size == 0:  # the kernel's own files too, whose reading would make their content
        raise MediaError("the cell's file is empty (0 bytes)")
    if found.st_size > largest:
        raise MediaError(f"the cell's file is larger than {largest:,} bytes")
    with os.fdopen(handle, "rb", closefd=False) as file:
        data = file.read(largest + 1)
    if len(data) > largest:
        raise MediaError(f"the cell's file is larger than {largest:,} bytes")
    return data


def _is_same(folder: int | None, root: str, name: str, data: bytes) -> bool:
    if not stat.S_ISREG(_stat(folder, root, name).st_mode):
        return False
    with os.fdopen(_open(folder, root, name, os.O_RDONLY), "rb") as file:
        return stat.S_ISREG(os.fstat(file.fileno()).st_mode) and file.read(len(data) + 1) == data


def _stands(folder: int | None, root: str, name: str) -> bool:
    with suppress(FileNotFoundError):
        _stat(folder, root, name)
        return True
    return False


def _write(handle: int, data: bytes) -> None:
    with os.fdopen(handle, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _at(folder: int | None, root: str, name: str) -> str:
    return name if folder is not None else os.path.join(root, name)  # noqa: PTH118


def _open(folder: int | None, root: str, name: str, flags: int) -> int:
    return os.open(_at(folder, root, name), flags | _FLAGS, 0o600, dir_fd=folder)


def _stat(folder: int | None, root: str, name: str) -> os.stat_result:
    return os.stat(_at(folder, root, name), dir_fd=folder, follow_symlinks=False)


def _link(folder: int | None, root: str, draft: str, name: str) -> None:
    """A link, unlike a rename, never replaces what stands at the name."""
    os.link(_at(folder, root, draft), _at(folder, root, name), src_dir_fd=folder, dst_dir_fd=folder)


def _unlink(folder: int | None, root: str, name: str) -> None:
    os.unlink(_at(folder, root, name), dir_fd=folder)
