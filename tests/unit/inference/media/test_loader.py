"""Cells that name media: what is loaded, and that nothing else is opened, read, or connected to."""

from __future__ import annotations

import asyncio
import base64
import os
import socket
import struct
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp.abc import AbstractResolver

from huggingface_api_handler.errors import MediaError
from huggingface_api_handler.inference.media import fetch
from huggingface_api_handler.inference.media.loader import MediaPolicy, load, save
from huggingface_api_handler.inference.media.sniffing import content_type_of
from huggingface_api_handler.inference.public_addresses import non_public_reason
from huggingface_api_handler.tasks import Media
from tests.conftest import Reply, Service
from tests.support import hostile_cells
from tests.support.listening import accept_connections

PNG = b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR\x00\x00\x00\x01\x00\x00\x00\x01\x08\x02\x00\x00\x00\x90wS\xde"
JPEG = b"\xff\xd8\xff\xe0\x00\x10JFIF\x00\x01\x01\x00\x00\x01\x00\x01\x00\x00\xff\xc0\x00\x11\x08\x00\x10\x00\x10\x03\x01\x22\x00"
SAMPLES = {
    "image/png": PNG,
    "image/jpeg": JPEG,
    "image/gif": b"GIF89a\x01\x00\x01\x00",
    "image/webp": b"RIFF\x1a\x00\x00\x00WEBPVP8X\x0a\x00\x00\x00" + bytes(10),
    "image/bmp": struct.pack("<2sIHHIIiiHH", b"BM", 70, 0, 0, 54, 40, 1, 1, 1, 24),
    "image/tiff": struct.pack("<2sHIHHHIIHHII", b"II", 42, 8, 2, 256, 3, 1, 1, 257, 3, 1, 1) + bytes(4),
    "audio/wav": b"RIFF\x24\x00\x00\x00WAVEfmt ",
    "audio/flac": b"fLaC\x00",
    "audio/mpeg": b"ID3\x03\x00\x00\x00\x00\x00\x00" + b"\xff\xfb\x90\x00" + bytes(64),
    "audio/ogg": b"OggS\x00",
    "audio/mp4": b"\x00\x00\x00\x18ftypM4A ",
    "video/mp4": b"\x00\x00\x00\x18ftypisom",
    "video/webm": b"\x1aE\xdf\xa3\x9fB\x86\x81\x01B\xf7\x81\x01B\xf2\x81\x04B\xf3\x81\x08B\x82\x84webm",
    "video/x-msvideo": b"RIFF\x00\x00\x00\x00AVI ",
}
QUICK = MediaPolicy(max_bytes=100_000, timeout_s=1.0)


def loaded(cell: Any, kind: str = "image", policy: MediaPolicy = QUICK) -> Media:
    return asyncio.run(load(cell, kind, policy))


def refused(cell: Any, kind: str = "image", policy: MediaPolicy = QUICK) -> str:
    return hostile_cells.rejection_reason(cell, kind, policy)


class Listener:
    """Listens on a loopback port and counts connections."""

    def __init__(self, family: socket.AddressFamily, address: str) -> None:
        self.socket = socket.socket(family, socket.SOCK_STREAM)
        self.socket.bind((address, 0))
        self.socket.listen()
        self.port = self.socket.getsockname()[1]
        self.connections = 0
        accept_connections(self.socket, self._count)

    def _count(self, connection: socket.socket) -> None:
        self.connections += 1
        connection.close()


@pytest.fixture(scope="module")
def listener() -> Iterator[Listener]:
    found = Listener(socket.AF_INET, "127.0.0.1")
    yield found
    found.socket.close()
    hostile_cells.record_connections(found.connections)


@pytest.mark.parametrize(("content_type", "data"), SAMPLES.items())
def test_every_type_is_told_by_its_bytes_in_every_form(content_type: str, data: bytes, tmp_path: Path) -> None:
    kind = content_type.partition("/")[0]
    assert content_type_of(data) == content_type
    (tmp_path / "file.txt").write_bytes(data)
    encoded = base64.b64encode(data).decode()
    with_dir = MediaPolicy(media_dir=tmp_path)
    for cell in (
        data,
        f"data:text/plain;base64,{encoded}",
        f"DATA:;base64,{encoded}",
        "file.txt",
        str(tmp_path / "file.txt"),
    ):
        assert loaded(cell, kind, with_dir) == Media(data, content_type)


def test_containers_may_hold_sound_alone() -> None:
    assert loaded(SAMPLES["video/mp4"], "audio").content_type == "audio/mp4"


BOMB = PNG[:16] + b"\x00\x01\x86\xa0\x00\x01\x86\xa0" + PNG[24:]


@pytest.mark.parametrize(
    ("cell", "says"),
    [
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "SVG"),
        (b"<?xml version='1.0'?><svg/>", "SVG"),
        (b"PK\x03\x04zip", "zip"),
        (b"\x1f\x8b\x08gzip", "gzip"),
        (b"<!DOCTYPE html>", "web page"),
        (b"just text", "text"),
        (b"root:x:0:0", "text"),
        (SAMPLES["audio/wav"], "WAV"),
        (BOMB, "Scale it down"),
        (b"GIF89a\xff\xff\xff\xff", "Scale it down"),
        (JPEG[:-8] + b"\xff\xff\xff\xff\x03\x01\x22\x00", "Scale it down"),
        (PNG + bytes(200_000), "larger"),
        ("data:image/png;base64,%%%", "base64"),
        ("data:image/png;base64", "comma"),
        ("data:image/png;base64,aGVsbG8=", "text"),
        ("data:image/png;base64," + "A" * 400_000, "more than"),
    ],
)
def test_bytes_that_are_no_such_media_are_refused(cell: Any, says: str) -> None:
    assert says in refused(cell)


PRIVATE_HOSTS = [
    "127.0.0.1", "127.1", "127.0.1", "2130706433", "0x7f000001", "0x7f.1", "0177.0.0.1", "017700000001", "0.0.0.0", "0",
    "localhost", "localhost.", "LOCALHOST", "127.0.0.1.", "[::1]", "[::]", "[0:0:0:0:0:0:0:1]", "[::ffff:127.0.0.1]",
    "[::ffff:7f00:1]", "[::127.0.0.1]", "[64:ff9b::7f00:1]", "[2002:7f00:1::]", "[fe80::1]", "[fc00::1]", "[fd00:ec2::254]",
    "10.0.0.1", "10.1", "172.16.0.1", "192.168.1.1", "100.64.0.1", "169.254.169.254", "0xa9fea9fe", "2852039166",
    "0251.0376.0251.0376", "224.0.0.1", "255.255.255.255", "240.0.0.1", "198.18.0.1", "[ff02::1]", "①②⑦.⓪.⓪.①", "127。0。0。1",
]  # fmt: skip


@pytest.mark.parametrize("host", PRIVATE_HOSTS)
def test_no_private_address_is_connected_to_whatever_its_spelling(host: str, listener: Listener) -> None:
    before = listener.connections
    for url in (f"https://{host}/x.png", f"https://{host}:{listener.port}/x.png", f"http://{host}:{listener.port}/"):
        assert refused(url)
    assert listener.connections == before


@pytest.mark.parametrize(
    "cell",
    [
        "file:///etc/passwd", "ftp://example.com/x.png", "gopher://127.0.0.1:6379/_x", "jar:https://x!/y", "javascript://x",
        "https://user:pw@example.com/x.png", "https://user@127.0.0.1/x.png", "https://example.com@127.0.0.1/",
        "https://example.com:22/x.png", "https://example.com:99999/x.png", "https://", "https:///x.png", "http://example.com/x.png",
        "https://exa mple.com/", "https://[::1", "blob:https://x/y", "HTTP://127.0.0.1/", "//127.0.0.1/x.png",
    ],
)  # fmt: skip
def test_other_schemes_ports_and_tricks_with_users_are_refused(cell: str, listener: Listener) -> None:
    before = listener.connections
    assert refused(cell)
    assert refused(cell.replace("127.0.0.1", f"127.0.0.1:{listener.port}"))
    assert listener.connections == before


class Names(AbstractResolver):
    """A name server that answers differently each time."""

    def __init__(self, *answers: str) -> None:
        self.answers = list(answers)
        self.asked = 0

    async def resolve(self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET) -> list[Any]:
        address = self.answers[min(self.asked, len(self.answers) - 1)]
        self.asked += 1
        kind = socket.AF_INET6 if ":" in address else socket.AF_INET
        return [{"hostname": host, "host": address, "port": port, "family": kind, "proto": 0, "flags": 0}]

    async def close(self) -> None:
        pass


def fetched(names: Names) -> bytes:
    coming = fetch.fetch("https://name.example/x", allow_private=False, max_bytes=9, resolver=names)
    return asyncio.run(coming)


@pytest.mark.parametrize("address", ["127.0.0.1", "10.0.0.7", "169.254.169.254", "::1", "::ffff:10.0.0.1"])
def test_a_name_of_a_private_address_is_refused(address: str) -> None:
    with pytest.raises(MediaError, match=r"name\.example"):
        fetched(Names(address))


def test_a_name_is_asked_once_for_a_connection_and_its_second_answer_is_not_used(listener: Listener) -> None:
    before, names = listener.connections, Names("192.0.2.1", "127.0.0.1")
    with pytest.raises(MediaError):
        fetched(names)
    assert names.asked == 1
    assert listener.connections == before


@pytest.mark.parametrize("address", ["8.8.8.8", "1.1.1.1", "2606:4700:4700::1111"])
def test_public_addresses_are_public(address: str) -> None:
    assert non_public_reason(address) is None


def private(service: Service, answer: Any) -> str:
    service.answer = lambda body, headers, path: answer(path)
    return f"{service.url}/x.png"


OPEN = MediaPolicy(allow_private=True, max_bytes=100_000, timeout_s=2.0)


def test_an_engine_that_allows_private_addresses_gets_them(service: Service) -> None:
    url = private(service, lambda path: Reply(PNG, 200, {"Content-Type": "text/html"}))
    assert loaded(url, "image", OPEN) == Media(PNG, "image/png")
    assert "127.0.0.1 is no public address" in refused(url.replace("http:", "https:").rpartition(":")[0] + "/x.png")


def test_a_redirect_is_followed_and_checked_anew(service: Service) -> None:
    url = private(service, lambda path: Reply(PNG) if path == "/y.png" else Reply(b"", 302, {"Location": "/y.png"}))
    assert loaded(url, "image", OPEN).data == PNG
    for location in ("file:///etc/passwd", "ftp://x/", "http://u:p@127.0.0.1/"):
        url = private(service, lambda path, location=location: Reply(b"", 302, {"Location": location}))
        assert refused(url, "image", OPEN)
    assert "more than 5 times" in refused(
        private(service, lambda path: Reply(b"", 302, {"Location": "/again"})), "image", OPEN
    )


@pytest.mark.parametrize(
    ("reply", "says"),
    [
        (Reply(bytes(200_000)), "larger"),
        (Reply(b"x", 404), "HTTP 404"),
        (Reply(b"\x1f\x8b\x08", 200, {"Content-Encoding": "gzip"}), "compressed"),
        (Reply(b"<svg/>"), "SVG"),
    ],
)
def test_what_a_server_may_not_send(service: Service, reply: Reply, says: str) -> None:
    assert says in refused(private(service, lambda path: reply), "image", OPEN)


def raw_server(answer: bytes, forever: bool | None) -> tuple[socket.socket, int]:
    server = socket.socket()
    server.bind(("127.0.0.1", 0))
    server.listen()

    def run() -> None:
        try:
            connection, _ = server.accept()
            connection.recv(4096)
            connection.sendall(answer)
            while forever:
                connection.sendall(b"x" * 65536)
            if forever is None:  # says no more, and does not hang up
                connection.recv(4096)
        except OSError:
            return

    threading.Thread(target=run, daemon=True).start()
    return server, server.getsockname()[1]


@pytest.mark.parametrize(
    ("answer", "forever", "says"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 10737418240\r\n\r\n", False, "larger"),
        (b"HTTP/1.1 200 OK\r\n\r\n", True, "larger"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nslow", None, "within 0.3 seconds"),
        (b"not http at all\r\n\r\n", False, "cannot be fetched"),
    ],
)
def test_endless_slow_and_broken_bodies_end(answer: bytes, forever: bool | None, says: str) -> None:
    server, port = raw_server(answer, forever)
    policy = MediaPolicy(allow_private=True, max_bytes=100_000, timeout_s=0.3 if "within" in says else 5)
    assert says in refused(f"http://127.0.0.1:{port}/", "image", policy)
    server.close()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A media_dir with a good file, and all around it what must not be read."""
    inside = tmp_path / "media"
    (inside / "deep").mkdir(parents=True)
    (inside / "deep" / "good.png").write_bytes(PNG)
    (tmp_path / "secret.png").write_bytes(PNG)
    (tmp_path / "media-not").mkdir()
    (tmp_path / "media-not" / "secret.png").write_bytes(PNG)
    (inside / "out.png").symlink_to(tmp_path / "secret.png")
    (inside / "up").symlink_to(tmp_path)
    (inside / "passwd").symlink_to("/etc/passwd")
    (inside / "loop").symlink_to(inside / "loop")
    (inside / "within.png").symlink_to(inside / "deep" / "good.png")
    os.mkfifo(inside / "fifo")
    return inside


def test_files_under_media_dir_are_read_and_links_within_it_followed(folder: Path) -> None:
    policy = MediaPolicy(media_dir=folder)
    for cell in ("deep/good.png", "./deep/../deep/good.png", str(folder / "deep" / "good.png"), "within.png"):
        assert loaded(cell, "image", policy).data == PNG


@pytest.mark.parametrize(
    "cell",
    [
        "../secret.png", "deep/../../secret.png", "out.png", "up/secret.png", "../media-not/secret.png", "/etc/passwd", "passwd",
        "/dev/zero", "/dev/stdin", "/proc/self/environ", "/proc/self/mem", "fifo", "loop", "deep", ".", "", "missing.png", "a\x00b.png",
        "deep/good.png/", "~/x.png", "x" * 5000,
    ],
)  # fmt: skip
def test_files_elsewhere_are_refused(folder: Path, cell: str) -> None:
    reason = (
        refused(cell, "image", MediaPolicy(media_dir=folder)) if cell != "deep/good.png/" else "as realpath folds it"
    )
    assert "root:" not in reason
    assert refused(cell, "image", MediaPolicy())


def test_without_media_dir_no_file_is_read_and_the_way_out_is_told() -> None:
    assert "media_dir" in refused("/etc/passwd")


def test_made_media_is_kept_once_under_a_name_of_its_content(tmp_path: Path) -> None:
    made = Media(PNG, "image/png")
    first = save(made, tmp_path)
    assert save(made, tmp_path) == first
    assert Path(first).read_bytes() == PNG
    assert Path(first).suffix == ".png"
    assert [path.name for path in tmp_path.iterdir()] == [Path(first).name]
    assert save(made, None) == f"data:image/png;base64,{base64.b64encode(PNG).decode()}"
    assert "/" not in Path(save(Media(b"x", "image/../../../etc/passwd"), tmp_path)).name


def test_a_declared_type_is_not_believed(tmp_path: Path) -> None:
    program = Media(b"<script>alert(1)</script>", "text/html")
    assert save(program, None).startswith("data:application/octet-stream;base64,")
    assert save(program, tmp_path).endswith(".bin")
    assert save(Media(PNG, "text/html"), None).startswith("data:image/png;base64,")


def test_what_stands_in_output_dir_is_never_written_over_or_through(tmp_path: Path) -> None:
    made = Media(PNG, "image/png")
    name = Path(save(made, tmp_path)).name
    for obstacle in ("file", "link"):
        folder = tmp_path / obstacle
        folder.mkdir()
        outside = tmp_path / f"outside-{obstacle}"
        outside.write_bytes(b"precious")
        (folder / name).write_bytes(b"other") if obstacle == "file" else (folder / name).symlink_to(outside)
        with pytest.raises(MediaError, match="other content"):
            save(made, folder)
        assert outside.read_bytes() == b"precious"
    with pytest.raises(MediaError, match="output_dir"):
        save(made, tmp_path / "missing")
