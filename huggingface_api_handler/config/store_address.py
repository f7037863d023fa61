"""Where the Redis is that several machines share: its address, taken apart, and who logs in there."""

from __future__ import annotations

from dataclasses import dataclass, replace
from urllib.parse import unquote, urlsplit

from pydantic import SecretStr

from ..urls import canonical_host

STORE_VARIABLE = "HUGGINGFACE_API_STORE"
"""The variable that names a store for all engines without one, and the only place of its password."""

_SCHEMES = ("redis", "rediss")
_DEFAULT_PORT = 6379
_MAX_DATABASE = 1_000_000


@dataclass(frozen=True)
class StoreAddress:
    """The address of a Redis. ``str()`` and ``repr()`` show no password.

    Attributes:
        host: In its one spelling.
        port: Of TCP.
        database: Its number there.
        is_encrypted: Whether it is asked over TLS (``rediss``).
        username: Who logs in; None for Redis' default user.
        password: What with; None where nobody logs in.
    """

    host: str
    port: int = _DEFAULT_PORT
    database: int = 0
    is_encrypted: bool = False
    username: str | None = None
    password: SecretStr | None = None

    def with_login_of(self, other: StoreAddress | None) -> StoreAddress:
        """Log in as at another address, where both lead to the same server.

        Args:
            other: The address that has user and password; None for none.

        Returns:
            The address, with the login where scheme, host and port are the same. A password goes nowhere else.
        """
        if other is None or self._server != other._server:
            return self
        return replace(self, username=other.username, password=other.password)

    @property
    def _server(self) -> tuple[str, int, bool]:
        return self.host, self.port, self.is_encrypted

    def __str__(self) -> str:
        """The URL, without user and password."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{_SCHEMES[self.is_encrypted]}://{host}:{self.port}/{self.database}"


def parse_store_address(url: str) -> StoreAddress:
    """Take the address of a Redis apart.

    Args:
        url: Such as ``redis://host:6379/0``, or ``rediss://user:password@host/1``. Signs in user and password are
            escaped as in any URL.

    Returns:
        The address. The port is 6379 and the database 0 where they are not given.

    Raises:
        ValueError: It is none. The message is half a sentence, without anything of the URL.

    >>> str(parse_store_address("rediss://:a-password@EXAMPLE.com"))
    'rediss://example.com:6379/0'
    """
    wrong = ValueError("must be the address of a Redis, such as 'redis://host:6379/0' or 'rediss://host:6379/0'")
    try:
        parts = urlsplit(url.strip())
    except ValueError:  # whose words may repeat the password
        raise wrong from None
    if parts.scheme not in _SCHEMES or not parts.hostname or not url.strip().isprintable():
        raise wrong
    if parts.query or parts.fragment:
        raise ValueError("must hold no options behind ? or #")
    try:
        port = parts.port
        host = canonical_host(f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname)
    except ValueError:
        raise ValueError("must name its host in one plain spelling, and a port from 1 to 65535") from None
    database = parts.path.strip("/") or "0"
    if port == 0 or not (database.isascii() and database.isdecimal()) or int(database) > _MAX_DATABASE:
        raise ValueError("must end in the number of a database, such as /0, and name a port from 1 to 65535")
    username, password = parts.username, parts.password
    return StoreAddress(
        host,
        port or _DEFAULT_PORT,
        int(database),
        parts.scheme == "rediss",
        unquote(username) if username else None,
        SecretStr(unquote(password)) if password else None,
    )
