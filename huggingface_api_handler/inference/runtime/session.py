"""A session: the connections, stores and routes that queries share."""

from __future__ import annotations

from collections.abc import Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Protocol

from ...config.credentials import resolve_store
from ...config.settings import EngineSettings
from ...errors import InputError, SessionClosedError
from ..flow_control.route_registry import RouteRegistry
from ..protocols.discovery import DetectedServers
from ..storage.open_stores import release_stores
from ..storage.sqlite import Store, open_store
from ..storage.sqlite_tables import sqlite_tables
from ..storage.tables import Tables
from ..telemetry.hooks import InferenceHook
from ..transport.client import HttpClient

if TYPE_CHECKING:
    from ..storage.redis_store import RedisStore


class ConcurrencyLimiter(Protocol):
    """A limit of your own on requests in flight, such as ``asyncio.Semaphore(4)``.

    It stands beside the limit that is found for each route: a request waits for both. Both methods are called on the
    session's event loop.
    """

    async def acquire(self) -> object:
        """Wait until one more request may go. Who waits may be cancelled."""
        ...

    def release(self) -> object:
        """Note that a request has ended. Must not block."""
        ...


class Session:
    """An event loop with its connections, and what was found out about routes.

    Queries of one session share connections, limits and pauses. Two sessions share only the store of answers. Without
    a session of your own, all queries of a process use the default one, which is never closed.

    A session may be used from several threads. It survives a fork: the child makes connections of its own.

    Args:
        limiter: A limit of your own, beside the one that is found for each route.
        hooks: Who is told of all queries of the session.

    Example:
        >>> import pandas as pd
        >>> from huggingface_api_handler.inference import Session, predict
        >>> using = {"task": "text-classification", "column": "text", "dry_run": True}
        >>> with Session() as session:
        ...     out = predict(pd.DataFrame({"text": ["I love you."]}), using, session=session)
        >>> out["prediction"][0].partition(", unknown")[0]
        'dry run: 1 rows, 0 NULL or blank, 1 distinct inputs, 0 answers stored, 1 requests'
    """

    def __init__(self, *, limiter: ConcurrencyLimiter | None = None, hooks: Sequence[InferenceHook] = ()) -> None:
        self.limiter = limiter
        self.hooks = tuple(hooks)
        self.http = HttpClient()
        self.routes = RouteRegistry()
        self.servers = DetectedServers()
        self._address_names: dict[str, str] = {}

    def store(self, folder: str | None) -> Store:
        """The store of a folder, kept open until the session is closed.

        Args:
            folder: The engine's ``cache_dir``.

        Returns:
            The store, the same object for all sessions of the process.

        Raises:
            SessionClosedError: The session was closed, so nobody would release the store.
        """
        if self.http.is_closed:
            raise SessionClosedError
        return open_store(folder, self)

    def shared_store(self, engine: EngineSettings) -> RedisStore | None:
        """The Redis that an engine shares with other machines, kept open until the session is closed.

        Args:
            engine: The engine's settings.

        Returns:
            The store, the same object for all sessions of the process; None where nothing is shared.

        Raises:
            SessionClosedError: The session was closed, so nobody would release the store.
            InputError: There is no such address, or the package redis is not installed.
        """
        address = resolve_store(engine)
        if address is None:
            return None
        if self.http.is_closed:
            raise SessionClosedError
        try:
            from ..storage.redis_store import open_redis_store
        except ImportError:
            raise InputError(
                f"store = '{address}' needs the package redis. Run pip install 'huggingface_api_handler[redis]' in the "
                "environment of this program (MindsDB, where that runs the engine)"
            ) from None
        return open_redis_store(address, self)

    def tables(self, engine: EngineSettings) -> Tables:
        """Where the answers, counts and usage of an engine are stored.

        Args:
            engine: The engine's settings.

        Returns:
            The tables: of the shared store where there is one, with answers of this machine where the engine says so.

        Raises:
            SessionClosedError: As of ``shared_store``.
            InputError: As of ``shared_store``.
        """
        local, shared = sqlite_tables(self.store(engine.cache_dir)), self.shared_store(engine)
        if shared is None:
            return local
        from ..storage.redis_tables import redis_tables

        tables = redis_tables(shared)
        return tables._replace(answers=local.answers) if engine.answers == "local" else tables

    def name_address(self, address: str, name: str) -> None:
        """Give a name to a server whose address is another one each time it is started.

        Args:
            address: Its scheme, host and port now.
            name: What its stored answers are found by, at this address and at others of the same name.
        """
        self._address_names[address] = name

    def stored_url(self, url: str) -> str:
        """Say what stored answers know a URL by.

        Args:
            url: Where a query goes.

        Returns:
            The URL, with the server's name for its address where it has one (see ``name_address``).
        """
        for address, name in self._address_names.items():
            if url.startswith(f"{address}/"):
                return name + url[len(address) :]
        return url

    def close(self) -> None:
        """End the queries that run, close the connections, and write what is to be stored. May be called twice."""
        self.http.close()
        release_stores(self)

    def __enter__(self) -> Session:
        """Return the session itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the session."""
        self.close()


_default = Session()


def default_session() -> Session:
    """The session of whoever has none of their own.

    Returns:
        The same session for the whole process.
    """
    return _default
