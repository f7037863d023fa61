"""How requests leave this machine: through the proxy that the environment names, with no password but our own."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import aiohttp
import pytest

from huggingface_api_handler.inference.failures import classify_exception
from huggingface_api_handler.inference.runtime.session import default_session
from huggingface_api_handler.inference.transport import client, large_bodies

AWAY = "http://service.example/models/m"


class Proxy:
    """Answers everything itself, and keeps the head of what it was asked."""

    def __init__(self) -> None:
        self.heads: list[str] = []
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._listening.getsockname()[1]}"
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                stream, _ = self._listening.accept()
            except OSError:  # closed
                return
            with stream:
                self.heads.append(stream.recv(65536).decode().partition("\r\n\r\n")[0])
                stream.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\n[]")

    def close(self) -> None:
        self._listening.close()


@pytest.fixture
def proxy(monkeypatch: pytest.MonkeyPatch) -> Iterator[Proxy]:
    for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "no_proxy", "NO_PROXY", "NETRC"):
        monkeypatch.delenv(name, raising=False)
    client.proxy_url.cache_clear()
    server = Proxy()
    yield server
    server.close()
    client.proxy_url.cache_clear()


def status_of(url: str, headers: dict[str, str] | None = None) -> int:
    async def send() -> client.Response:
        return await default_session().http.post(url, b"{}", headers or {}, 5)

    return default_session().http.submit(send()).result().status


@pytest.mark.parametrize("scheme", ["http://", ""])
def test_requests_go_through_the_proxy_of_the_environment(
    proxy: Proxy, monkeypatch: pytest.MonkeyPatch, scheme: str
) -> None:
    monkeypatch.setenv("http_proxy", scheme + proxy.address)
    assert status_of(AWAY) == 200
    assert proxy.heads[0].startswith(f"POST {AWAY} HTTP/1.1")


def test_the_name_and_password_of_a_proxy_are_for_the_proxy(proxy: Proxy, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", f"http://me:p%40ss@{proxy.address}")
    assert status_of(AWAY, {"authorization": "Bearer hf_key"}) == 200
    lines = proxy.heads[0].lower().split("\r\n")
    assert "proxy-authorization: basic bwu6cebzcw==" in lines
    assert "authorization: bearer hf_key" in lines
    assert proxy.heads[0].lower().count("basic") == 1


@pytest.mark.usefixtures("proxy")
def test_a_proxy_that_lets_nothing_through_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://me:secret@127.0.0.1:1")
    with pytest.raises(aiohttp.ClientProxyConnectionError) as raised:
        status_of(AWAY)
    message = classify_exception(raised.value, host="service.example").message
    assert "the proxy on the way to service.example" in message
    assert "HTTPS_PROXY" in message
    assert "secret" not in message


def test_the_connection_of_an_answer_that_is_too_large_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "MAX_RESPONSE_BYTES", 10)
    received: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            stream, _ = listening.accept()
            with stream:
                stream.settimeout(5)
                stream.recv(65536)
                stream.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 11\r\n\r\n[")
                received.append(stream.recv(1))

        server = threading.Thread(target=serve)
        server.start()
        with pytest.raises(large_bodies.ResponseTooLarge) as raised:
            status_of(f"http://127.0.0.1:{listening.getsockname()[1]}/")
        server.join()
    assert received == [b""], raised


@pytest.mark.parametrize("no_proxy", ["service.example", ".example", "*", "service.example:80"])
def test_what_no_proxy_excepts_is_reached_directly(
    proxy: Proxy, monkeypatch: pytest.MonkeyPatch, no_proxy: str
) -> None:
    monkeypatch.setenv("http_proxy", f"http://{proxy.address}")
    monkeypatch.setenv("no_proxy", no_proxy)
    assert client.proxy_url("http://service.example:80/") is None
    assert client.proxy_url("http://another.test:80/") == (None if no_proxy == "*" else f"http://{proxy.address}")


def test_this_machine_is_reached_without_a_proxy(proxy: Proxy, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://me:secret@127.0.0.1:1")
    assert status_of(f"http://{proxy.address}/models/m") == 200
    assert proxy.heads[0].startswith("POST /models/m HTTP/1.1")
    assert "authorization" not in proxy.heads[0].lower()


@pytest.mark.parametrize("entry", ["machine service.example login me password secret\n", "default login me password s"])
def test_passwords_in_netrc_go_nowhere_and_stop_no_request(
    proxy: Proxy, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, entry: str
) -> None:
    (tmp_path / "netrc").write_text(entry)
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    monkeypatch.setenv("http_proxy", f"http://{proxy.address}")
    assert status_of(AWAY) == status_of(AWAY, {"authorization": "Bearer hf_key"}) == 200
    without, with_key = (head.lower() for head in proxy.heads)
    assert "authorization" not in without
    assert "authorization: bearer hf_key" in with_key


def test_the_environment_is_read_once_for_an_address(proxy: Proxy, monkeypatch: pytest.MonkeyPatch) -> None:
    """aiohttp reads it, and ``.netrc``, in a thread for each request, which costs three times as much as the request."""
    lookups: list[int] = []

    def getproxies() -> dict[str, str]:
        lookups.append(1)
        return {"http": f"http://{proxy.address}"}

    monkeypatch.setattr(client, "getproxies", getproxies)
    assert {status_of(AWAY) for _ in range(3)} == {200}
    assert len(lookups) == 1
