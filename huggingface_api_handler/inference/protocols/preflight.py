"""Requests made once, at CREATE or DESCRIBE: is the key valid, is the server up, what is the model for."""

from __future__ import annotations

import logging
from collections.abc import Mapping

import orjson

from ...config.settings import EngineSettings, ModelSettings
from ...config.types import model_name
from ...errors import InferenceError, InputError
from ...printable import printable
from ...redaction import preview, redact, secret_in_use
from ...urls import is_host_with_port
from ..advice import HUGGING_FACE_ADVICE, advice_for
from ..failures import classify_exception
from ..public_addresses import PrivateAddress
from ..transport.client import HttpClient
from .discovery import DetectedServers
from .endpoint_policy import refusal
from .hub_description import is_router_chat, served_by
from .hub_models import listing_of
from .key_policy import RequestKind, health_url, key_for
from .routing import resolve_route
from .servers import said_kind

logger = logging.getLogger(__name__)

DESCRIBED_FIELDS = (
    "id",
    "pipeline_tag",
    "tags",
    "tasks",
    "task",
    "sha",
    "library_name",
    "private",
    "gated",
    "downloads",
    "likes",
    "lastModified",
    "status",
    "package",
    "version",
    "license",
    "quality",
    "accuracy",
    "local_stand_in",
    "note",
    "unavailable",
    "model_id",
    "model_sha",
    "model_dtype",
    "model_type",
    "max_input_length",
    "max_batch_tokens",
    "max_client_batch_size",
    "max_concurrent_requests",
    "owned_by",
    "max_model_len",
)
"""What DESCRIBE shows of a server's JSON: what the Hub, the local server, Text Embeddings Inference and OpenAI's models
list say of a model. Nothing else is shown, since any address may have been given as endpoint."""

MAX_INPUT_TOKENS = "max input tokens"
"""Under which DESCRIBE shows how long an input may be."""

_MAX_FIELD_CHARS = 200
_MAX_LISTED = 20
_PLAIN = (str, int, float, bool)

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
        InputError: The environment variable named for the key is not set, or may not be read, ``trusted_hosts``
            names what is no host, or ``protocol`` no kind of server.
    """
    said_kind(engine)
    for host in engine.trusted_hosts:
        if not is_host_with_port(host):
            raise InputError(
                "trusted_hosts names hosts such as 'gw.example' or 'gw.example:8443', with no https://, path or *, "
                f"and all paths of a host are trusted; got {preview(host)}"
            )
    if engine.endpoint:
        url, kind = health_url(engine.endpoint), RequestKind.SERVER
    else:
        from huggingface_hub import constants

        url, kind = f"{constants.ENDPOINT}/api/whoami-v2", RequestKind.HUB
    decision = key_for(url, engine, kind)
    if decision.key is None and not engine.endpoint:
        if decision.advice:
            return f"Not checked: {decision.advice}."
        return "No key was given or found, so requests go out without one: Hugging Face answers few of those."
    if decision.advice and engine.has_own_key:
        logger.warning("%s", decision.advice)
    try:
        response = http.submit(http.get(url, decision.headers, PREFLIGHT_TIMEOUT_S)).result()
    except Exception as error:  # whatever HTTP raises, the engine is still worth creating
        reason = classify_exception(error, host=url.split("/")[2]).message
        logger.warning("the engine could not be checked: %s", reason)
        return f"Not checked: {reason}."
    if response.status in (401, 403):
        server = "the endpoint" if engine.endpoint else "Hugging Face"
        if decision.key is None:
            advice = decision.advice or "Give the engine one, with api_key"
            raise InferenceError(f"{server} wants a key ({response.status}), and none was sent. {advice}")
        of_server = advice_for(url, has_key=True) if engine.endpoint else HUGGING_FACE_ADVICE
        raise InferenceError(f"{server} refused the key ({response.status}). {of_server[response.status]}")
    if engine.endpoint:
        return f"{engine.endpoint} answers."
    account = _parse_json(response.body)
    with secret_in_use(decision.secret):
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
    try:
        model_name(model)
    except ValueError as error:
        raise InputError(f"model {error}, got {preview(model)}") from None
    listing = listing_of(model, engine)
    hint = f"Say it: task = '...'; it could not be looked up for the model {preview(model)}"
    if "problem" in listing:  # a missing model, a gated one, no network: the sentence says which by its class
        from huggingface_hub import constants

        raise InputError(f"{hint} on {constants.ENDPOINT} ({listing['problem']})")
    task = listing.get("task")
    if not task:
        raise InputError(f"{hint}: its page on the Hub names no task")
    return task


def describe_model(
    engine: EngineSettings, model: ModelSettings, http: HttpClient, servers: DetectedServers | None = None
) -> dict[str, object]:
    """Ask the server about the model, with a GET of its address.

    Args:
        engine: The settings of the engine.
        model: The settings of the model.
        http: Sends the request, on its own event loop.
        servers: What was found at endpoints; an endpoint of which nothing is known yet is asked what it is. None to
            leave that out.

    Returns:
        ``model``, ``address``, ``key sent``; at Hugging Face ``billed to``; where it is known, ``max input tokens``
        with who says it; then who serves the model at Hugging Face, where that was asked
        (``hub_description.served_by``); then the provider's name; or ``protocol`` with what the server is asked in, and
        how that is known, and the ``DESCRIBED_FIELDS`` that the server says, or in ``server`` why it could not be
        reached.

    Raises:
        InputError: The model has no route (see ``routing.resolve_route``).
        InferenceError: The Hub cannot be asked for the model's name at the provider.
    """
    route = resolve_route(engine, model)
    address: dict[str, object] = {"model": model.model, "address": route.url, "key sent": route.has_key}
    if route.has_key and not route.endpoint:
        address["billed to"] = engine.bill_to or "the owner of the key"
    with secret_in_use(route.secret):
        address.update(served_by(engine, model, http))
    found = http.submit(servers.detect(http, route, model.definition)).result() if servers is not None else route
    length = servers.lengths.length_of(route, model.definition) if servers is not None else None
    if length is not None:
        with secret_in_use(route.secret):
            address[MAX_INPUT_TOKENS] = f"{length.tokens} ({_short(length.source)})"
    if route.provider:
        return {**address, "provider": route.provider}
    if route.endpoint and servers is not None:
        address["address"] = found.url
        address["protocol"] = f"{found.kind.name} ({found.protocol.name}), {found.evidence.value}"
    if is_router_chat(route):
        return address
    url = route.url.split("/pipeline/")[0]
    try:
        request = http.get(url, key_for(url, engine).headers, PREFLIGHT_TIMEOUT_S, public_only=route.is_public_only)
        response = http.submit(request).result()
    except PrivateAddress as error:
        return {**address, "server": str(refusal(error.host, error.reason))}
    except Exception as error:  # DESCRIBE shows what there is
        return {**address, "server": classify_exception(error, host=route.host).message}
    answer = _parse_json(response.body) if response.is_success else None
    with secret_in_use(route.secret):  # after the parsing, which undoes the escapes that hide a key
        return {**address, **_described(answer)} if isinstance(answer, dict) else address


def _described(answer: Mapping[object, object]) -> dict[str, object]:
    """The fields of a server's answer that may be shown, each short and printable, with no key in it."""
    found: dict[str, object] = {}
    for name in DESCRIBED_FIELDS:
        value = answer.get(name)
        if isinstance(value, list):
            found[name] = [_short(each) for each in value[:_MAX_LISTED] if isinstance(each, _PLAIN)]
        elif isinstance(value, _PLAIN):
            found[name] = _short(value)
    return found


def _short(value: str | int | float) -> str | int | float:
    return redact(printable(value))[:_MAX_FIELD_CHARS] if isinstance(value, str) else value


def _parse_json(body: bytes) -> object:
    try:
        return orjson.loads(body)
    except ValueError:
        return None
