"""A real redis-server for a test, on a free loopback port, in a folder of its own."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import trustme

HOW_TO_INSTALL = (
    "redis-server is not installed, and what several machines share is tested against a real one. Run `apt-get install "
    "redis-server` (Debian, Ubuntu) or `brew install redis`, or `make test-cluster` as root, which installs it"
)
START_TIMEOUT_S = 20.0
STOP_TIMEOUT_S = 10.0
_COMMAND_TIMEOUT_S = 30.0
_POLL_INTERVAL_S = 0.02
_HOST = "127.0.0.1"


class RedisServer:
    """A redis-server that this process started. Use it in a ``with`` block, or call ``stop``.

    Args:
        persistent: Whether its keys survive ``kill`` and ``start``. Otherwise it is empty after each start.
        password: What clients must say first. It is not in ``url``.
        maxmemory: As redis-server reads it, such as '3mb'; None for no limit.
        policy: What it does when that is full: 'noeviction', 'allkeys-lru', ...
        tls: Whether it speaks TLS only, with a certificate of an authority of its own (``ca_file``).

    Attributes:
        port: The same for all starts.
        folder: Where its configuration, log and data are.
        ca_file: With ``tls``, the certificate that clients must trust.
    """

    def __init__(
        self,
        *,
        persistent: bool = False,
        password: str | None = None,
        maxmemory: str | None = None,
        policy: str = "noeviction",
        tls: bool = False,
    ) -> None:
        self.port = _free_port()
        self.password = password
        self._temporary = tempfile.TemporaryDirectory(prefix="redis_", ignore_cleanup_errors=True)
        self.folder = Path(self._temporary.name)
        self.ca_file = self._write_certificates() if tls else None
        lines = [f"bind {_HOST}", f"dir {self.folder}", 'save ""', "daemonize no", f"logfile {self.folder / 'log'}"]
        lines += [f"port {0 if tls else self.port}", f"appendonly {'yes' if persistent else 'no'}"]
        lines += [f"requirepass {password}"] * (password is not None)
        lines += [f"maxmemory {maxmemory}", f"maxmemory-policy {policy}"] if maxmemory else []
        if tls:
            lines += [f"tls-port {self.port}", f"tls-cert-file {self.folder / 'cert.pem'}", "tls-auth-clients no"]
            lines += [f"tls-key-file {self.folder / 'key.pem'}", f"tls-ca-cert-file {self.ca_file}"]
        (self.folder / "redis.conf").write_text("\n".join(lines) + "\n")
        self._process: subprocess.Popen[bytes] | None = None
        self.start()

    def _write_certificates(self) -> Path:
        authority = trustme.CA()
        issued = authority.issue_cert(_HOST, "localhost")
        authority.cert_pem.write_to_path(str(self.folder / "ca.pem"))
        issued.private_key_pem.write_to_path(str(self.folder / "key.pem"))
        for pem in issued.cert_chain_pems:
            pem.write_to_path(str(self.folder / "cert.pem"), append=True)
        return self.folder / "ca.pem"

    @property
    def url(self) -> str:
        """Its address, without the password."""
        return f"{'rediss' if self.ca_file else 'redis'}://{_HOST}:{self.port}/0"

    def start(self) -> None:
        """Start it, on the same port as before, and wait until it answers.

        Raises:
            FileNotFoundError: redis-server is not installed. The message says how to install it.
            RuntimeError: It did not start, with its log.
        """
        program = shutil.which("redis-server")
        if program is None or shutil.which("redis-cli") is None:
            raise FileNotFoundError(HOW_TO_INSTALL)
        self._process = subprocess.Popen(
            [program, str(self.folder / "redis.conf")], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        deadline = time.monotonic() + START_TIMEOUT_S
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.kill()
                raise RuntimeError(f"redis-server did not start: {(self.folder / 'log').read_text()[-2000:]}")
            time.sleep(_POLL_INTERVAL_S)

    def _answers(self) -> bool:
        try:
            return self.cli("PING") == "PONG"
        except RuntimeError:  # nobody listens yet, or it reads its data
            return False

    def kill(self) -> None:
        """End it with SIGKILL, as a crash does, and wait for its end."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(STOP_TIMEOUT_S)
            self._process = None

    def stop(self) -> None:
        """End it and delete its folder."""
        self.kill()
        self._temporary.cleanup()

    def cli(self, *arguments: str) -> str:
        """Run a command with redis-cli.

        Args:
            arguments: The command and its arguments, such as 'CONFIG', 'SET', 'maxmemory', '2mb'.

        Returns:
            The answer as redis-cli prints it, without the line break at its end.

        Raises:
            RuntimeError: The server cannot be reached, or answered with an error.
        """
        command = ["redis-cli", "-e", "-h", _HOST, "-p", str(self.port)]
        command += ["--tls", "--cacert", str(self.ca_file)] if self.ca_file else []
        login = {} if self.password is None else {"REDISCLI_AUTH": self.password}
        done = subprocess.run(
            [*command, *arguments],
            check=False,
            env={**os.environ, **login},
            capture_output=True,
            text=True,
            timeout=_COMMAND_TIMEOUT_S,
        )
        if done.returncode != 0:
            raise RuntimeError((done.stderr or done.stdout).strip())
        return done.stdout.removesuffix("\n")

    def __enter__(self) -> RedisServer:
        return self

    def __exit__(self, *exception: object) -> None:
        self.stop()


def _free_port() -> int:
    with contextlib.closing(socket.socket()) as probe:
        probe.bind((_HOST, 0))
        port: int = probe.getsockname()[1]
        return port


@pytest.fixture
def redis_server() -> Iterator[RedisServer]:
    """A redis-server without persistence, password or limit, for one test."""
    with RedisServer() as server:
        yield server
