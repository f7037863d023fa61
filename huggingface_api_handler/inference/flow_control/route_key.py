"""The key of a route in a store."""

from __future__ import annotations

import hmac


def route_key(secret: bytes, name: str) -> bytes:
    """The route's key in a store, which holds neither addresses nor API keys.

    Args:
        secret: The store's, which keys the hash.
        name: The route's name.

    Returns:
        16 bytes.
    """
    return hmac.digest(secret, name.encode(), "sha256")[:16]


def redis_key(secret: bytes, name: str) -> bytes:
    """The route's key in Redis, with which its other keys begin. Make it anew each time: the secret may be known later.

    Args:
        secret: The store's.
        name: The route's name.

    Returns:
        The key, all of which is a hash tag.
    """
    return b"{hfapi:route:%b}" % route_key(secret, name).hex().encode()
