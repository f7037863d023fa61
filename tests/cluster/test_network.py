"""What the other tests here stand on: the redis-server that they kill, and the network that they take away."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator

import pytest

from tests.support.redis_server import RedisServer
from tests.support.tcp_proxy import TcpProxy

_TIMEOUT_S = 10.0
PING = b"*1\r\n$4\r\nPING\r\n"


@pytest.fixture
def proxy(redis_server: RedisServer) -> Iterator[TcpProxy]:
    with TcpProxy(redis_server.port) as running:
        yield running


def connect(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), timeout=_TIMEOUT_S)


def ping(connection: socket.socket) -> bytes:
    connection.sendall(PING)
    return connection.recv(100)


def hears_nothing(connection: socket.socket) -> bool:
    connection.settimeout(0.2)
    try:
        connection.recv(100)
    except TimeoutError:
        return True
    finally:
        connection.settimeout(_TIMEOUT_S)
    return False


def test_a_server_that_is_killed_comes_back_on_its_port_without_its_keys(redis_server: RedisServer) -> None:
    url = redis_server.url
    redis_server.cli("SET", "key", "value")
    redis_server.kill()
    with pytest.raises(RuntimeError, match="Could not connect"):
        redis_server.cli("PING")
    redis_server.start()
    assert redis_server.url == url
    assert redis_server.cli("GET", "key") == ""


def test_a_persistent_server_comes_back_with_its_keys() -> None:
    with RedisServer(persistent=True) as server:
        server.cli("SET", "key", "value")
        server.kill()
        server.start()
        assert server.cli("GET", "key") == "value"


def test_a_server_wants_its_password_and_speaks_tls_only() -> None:
    with RedisServer(password="not-so-secret", tls=True) as server:
        assert server.url.startswith("rediss://")
        assert "not-so-secret" not in server.url
        assert server.cli("PING") == "PONG"
        server.password = None
        with pytest.raises(RuntimeError, match="NOAUTH"):
            server.cli("GET", "key")
        with connect(server.port) as in_clear, pytest.raises(ConnectionResetError):
            ping(in_clear)


def test_a_full_server_says_so() -> None:
    with RedisServer(maxmemory="1mb") as server, pytest.raises(RuntimeError, match="OOM"):
        server.cli("SET", "key", "x" * 100_000)


def test_the_proxy_forwards_and_adds_its_latency_to_each_direction(proxy: TcpProxy) -> None:
    with connect(proxy.port) as connection:
        assert ping(connection) == b"+PONG\r\n"
        proxy.delay(0.1)
        started = time.monotonic()
        assert ping(connection) == b"+PONG\r\n"
        assert time.monotonic() - started >= 0.2
    assert proxy.accepted == 1


def test_what_was_stalled_arrives_once_the_proxy_forwards_again(proxy: TcpProxy) -> None:
    with connect(proxy.port) as connection:
        proxy.stall()
        connection.sendall(PING)
        assert hears_nothing(connection)
        proxy.forward()
        assert connection.recv(100) == b"+PONG\r\n"


def test_a_connection_that_lost_bytes_stays_open_and_silent(proxy: TcpProxy) -> None:
    with connect(proxy.port) as connection, connect(proxy.port) as idle:
        assert ping(idle) == b"+PONG\r\n"
        proxy.drop()
        connection.sendall(PING)
        assert hears_nothing(connection)
        proxy.forward()
        connection.sendall(PING)
        assert hears_nothing(connection)
        assert ping(idle) == b"+PONG\r\n", "it lost nothing"
        with connect(proxy.port) as later:
            assert ping(later) == b"+PONG\r\n"


def test_connections_are_cut_and_refused(proxy: TcpProxy) -> None:
    with connect(proxy.port) as connection:
        assert ping(connection) == b"+PONG\r\n"
        proxy.cut()
        with pytest.raises(ConnectionResetError):
            connection.recv(100)
    with connect(proxy.port) as connection:
        assert ping(connection) == b"+PONG\r\n"
        proxy.refuse()
        with pytest.raises(ConnectionResetError):
            connection.recv(100)
    with pytest.raises(ConnectionRefusedError):
        connect(proxy.port)
    proxy.forward()
    with connect(proxy.port) as connection:
        assert ping(connection) == b"+PONG\r\n"


def test_a_server_that_is_away_resets_the_connection(proxy: TcpProxy, redis_server: RedisServer) -> None:
    redis_server.kill()
    with connect(proxy.port) as connection, pytest.raises(ConnectionResetError):
        ping(connection)
    redis_server.start()
    with connect(proxy.port) as connection:
        assert ping(connection) == b"+PONG\r\n"
