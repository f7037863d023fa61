"""The address of one operation of an OpenAI-compatible server, from a base address as people write it."""

from __future__ import annotations

import re
from urllib.parse import urlsplit, urlunsplit

_DEFAULT_VERSION = "/v1"

_API_ROOT = re.compile(r"/v\d+\w*(/|$)|/openai(/|$)|/serving-endpoints$")
"""A path that has one of these is that of an API already: ``/v1``, ``/v1beta/openai``, ``/api/v3``, ``/v1/openai``,
``/openai/deployments/NAME``, ``/serving-endpoints``."""


def api_url(base: str, path: str, version: str = _DEFAULT_VERSION) -> str:
    """Put the path of an operation after a base address.

    Args:
        base: The endpoint as it was given. Its query string, such as Azure's ``api-version``, is kept.
        path: Of the operation, such as ``/embeddings``.
        version: What comes between, where the base names no version of an API; empty for servers without one.

    Returns:
        The URL to POST to; ``base`` itself where its path is already that of the operation.

    >>> api_url("https://example.com", "/embeddings")
    'https://example.com/v1/embeddings'
    >>> api_url("https://example.com/v1beta/openai/", "/embeddings")
    'https://example.com/v1beta/openai/embeddings'
    >>> api_url("https://example.com/openai/deployments/g?api-version=2024-06-01", "/chat/completions")
    'https://example.com/openai/deployments/g/chat/completions?api-version=2024-06-01'
    >>> api_url("https://example.com/rerank", "/rerank")
    'https://example.com/rerank'
    """
    parts = urlsplit(base)
    if parts.path.rstrip("/").endswith(path):
        return base
    own = parts.path.rstrip("/")
    return urlunsplit(parts._replace(path=f"{own}{'' if _API_ROOT.search(own) else version}{path}"))
