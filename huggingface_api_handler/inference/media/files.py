"""Read and write files of one folder, so that no link, device or race leads out of it.

A path is resolved first. Then it is opened part by part, relative to open folders, without following links. A part
that was replaced by a link after it was resolved is refused, so there is no race to win (time of check to time of use).
"""

from __future__ import annotations

import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from ...errors import MediaError

_HAS_DIR_FD = {os.open, os.stat, os.link, os.unlink} <= os.supports_dir_fd
_OPEN_FLAGS = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0)
_OPEN_FLAGS |= getattr(os, "O_NOCTTY", 0) | getattr(os, "O_BINARY", 0)
_PART_SUFFIX_BYTES = 8  # of randomness in the name of a file that is being written: two writers never share one
_OUTSIDE_MESSAGE = (
    "the cell names a file outside media_dir, or none. Put the file into media_dir and name it from there"
)


def read_file(cell: str, media_dir: Path, max_bytes: int) -> bytes:
    """Read the regular file that a cell names.

    Args:
        cell: A path relative to ``media_dir``, or an absolute path under it.
        media_dir: The folder whose files may be read.
        max_bytes: The maximum size of the file in bytes.

    Returns:
        The content of the file.

    Raises:
        MediaError: The file cannot be read, is empty, too large or no regular file, or lies outside. The text is the
            same for every path outside, whether a file exists there or not.
    """
    outside = MediaError(_OUTSIDE_MESSAGE)
    root = os.path.realpath(media_dir)
    try:
        lexical_path = os.path.normpath(os.path.join(root, cell))  # noqa: PTH118 - Path normalizes differently
        lexical_root = os.path.normpath(os.path.abspath(media_dir))  # noqa: PTH100
        # The text of the path is checked before the disk is: a look outside could trigger an automount.
        if not (_is_under(lexical_path, root) or _is_under(lexical_path, lexical_root)):
            raise outside
        path = os.path.realpath(lexical_path)
        if not _is_under(path, root):
            raise outside
        with _open_below(root, os.path.relpath(path, root)) as handle:
            return _read_handle(handle, max_bytes)
    except (ValueError, FileNotFoundError, NotADirectoryError) as error:
        raise (error if isinstance(error, MediaError) else outside) from None
    except OSError as error:
        raise MediaError(f"the cell's file cannot be read ({error.strerror or type(error).__name__})") from None


def write_file(data: bytes, name: str, output_dir: Path) -> str:
    """Write a new file. An existing file is never overwritten.

    Args:
        data: The content.
        name: The name of the file, without a folder.
        output_dir: The folder to write to, which must exist.

    Returns:
        The path of the file. It may have existed before, with the same content.

    Raises:
        OSError: The folder or the file cannot be written.
        MediaError: A file of that name with other content exists.
    """
    root = os.path.realpath(output_dir)
    with _open_folder(root) as folder:
        if not _exists(folder, root, name):
            part_name = f".{name}.{secrets.token_hex(_PART_SUFFIX_BYTES)}.part"
            try:
                _write(_open(folder, root, part_name, os.O_WRONLY | os.O_CREAT | os.O_EXCL), data)
                with suppress(FileExistsError):  # another query wrote it in the meantime
                    _link(folder, root, part_name, name)
            finally:
                with suppress(FileNotFoundError):
                    _unlink(folder, root, part_name)
        if not _has_content(folder, root, name, data):
            raise MediaError(f"{Path(root) / name} stands where the answer belongs, with other content. Move it away")
    return str(Path(root) / name)


def _is_under(path: str, root: str) -> bool:
    return path != root and path.startswith(root.rstrip(os.sep) + os.sep)


@contextmanager
def _open_folder(path: str) -> Iterator[int | None]:
    """A handle of the folder, or None on a system that cannot open files relative to one."""
    if not _HAS_DIR_FD:
        if not Path(path).is_dir():
            raise NotADirectoryError(path)
        yield None
        return
    handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY | _OPEN_FLAGS)
    try:
        yield handle
    finally:
        os.close(handle)


@contextmanager
def _open_below(root: str, relative: str) -> Iterator[int]:
    """A handle of the regular file at ``relative`` below ``root``, opened without following links."""
    *folders, name = Path(relative).parts
    with _open_folder(root) as root_folder:
        open_handles, folder = [], root_folder
        try:
            for part in folders:
                if folder is None:
                    root = os.path.join(root, part)  # noqa: PTH118
                    continue
                folder = os.open(part, os.O_RDONLY | os.O_DIRECTORY | _OPEN_FLAGS, dir_fd=folder)
                open_handles.append(folder)
            # The type is checked before the file is opened, since opening a device or a pipe can have effects.
            expected = _stat(folder, root, name)
            if not stat.S_ISREG(expected.st_mode):
                raise MediaError("the cell names something that is not a regular file")
            handle = _open(folder, root, name, os.O_RDONLY)
            open_handles.append(handle)
            if not os.path.samestat(expected, os.fstat(handle)):
                raise MediaError(_OUTSIDE_MESSAGE)
            yield handle
        finally:
            for handle in open_handles:
                os.close(handle)


def _read_handle(handle: int, max_bytes: int) -> bytes:
    status = os.fstat(handle)
    if not stat.S_ISREG(status.st_mode):
        raise MediaError("the cell names something that is not a regular file")
    if status.st_size == 0:  # also the files of /proc, whose content is made when they are read
        raise MediaError("the cell's file is empty (0 bytes)")
    if status.st_size > max_bytes:
        raise MediaError(f"the cell's file is larger than {max_bytes:,} bytes")
    with os.fdopen(handle, "rb", closefd=False) as file:
        data = file.read(max_bytes + 1)
    if len(data) > max_bytes:
        raise MediaError(f"the cell's file is larger than {max_bytes:,} bytes")
    return data


def _has_content(folder: int | None, root: str, name: str, data: bytes) -> bool:
    if not stat.S_ISREG(_stat(folder, root, name).st_mode):
        return False
    with os.fdopen(_open(folder, root, name, os.O_RDONLY), "rb") as file:
        return stat.S_ISREG(os.fstat(file.fileno()).st_mode) and file.read(len(data) + 1) == data


def _exists(folder: int | None, root: str, name: str) -> bool:
    with suppress(FileNotFoundError):
        _stat(folder, root, name)
        return True
    return False


def _write(handle: int, data: bytes) -> None:
    with os.fdopen(handle, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _path_at(folder: int | None, root: str, name: str) -> str:
    return name if folder is not None else os.path.join(root, name)  # noqa: PTH118


def _open(folder: int | None, root: str, name: str, flags: int) -> int:
    return os.open(_path_at(folder, root, name), flags | _OPEN_FLAGS, 0o600, dir_fd=folder)


def _stat(folder: int | None, root: str, name: str) -> os.stat_result:
    return os.stat(_path_at(folder, root, name), dir_fd=folder, follow_symlinks=False)


def _link(folder: int | None, root: str, part_name: str, name: str) -> None:
    """A link, unlike a rename, never replaces an existing file."""
    os.link(_path_at(folder, root, part_name), _path_at(folder, root, name), src_dir_fd=folder, dst_dir_fd=folder)


def _unlink(folder: int | None, root: str, name: str) -> None:
    os.unlink(_path_at(folder, root, name), dir_fd=folder)
