"""Chat completion requests and responses in OpenAI's form, whole and as parts of a stream.

Protocol: https://huggingface.co/docs/inference-providers/tasks/chat-completion
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TypedDict, cast

from .errors import HTTPError, invalid_field
from .inputs import ModelInputs
from .json_types import JSON, Parameters
from .outputs import ChatAnswer, ChatChoice, ChatMessage, ChatUsage
from .parameters import get_bool
from .request_body import parse_object

TASK = "chat-completion"
# They change nothing about one plain answer, and clients send them.
_IGNORED_FIELDS = ("user", "options", "return_full_text", "stream_options", "stream", "n", "tools", "tool_choice")
# What an answer without them would not be. Others that are not known are ignored with a warning.
_ONLY_SUPPORTED: tuple[tuple[str, object], ...] = (("n", 1), ("tools", []), ("functions", []))


@dataclass(frozen=True)
class ChatRequest:
    """A chat request, taken apart.

    Attributes:
        model: The model that the body names, or None.
        messages: The conversation, unchecked; see `parse_messages`.
        parameters: All other fields that may matter, unchecked.
        stream: The client wants the answer as it comes.
        include_usage: A stream ends with the tokens used.
    """

    model: str | None
    messages: object
    parameters: Parameters
    stream: bool
    include_usage: bool


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
        HTTPError: 400 for what is not JSON and for what this server does not do (several choices, tools), 422 without
            messages.
    """
    content = parse_object(raw, "messages")
    if "messages" not in content:
        raise HTTPError(422, "Failed to deserialize the JSON body into the target type: missing field `messages`")
    fields: dict[str, object] = {name: value for name, value in content.items() if value is not None}
    refuse_unsupported(fields, _ONLY_SUPPORTED)
    model, messages = read_model(fields), fields.pop("messages", None)
    parameters = {name: fields[name] for name in fields if name not in (*_IGNORED_FIELDS, "model")}
    return ChatRequest(model, messages, parameters, get_bool(fields, "stream", False), includes_usage(fields))


def refuse_unsupported(fields: Parameters, only_supported: Sequence[tuple[str, object]]) -> None:
    """Refuse fields whose effect an answer would lack.

    Args:
        fields: The body's fields.
        only_supported: Names with the one value that can be served.

    Raises:
        HTTPError: 400 for another value.
    """
    for name, supported in only_supported:
        if fields.get(name) not in (None, supported):
            raise invalid_field(name, f"`{name}` is not supported for this model")


def read_model(fields: Parameters) -> str | None:
    """Read which model a body names.

    Args:
        fields: The body's fields.

    Returns:
        The name, or None where there is none.

    Raises:
        HTTPError: 400 for another type.
    """
    model = fields.get("model")
    if model is not None and not isinstance(model, str):
        raise invalid_field("model", "expected a string")
    return model


def includes_usage(fields: Parameters) -> bool:
    """Tell whether a stream ends with the tokens used.

    Args:
        fields: The body's fields.

    Returns:
        What `stream_options.include_usage` says.
    """
    options = fields.get("stream_options")
    return isinstance(options, dict) and options.get("include_usage") is True


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


@dataclass(frozen=True)
class ChatResponse:
    """What all parts of the response to one request say.

    Attributes:
        model_id: The id that the request named.
        default_fingerprint: Tells `system_fingerprint` for an answer without one, once the model is loaded.
        id: Names this response.
        created: When it was made, in seconds since 1970.
    """

    model_id: str
    default_fingerprint: Callable[[], str]
    id: str = field(default_factory=lambda: f"chatcmpl-{secrets.token_hex(12)}")
    created: int = field(default_factory=lambda: int(time.time()))

    def completion(self, answer: ChatAnswer) -> ChatCompletion:
        """Build the whole response around what the model decides.

        Args:
            answer: The model's choices and usage, with or without a fingerprint.

        Returns:
            The JSON body of the response.
        """
        return {
            "object": "chat.completion",
            "id": self.id,
            "created": self.created,
            "model": self.model_id,
            "system_fingerprint": answer.get("system_fingerprint") or self.default_fingerprint(),
            "choices": answer["choices"],
            "usage": answer["usage"],
        }

    def chunk(self, delta: JSON, finish_reason: str | None = None, logprobs: JSON = None) -> dict[str, JSON]:
        """Build one part of a stream.

        Args:
            delta: What is new of the message.
            finish_reason: Why the answer ended, in its last part.
            logprobs: Those of the part's tokens.

        Returns:
            The JSON of the event.
        """
        choice: JSON = {"index": 0, "delta": delta, "logprobs": logprobs, "finish_reason": finish_reason}
        return {**self._frame(), "choices": [choice]}

    def usage_chunk(self, usage: ChatUsage) -> dict[str, JSON]:
        """Build the part of a stream that says how many tokens were used.

        Args:
            usage: The tokens.

        Returns:
            The JSON of the event.
        """
        return {**self._frame(), "choices": [], "usage": cast("JSON", usage)}

    def _frame(self) -> dict[str, JSON]:
        return {
            "object": "chat.completion.chunk",
            "id": self.id,
            "created": self.created,
            "model": self.model_id,
            "system_fingerprint": self.default_fingerprint(),
        }


def _parse_message(message: object, field: str) -> ChatMessage:
    if not isinstance(message, dict):
        raise invalid_field(field, "expected an object with `role` and `content`")
    role, content = message.get("role"), message.get("content")
    # OpenAI's newer word.
    role = "system" if role == "developer" else role
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
