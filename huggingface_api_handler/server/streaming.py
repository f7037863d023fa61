"""Outputs as server-sent events, in OpenAI's form and in that of Text Generation Inference.

Protocol: https://html.spec.whatwg.org/multipage/server-sent-events.html,
https://platform.openai.com/docs/api-reference/chat-streaming and
https://huggingface.github.io/text-generation-inference (`/generate_stream`).
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import aclosing
from typing import TYPE_CHECKING, TypeAlias, cast

import orjson
from starlette.responses import Response, StreamingResponse

from .model_card import Token
from .model_runs import ModelRun
from .protocol.chat_completion import ChatResponse
from .protocol.errors import HTTPError
from .protocol.json_types import JSON
from .protocol.outputs import ChatAnswer, ChatMessage, GeneratedText
from .protocol.text_completion import CompletionResponse, finish_reason

if TYPE_CHECKING:
    from .model_runs import AnyModelRun

Events: TypeAlias = AsyncGenerator[Mapping[str, JSON], None]

_logger = logging.getLogger(__name__)
_DONE = b"data: [DONE]\n\n"


async def event_response(run: AnyModelRun, events: Events, *, ends_with_done: bool) -> Response:
    """Build the response of a stream. It begins with the first event, so what is refused before has a status.

    Args:
        run: The run that the events are of.
        events: The events.
        ends_with_done: Say `[DONE]` after the last event, as OpenAI does.

    Returns:
        The response.

    Raises:
        HTTPError: As the first of the events does.
    """
    first = await anext(events)
    headers = {"x-request-id": secrets.token_urlsafe(16), "cache-control": "no-cache", **run.headers}
    content = _encoded(first, events, ends_with_done)
    return StreamingResponse(content, headers=headers, media_type="text/event-stream")


async def _encoded(first: Mapping[str, JSON], events: Events, ends_with_done: bool) -> AsyncIterator[bytes]:
    async with aclosing(events):
        yield _encode(first)
        try:
            async for event in events:
                yield _encode(event)
        except HTTPError as error:
            yield _encode(error.body)
            return
        except Exception as error:
            _logger.exception("A stream ended early")
            message = f"Internal error ({type(error).__name__}); the server's log has the details"
            yield _encode({"error": message})
            return
        if ends_with_done:
            yield _DONE


def _encode(event: Mapping[str, JSON]) -> bytes:
    return b"data: " + orjson.dumps(event) + b"\n\n"


async def chat_events(
    run: ModelRun[list[ChatMessage], ChatAnswer],
    conversation: list[ChatMessage],
    response: ChatResponse,
    *,
    include_usage: bool,
) -> Events:
    """Stream the answer to a conversation.

    Args:
        run: The run of the model.
        conversation: The conversation.
        response: What all events say.
        include_usage: The last event says how many tokens were used.

    Yields:
        Events in OpenAI's form; one with the whole answer, where the model cannot stream.

    Raises:
        HTTPError: As the model does.
    """
    role: dict[str, JSON] = {"role": "assistant"}
    async with aclosing(run.stream(conversation)) as parts:
        async for part in parts:
            if isinstance(part, Token):
                logprobs: JSON = {"content": part.logprobs} if part.logprobs else None
                yield response.chunk({**role, "content": part.text}, logprobs=logprobs)
                role = {}
                continue
            answer = part.output
    [choice] = answer["choices"]
    if role:
        yield response.chunk({**role, "content": choice["message"]["content"]}, logprobs=choice["logprobs"])
    yield response.chunk({}, choice["finish_reason"])
    run.on_tokens(answer["usage"]["total_tokens"])
    if include_usage:
        yield response.usage_chunk(answer["usage"])


async def completion_events(
    run: ModelRun[str, GeneratedText], prompt: str, response: CompletionResponse, *, include_usage: bool
) -> Events:
    """Stream the continuation of a prompt.

    Args:
        run: The run of the model.
        prompt: The prompt.
        response: What all events say.
        include_usage: The last event says how many tokens were used.

    Yields:
        Events in OpenAI's form; one with the whole text, where the model cannot stream.

    Raises:
        HTTPError: As the model does.
    """
    streamed = False
    async with aclosing(run.stream(prompt)) as parts:
        async for part in parts:
            if isinstance(part, Token):
                yield response.chunk(part.text)
                streamed = True
                continue
            text = _only(part.output)
    if not streamed:
        yield response.chunk(text["generated_text"])
    yield response.chunk("", finish_reason(text))
    if include_usage:
        yield response.usage_chunk(text)


async def generation_events(run: ModelRun[str, GeneratedText], prompt: str) -> Events:
    """Stream the continuation of a prompt.

    Args:
        run: The run of the model.
        prompt: The prompt.

    Yields:
        Events in the form of Text Generation Inference, the last with the whole text; that one alone, where the model
        cannot stream.

    Raises:
        HTTPError: As the model does.
    """
    index = 1
    last: Token | None = None
    async with aclosing(run.stream(prompt)) as parts:
        async for part in parts:
            if isinstance(part, Token):
                if last is not None:
                    yield _generation_event(index, last)
                    index += 1
                last = part
                continue
            text = _only(part.output)
    generated: JSON = text["generated_text"]
    details: JSON = cast("JSON", text.get("details"))
    token = last if last is not None else Token(text["generated_text"])
    yield {**_generation_event(index, token), "generated_text": generated, "details": details}


def _generation_event(index: int, token: Token) -> dict[str, JSON]:
    facts: JSON = {"id": token.id, "text": token.text, "logprob": token.logprob, "special": False}
    return {"index": index, "token": facts, "generated_text": None, "details": None}


def _only(output: GeneratedText | list[GeneratedText]) -> GeneratedText:
    """Take the first sequence of a pipeline, which may be asked for several."""
    return output[0] if isinstance(output, list) else output
