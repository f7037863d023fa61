"""URLs in cells, over real connections: TLS, names, redirects and bodies that never end.

One loopback address, ``PUBLIC``, counts as public here, and the port of the server that listens there as 443. All else
is as in production: the name server is asked through the socket module, TLS is TLS, and 127.0.0.1 and ::1, where a
listener counts connections, are refused.
"""

from __future__ import annotations

import asyncio
import datetime
import gzip
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest
import trustme

from huggingface_api_handler.errors import MediaError
from huggingface_api_handler.inference import public_addresses
from huggingface_api_handler.inference.media import fetch, loader, ssrf
from huggingface_api_handler.inference.media.loader import MediaPolicy, load
from tests.support import hostile_cells
from tests.support.listening import accept_connections

PUBLIC, PRIVATE = "127.0.0.9", "127.0.0.1"
PNG = b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR\x00\x00\x00\x01\x00\x00\x00\x01\x08\x02\x00\x00\x00\x90wS\xde"
FOUND = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(PNG), PNG)
QUICK = MediaPolicy(max_bytes=100_000, timeout_s=5.0)
SHORT = 0.3

Answer = Callable[[Any, str], None]


class Server:
    """Counts connections to an address and port, and gives each, once it has asked, to ``answer(stream, path)``."""

    def __init__(self, family: socket.AddressFamily, address: str, port: int = 0) -> None:
        self.answer: Answer = lambda stream, path: stream.sendall(FOUND)
        self.tls: ssl.SSLContext | None = None
        self.connections = 0
        self.asked: list[str] = []
        self.names: list[str | None] = []
        self._listening = socket.socket(family, socket.SOCK_STREAM)
        self._listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._listening.bind((address, port))
        self._listening.listen()
        self.port: int = self._listening.getsockname()[1]
        self._thread = accept_connections(self._listening, self._on_connection)

    def _on_connection(self, stream: socket.socket) -> None:
        self.connections += 1
        threading.Thread(target=self._serve, args=(stream,), daemon=True).start()

    def _serve(self, stream: Any) -> None:
        stream.settimeout(10)
        try:
            if self.tls is not None:
                stream = self.tls.wrap_socket(stream, server_side=True)
            head = b""
            while b"\r\n\r\n" not in head:
                head += stream.recv(4096) or b"\r\n\r\n"
            self.asked.append(head.decode("latin-1"))
            self.answer(stream, head.split(b" ")[1].decode("latin-1"))
        except OSError:
            pass
        finally:
            stream.close()

    def close(self) -> None:
        self._listening.shutdown(socket.SHUT_RDWR)  # a close alone leaves the port to the thread that accepts
        self._thread.join(5)
        self._listening.close()


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="module")
def private() -> Iterator[list[Server]]:
    """Listeners at addresses that no cell may reach."""
    listeners = [Server(socket.AF_INET, PRIVATE)]
    listeners.append(Server(socket.AF_INET6, "::1", listeners[0].port))
    yield listeners
    for listener in listeners:
        listener.close()
        hostile_cells.record_connections(listener.connections)


@pytest.fixture
def public(authority: trustme.CA, private: list[Server], monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """An HTTPS server of the public internet, at the same port as the private ones."""
    server = Server(socket.AF_INET, PUBLIC, private[0].port)
    server.tls = context_for(authority, "good.example", server)
    trusting = ssl.create_default_context()
    authority.configure_trust(trusting)
    real = public_addresses.non_public_reason

    def non_public_reason(address: str) -> str | None:
        return None if address == PUBLIC else real(address)

    monkeypatch.setattr(ssrf, "non_public_reason", non_public_reason)
    monkeypatch.setattr(public_addresses, "non_public_reason", non_public_reason)
    monkeypatch.setattr(fetch, "tls_context", lambda: trusting)
    monkeypatch.setitem(ssrf.ALLOWED_PORTS, "https", frozenset({443, server.port}))
    yield server
    server.close()


def context_for(authority: trustme.CA, name: str, server: Server | None = None) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(name).configure_cert(context)
    if server is not None:
        context.sni_callback = lambda _socket, asked, _context: server.names.append(asked)
    return context


class Names:
    """The machine's name server: for each name the answers to one look-up after another, the last of them for ever."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.answers: dict[str, list[list[str]]] = {"good.example": [[PUBLIC]]}
        self.asked: list[str] = []
        monkeypatch.setattr(socket, "getaddrinfo", self._resolve)

    def _resolve(self, host: str, port: int, *_: Any, **__: Any) -> list[Any]:
        self.asked.append(host)
        answers = self.answers.get(host)
        if not answers:
            raise socket.gaierror("no such name")
        addresses = answers.pop(0) if len(answers) > 1 else answers[0]
        return [
            (socket.AF_INET6, socket.SOCK_STREAM, 6, "", (address, port, 0, 0))
            if ":" in address
            else (socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))
            for address in addresses
        ]


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> Names:
    return Names(monkeypatch)


def loaded(cell: str, policy: MediaPolicy = QUICK) -> bytes:
    return asyncio.run(load(cell, "image", policy)).data


def refused(cell: str, policy: MediaPolicy = QUICK) -> str:
    reason = hostile_cells.rejection_reason(cell, "image", policy)
    assert len(reason) < 400
    return reason


def untouched(private: list[Server]) -> Callable[[], bool]:
    before = [listener.connections for listener in private]
    return lambda: [listener.connections for listener in private] == before


def redirect(location: str, status: int = 302) -> Answer:
    head = f"HTTP/1.1 {status} Found\r\nLocation: {location}\r\nContent-Length: 0\r\nSet-Cookie: id=1\r\n\r\n"
    return lambda stream, path: stream.sendall(head.encode("utf-8"))


# -- TLS and names --


def test_the_certificate_of_the_name_is_checked_and_the_judged_address_connected_to(
    public: Server, names: Names
) -> None:
    assert loaded(f"https://good.example:{public.port}/x.png?a=b") == PNG
    assert public.names == ["good.example"]
    assert names.asked == ["good.example"]
    assert public.asked[0].startswith("GET /x.png?a=b HTTP/1.1\r\n")
    assert f"Host: good.example:{public.port}\r\n" in public.asked[0]


def test_the_tls_context_of_production_checks_names_and_certificates() -> None:
    assert fetch.tls_context().check_hostname
    assert fetch.tls_context().verify_mode is ssl.CERT_REQUIRED


@pytest.mark.parametrize("flaw", ["another name", "another authority", "expired", "an address"])
def test_no_request_goes_to_a_server_that_cannot_prove_its_name(
    public: Server, names: Names, authority: trustme.CA, flaw: str
) -> None:
    if flaw == "another authority":
        public.tls = context_for(trustme.CA(), "good.example")
    elif flaw == "expired":
        past = datetime.datetime(2020, 1, 1, tzinfo=datetime.timezone.utc)
        public.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert(
            "good.example", not_before=past, not_after=past + datetime.timedelta(days=1)
        ).configure_cert(public.tls)
    else:
        public.tls = context_for(authority, "other.example" if flaw == "another name" else PUBLIC)
    reason = refused(f"https://good.example:{public.port}/secret-path?sig=secret")
    assert "good.example" in reason
    assert "secret" not in reason
    assert not any("GET" in head for head in public.asked)


def test_a_name_that_resolves_elsewhere_the_second_time_is_judged_the_second_time(
    public: Server, private: list[Server], names: Names
) -> None:
    alone = untouched(private)
    names.answers["turns.example"] = [[PUBLIC], [PRIVATE]]
    public.tls = context_for(trustme.CA(), "turns.example")
    public.answer = redirect("/again")
    refused(f"https://turns.example:{public.port}/")  # its first look-up is the one that was connected to
    assert names.asked == ["turns.example"]
    assert public.connections == 1
    assert "loopback" in refused(f"https://turns.example:{public.port}/")
    assert names.asked == ["turns.example"] * 2
    assert alone()


def test_a_redirect_looks_the_name_up_and_judges_it_anew(
    public: Server, private: list[Server], names: Names, authority: trustme.CA
) -> None:
    alone = untouched(private)
    names.answers["good.example"] = [[PUBLIC], [PRIVATE]]
    public.answer = redirect("/again")
    assert "loopback" in refused(f"https://good.example:{public.port}/")
    assert (public.connections, len(names.asked)) == (1, 2)
    assert alone()


@pytest.mark.parametrize(
    "addresses",
    [[PUBLIC, PRIVATE], [PRIVATE, PUBLIC], [PUBLIC, "::1"], ["::1"], [PRIVATE], ["10.0.0.1"], ["169.254.169.254"], ["0.0.0.0"], ["::"],
     ["::ffff:127.0.0.1"], ["64:ff9b::7f00:1"], ["2002:7f00:1::"], ["fe80::1"], ["fd00:ec2::254"], ["168.63.129.16"], ["100.100.100.200"]],
    ids=" ".join,
)  # fmt: skip
def test_a_name_of_which_any_address_is_private_is_connected_to_nowhere(
    public: Server, private: list[Server], names: Names, addresses: list[str]
) -> None:
    alone = untouched(private)
    names.answers["mixed.example"] = [addresses]
    assert "mixed.example leads to no public address" in refused(f"https://mixed.example:{public.port}/x.png")
    assert public.connections == 0
    assert alone()


HOSTS = [
    "127.0.0.1", "127.1", "127.0.1", "2130706433", "0x7f000001", "0x7F.0.0.1", "0x7f.1", "0177.0.0.1", "0177.1", "017700000001",
    "127.0.0.1.", "00127.0.0.1", "127.0.0.01", "0", "0.0.0.0", "[::1]", "[::]", "[0:0:0:0:0:0:0:1]", "[::ffff:127.0.0.1]",
    "[::ffff:7f00:1]", "[::127.0.0.1]", "[64:ff9b::127.0.0.1]", "[::1%lo]", "[::1%25lo]", "localhost", "localhost.", "LocalHost",
    "①②⑦.⓪.⓪.①", "127。0。0。1", "127．0．0．1", "ⓛocalhost", "loc\u00adalhost", "good.example@127.0.0.1", "good.example:443@127.0.0.1", "good.example%40127.0.0.1",
    "127.0.0.1\\@good.example", "127.0.0.1#@good.example", "127.0.0.1?@good.example", "good.example\\.127.0.0.1", "127.0.0.1%00.good.example",
    "127.0.0.1 good.example", "good.example\t@127.0.0.1", "good.example\r\nHost: 127.0.0.1",
]  # fmt: skip


@pytest.mark.parametrize("redirected", [False, True], ids=["in the cell", "in a redirect"])
@pytest.mark.parametrize("host", HOSTS)
def test_no_spelling_of_a_private_host_is_connected_to(
    public: Server, private: list[Server], monkeypatch: pytest.MonkeyPatch, host: str, redirected: bool
) -> None:
    real = socket.getaddrinfo  # which takes most of these for loopback

    def resolve(name: str, port: int, *more: Any, **named: Any) -> Any:
        return real(PUBLIC if name == "good.example" else name, port, *more, **named)

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    alone = untouched(private)
    for scheme in ("https", "http"):
        for port in (f":{public.port}", ""):
            url = f"{scheme}://{host}{port}/x.png"
            if redirected:
                public.answer = redirect(url.replace("\r\n", "").replace("\t", ""))
            assert refused(f"https://good.example:{public.port}/" if redirected else url)
    assert alone()


@pytest.mark.parametrize(
    "url",
    ["http://good.example/", "HTTP://good.example:80/", "https://good.example:22/", "https://me:pw@good.example/", "https://@good.example/",
     "ftp://good.example/", "https:good.example", "https:/good.example/"],
)  # fmt: skip
def test_a_url_that_is_not_fetched_is_not_looked_up_either(public: Server, names: Names, url: str) -> None:
    refused(url)
    assert names.asked == []
    assert public.connections == 0


# -- Redirects --


@pytest.mark.parametrize(
    "location",
    [
        "file:///etc/passwd", "data:image/png;base64,AAAA", "ftp://good.example/x", "gopher://127.0.0.1:70/_x", "javascript:alert(1)",
        "blob:https://good.example/x", "//127.0.0.1/x.png", "http://good.example/",
        "https://good.example:22/", "https://good.example:0/", "https://good.example:65536/", "https://user:pw@good.example/", "https://@good.example/", "https://nowhere.example/", "", "https://[::1", "unix:///run/docker.sock",
    ],
)  # fmt: skip
def test_redirects_to_other_schemes_hosts_and_ports_are_not_followed(
    public: Server, private: list[Server], names: Names, location: str
) -> None:
    alone = untouched(private)
    public.answer = redirect(location.replace("127.0.0.1/", f"127.0.0.1:{public.port}/"))
    assert "redirects" in refused(f"https://good.example:{public.port}/") or "nowhere" in location
    assert public.connections == 1
    assert alone()


@pytest.mark.parametrize(
    "location",
    ["https://", "https:///x.png", "///127.0.0.1/x.png", "\\\\127.0.0.1\\x", "/\\127.0.0.1/x", "?", "#", ";"],
)
def test_redirects_that_name_no_host_stay_at_theirs(
    public: Server, private: list[Server], names: Names, location: str
) -> None:
    alone = untouched(private)
    public.answer = redirect(location)
    assert "redirects more than 5 times" in refused(f"https://good.example:{public.port}/")
    assert set(names.asked) == {"good.example"}
    assert alone()


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirects_end_and_carry_nothing_along(public: Server, names: Names, status: int) -> None:
    public.answer = redirect("/loop", status)
    assert "redirects more than 5 times" in refused(f"https://good.example:{public.port}/loop?key=1")
    assert public.connections == 1 + fetch.MAX_REDIRECTS
    assert "".join(public.asked).count("key=1") == 1
    for head in public.asked:
        assert not {"cookie:", "referer:", "authorization:"} & set(head.lower().split())


def test_a_redirect_within_the_public_internet_is_followed(public: Server, names: Names) -> None:
    public.answer = lambda stream, path: stream.sendall(FOUND) if path == "/b?c" else redirect("b?c")(stream, path)
    assert loaded(f"https://good.example:{public.port}/a") == PNG


@pytest.mark.parametrize("variable", ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "NETRC"])
def test_no_proxy_and_no_password_of_this_machine_is_used(
    public: Server, private: list[Server], names: Names, monkeypatch: pytest.MonkeyPatch, tmp_path: Any, variable: str
) -> None:
    (tmp_path / "netrc").write_text("machine good.example login me password secret\n")
    alone = untouched(private)
    monkeypatch.setenv(variable, str(tmp_path / "netrc") if variable == "NETRC" else f"http://{PRIVATE}:{public.port}")
    assert loaded(f"https://good.example:{public.port}/") == PNG
    assert "authorization" not in public.asked[0].lower()
    assert alone()


# -- Bodies --


def drip(head: bytes) -> Answer:
    def answer(stream: Any, path: str) -> None:
        stream.sendall(head)
        while True:  # until the other side hangs up
            stream.sendall(b"x")
            time.sleep(0.01)

    return answer


def endless(head: bytes, piece: bytes) -> Answer:
    def answer(stream: Any, path: str) -> None:
        stream.sendall(head)
        while True:
            stream.sendall(piece)

    return answer


OK = b"HTTP/1.1 200 OK\r\n"


@pytest.mark.parametrize(
    "answer",
    [
        drip(OK + b"Content-Length: 90000\r\n\r\n"),
        drip(OK + b"X-Slow: "),
        drip(b"HTTP/1."),
        lambda stream, path: time.sleep(SHORT * 3),
        endless(b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
    ],
    ids=["body", "header", "status line", "nothing", "informational answers"],
)
def test_what_comes_too_slowly_ends_within_the_time_limit(public: Server, names: Names, answer: Answer) -> None:
    public.answer = answer
    started = time.monotonic()
    reason = refused(f"https://good.example:{public.port}/", MediaPolicy(max_bytes=100_000, timeout_s=SHORT))
    assert f"within {SHORT} seconds" in reason or "cannot be fetched" in reason
    assert time.monotonic() - started < 10 * SHORT


def test_redirects_share_one_time_limit(public: Server, names: Names) -> None:
    def slowly(stream: Any, path: str) -> None:
        time.sleep(SHORT * 0.6)
        redirect("/next")(stream, path)

    public.answer = slowly
    reason = refused(f"https://good.example:{public.port}/", MediaPolicy(max_bytes=100_000, timeout_s=SHORT))
    assert f"within {SHORT} seconds" in reason
    assert public.connections <= 2


def test_a_handshake_that_never_ends_is_left(public: Server, names: Names) -> None:
    public.tls, public.answer = None, lambda stream, path: time.sleep(SHORT * 3)
    assert "within" in refused(f"https://good.example:{public.port}/", MediaPolicy(timeout_s=SHORT))


@pytest.mark.parametrize("stuck", ["name server", "disk", "data: URI"])
def test_threads_that_do_not_come_back_are_left_too(monkeypatch: pytest.MonkeyPatch, tmp_path: Any, stuck: str) -> None:
    release = threading.Event()

    def never(*_: Any, **__: Any) -> Any:
        release.wait(10)
        raise OSError

    cell = {"name server": "https://slow.example/x.png", "disk": "x.png", "data: URI": "data:;base64,AAAA"}[stuck]
    monkeypatch.setattr(socket, "getaddrinfo", never)
    monkeypatch.setattr(loader, "read_file", never)
    monkeypatch.setattr(loader, "_decode_data_uri", never)

    async def run() -> str:
        with pytest.raises(MediaError) as error:
            await load(cell, "image", MediaPolicy(media_dir=tmp_path, timeout_s=SHORT))
        release.set()
        return str(error.value)

    assert f"within {SHORT} seconds" in asyncio.run(run())


TEN_GB = 10 * 1024**3
BOMB = gzip.compress(PNG + bytes(50_000_000), 9)


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (drip(OK + b"Content-Length: %d\r\n\r\n" % TEN_GB), "larger"),
        (endless(OK + b"\r\n", bytes(65536)), "larger"),
        (endless(OK + b"Transfer-Encoding: chunked\r\n\r\n", b"10000\r\n" + bytes(65536) + b"\r\n"), "larger"),
        (endless(OK, b"X-Header: " + b"x" * 60_000 + b"\r\n"), "cannot be fetched"),
        (endless(OK, b"X-Header: x\r\n"), "cannot be fetched"),
        (drip(OK + b"Content-Length: -1\r\n\r\n"), "cannot be fetched"),
        (drip(OK + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\n"), "cannot be fetched"),
        *((lambda stream, path, coding=coding: stream.sendall(OK + b"Content-Encoding: %b\r\nContent-Length: %d\r\n\r\n" % (coding, len(BOMB)) + BOMB), "though it was asked not to") for coding in (b"gzip", b"GZIP", b"gzip, gzip", b"deflate", b"br", b"zstd")),
        (lambda stream, path: stream.sendall(OK + b"Content-Length: %d\r\n\r\n" % len(BOMB) + BOMB), "gzip-compressed"),
        (lambda stream, path: stream.sendall(OK + b"Content-Length: 1000\r\n\r\n" + PNG), "cannot be fetched"),
        (lambda stream, path: stream.sendall(OK + b"Content-Length: 0\r\n\r\n"), "empty"),
        (lambda stream, path: stream.sendall(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n"), "HTTP 101"),
        (lambda stream, path: stream.sendall(b"HTTP/1.1 206 Partial Content\r\nContent-Length: 4\r\n\r\nabcd"), "HTTP 206"),
        (lambda stream, path: stream.sendall(b"SSH-2.0-OpenSSH_9.6\r\n"), "cannot be fetched"),
    ],
    ids=["declares 10 GB", "endless", "endless chunks", "endless header", "endless headers", "length below zero", "two lengths", "gzip bomb", "GZIP bomb", "gzip of gzip",
         "deflate", "br", "zstd", "undeclared gzip", "cut off", "empty", "another protocol", "a part", "no HTTP"],
)  # fmt: skip
def test_bodies_that_are_too_much_or_broken_end(public: Server, names: Names, answer: Answer, says: str) -> None:
    public.answer = answer
    assert len(BOMB) < QUICK.max_bytes
    assert says in refused(f"https://good.example:{public.port}/secret?sig=secret")


def send(response: bytes, stream: Any, path: str) -> None:
    stream.sendall(response)


def test_the_largest_size_is_taken_and_one_byte_more_is_not(public: Server, names: Names) -> None:
    for size in (QUICK.max_bytes, QUICK.max_bytes + 1):
        body = PNG + bytes(size - len(PNG))
        public.answer = partial(send, OK + b"\r\n" + body)
        if size == QUICK.max_bytes:
            assert loaded(f"https://good.example:{public.port}/") == body
        else:
            assert "larger" in refused(f"https://good.example:{public.port}/")
            with pytest.raises(MediaError, match="larger"):  # already as it comes, and not only once all is there
                asyncio.run(fetch.fetch(f"https://good.example:{public.port}/", allow_private=False, max_bytes=QUICK.max_bytes))  # fmt: skip
