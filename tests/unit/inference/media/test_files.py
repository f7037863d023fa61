"""Files that cells name under media_dir and files made in output_dir: exchanged, planted, special, growing, full."""

from __future__ import annotations

import asyncio
import os
import resource
import secrets
import socket
import threading
import unicodedata
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from huggingface_api_handler.errors import MediaError
from huggingface_api_handler.inference.media import files
from huggingface_api_handler.inference.media.loader import MediaPolicy, load, save
from huggingface_api_handler.tasks import Media
from tests.support import hostile_cells

PNG = b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR\x00\x00\x00\x01\x00\x00\x00\x01\x08\x02\x00\x00\x00\x90wS\xde"
SECRET = PNG + b"secret"
MADE = Media(PNG + b"made", "image/png")
LARGEST = 10_000


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "media" / "deep").mkdir(parents=True)
    (tmp_path / "media" / "deep" / "x.png").write_bytes(PNG)
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "x.png").write_bytes(SECRET)
    return tmp_path / "media"


def policy(folder: Path) -> MediaPolicy:
    return MediaPolicy(media_dir=folder, max_bytes=LARGEST, timeout_s=5)


def loaded(cell: str, folder: Path) -> bytes:
    return asyncio.run(load(cell, "image", policy(folder))).data


def refused(cell: str, folder: Path) -> str:
    reason = hostile_cells.rejection_reason(cell, "image", policy(folder))
    assert "secret" not in reason
    assert len(reason) < 300
    reason.encode()
    return reason


def before(monkeypatch: pytest.MonkeyPatch, name: str, act: Callable[[], None]) -> list[int]:
    """Have ``act`` happen once, just before ``files`` next calls its ``name``."""
    real, acted = getattr(files, name), list[int]()

    def acting(*given: object, **named: object) -> object:
        if not acted:
            acted.append(1)
            act()
        return real(*given, **named)

    monkeypatch.setattr(files, name, acting)
    return acted


# -- Exchanged between being looked at and being opened --


def _folder_for_link(folder: Path) -> None:
    (folder / "deep").rename(folder / "was")
    (folder / "deep").symlink_to(folder.parent / "outside")


def _file_for_link(folder: Path) -> None:
    (folder / "deep" / "x.png").unlink()
    (folder / "deep" / "x.png").symlink_to(folder.parent / "outside" / "x.png")


def _file_for_hard_link(folder: Path) -> None:
    (folder / "deep" / "x.png").unlink()
    os.link(folder.parent / "outside" / "x.png", folder / "deep" / "x.png")


def _file_for_pipe(folder: Path) -> None:
    (folder / "deep" / "x.png").unlink()
    os.mkfifo(folder / "deep" / "x.png")


def _file_for_folder(folder: Path) -> None:
    (folder / "deep" / "x.png").unlink()
    (folder / "deep" / "x.png").mkdir()


def _root_for_link(folder: Path) -> None:
    folder.rename(folder.parent / "was")
    (folder.parent / "outside" / "deep").mkdir()
    (folder.parent / "outside" / "deep" / "x.png").write_bytes(SECRET)
    folder.symlink_to(folder.parent / "outside")


@pytest.mark.parametrize(
    ("step", "exchange"),
    [
        ("_open_below", _folder_for_link), ("_stat", _file_for_link), ("_open", _file_for_link), ("_open_below", _file_for_link),
        ("_open", _file_for_hard_link), ("_open_below", _file_for_pipe), ("_open", _file_for_pipe), ("_open", _file_for_folder), ("_open_below", _root_for_link), ("_open_folder", _root_for_link),
    ],
)  # fmt: skip
def test_what_is_exchanged_between_look_and_open_is_found_out(
    folder: Path, monkeypatch: pytest.MonkeyPatch, step: str, exchange: Callable[[Path], None]
) -> None:
    assert loaded("deep/x.png", folder) == PNG
    acted = before(monkeypatch, step, lambda: exchange(folder))
    refused("deep/x.png", folder)
    assert acted


def test_a_folder_exchanged_all_the_time_never_leads_out(folder: Path) -> None:
    other, stop = folder / "other", threading.Event()
    other.symlink_to(folder.parent / "outside")

    def exchange() -> None:
        while not stop.is_set():
            for one, two in (("deep", "spare"), ("other", "deep"), ("deep", "other"), ("spare", "deep")):
                os.rename(folder / one, folder / two)

    thread = threading.Thread(target=exchange)
    thread.start()
    seen: list[bytes | None] = []
    try:
        for _ in range(1000):
            try:
                seen.append(files.read_file("deep/x.png", folder, LARGEST))
            except MediaError:
                seen.append(None)
    finally:
        stop.set()
        thread.join()
    assert SECRET not in seen
    assert PNG in seen
    assert None in seen


# -- What is no regular file, and sizes --


@pytest.mark.parametrize(
    "what", ["pipe", "socket", "device", "endless device", "terminal", "folder", "dangling", "loop"]
)
def test_special_files_are_refused_at_once(folder: Path, what: str) -> None:
    place = folder / "special.png"
    listening = socket.socket(socket.AF_UNIX)
    if what == "pipe":
        os.mkfifo(place)
    elif what == "socket":
        here = Path.cwd()
        os.chdir(folder)  # an address of a socket is short
        listening.bind("special.png")
        os.chdir(here)
    elif what == "folder":
        place.mkdir()
    else:
        targets: dict[str, str | Path] = {"device": "/dev/null", "endless device": "/dev/zero", "terminal": "/dev/tty", "dangling": folder / "none", "loop": place}  # fmt: skip
        place.symlink_to(targets[what])
    refused("special.png", folder)
    listening.close()


@pytest.mark.parametrize("device", ["/dev/zero", "/proc/kmsg", "/proc/self/environ", "/proc/self/mem", "/proc/self/fd/0", "/sys/kernel/notes"])  # fmt: skip
def test_even_in_a_media_dir_of_the_kernel_no_endless_file_is_read(device: str) -> None:
    name = os.path.basename(device)
    with pytest.raises(MediaError):
        loaded(name, Path(device).parent)


def test_a_file_may_be_as_large_as_the_limit_and_not_a_byte_larger(folder: Path) -> None:
    file = folder / "x.png"
    file.write_bytes(PNG + bytes(LARGEST - len(PNG)))
    assert len(loaded("x.png", folder)) == LARGEST
    file.write_bytes(PNG + bytes(LARGEST - len(PNG) + 1))
    assert "larger" in refused("x.png", folder)
    with file.open("wb") as sparse:
        sparse.truncate(10 * 1024**3)
    assert "larger" in refused("x.png", folder)


def test_a_file_that_grows_while_it_is_read_is_bounded(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = folder / "x.png"
    file.write_bytes(PNG)

    def grow() -> None:
        with file.open("ab") as more:
            more.truncate(10 * 1024**3)

    real = os.fdopen

    def opened(*given: object, **named: object) -> object:
        grow()  # its size was taken already
        return real(*given, **named)  # type: ignore[call-overload]

    monkeypatch.setattr(os, "fdopen", opened)
    assert "larger" in refused("x.png", folder)


# -- Names --


def test_media_dir_may_itself_be_a_link(folder: Path) -> None:
    link = folder.parent / "link"
    link.symlink_to(folder)
    for cell in ("deep/x.png", str(link / "deep" / "x.png"), str(folder / "deep" / "x.png")):
        assert loaded(cell, link) == PNG
    refused("../outside/x.png", link)
    refused(str(folder.parent / "outside" / "x.png"), link)


@pytest.mark.parametrize(
    "name",
    [
        "a\nb.png", "a\tb.png", "a'b\".png", " .png", "-rf.png", "%2e%2e.png", "a b.png", "*.png", "{{x}}.png", "$HOME.png", "a;b|c.png",
        "\u00e9.png", "e\u0301.png", "\u202egnp.exe.png", "\U0001f600.png", "\udcff.png", "n" * 251 + ".png",
    ],
)  # fmt: skip
def test_a_name_is_that_file_and_no_other(folder: Path, name: str) -> None:
    (folder / name).write_bytes(PNG + name.encode("utf-8", "surrogateescape"))
    assert loaded(name, folder) == PNG + name.encode("utf-8", "surrogateescape")
    other = unicodedata.normalize("NFD" if unicodedata.is_normalized("NFC", name) else "NFC", name)
    if other != name:
        refused(other, folder)


@pytest.mark.parametrize(
    "cell",
    [
        "a\x00b.png", "deep/x.png\x00", "\x00", "x" * 256, "x/" * 3000 + "x", "\ud800.png", "\udfff", "deep/x.png\n", "deep//..//..//outside/x.png",
        "..\u2044outside/x.png", "\uff0e\uff0e/outside/x.png", "..%2foutside%2fx.png", "%2e%2e/outside/x.png", "..\\outside\\x.png",  "deep/x.png/../../outside/x.png",
        "./../outside/x.png", "deep/../../outside/x.png", "~root/x.png", "$HOME", "C:\\Windows\\win.ini", "\\\\server\\share\\x.png", "//server/share/x.png", "file:deep/x.png", "localfile:///etc/passwd", "file:///etc/passwd", "FILE:///etc/passwd", "x:/y",
        "/dev/fd/0", "/proc/self/root/etc/passwd", "/proc/self/cwd", "/..", "/", "..", "...",
    ],
)  # fmt: skip
def test_names_that_lead_elsewhere_or_nowhere_are_refused(folder: Path, cell: str) -> None:
    assert refused(cell, folder) != ""


# -- output_dir --


def everything_below(folder: Path) -> dict[str, bytes | str | None]:
    return {
        str(path.relative_to(folder)): os.readlink(path) if path.is_symlink() else path.read_bytes() if path.is_file() else None
        for path in sorted(folder.rglob("*"))
    }  # fmt: skip


def _other_content(place: Path, elsewhere: Path) -> None:
    place.write_bytes(b"precious")


def _longer(place: Path, elsewhere: Path) -> None:
    place.write_bytes(MADE.data + b"precious")


def _cut_off(place: Path, elsewhere: Path) -> None:
    place.write_bytes(MADE.data[:-1])


def _link_out(place: Path, elsewhere: Path) -> None:
    place.symlink_to(elsewhere)


def _dangling(place: Path, elsewhere: Path) -> None:
    place.symlink_to(elsewhere.parent / "new")


def _loop(place: Path, elsewhere: Path) -> None:
    place.symlink_to(place)


def _folder(place: Path, elsewhere: Path) -> None:
    place.mkdir()


def _pipe(place: Path, elsewhere: Path) -> None:
    os.mkfifo(place)


def _link_to_same(place: Path, elsewhere: Path) -> None:
    elsewhere.write_bytes(MADE.data)
    place.symlink_to(elsewhere)


PLANTED = [_other_content, _longer, _cut_off, _link_out, _dangling, _loop, _folder, _pipe, _link_to_same]


@pytest.mark.parametrize("late", [False, True], ids=["before", "while it is written"])
@pytest.mark.parametrize("plant", PLANTED)
def test_whatever_stands_at_the_name_stays_as_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, plant: Callable[[Path, Path], None], late: bool
) -> None:
    name = Path(save(MADE, _made(tmp_path / "first"))).name
    out, elsewhere = _made(tmp_path / "out"), tmp_path / "elsewhere"
    elsewhere.write_bytes(b"precious")
    planted: list[dict[str, bytes | str | None]] = []

    def act() -> None:
        plant(out / name, elsewhere)
        planted.append(everything_below(tmp_path))

    if late:
        before(monkeypatch, "_link", act)
    else:
        act()
    with pytest.raises(MediaError, match="Move it away"):
        save(MADE, out)
    left = {place: content for place, content in planted[0].items() if not place.endswith(".part")}
    assert everything_below(tmp_path) == left


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder


def test_a_draft_is_never_written_through_a_link(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out, elsewhere = _made(tmp_path / "out"), tmp_path / "elsewhere"
    elsewhere.write_bytes(b"precious")
    monkeypatch.setattr(secrets, "token_hex", lambda _size: "guessed")
    name = Path(save(MADE, _made(tmp_path / "first"))).name
    (out / f".{name}.guessed.part").symlink_to(elsewhere)
    with pytest.raises(MediaError, match="output_dir"):
        save(MADE, out)
    assert elsewhere.read_bytes() == b"precious"


@pytest.mark.parametrize("declared", ["image/../../../x", "image/png; name=../x", "../../x", "\x00", "text/html", "image/svg+xml", "/etc/passwd"])  # fmt: skip
@pytest.mark.parametrize("data", [b"", b"<svg/>", b"#!/bin/sh", MADE.data])
def test_what_a_server_declares_has_no_say_in_the_name(tmp_path: Path, declared: str, data: bytes) -> None:
    out = _made(tmp_path / "out")
    path = Path(save(Media(data, declared), out))
    assert path.parent == out
    assert path.suffix in (".png", ".bin")
    assert everything_below(tmp_path) == {"out": None, f"out/{path.name}": data}
    assert path.stat().st_mode & 0o777 == 0o600


def test_output_dir_exchanged_while_it_is_written_is_written_to_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, elsewhere = _made(tmp_path / "out"), _made(tmp_path / "elsewhere")

    def exchange() -> None:
        out.rename(tmp_path / "was")
        out.symlink_to(elsewhere)

    before(monkeypatch, "_link", exchange)
    save(MADE, out)
    assert list(elsewhere.iterdir()) == []
    assert len(list((tmp_path / "was").iterdir())) == 1


@contextmanager
def files_of_at_most(size: int) -> Iterator[None]:
    """The kernel refuses to write more, as a full disk does."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_full_disk_is_told_and_leaves_nothing_behind(tmp_path: Path) -> None:
    large = Media(PNG + bytes(1_000_000), "image/png")
    with files_of_at_most(100_000), pytest.raises(MediaError, match="cannot be kept in output_dir"):
        save(large, tmp_path)
    assert list(tmp_path.iterdir()) == []
    assert Path(save(large, tmp_path)).read_bytes() == large.data


@pytest.mark.parametrize("place", ["/proc", "/dev/null", "/sys/kernel", "/nonexistent/folder"])
def test_a_folder_that_takes_no_file_is_told(place: str) -> None:
    with pytest.raises(MediaError, match="must be a folder that MindsDB may write to"):
        save(MADE, Path(place))


def test_many_at_once_keep_one_file(tmp_path: Path) -> None:
    async def run() -> set[str]:
        return set(await asyncio.gather(*(asyncio.to_thread(save, MADE, tmp_path) for _ in range(50))))

    paths = asyncio.run(run())
    assert len(paths) == 1
    assert [str(path) for path in tmp_path.iterdir()] == list(paths)
