"""A real PostgreSQL for tests, on a free loopback port, in a folder of its own."""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import psycopg

HOW_TO_INSTALL = (
    "NOT TESTED: PostgreSQL is not installed. Run `apt-get install postgresql` (Debian, Ubuntu) or `brew install "
    "postgresql`, or `make postgres` as root, which installs it"
)
USER = "mindsdb"
DATABASE = "postgres"
START_TIMEOUT_S = 60.0
_HOST = "127.0.0.1"


def find_programs() -> Path | None:
    """Find the folder of PostgreSQL's programs, which Debian keeps apart from the others.

    Returns:
        The folder, of the newest version where there are several; None where there is no PostgreSQL.
    """
    on_path = shutil.which("initdb")
    if on_path is not None:
        return Path(on_path).resolve().parent
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: float(path.parts[-3]))
    return found[-1].parent if found else None


class PostgresServer:
    """A PostgreSQL that this process started, with one user and an empty database. Use it in a ``with`` block.

    PostgreSQL runs for no root. As root, it belongs to Debian's user ``postgres``, or to ``nobody`` where there is none.

    Args:
        programs: The folder of its programs; None for those that ``find_programs`` finds.
        user: Its superuser.

    Attributes:
        port: Where it listens, on 127.0.0.1.
    """

    def __init__(self, programs: Path | None = None, user: str = USER) -> None:
        programs = programs or find_programs()
        if programs is None:
            raise FileNotFoundError(HOW_TO_INSTALL)
        self._programs, self._user = programs, user
        self._temporary = tempfile.TemporaryDirectory(prefix="postgres_", ignore_cleanup_errors=True)
        self._folder = Path(self._temporary.name)
        self._owner = _owner()
        if self._owner is not None:
            os.chown(self._folder, pwd.getpwnam(self._owner).pw_uid, -1)
        self.port = _free_port()
        self._run("initdb", "-U", user, "--auth=trust", "--no-sync", "--encoding=UTF8", "--locale=C")
        options = f"-p {self.port} -h {_HOST} -k {self._folder} -c fsync=off -c shared_buffers=8MB"
        self._run(
            "pg_ctl", "-o", options, "-l", str(self._folder / "log"), "-w", "-t", str(int(START_TIMEOUT_S)), "start"
        )

    @property
    def parameters(self) -> dict[str, Any]:
        """What CREATE DATABASE of MindsDB wants to know. Any password will do."""
        return {"host": _HOST, "port": self.port, "user": self._user, "password": "any", "database": DATABASE}

    def execute(self, statement: str) -> list[tuple[Any, ...]]:
        """Run a statement in PostgreSQL itself.

        Args:
            statement: The SQL.

        Returns:
            Its rows; none for a statement without a result.
        """
        address = f"host={_HOST} port={self.port} user={self._user} dbname={DATABASE}"
        with psycopg.connect(address, autocommit=True) as connection:
            cursor = connection.execute(statement.encode())
            return cursor.fetchall() if cursor.description else []

    def stop(self) -> None:
        """End it at once and delete its folder."""
        self._run("pg_ctl", "-m", "immediate", "-w", "stop", check=False)
        self._temporary.cleanup()

    def _run(self, program: str, *arguments: str, check: bool = True) -> None:
        command = [str(self._programs / program), "-D", str(self._folder / "data"), *arguments]
        # Into a file: the server inherits what it prints to, and a pipe would stay open as long as it runs.
        with tempfile.TemporaryFile() as output:
            identity: Mapping[str, Any] = {"user": self._owner, "extra_groups": []} if self._owner else {}
            done = subprocess.run(command, check=False, cwd=self._folder, stdout=output, stderr=output, **identity)
            output.seek(0)
            if check and done.returncode != 0:
                raise RuntimeError(f"{program} failed: {output.read().decode(errors='replace')[-2000:]}")

    def __enter__(self) -> PostgresServer:
        return self

    def __exit__(self, *exception: object) -> None:
        self.stop()


def _owner() -> str | None:
    if os.getuid() != 0:
        return None
    try:
        return pwd.getpwnam("postgres").pw_name
    except KeyError:
        return "nobody"


def _free_port() -> int:
    with contextlib.closing(socket.socket()) as probe:
        probe.bind((_HOST, 0))
        port: int = probe.getsockname()[1]
        return port
