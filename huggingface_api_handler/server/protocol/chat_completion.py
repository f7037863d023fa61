"""Chat completion requests and responses in OpenAI's form.

Protocol: https://huggingface.co/docs/inference-providers/tasks/chat-completion
"""

from __future__ import annotations

import secrets
import time
from dataclasses import dataclass
from typing import TypedDict

from .errors import HTTPError, invalid_field
from .inputs import ModelInputs
from .json_types import Parameters
from .outputs import ChatAnswer, ChatChoice, ChatMessage, ChatUsage
from .request_body import parse_json

TASK = "chat-completion"
# They change nothing about one plain answer, and clients send them.
_IGNORED_FIELDS = ("user", "options", "return_full_text", "stream_options", "n", "logprobs", "tool_choice")


@dataclass(frozen=True)
class ChatRequest:
    """A chat request, taken apart.

    Attributes:
        model: The model that the body names, or None.
        messages: The conversation, unchecked; see `parse_messages`.
        parameters: All other fields that may matter, unchecked.
    """

    model: str | None
    messages: object
    parameters: Parameters


class ChatCompletion(TypedDict):
    """The whole response to a chat request."""

    object: str
    id: str
    created: int
    model: str
    system_fingerprint: str
    choices: list[ChatChoice]
    usage: ChatUsage


def parse_chat_request(raw: bytes) -> ChatRequest:
    """Parse the body of OpenAI's chat completion.

    Args:
        raw: The whole body.

    Returns:
        The parts of the request.

    Raises:
        HTTPError: 400 for what is not JSON and for what this server does not do (streams, several choices, tools),
            422 without messages.
    """
    content = parse_json(raw, "messages")
    if not isinstance(content, dict):
        raise HTTPError(400, "The body is not a JSON object; send one with the key `messages`.")
    if "messages" not in content:
        raise HTTPError(422, "Failed to deserialize the JSON body into the target type: missing field `messages`")
    fields: dict[str, object] = {name: value for name, value in content.items() if value is not None}
    for name, supported in (("stream", False), ("n", 1), ("tools", []), ("logprobs", False)):
        if fields.pop(name, supported) != supported:
            raise invalid_field(name, f"`{name}` is not supported for this model")
    model, messages = fields.pop("model", None), fields.pop("messages", None)
    if model is not None and not isinstance(model, str):
        raise invalid_field("model", "expected a string")
    return ChatRequest(model, messages, {name: fields[name] for name in fields if name not in _IGNORED_FIELDS})


def parse_messages(messages: object) -> ModelInputs[list[ChatMessage]]:
    """Parse messages with `role` and `content` (a text, or a list of parts of type text).

    Args:
        messages: The request's `messages`, or the `inputs` of a task request.

    Returns:
        The whole conversation as the only item.

    Raises:
        HTTPError: 400 for another form, and for parts that are not text.
    """
    if not isinstance(messages, list) or not messages:
        raise invalid_field("messages", "expected a list of at least one message")
    conversation = [_parse_message(message, f"messages.{position}") for position, message in enumerate(messages)]
    return ModelInputs([conversation], False, sum(len(message["content"]) for message in conversation))


def chat_completion(answer: ChatAnswer, model_id: str, default_fingerprint: str) -> ChatCompletion:
    """Build the whole response around what the model decides.

    Args:
        answer: The model's choices and usage, with or without a fingerprint.
        model_id: The id that the request named.
        default_fingerprint: `system_fingerprint` for an answer without one.

    Returns:
        The JSON body of the response.
    """
    return {
        "object": "chat.completion",
        "id": f"chatcmpl-{secrets.token_hex(12)}",
        "created": int(time.time()),
        "model": model_id,
        "system_fingerprint": answer.get("system_fingerprint", default_fingerprint),
        "choices": answer["choices"],
        "usage": answer["usage"],
    }


def _parse_message(message: object, field: str) -> ChatMessage:
    if not isinstance(message, dict):
        raise invalid_field(field, "expected an object with `role` and `content`")
    role, content = message.get("role"), message.get("content")
    if role not in ("system", "user", "assistant"):
        raise invalid_field(f"{field}.role", "expected system, user or assistant")
    if isinstance(content, list):
        content = "".join(_parse_part(part, field) for part in content)
    if not isinstance(content, str):
        raise invalid_field(f"{field}.content", "expected a string or a list of text parts")
    return {"role": role, "content": content}


def _parse_part(part: object, field: str) -> str:
    if isinstance(part, dict) and part.get("type") == "text" and isinstance(part.get("text"), str):
        return str(part["text"])
    raise invalid_field(f"{field}.content", "this model reads text only: expected parts of type text")
