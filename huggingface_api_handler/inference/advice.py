"""What to do about a status that dooms every row, by whose server said it."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlsplit

_HUGGING_FACE_DOMAINS = ("huggingface.co", "huggingface.cloud")

_OF_ADDRESSES = {
    404: "Check the name of the model, that this provider serves it, and the endpoint's path",
    405: "This address does not take inference requests. Check the endpoint",
    410: "This address is gone. Check the endpoint and the model",
}


def _unpaid(payer: str) -> str:
    return (
        f"The requests are billed to {payer}, whose credits are used up or whose spending limit is reached. Add "
        "credits or raise the limit at https://huggingface.co/settings/billing, or let an organisation pay with bill_to"
    )


HUGGING_FACE_ADVICE: Mapping[int, str] = {
    **_OF_ADDRESSES,
    401: "The key was not accepted. Give a valid one to CREATE ML_ENGINE (api_key or api_key_env), or set HF_TOKEN; "
    "keys are made at https://huggingface.co/settings/tokens",
    402: _unpaid("the owner of the key"),
    403: "The key may not do this. It needs the permission 'Make calls to Inference Providers', and access to the "
    "model where that is gated",
}
"""Advice by status, for what Hugging Face runs."""

OTHER_ADVICE: Mapping[int, str] = {
    **_OF_ADDRESSES,
    401: "This server did not accept the key that was sent. Give the one that it takes to CREATE ML_ENGINE (api_key or "
    "api_key_env)",
    402: "The account that this server bills has no credits left. Add some there",
    403: "This server does not let the key do this. Check what it may do there",
}
"""Advice by status, for any other server to which a key was sent."""

KEYLESS_ADVICE: Mapping[int, str] = {
    **OTHER_ADVICE,
    401: "This server wants a key, and none was sent. Give the one that it takes to a CREATE ML_ENGINE with this "
    "endpoint (api_key or api_key_env)",
    403: "This server refuses, and no key was sent. Where it wants one, give it to a CREATE ML_ENGINE with this "
    "endpoint (api_key or api_key_env)",
}
"""Advice by status, for any other server to which no key was sent."""


def advice_for(url: str, *, has_key: bool, bill_to: str | None = None) -> Mapping[int, str]:
    """The advice for what a server refuses.

    Args:
        url: What was asked.
        has_key: Whether a key was sent.
        bill_to: The organisation that was named to pay; None where none was.

    Returns:
        What to do, by status.

    >>> advice_for("http://127.0.0.1:8080", has_key=False) is KEYLESS_ADVICE
    True
    """
    host = urlsplit(url).hostname or ""
    if any(host == domain or host.endswith(f".{domain}") for domain in _HUGGING_FACE_DOMAINS):
        if bill_to is None:
            return HUGGING_FACE_ADVICE
        return {**HUGGING_FACE_ADVICE, 402: _unpaid(f"the organisation {bill_to!r} (bill_to)")}
    return OTHER_ADVICE if has_key else KEYLESS_ADVICE
