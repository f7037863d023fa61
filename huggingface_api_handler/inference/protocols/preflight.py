"""Questions asked once, at CREATE: is the key good, is the server up, what is the model for."""

from __future__ import annotations

import logging
from typing import Any

import orjson
from huggingface_hub import constants

from ...config.credentials import resolve_api_key
from ...config.settings import EngineSettings, ModelSettings
from ...errors import HuggingFaceAPIError, InferenceError, InputError
from ...redaction import preview, redact
from ..failures import classify_exception
from ..transport import client
from .routing import is_key_allowed_for, resolve_route

logger = logging.getLogger(__name__)

PATIENCE = 5.0
"""Seconds for each of these questions."""


def check_engine(engine: EngineSettings) -> str:
    """Say in a sentence what is at the other end of ``engine``.

    Raises InferenceError where the key is refused; a host that cannot be reached is only a warning, since it may
    be up by the time of the first query.
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
        response = client.submit(client.get(url, headers, PATIENCE)).result()
    except Exception as error:  # whatever HTTP raises, the engine is still worth creating
        reason = classify_exception(error, host=url.split("/")[2]).message
        logger.warning("the engine could not be checked: %s", reason)
        return f"Not checked: {reason}."
    if response.status in (401, 403):
        route = "the endpoint" if engine.endpoint else "Hugging Face"
        raise InferenceError(
            f"{route} refused the key ({response.status}). Check it, or make one at "
            "https://huggingface.co/settings/tokens with the permission 'Make calls to Inference Providers'"
        )
    if engine.endpoint:
        return f"{engine.endpoint} answers."
    who = _json(response.body)
    return (
        redact(f"The key belongs to {who['name']}.")
        if isinstance(who, dict) and "name" in who
        else "The key was accepted."
    )


def task_of(model: str, engine: EngineSettings) -> str:
    """The task the Hub knows ``model`` for. Raises InputError where it knows none or cannot be asked."""
    from huggingface_hub import HfApi

    key = resolve_api_key(engine)
    say = f"Say it: task = '...'; it could not be looked up for the model {preview(model)}"
    try:
        info = HfApi().model_info(model, timeout=PATIENCE, token=key.get_secret_value() if key else False)
    except HuggingFaceAPIError:
        raise
    except Exception as error:  # a missing model, a gated one, no network: the sentence says which by its class
        raise InputError(f"{say} on {constants.ENDPOINT} ({type(error).__name__})") from None
    if not info.pipeline_tag:
        raise InputError(f"{say}: its page on the Hub names no task")
    return str(info.pipeline_tag)


def describe_model(engine: EngineSettings, model: ModelSettings) -> dict[str, Any]:
    """What the server itself says of the model (GET on its address), or why it says nothing."""
    route = resolve_route(engine, model)
    address = {"model": model.model, "address": route.url, "key sent": route.has_key}
    if route.provider is not None:
        return {**address, "provider": route.provider.name}
    try:
        response = client.submit(client.get(route.url.split("/pipeline/")[0], route.headers, PATIENCE)).result()
    except Exception as error:  # DESCRIBE shows what there is
        return {**address, "server": classify_exception(error, host=route.host).message}
    said = _json(redact(response.body.decode("utf-8", "replace")).encode()) if response.status == 200 else None
    return {**address, **said} if isinstance(said, dict) else address


def _json(body: bytes) -> Any:
    try:
        return orjson.loads(body)
    except ValueError:
        return None
