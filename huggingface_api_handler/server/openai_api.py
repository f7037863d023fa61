"""Requests in OpenAI's form: models, chat, completions and embeddings; and `/rerank`, which many servers have beside.

Protocol: https://platform.openai.com/docs/api-reference
"""

from __future__ import annotations

import time
from itertools import chain
from typing import Any, TypeVar

from starlette.requests import Request
from starlette.responses import Response

from . import registry
from .body_reader import read_body
from .model_card import ModelCard
from .model_runs import AnyModelRun, ModelRun, RunOptions
from .protocol import chat_completion, embedding_request, reranking, text_completion
from .protocol.chat_completion import ChatResponse
from .protocol.errors import invalid_field
from .protocol.inputs import MAX_REQUEST_INPUTS, ModelInputs, SimilarityInput
from .protocol.json_types import JSON, Parameters
from .protocol.outputs import ChatAnswer, ChatMessage
from .protocol.text_completion import CompletionResponse
from .responses import json_response
from .streaming import chat_events, completion_events, event_response

_ItemT = TypeVar("_ItemT")
_OWNER = "huggingface_api_handler"
_FINGERPRINT_CHARS = 12
_LANGUAGE_TASKS = (chat_completion.TASK, text_completion.TASK)
_STARTED = int(time.time())


async def list_models(request: Request) -> Response:
    """List the models that can be asked.

    Args:
        request: The request.

    Returns:
        OpenAI's list, without models whose packages are not installed.
    """
    data: list[JSON] = [_model(model_id) for model_id in registry.model_ids() if _is_installed(model_id)]
    return json_response({"object": "list", "data": data})


async def get_model(request: Request) -> Response:
    """Describe a model.

    Args:
        request: The request, whose path names the model.

    Returns:
        OpenAI's few facts, its tasks, and how long an input may be.

    Raises:
        HTTPError: 404 when there is no such model.
    """
    return json_response(_model(request.path_params["model_id"]))


def _model(model_id: str) -> dict[str, JSON]:
    cards = registry.find_cards(model_id)
    tasks: list[JSON] = [card.task for card in cards]
    length = cards[0].max_input_length()
    facts: dict[str, JSON] = {"id": model_id, "object": "model", "created": _STARTED, "owned_by": _OWNER}
    facts |= {"tasks": tasks, "max_input_length": length}
    if length is not None and any(card.task in _LANGUAGE_TASKS for card in cards):
        facts["max_model_len"] = length  # vLLM's name for it
    return facts


def _is_installed(model_id: str) -> bool:
    return any(card.missing_requirements() is None for card in registry.find_cards(model_id))


def path_model(request: Request) -> str | None:
    """Find out which model a request's path names. Before the body is read, which may be large.

    Args:
        request: The request.

    Returns:
        The model's id, or None where the body may name one.

    Raises:
        HTTPError: 404 when there is no such model.
    """
    model_id: str | None = request.path_params.get("model_id")
    if model_id is not None:
        registry.find_cards(model_id)
    return model_id


async def chat(request: Request) -> Response:
    """Answer a conversation.

    Args:
        request: The request.

    Returns:
        A chat completion, or a stream of its parts.

    Raises:
        HTTPError: What is wrong with the request or the model.
    """
    path_id = path_model(request)
    body = chat_completion.parse_chat_request(await read_body(request))
    card: ModelCard[list[ChatMessage], ChatAnswer]
    card, model_id = registry.find_card(chat_completion.TASK, path_id or body.model)
    if body.parameters.get("logprobs") and "logprobs" not in card.known_parameters:
        raise invalid_field("logprobs", "`logprobs` is not supported for this model")
    inputs = card.parse_inputs(body.messages)
    run = ModelRun(request, card, body.parameters)
    response = ChatResponse(model_id, lambda: card.sha()[:_FINGERPRINT_CHARS])
    if body.stream:
        events = chat_events(run, inputs.items[0], response, include_usage=body.include_usage)
        return await event_response(run, events, ends_with_done=True)
    [answer] = await run.predict(inputs)
    run.on_tokens(answer["usage"]["total_tokens"])
    return json_response(response.completion(answer), headers=run.headers)


async def complete(request: Request) -> Response:
    """Continue prompts.

    Args:
        request: The request.

    Returns:
        A text completion, or a stream of its parts.

    Raises:
        HTTPError: What is wrong with the request or the model.
    """
    path_id = path_model(request)
    body = text_completion.parse_completion_request(await read_body(request))
    card, model_id = registry.find_card(text_completion.TASK, path_id or body.model)
    # Pipelines do not have it.
    details = {"details": True} if "details" in card.known_parameters else {}
    run = ModelRun(request, card, {**body.parameters, **details})
    response = CompletionResponse(model_id)
    if body.stream:
        events = completion_events(run, body.prompts.items[0], response, include_usage=body.include_usage)
        return await event_response(run, events, ends_with_done=True)
    outputs = await run.predict(body.prompts)
    # A pipeline gives a list of sequences for each prompt, here of one.
    texts = [output[0] if isinstance(output, list) else output for output in outputs]
    return json_response(response.completion(texts), headers=run.headers)


async def embed(request: Request) -> Response:
    """Encode texts.

    Args:
        request: The request.

    Returns:
        A vector for each text.

    Raises:
        HTTPError: What is wrong with the request or the model.
    """
    path_id = path_model(request)
    body = embedding_request.parse_embedding_request(await read_body(request))
    card, model_id = registry.find_card(embedding_request.TASK, path_id or body.model)
    run = ModelRun(request, card, {}, options=RunOptions(ignored=body.ignored))
    embeddings, tokens = await _predict_in_parts(run, body.texts, sum(map(len, body.texts)))
    content = embedding_request.embedding_response(body, model_id, embeddings, tokens)
    return json_response(content, headers=run.headers)


async def rerank(request: Request) -> Response:
    """Rank texts by their similarity with a query.

    Args:
        request: The request.

    Returns:
        The texts' places with their scores, the best first. A score is the cosine of two vectors.

    Raises:
        HTTPError: What is wrong with the request or the model.
    """
    path_id = path_model(request)
    body = reranking.parse_rerank_request(await read_body(request))
    card, model_id = registry.find_card(reranking.TASK, path_id or body.model)
    parameters: Parameters = {} if body.truncate else {"truncate": False}
    run = ModelRun(request, card, parameters, options=RunOptions(ignored=body.ignored))
    groups = [SimilarityInput(body.query, texts) for texts in _parts(body.texts)]
    outputs: list[list[float]] = []
    tokens: int | None = 0
    for group in groups:
        found, count = await _predict_in_parts(run, [group], len(body.query) + sum(map(len, group.sentences)))
        outputs += found
        tokens = None if tokens is None or count is None else tokens + count
    content = reranking.rerank_response(body, model_id, list(chain.from_iterable(outputs)), tokens)
    return json_response(content, headers=run.headers)


async def _predict_in_parts(run: AnyModelRun, items: list[_ItemT], characters: int) -> tuple[list[Any], int | None]:
    """Run a model for as many inputs at once as a task request may have, so that others are answered in between."""
    outputs: list[Any] = []
    counts: list[int | None] = []
    for part in _parts(items):
        outputs += await run.predict(ModelInputs(part, True, characters))
        counts.append(await run.count_tokens(part))
    counted = [count for count in counts if count is not None]
    return outputs, sum(counted) if len(counted) == len(counts) else None


def _parts(items: list[_ItemT]) -> list[list[_ItemT]]:
    return [items[start : start + MAX_REQUEST_INPUTS] for start in range(0, len(items), MAX_REQUEST_INPUTS)]
