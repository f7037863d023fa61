"""Whether a URL is safe to send a key to."""

from __future__ import annotations

import re
from urllib.parse import urlsplit


def is_secure_url(url: str) -> bool:
    """Whether nobody on the way to a URL can read what is sent there.

    Args:
        url: An absolute URL.

    Returns:
        True for https, and for a host that is this machine itself.

    >>> is_secure_url("https://example.com"), is_secure_url("http://127.0.0.1:8080"), is_secure_url("http://example.com")
    (True, True, False)
    """
    parts = urlsplit(url)
    return parts.scheme == "https" or is_loopback(parts.hostname or "")


def is_loopback(host: str) -> bool:
    """Whether a host is this machine itself. Looks up no name.

    Args:
        host: A name or an address, without a port and without the brackets of IPv6.

    Returns:
        True for ``localhost``, ``::1`` and all of ``127.0.0.0/8``.

    >>> is_loopback("127.0.0.1"), is_loopback("::1"), is_loopback("example.com")
    (True, True, False)
    """
    return host == "localhost" or host == "::1" or re.fullmatch(r"127(\.\d{1,3}){3}", host) is not None
