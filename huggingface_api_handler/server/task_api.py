"""Requests in the form of Hugging Face's Inference API: a model's URL, `inputs` and `parameters`.

Protocol: https://huggingface.co/docs/inference-providers/providers/hf-inference (task requests) and
https://huggingface.github.io/text-embeddings-inference (`/info`, `/health`, the error for long lists).
"""

from __future__ import annotations

import importlib.metadata
from typing import TYPE_CHECKING

from starlette.requests import Request
from starlette.responses import Response

from . import registry
from .body_reader import read_body
from .model_card import AnyModelCard
from .model_runs import ModelRun, RunOptions
from .protocol.errors import HTTPError, invalid_field
from .protocol.inputs import MAX_REQUEST_INPUTS
from .protocol.json_types import JSON
from .protocol.request_body import MAX_BODY_BYTES, parse_request_body
from .protocol.text_completion import TASK as GENERATION_TASK
from .responses import json_response, output_response
from .streaming import event_response, generation_events

if TYPE_CHECKING:
    from .metrics import Metrics

# The schema of image-to-text says one object. Hugging Face's servers and its Python client have a list of one instead,
# which this client refuses.
_OBJECT_TASK = "image-to-text"
_OBJECT_CLIENT = "@huggingface/inference"


async def predict(request: Request) -> Response:
    """Answer a task request.

    Args:
        request: The request, whose path names the model.

    Returns:
        One output, a list of outputs, a file or a stream.

    Raises:
        HTTPError: What is wrong with the request or the model.
    """
    model_id: str = request.path_params["model_id"]
    # Before the body is read, which may be large.
    registry.find_cards(model_id)
    body = parse_request_body(await read_body(request), request.headers.get("content-type", ""))
    card = registry.select_card(model_id, request.path_params.get("task"), body.inputs)
    inputs = card.parse_inputs(body.inputs)
    if body.stream:
        _check_stream(card, inputs.is_batch)
    run = ModelRun(request, card, body.parameters, options=RunOptions(body.wait_for_model))
    if body.stream:
        return await event_response(run, generation_events(run, inputs.items[0]), ends_with_done=False)
    outputs = await run.predict(inputs)
    wrap = inputs.is_batch or (card.wrap_single and not _wants_object(request, card))
    output = outputs if wrap else outputs[0]
    if isinstance(output, list) and len(output) == 1 and not inputs.is_batch and _wants_object(request, card):
        [output] = output
    return output_response(output, run.headers)


def _check_stream(card: AnyModelCard, is_batch: bool) -> None:
    if card.task != GENERATION_TASK:
        raise invalid_field("stream", f"an output of {card.task} comes as a whole: leave it out")
    if is_batch:
        raise invalid_field("stream", "a stream has one text: send the others in requests of their own")


def _wants_object(request: Request, card: AnyModelCard) -> bool:
    return card.task == _OBJECT_TASK and request.headers.get("user-agent", "").startswith(_OBJECT_CLIENT)


async def list_models(request: Request) -> Response:
    """Describe all models.

    Args:
        request: The request.

    Returns:
        A list of what is known of each.
    """
    return json_response([registry.model_metadata(model_id) for model_id in registry.model_ids()])


async def get_model(request: Request) -> Response:
    """Describe a model.

    Args:
        request: The request, whose path names the model.

    Returns:
        What is known of it.

    Raises:
        HTTPError: 404 when there is no such model.
    """
    return json_response(registry.model_metadata(request.path_params["model_id"]))


async def health(request: Request) -> Response:
    """Say that the server answers.

    Args:
        request: The request.

    Returns:
        The response.
    """
    return json_response({"status": "ok"})


async def info(request: Request) -> Response:
    """Describe the server.

    Args:
        request: The request.

    Returns:
        Its version, limits, models, their tasks and how long an input of each may be.
    """
    models: list[JSON] = [_summary(model_id) for model_id in registry.model_ids()]
    return json_response(
        {
            "server": "huggingface_api_handler local inference server",
            "version": _version(),
            "max_client_batch_size": MAX_REQUEST_INPUTS,
            "max_body_bytes": MAX_BODY_BYTES,
            "models": models,
        }
    )


async def model_info(request: Request) -> Response:
    """Describe a model as a server that has no other would.

    Args:
        request: The request, whose path names the model.

    Returns:
        Its task, its limits and its weights.

    Raises:
        HTTPError: 404 when there is no model of that id.
    """
    model_id: str = request.path_params["model_id"]
    facts: dict[str, JSON] = {**registry.model_metadata(model_id), "max_client_batch_size": MAX_REQUEST_INPUTS}
    return json_response(facts)


def _summary(model_id: str) -> JSON:
    cards = registry.find_cards(model_id)
    tasks: list[JSON] = [card.task for card in cards]
    return {"id": model_id, "tasks": tasks, "max_input_length": cards[0].max_input_length()}


async def show_metrics(request: Request) -> Response:
    """Show what the server did.

    Args:
        request: The request.

    Returns:
        Metrics in the format of Prometheus.

    Raises:
        HTTPError: 404 where the extra `metrics` is not installed.
    """
    metrics: Metrics | None = request.app.state.metrics
    if metrics is None:
        advice = 'Install it with: pip install "huggingface_api_handler[metrics]", and start the server again'
        raise HTTPError(404, f"Metrics need prometheus_client. {advice}")
    return metrics.response()


def _version() -> str:
    try:
        return importlib.metadata.version("huggingface_api_handler")
    except importlib.metadata.PackageNotFoundError:
        # MindsDB may load the handler from a folder that was never installed.
        return "not installed"
