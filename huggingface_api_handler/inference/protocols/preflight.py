"""Requests made once, at CREATE or DESCRIBE: is the key valid, is the server up, what is the model for."""

from __future__ import annotations

import logging
from typing import Any

import orjson
from huggingface_hub import constants

from ...config.credentials import resolve_api_key
from ...config.settings import EngineSettings, ModelSettings
from ...errors import HuggingFaceAPIError, InferenceError, InputError
from ...redaction import Secret, preview, redact, secret_in_use
from ..failures import classify_exception
from ..transport.client import HttpClient
from .hub_providers import HubProvider
from .routing import is_key_allowed_for, resolve_route

_MAX_SHOWN_LEVELS = 20
"""Containers in one another that DESCRIBE shows."""

logger = logging.getLogger(__name__)

PREFLIGHT_TIMEOUT_S = 5.0
"""Seconds for each of these requests: a person waits for the statement, and a server that is up answers at once."""


def check_engine(engine: EngineSettings, http: HttpClient) -> str:
    """Check the engine's key and, if it has an endpoint, that its server answers.

    A host that cannot be reached is only a warning, since it may be up by the time of the first query.

    Args:
        engine: The settings of the engine.
        http: Sends the request, on its own event loop.

    Returns:
        One sentence that says what was checked and what was found.

    Raises:
        InferenceError: The server refused the key.
        InputError: The environment variable named for the key is not set.
    """
    key = resolve_api_key(engine)
    url = engine.endpoint or f"{constants.ENDPOINT}/api/whoami-v2"
    if engine.endpoint:
        url = f"{url.removesuffix('/models').removesuffix('/v1')}/health"
    elif key is not None and engine.provider and not key.get_secret_value().startswith("hf_"):
        return f"Not checked: the key is not Hugging Face's, so it is shown to {engine.provider} alone."
    elif key is None:
        return "No key was given or found, so requests go out without one: Hugging Face answers few of those."
    headers = {}
    if key is not None and (is_key_allowed_for(url, engine) or url.startswith(constants.ENDPOINT)):
        headers["authorization"] = f"Bearer {key.get_secret_value()}"
    try:
        response = http.submit(http.get(url, headers, PREFLIGHT_TIMEOUT_S)).result()
    except Exception as error:  # whatever HTTP raises, the engine is still worth creating
        reason = classify_exception(error, host=url.split("/")[2]).message
        logger.warning("the engine could not be checked: %s", reason)
        return f"Not checked: {reason}."
    if response.status in (401, 403):
        server = "the endpoint" if engine.endpoint else "Hugging Face"
        raise InferenceError(
            f"{server} refused the key ({response.status}). Check it, or make one at "
            "https://huggingface.co/settings/tokens with the permission 'Make calls to Inference Providers'"
        )
    if engine.endpoint:
        return f"{engine.endpoint} answers."
    account = _parse_json(response.body)
    with secret_in_use(Secret.of(key.get_secret_value() if key is not None else None)):
        return (
            redact(f"The key belongs to {account['name']}.")
            if isinstance(account, dict) and "name" in account
            else "The key was accepted."
        )


def task_of(model: str, engine: EngineSettings) -> str:
    """Look up the task of a model on the Hub.

    Args:
        model: The model's name on the Hub.
        engine: The settings of the engine, for its key.

    Returns:
        The name of the task, such as ``text-classification``.

    Raises:
        InputError: The Hub names no task for the model, or cannot be asked.
    """
    from huggingface_hub import HfApi

    key = resolve_api_key(engine)
    hint = f"Say it: task = '...'; it could not be looked up for the model {preview(model)}"
    try:
        info = HfApi().model_info(model, timeout=PREFLIGHT_TIMEOUT_S, token=key.get_secret_value() if key else False)
    except HuggingFaceAPIError:
        raise
    except Exception as error:  # a missing model, a gated one, no network: the sentence says which by its class
        raise InputError(f"{hint} on {constants.ENDPOINT} ({type(error).__name__})") from None
    if not info.pipeline_tag:
        raise InputError(f"{hint}: its page on the Hub names no task")
    return str(info.pipeline_tag)


def describe_model(engine: EngineSettings, model: ModelSettings, http: HttpClient) -> dict[str, object]:
    """Ask the server about the model, with a GET of its address.

    Args:
        engine: The settings of the engine.
        model: The settings of the model.
        http: Sends the request, on its own event loop.

    Returns:
        ``model``, ``address`` and ``key sent``, then the provider's name, or what the server says, or in ``server``
        why it could not be reached.

    Raises:
        InputError: The model has no route (see ``routing.resolve_route``).
        InferenceError: The Hub cannot be asked for the model's name at the provider.
    """
    route = resolve_route(engine, model)
    address: dict[str, object] = {"model": model.model, "address": route.url, "key sent": route.has_key}
    if isinstance(route.protocol, HubProvider):
        return {**address, "provider": route.protocol.name}
    try:
        response = http.submit(http.get(route.url.split("/pipeline/")[0], route.headers, PREFLIGHT_TIMEOUT_S)).result()
    except Exception as error:  # DESCRIBE shows what there is
        return {**address, "server": classify_exception(error, host=route.host).message}
    model_info = _parse_json(response.body) if response.status == 200 else None
    with secret_in_use(route.secret):  # after the parsing, which undoes the escapes that hide a key
        return {**address, **_redacted(model_info)} if isinstance(model_info, dict) else address


def _redacted(value: Any, levels: int = _MAX_SHOWN_LEVELS) -> Any:
    if isinstance(value, str):
        return redact(value)
    if not levels and isinstance(value, (dict, list)):
        return "..."
    if isinstance(value, dict):
        return {redact(name): _redacted(each, levels - 1) for name, each in value.items()}
    return [_redacted(each, levels - 1) for each in value] if isinstance(value, list) else value


def _parse_json(body: bytes) -> object:
    try:
        return orjson.loads(body)
    except ValueError:
        return None
