"""What a URL shows of the connection it needs."""

from __future__ import annotations

import re
from urllib.parse import urlsplit


def is_secure_url(url: str) -> bool:
    """Whether nobody between here and ``url`` can read along: https, or this machine itself."""
    parts = urlsplit(url)
    return parts.scheme == "https" or is_loopback(parts.hostname or "")


def is_loopback(host: str) -> bool:
    return host == "localhost" or host == "::1" or re.fullmatch(r"127(\.\d{1,3}){3}", host) is not None
