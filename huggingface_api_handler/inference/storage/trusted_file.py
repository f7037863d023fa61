"""Whether a folder and the files in it are this user's alone, so that what they hold can be believed.

A file is judged by its open descriptor, not by its name: nothing can be swapped between the look and the use. SQLite
opens files by name, so the folder must be one in which nobody else can rename or create anything. What SQLite opened
is then compared with what was judged. What is left to trust: root, and whoever owns a folder above this one.
"""

from __future__ import annotations

import errno
import grp
import os
import pwd
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

_FILE_MODE = 0o600
_OTHERS = 0o077
_ACCESS_CONTROL_LIST = "system.posix_acl_access"
_READ_ONLY_ERRORS = (errno.EACCES, errno.EPERM, errno.EROFS)
_NO_WAIT = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC  # a FIFO would wait for somebody to write to it


class UntrustedFileError(Exception):
    """A file or folder is not this user's alone. The message says why and what to do."""


class FileId(NamedTuple):
    """A file by its device and inode: other names and other contents do not change it."""

    device: int
    inode: int


class TrustedFile(NamedTuple):
    """An open file that was judged.

    Attributes:
        path: Its name.
        descriptor: Its descriptor, open for the length of the block.
        id: Which file it is.
        is_writable: False where it can only be read.
    """

    path: Path
    descriptor: int
    id: FileId
    is_writable: bool


@contextmanager
def trusted_folder(path: Path) -> Iterator[int]:
    """Open a folder in which nobody else can rename or create files. Links that lead to it are followed.

    The group may write to it where that is the user's own, as ``umask 002`` makes folders.

    Args:
        path: The folder.

    Yields:
        Its descriptor, closed at the end of the block.

    Raises:
        UntrustedFileError: It belongs to somebody else, or others may write to it or to a folder above it.
        OSError: It cannot be opened.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        status = os.fstat(descriptor)
        if status.st_uid not in (os.geteuid(), 0):
            raise UntrustedFileError(
                f"its folder belongs to another user, of uid {status.st_uid}, who could replace it. "
                f"Run chown {os.geteuid()} {path}, or use a folder of your own"
            )
        if _is_writable_by_others(descriptor, status):
            raise UntrustedFileError(f"others may write to its folder, and so replace it. Run chmod 700 {path}")
        for above in path.resolve().parents:
            mode = above.stat().st_mode
            if mode & stat.S_IWOTH and not mode & stat.S_ISVTX:
                raise UntrustedFileError(f"all may write to {above}, and so replace it. Run chmod o-w {above}")
        yield descriptor
    finally:
        os.close(descriptor)


@contextmanager
def trusted_file(path: Path, folder: int, *, create: bool = False) -> Iterator[TrustedFile]:
    """Open a file that is this user's alone. It is opened for reading only where it cannot be written to.

    Args:
        path: The file.
        folder: Descriptor of its folder, see ``trusted_folder``.
        create: Whether to create it, empty, where it is missing.

    Yields:
        The open file, closed at the end of the block.

    Raises:
        UntrustedFileError: It is a link, no regular file, another user's, has other names, or others may use it.
        OSError: It cannot be opened.
    """
    is_writable = os.access(".", os.W_OK, dir_fd=folder, effective_ids=os.access in os.supports_effective_ids)
    try:
        descriptor = _open(path, folder, os.O_RDWR | (os.O_CREAT if create else 0))
    except OSError as error:
        if error.errno not in _READ_ONLY_ERRORS:
            raise
        try:
            descriptor, is_writable = _open(path, folder, os.O_RDONLY), False
        except FileNotFoundError:
            raise error from None
    try:
        status = os.fstat(descriptor)
        refuse_untrusted(path, status)
        file_id = FileId(status.st_dev, status.st_ino)
        yield TrustedFile(path, descriptor, file_id, is_writable)
    finally:
        os.close(descriptor)


def refuse_untrusted(path: Path, status: os.stat_result) -> None:
    """Refuse a file that is not this user's alone.

    Args:
        path: The file, for the error.
        status: What ``os.fstat`` or ``os.lstat`` says of it.

    Raises:
        UntrustedFileError: It is no regular file, another user's, has other names, or others may use it.
    """
    if not stat.S_ISREG(status.st_mode):
        raise UntrustedFileError(f"{path.name} is a link or no regular file. Move it away")
    if status.st_uid != os.geteuid():
        raise UntrustedFileError(f"{path.name} belongs to another user, of uid {status.st_uid}. Move it away")
    if status.st_mode & _OTHERS:
        mode = stat.S_IMODE(status.st_mode)
        raise UntrustedFileError(
            f"others may use {path.name} (mode {mode:04o}), and may have written to it. Move it away, or, where you "
            f"know what it holds, run chmod 600 {path}"
        )
    if status.st_nlink != 1:
        raise UntrustedFileError(f"{path.name} has {status.st_nlink} names, of which others may know one. Move it away")


def refuse_untrusted_beside(path: Path, folder: int, suffixes: tuple[str, ...]) -> None:
    """Refuse files beside a database that are not this user's alone: SQLite would take their pages for its own.

    Args:
        path: The database.
        folder: Descriptor of its folder.
        suffixes: What SQLite puts behind the database's name. Files that are missing count as trusted.

    Raises:
        UntrustedFileError: See ``refuse_untrusted``.
    """
    for suffix in suffixes:
        beside = path.with_name(path.name + suffix)
        try:
            status = os.stat(beside.name, dir_fd=folder, follow_symlinks=False)
        except FileNotFoundError:
            continue
        refuse_untrusted(beside, status)


def refuse_swapped(file: TrustedFile) -> None:
    """Refuse a name under which another file is by now than the one judged. Call it when SQLite has opened it.

    Args:
        file: The file that was judged.

    Raises:
        UntrustedFileError: SQLite has opened another file.
    """
    if file_id(file.path) != file.id or not _has_opened_again(file):
        raise UntrustedFileError("it was replaced while it was opened")


def file_id(path: Path) -> FileId | None:
    """Device and inode of the file under a name.

    Args:
        path: The name. A link is not followed.

    Returns:
        The file's identity, None where there is none. An open file keeps both.
    """
    try:
        status = os.lstat(path)
    except OSError:
        return None
    return FileId(status.st_dev, status.st_ino)


def _is_writable_by_others(descriptor: int, status: os.stat_result) -> bool:
    if status.st_mode & stat.S_IWOTH:
        return True
    # Where a folder has an access control list, its group's bits stand for everybody whom the list names.
    return bool(status.st_mode & stat.S_IWGRP) and (
        _has_access_control_list(descriptor) or not _is_private_group(status.st_gid)
    )


def _has_access_control_list(descriptor: int) -> bool:
    try:
        return _ACCESS_CONTROL_LIST in os.listxattr(descriptor)
    except (AttributeError, OSError):  # another system than Linux, or a file system without such lists
        return False


def _is_private_group(group_id: int) -> bool:
    """Whether a group is this user's own, as Debian and others give each user one, and has nobody else in it."""
    try:
        user, group = pwd.getpwuid(os.geteuid()), grp.getgrgid(group_id)
    except KeyError:
        return False
    # By the name too: a directory service may keep to itself whose first group this is.
    return (
        (user.pw_gid, user.pw_name) == (group_id, group.gr_name)
        and set(group.gr_mem) <= {user.pw_name}
        and all(other.pw_uid == user.pw_uid for other in pwd.getpwall() if other.pw_gid == group_id)
    )


def _open(path: Path, folder: int, flags: int) -> int:
    try:
        return os.open(path.name, flags | _NO_WAIT, _FILE_MODE, dir_fd=folder)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.EMLINK):  # EMLINK on FreeBSD
            raise UntrustedFileError(f"{path.name} is a link, which is not followed. Move it away") from None
        raise


def _has_opened_again(file: TrustedFile) -> bool:
    """Whether this process has a second descriptor of the file. True where that cannot be found out."""
    try:
        numbers = [int(descriptor.name) for descriptor in Path("/proc/self/fd").iterdir()]
    except OSError:
        return True
    for number in numbers:
        try:
            status = os.fstat(number)
        except OSError:  # the one by which the folder was listed
            continue
        if number != file.descriptor and FileId(status.st_dev, status.st_ino) == file.id:
            return True
    return False
