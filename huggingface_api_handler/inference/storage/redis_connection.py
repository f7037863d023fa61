"""A connection to a Redis, or to a Redis Cluster, and what may be said of its errors. Imports redis (extra redis)."""

from __future__ import annotations

from contextlib import suppress
from importlib.util import find_spec
from typing import Any, cast

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from ...config.store_address import StoreAddress
from ...printable import printable
from ...redaction import Secret

Client = redis.Redis
"""What operations are called with: redis-py's client, or its ``RedisCluster``, which has the same commands."""

_TIMEOUT_S = 3.0
"""How long one answer is waited for, and a connection. A query that needs the store waits as long once."""

_NO_INTRODUCTION: dict[str, None] = (
    {"driver_info": None} if find_spec("redis.driver_info") else {"lib_name": None, "lib_version": None}
)
"""So that redis-py does not tell its name and version first, which takes two trips."""


def connect(address: StoreAddress) -> tuple[Client, dict[str, Any]]:
    """Connect to a Redis, or to a Redis Cluster. Nothing is written.

    Args:
        address: Where it is, with its password.

    Returns:
        The client, and what INFO says; nothing where this user may not ask.

    Raises:
        redis.RedisError: It cannot be reached, or lets nobody in.
    """
    client, info = _client_of(address), {}
    try:
        with suppress(redis.ResponseError):  # this user may not ask
            info = cast(dict[str, Any], client.info())
        if info.get("cluster_enabled") == 1:
            disconnect(client)
            client = _cluster_client_of(address)
    except BaseException:
        disconnect(client)
        raise
    return client, info


def _client_of(address: StoreAddress) -> Client:
    # One connection, used by one thread, needs no pool. No retries: they would hold up the thread.
    return redis.Redis(single_connection_client=True, db=address.database, **connection_options(address))


def _cluster_client_of(address: StoreAddress) -> Client:
    return cast(Client, redis.RedisCluster(**connection_options(address)))


def connection_options(address: StoreAddress) -> dict[str, Any]:
    """What a connection to a Redis is made of.

    Args:
        address: Where it is, with its password.

    Returns:
        Arguments of redis-py's clients, of those for asyncio but for ``retry``.
    """
    options: dict[str, Any] = {
        "host": address.host,
        "port": address.port,
        "username": address.username,
        "password": address.password.get_secret_value() if address.password else None,
        "socket_timeout": _TIMEOUT_S,
        "socket_connect_timeout": _TIMEOUT_S,
        "socket_keepalive": True,
        "retry": Retry(NoBackoff(), 0),
        "protocol": 2,
    }
    if address.is_encrypted:
        options.update(ssl=True, ssl_cert_reqs="required", ssl_check_hostname=True)
    else:  # there, redis-py would take the unread tickets of TLS for an answer to nothing, and give the connection up
        options.update(_NO_INTRODUCTION)
    return options


def disconnect(client: Client | None) -> None:
    """Close a connection.

    Args:
        client: That has it; None where there is none.
    """
    if client is not None:
        with suppress(Exception):  # it is given up in any case
            client.close()


def reason_of(error: Exception, password: Secret | None) -> str:
    """What went wrong, as it may be shown.

    Args:
        error: Of redis-py, or of what it was to do.
        password: That must not be in it; None where there is none.

    Returns:
        One line.
    """
    reason = printable(str(error) if isinstance(error, redis.RedisError) else repr(error))
    return reason if password is None else password.mask(reason)
