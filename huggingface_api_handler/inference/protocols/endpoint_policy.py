"""Which addresses a model's own endpoint may lead to: public ones, as a cell's URL may (against SSRF).

Whoever writes SQL chooses it, and the engine's is chosen by who creates the engine, so that one may be private. What
the text of the address shows is refused before anything is sent. A name is judged once it is looked up, by the client's
public session (``HttpClient.post_to_public``).
"""

from __future__ import annotations

from ...config.settings import EngineSettings
from ...errors import InputError
from ...urls import is_address, is_loopback, is_same_origin, origin_of
from ..public_addresses import non_public_reason, non_public_words


def is_public_only(endpoint: str | None, engine: EngineSettings) -> bool:
    """Whether a model's endpoint may be asked at public addresses only.

    Args:
        endpoint: The model's own, None where it has none.
        engine: The settings of the engine.

    Returns:
        False where the engine allows private endpoints, for the origin of the engine's own endpoint, and within this
        machine where the engine's endpoint is there too.

    Raises:
        InputError: The endpoint is at an address that is not public, as its text shows.
    """
    if endpoint is None or engine.allow_private_endpoints:
        return False
    if engine.endpoint is not None and _is_beside(endpoint, engine.endpoint):
        return False
    host = origin_of(endpoint).host
    reason = "this machine's own (loopback)" if is_loopback(host) else is_address(host) and non_public_reason(host)
    if reason:
        raise refusal(host, reason)
    return True


def refusal(host: str, reason: str) -> InputError:
    """The error of an endpoint that is not public.

    Args:
        host: Its name or address.
        reason: What ``non_public_reason`` says of the address.

    Returns:
        What is wrong and what to do.
    """
    return InputError(
        f"the model's endpoint {non_public_words(host, reason)}. Give the engine this endpoint "
        "(CREATE ML_ENGINE ... USING endpoint), or set allow_private_endpoints = true there, where all who write SQL "
        "may reach internal servers"
    )


def _is_beside(endpoint: str, own: str) -> bool:
    return is_same_origin(endpoint, own) or (is_loopback(origin_of(endpoint).host) and is_loopback(origin_of(own).host))
