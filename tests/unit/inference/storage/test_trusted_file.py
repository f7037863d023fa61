"""A store that others may have written to is not used: the query is answered, and a warning says what to do."""

from __future__ import annotations

import grp
import os
import pwd
import sqlite3
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from huggingface_api_handler.inference.storage.open_stores import close_stores
from huggingface_api_handler.inference.storage.sqlite import open_store
from tests.conftest import Service
from tests.unit.inference.storage.test_sqlite import ask, warnings

NOBODY = 65534
AS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="only root may give a file to another user")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "above" / "store"
    made.mkdir(parents=True)
    return made


def given_away(path: Path) -> None:
    os.chown(path, NOBODY, -1)


def link(path: Path) -> None:
    target = path.rename(path.with_name("elsewhere"))
    path.symlink_to(target)


def planted(path: Path) -> None:
    path.write_bytes(b"pages of somebody")
    path.chmod(0o666)


def replaced_by_fifo(path: Path) -> None:
    path.unlink()
    os.mkfifo(path, 0o600)


def journal_of_another_user(folder: Path) -> None:
    (folder / f"{FILE}-journal").touch(0o600)
    given_away(folder / f"{FILE}-journal")


FILE = "answers.sqlite"
UNTRUSTED: dict[str, tuple[Callable[[Path], object], str]] = {
    "others may write to the file": (lambda f: (f / FILE).chmod(0o666), "chmod 600"),
    "others may read the file": (lambda f: (f / FILE).chmod(0o644), "chmod 600"),
    "the file is a link": (lambda f: link(f / FILE), "is a link"),
    "the file has two names": (lambda f: (f.parent / "copy").hardlink_to(f / FILE), "has 2 names"),
    "the file is a FIFO": (lambda f: replaced_by_fifo(f / FILE), "no regular file"),
    "all may write to the folder": (lambda f: f.chmod(0o777), "chmod 700"),
    "all may write to the folder and remove what is theirs": (lambda f: f.chmod(0o1777), "chmod 700"),
    "all may write to a folder above": (lambda f: f.parent.chmod(0o777), "chmod o-w"),
    "the journal is planted": (lambda f: planted(f / f"{FILE}-journal"), f"{FILE}-journal"),
    "the log is planted": (lambda f: planted(f / f"{FILE}-wal"), f"{FILE}-wal"),
    "others may read the secret": (lambda f: (f / "answers.secret").chmod(0o644), "chmod 600"),
    "the secret is a link": (lambda f: link(f / "answers.secret"), "is a link"),
}
OF_ANOTHER_USER: dict[str, Callable[[Path], object]] = {
    "file": lambda f: given_away(f / FILE),
    "folder": given_away,
    "secret": lambda f: given_away(f / "answers.secret"),
    "journal": journal_of_another_user,
}


def contents(folder: Path) -> dict[str, Any]:
    return {
        path.name: (path.lstat().st_mode, path.lstat().st_uid, path.read_bytes() if path.is_file() else None)
        for path in folder.iterdir()
    }


def refused(folder: Path, service: Service, caplog: pytest.LogCaptureFixture, words: str) -> None:
    """The store is neither used nor touched, and that is said once."""
    before = contents(folder)
    assert [ask(service, folder) for _ in range(2)] == [2, 2]
    close_stores()
    assert ask(service, folder) == 2
    close_stores()
    (warning,) = warnings(caplog)
    assert "cannot be used" in warning
    assert words in warning
    assert contents(folder) == before


@pytest.mark.parametrize("how", UNTRUSTED)
def test_what_others_may_have_written_is_neither_used_nor_touched(
    how: str, folder: Path, service: Service, caplog: pytest.LogCaptureFixture
) -> None:
    assert [ask(service, folder), ask(service, folder)] == [2, 0]
    close_stores()
    change, words = UNTRUSTED[how]
    change(folder)
    refused(folder, service, caplog, words)


@AS_ROOT
@pytest.mark.parametrize("what", OF_ANOTHER_USER)
def test_what_another_user_put_there_is_neither_used_nor_touched(
    what: str, folder: Path, service: Service, caplog: pytest.LogCaptureFixture
) -> None:
    ask(service, folder)
    close_stores()
    OF_ANOTHER_USER[what](folder)
    refused(folder, service, caplog, f"another user, of uid {NOBODY}")


def test_a_folder_of_root_in_which_the_file_is_ours_is_used(
    folder: Path, service: Service, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Root may do what it likes anyway."""
    real = os.fstat

    def of_root(descriptor: int) -> os.stat_result:
        status = real(descriptor)
        return os.stat_result([*status[:4], 0, *status[5:]]) if status.st_mode & 0o040000 else status

    monkeypatch.setattr(os, "fstat", of_root)
    assert [ask(service, folder), ask(service, folder)] == [2, 0]
    assert warnings(caplog) == []


def group_of(
    monkeypatch: pytest.MonkeyPatch, *, name: str = "me", members: tuple[str, ...] = (), others: tuple[int, ...] = ()
) -> None:
    """The group of new folders, as the system describes it: with members, and the first group of other user ids."""
    me = pwd.struct_passwd(("me", "x", os.geteuid(), os.getegid(), "", "/", "/bin/sh"))
    monkeypatch.setattr(pwd, "getpwuid", lambda _: me)
    monkeypatch.setattr(pwd, "getpwall", lambda: [me, *(pwd.struct_passwd((*me[:2], uid, *me[3:])) for uid in others)])
    monkeypatch.setattr(grp, "getgrgid", lambda gid: grp.struct_group((name, "x", gid, list(members))))


@pytest.mark.parametrize("mode", [0o770, 0o775, 0o2775])
def test_a_folder_to_which_the_users_own_group_may_write_is_used(
    mode: int, folder: Path, service: Service, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    group_of(monkeypatch, members=("me",))
    os.chown(folder, -1, os.getegid())
    folder.chmod(mode)
    assert [ask(service, folder), ask(service, folder)] == [2, 0]
    assert warnings(caplog) == []


@pytest.mark.parametrize(
    "whose",
    [{"name": "staff"}, {"members": ("me", "somebody")}, {"others": (os.geteuid() + 1,)}],
    ids=["of another name", "with a member", "another user's first"],
)
def test_a_folder_to_which_another_group_may_write_is_not_used(
    whose: dict[str, Any],
    folder: Path,
    service: Service,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    group_of(monkeypatch, **whose)
    ask(service, folder)
    close_stores()
    os.chown(folder, -1, os.getegid())
    folder.chmod(0o770)
    refused(folder, service, caplog, "chmod 700")


@AS_ROOT
def test_a_folder_of_a_group_that_nobody_is_known_of_is_not_used(
    folder: Path, service: Service, caplog: pytest.LogCaptureFixture
) -> None:
    os.chown(folder, -1, NOBODY - 1)
    folder.chmod(0o770)
    refused(folder, service, caplog, "chmod 700")


def test_a_folder_whose_access_control_list_names_others_is_not_used(
    folder: Path, service: Service, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Such a list turns the group's bits into those of everybody in it."""
    group_of(monkeypatch)
    os.chown(folder, -1, os.getegid())
    try:
        os.setxattr(folder, "system.posix_acl_access", _access_control_list(os.geteuid() + 1))
    except (AttributeError, OSError):
        pytest.skip("no access control lists here")
    assert folder.stat().st_mode & 0o020
    refused(folder, service, caplog, "chmod 700")


def _access_control_list(user: int) -> bytes:
    # linux/posix_acl_xattr.h: a version, then tag, permissions and id of owner, named user, group, mask and others
    undefined = 0xFFFFFFFF
    entries = (0x01, 7, undefined), (0x02, 7, user), (0x04, 5, undefined), (0x10, 7, undefined), (0x20, 5, undefined)
    return struct.pack("<I", 2) + b"".join(struct.pack("<HHI", *entry) for entry in entries)


def test_a_link_to_a_folder_of_ours_is_followed(folder: Path, service: Service) -> None:
    (folder.parent / "other name").symlink_to(folder)
    assert [ask(service, folder.parent / "other name"), ask(service, folder)] == [2, 0]
    assert open_store(str(folder.parent / "other name")) is open_store(str(folder))


def test_a_database_behind_a_link_gets_no_table(
    folder: Path, service: Service, caplog: pytest.LogCaptureFixture
) -> None:
    victim = folder.parent / "mindsdb.sqlite3.db"
    with sqlite3.connect(victim) as database:
        database.execute("CREATE TABLE theirs(x)")
    database.close()
    victim.chmod(0o600)
    before = victim.read_bytes()
    (folder / FILE).symlink_to(victim)
    assert ask(service, folder) == 2
    close_stores()
    assert victim.read_bytes() == before
    assert len(warnings(caplog)) == 1


@pytest.mark.parametrize("leaves_the_name", [False, True])
def test_a_file_that_is_swapped_while_it_is_opened_is_not_used(
    leaves_the_name: bool,
    folder: Path,
    service: Service,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    ask(service, folder)
    close_stores()
    real, file, aside = sqlite3.connect, folder / FILE, folder / "aside"

    def swapped(address: str, **options: Any) -> sqlite3.Connection:
        file.rename(aside)
        file.write_bytes(aside.read_bytes())
        opened: sqlite3.Connection = real(address, **options)
        if leaves_the_name:  # as an attacker would, so that its device and inode are right
            file.unlink()
            aside.rename(file)
        return opened

    monkeypatch.setattr(sqlite3, "connect", swapped)
    assert ask(service, folder) == 2
    (warning,) = warnings(caplog)
    assert "replaced while it was opened" in warning
