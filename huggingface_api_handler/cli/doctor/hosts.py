"""The network: whether the Hub and the router answer, how fast, and by which proxy."""

from __future__ import annotations

import time
from collections.abc import Iterator
from urllib.parse import urlsplit

from ...inference.failures import classify_exception
from ...inference.protocols.key_policy import ROUTER
from ...inference.protocols.preflight import PREFLIGHT_TIMEOUT_S
from ...inference.protocols.servers import OPENAI_MODELS
from ...inference.runtime.session import Session
from ...inference.transport.client import proxy_url
from .findings import Finding, State, Wanted

_MAX_LIST_BYTES = 16 * 1024 * 1024
"""Bytes of the router's list of models."""

_SLOW_S = 2.0
"""Longer than a person wants to wait for CREATE MODEL."""

_SERVER_ERRORS = 500
_ENDPOINT = "https://huggingface.co"


def hosts(wanted: Wanted) -> Iterator[Finding]:
    """Look at the network.

    Args:
        wanted: Whether anything may be asked.

    Yields:
        Findings of the Hub, of the router, and of the proxy.
    """
    from huggingface_hub import constants

    hub = constants.ENDPOINT
    if constants.HF_HUB_OFFLINE:
        advice = "Unset HF_HUB_OFFLINE, or name task, provider or endpoint of each model yourself."
        yield Finding("HF_HUB_OFFLINE", "set: who serves a model cannot be looked up", State.ADVICE, advice)
    if hub != _ENDPOINT:
        yield Finding("HF_ENDPOINT", f"{_without_login(hub)} in place of {_ENDPOINT}")
    yield Finding("proxy", _proxies(hub, ROUTER))
    for name, url in (("Hub", f"{hub}/api/models?limit=1"), ("router", f"{ROUTER}{OPENAI_MODELS}")):
        yield Finding(name, "not asked (--offline)") if wanted.is_offline else _asked(name, url)


def _asked(name: str, url: str) -> Finding:
    """Ask without a key, which is not needed there."""
    host = urlsplit(url).netloc.rpartition("@")[2]
    began = time.monotonic()
    try:
        with Session() as session:
            getting = session.http.get(url, {}, PREFLIGHT_TIMEOUT_S, max_bytes=_MAX_LIST_BYTES)
            status = session.http.submit(getting).result().status
    except Exception as error:  # whatever HTTP raises is a finding
        reason = classify_exception(error, host=host).message
        advice = "Look at name resolution, firewall and HTTPS_PROXY. An endpoint of your own may work all the same."
        return Finding(name, reason, State.PROBLEM, advice, {"host": host, "status": None, "seconds": None})
    seconds = round(time.monotonic() - began, 3)
    data = {"host": host, "status": status, "seconds": seconds}
    value = f"{host} answers with {status} after {seconds:.2f} s, connecting included"
    if status >= _SERVER_ERRORS:
        return Finding(name, value, State.PROBLEM, "Look again later: the service itself has a problem.", data)
    if seconds > _SLOW_S:
        return Finding(name, value, State.ADVICE, "Slow: look at the proxy and at name resolution.", data)
    return Finding(name, value, data=data)


def _proxies(*urls: str) -> str:
    found = {urlsplit(url).netloc.rpartition("@")[2]: proxy_url(url) for url in urls}
    if not any(found.values()):
        return "none"
    return ", ".join(
        f"{host} by {_without_login(proxy)}" if proxy else f"{host} by none" for host, proxy in found.items()
    )


def _without_login(url: str) -> str:
    """The address without user and password."""
    parts = urlsplit(url)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
