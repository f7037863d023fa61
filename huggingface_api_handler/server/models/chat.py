"""chat-completion: conversations in OpenAI's form.

Protocol: https://huggingface.co/docs/inference-providers/tasks/chat-completion
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from ..protocol.errors import HTTPError, invalid_field
from ..protocol.parameters import get_number, reject_unknown
from ..protocol.request_body import ModelInputs
from . import smollm2

TASK = "chat-completion"
_KNOWN = (
    "max_tokens",
    "max_completion_tokens",
    "temperature",
    "top_p",
    "seed",
    "stop",
    "frequency_penalty",
    "presence_penalty",
    "response_format",
)
# They change nothing about one plain answer, and clients send them.
_WITHOUT_EFFECT = ("user", "options", "return_full_text", "stream_options", "n", "logprobs", "tool_choice")
# Without any, or with the one of the model's own template, it was seen to answer a plain question in broken French.
_SYSTEM = {"role": "system", "content": "You are a helpful AI assistant."}


@dataclass(frozen=True)
class ChatRequest:
    """A chat request taken apart. `model` is None when the body names none."""

    model: str | None
    messages: Any
    parameters: Mapping[str, Any]


def parse_chat_request(raw: bytes) -> ChatRequest:
    """Read OpenAI's chat completion body.

    Raises HTTPError 400 for what is not JSON and for what this server does not do (streams, several choices, tools),
    422 without messages.
    """
    try:
        content = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise HTTPError(400, f"The body is not valid JSON: {error}. Send an object with the key `messages`.") from None
    if not isinstance(content, dict):
        raise HTTPError(400, "The body is not a JSON object; send one with the key `messages`.")
    if "messages" not in content:
        raise HTTPError(422, "Failed to deserialize the JSON body into the target type: missing field `messages`")
    given = {name: value for name, value in content.items() if value is not None}
    for name, plain in (("stream", False), ("n", 1), ("tools", []), ("logprobs", False)):
        if given.pop(name, plain) != plain:
            raise invalid_field(name, f"`{name}` is not supported for this model")
    model, messages = given.pop("model", None), given.pop("messages", None)
    if model is not None and not isinstance(model, str):
        raise invalid_field("model", "expected a string")
    return ChatRequest(model, messages, {name: given[name] for name in given if name not in _WITHOUT_EFFECT})


def parse_messages(messages: Any) -> ModelInputs:
    """Messages with `role` and `content` (a text, or a list of parts of type text). Raises HTTPError 400."""
    if not isinstance(messages, list) or not messages:
        raise invalid_field("messages", "expected a list of at least one message")
    read_messages = [_message(message, f"messages.{position}") for position, message in enumerate(messages)]
    return ModelInputs([read_messages], False, sum(len(message["content"]) for message in read_messages))


def chat_completion(answer: Mapping[str, Any], model_id: str) -> dict[str, Any]:
    """The whole response around a model's `choices` and `usage`."""
    return {
        "object": "chat.completion",
        "id": f"chatcmpl-{secrets.token_hex(12)}",
        "created": int(time.time()),
        "model": model_id,
        "system_fingerprint": smollm2.WEIGHTS_SHA256[:12],
        **answer,
    }


class ChatModel:
    """A conversation to `{"choices": [...], "usage": {...}}`."""

    def __init__(self, model: smollm2.LanguageModel) -> None:
        self._model = model

    def predict(self, inputs: list[Any], parameters: Mapping[str, Any]) -> list[Any]:
        """`max_tokens` (default 256), `temperature` (default 0), `seed`, `stop`, penalties, and `response_format`
        with or without a JSON schema. Raises HTTPError 400, and 422 for too long a conversation.
        """
        reject_unknown(parameters, TASK, _KNOWN)
        length = "max_completion_tokens" if parameters.get("max_completion_tokens") else "max_tokens"
        arguments = smollm2.sampling_parameters(parameters, length)
        for name in ("frequency_penalty", "presence_penalty"):
            arguments[name] = get_number(parameters, name, 0, -2, 2)
        arguments |= _format(parameters.get("response_format"))
        return [self._answered(messages, arguments) for messages in inputs]

    def _answered(self, messages: list[dict[str, str]], arguments: Mapping[str, Any]) -> dict[str, Any]:
        if messages[0]["role"] != "system":
            messages = [_SYSTEM, *messages]
        answer = self._model.chat(messages, arguments)
        choices = [{**choice, "logprobs": None} for choice in answer["choices"]]
        return {"choices": choices, "usage": answer["usage"]}


def _format(wanted: Any) -> dict[str, Any]:
    kind = wanted.get("type") if isinstance(wanted, dict) else None
    if wanted is None or kind == "text":
        return {}
    if kind == "json_object":
        schema = wanted.get("schema", {"type": "object"})
    elif kind == "json_schema":
        # OpenAI puts the schema a level deeper than Text Generation Inference's older form, `value`.
        inner = wanted.get("json_schema")
        schema = inner.get("schema") if isinstance(inner, dict) else None
    else:
        schema = wanted.get("value") if kind == "json" else None
    if not isinstance(schema, dict):
        raise invalid_field("response_format", "expected type text, json_object, or json_schema with its schema")
    return {"response_format": {"type": "json_schema", "json_schema": {"schema": schema}}}


def _message(message: Any, field: str) -> dict[str, str]:
    if not isinstance(message, dict):
        raise invalid_field(field, "expected an object with `role` and `content`")
    role, content = message.get("role"), message.get("content")
    if role not in ("system", "user", "assistant"):
        raise invalid_field(f"{field}.role", "expected system, user or assistant")
    if isinstance(content, list):
        content = "".join(_part(part, field) for part in content)
    if not isinstance(content, str):
        raise invalid_field(f"{field}.content", "expected a string or a list of text parts")
    return {"role": role, "content": content}


def _part(part: Any, field: str) -> str:
    if isinstance(part, dict) and part.get("type") == "text" and isinstance(part.get("text"), str):
        return str(part["text"])
    raise invalid_field(f"{field}.content", "this model reads text only: expected parts of type text")


CARD = smollm2.model_card(TASK, ChatModel, parse_messages)
