"""Addresses of operations, made of base addresses as people write them: with a version, a full path, a query string."""

from __future__ import annotations

import re
from urllib.parse import urlsplit, urlunsplit

_DEFAULT_VERSION = "/v1"

_API_ROOT = re.compile(r"/v\d+\w*$|/open(ai|api)$|/openai/deployments/[^/]+$|/serving-endpoints$")
"""A path that ends so is that of an API already: ``/v1``, ``/v1beta/openai``, ``/api/v3``, ``/v1/openai``,
``/openai/deployments/NAME``, ``/serving-endpoints``. In the middle of a path these may be the name of a model."""

_AZURE_HOSTS = (".openai.azure.com", ".cognitiveservices.azure.com", ".services.ai.azure.com")
_AZURE_PATH = "/openai/deployments/"


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
    if path_of(base).endswith(path):
        return base
    return add_path(base, path if is_api_root(base) else f"{version}{path}")


def is_api_root(base: str) -> bool:
    """Whether an address is that of an OpenAI-compatible API, below which its operations are.

    Args:
        base: The endpoint as it was given.

    Returns:
        True where its path ends in a version, or in another way that such addresses do.

    >>> is_api_root("https://example.com/api/v3"), is_api_root("https://example.com/models/openai/name")
    (True, False)
    """
    return _API_ROOT.search(path_of(base)) is not None


def is_azure(url: str) -> bool:
    """Whether an address is that of Azure's OpenAI, or of a gateway before it, which read the key in another header.

    Args:
        url: An absolute URL.

    Returns:
        True where the host is Azure's, or the path that of a deployment.

    >>> is_azure("https://x.openai.azure.com/openai/v1"), is_azure("https://gw.example/openai/deployments/g")
    (True, True)
    >>> is_azure("https://x.openai.azure.com.example/v1")
    False
    """
    parts = urlsplit(url)
    return (parts.hostname or "").endswith(_AZURE_HOSTS) or _AZURE_PATH in parts.path


def add_path(base: str, path: str) -> str:
    """Put a path after an address, before its query string.

    Args:
        base: An absolute URL.
        path: What follows its path, with a slash before it.

    Returns:
        The URL of both.

    >>> add_path("https://example.com/x/?key=1", "/info")
    'https://example.com/x/info?key=1'
    """
    return urlunsplit(urlsplit(base)._replace(path=f"{path_of(base)}{path}"))


def remove_path(base: str, path: str) -> str:
    """Take a path from the end of an address, before its query string.

    Args:
        base: An absolute URL.
        path: What its path may end with.

    Returns:
        The URL without it; ``base`` as it is where its path ends otherwise.

    >>> remove_path("https://example.com/x/embed/?key=1", "/embed")
    'https://example.com/x?key=1'
    """
    own = path_of(base)
    return urlunsplit(urlsplit(base)._replace(path=own.removesuffix(path))) if path and own.endswith(path) else base


def path_of(url: str) -> str:
    """The path of an address without the slash at its end.

    Args:
        url: An absolute URL.

    Returns:
        The path, empty where there is none.
    """
    return urlsplit(url).path.rstrip("/")


def shown_url(url: str) -> str:
    """An address as an error may show it.

    Args:
        url: An absolute URL.

    Returns:
        Its scheme, host and path. The query string is left out: it may hold a key.

    >>> shown_url("https://example.com/v1/embeddings?api-version=1&code=secret")
    'https://example.com/v1/embeddings'
    """
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"
