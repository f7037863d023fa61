"""Which URLs a cell may name: the public internet over HTTPS, each in one spelling (against SSRF)."""

from __future__ import annotations

import re
from urllib.parse import quote

from yarl import URL

from ...errors import MediaError
from ...urls import canonical_host, is_address
from ..public_addresses import non_public_reason, non_public_words

ALLOWED_PORTS = {"https": frozenset({443}), "http": frozenset({80})}
"""The ports of each scheme that a URL may name unless private addresses are allowed."""

_URL = re.compile(r"(https?)://([^/?#]*)([^#]*)", re.I)
_AUTHORITY = re.compile(r"(\[[^\]]*\]|[^:\[\]]*)(?::([0-9]{0,5}))?")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_UNQUOTED_CHARS = "!$%&'()*+,/:;=?@[]~"


def validate_url(text: str, *, allow_private: bool) -> URL:
    """Check that a URL may be fetched, as far as its text shows.

    A host that is an address is checked here. A host that is a name is checked once it is resolved, by
    ``non_public_reason`` of each address.

    Args:
        text: The URL as a cell or a redirect holds it.
        allow_private: Whether private addresses, other ports and http:// are allowed.

    Returns:
        The URL to request, its host in ASCII and lower case.

    Raises:
        MediaError: The URL may not be fetched, or can be read in more than one way.

    >>> validate_url("https://EXAMPLE.com/a cat.png", allow_private=False).raw_path
    '/a%20cat.png'
    """
    match = _URL.match(text)
    if match is None or _CONTROL.search(text) or not match[2]:
        raise MediaError(
            "only URLs of the form https://host/path are fetched, and this is none. Other schemes never are"
        )
    scheme = match[1].lower()
    if scheme == "http" and not allow_private:
        raise MediaError(
            "http:// is not fetched: anybody on the way could change it. Use https://, or set "
            "allow_private_media = true in CREATE ML_ENGINE where all who write SQL may reach internal servers"
        )
    if "@" in match[2]:
        raise MediaError("the URL holds a user name or password, which would be sent to its host. Leave it out")
    authority = _AUTHORITY.fullmatch(match[2])
    if authority is None:
        raise MediaError("the URL has no readable host. Write it as https://host/path")
    try:
        host = canonical_host(authority[1])
    except ValueError as error:
        raise MediaError(f"the URL {error}") from None
    port = int(authority[2] or (443 if scheme == "https" else 80))
    if not 0 < port < 65536 or not (allow_private or port in ALLOWED_PORTS[scheme]):
        allowed = ", ".join(map(str, sorted(ALLOWED_PORTS[scheme])))
        raise MediaError(
            f"the URL names port {port}; only {allowed} is fetched from. Serve it "
            "there, or set allow_private_media = true in CREATE ML_ENGINE"
        )
    if not allow_private and is_address(host) and (reason := non_public_reason(host)):
        raise MediaError(non_public_message(host, reason))
    bracketed = f"[{host}]" if ":" in host else host
    try:
        path = quote(match[3], safe=_UNQUOTED_CHARS)
    except UnicodeEncodeError:
        raise MediaError("the URL is not valid Unicode") from None
    path = path if path.startswith("/") else f"/{path}"
    url = URL(f"{scheme}://{bracketed}:{port}{path}", encoded=True)
    if url.raw_host != host or url.port != port or url.user is not None:
        raise MediaError("the URL has no readable host. Write it as https://host/path")
    return url


def non_public_message(host: str, reason: str) -> str:
    """The text of the error for a host that is not public.

    Args:
        host: The name or address in the URL.
        reason: What ``non_public_reason`` returned.

    Returns:
        What is wrong and what to do.
    """
    return (
        f"{non_public_words(host, reason)}. Use a public one, or set allow_private_media = true "
        "in CREATE ML_ENGINE where all who write SQL may reach internal servers"
    )
