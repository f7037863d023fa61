"""chat-completion: conversations with the small language model."""

from __future__ import annotations

from dataclasses import dataclass

from ..protocol.chat_completion import TASK, parse_messages
from ..protocol.errors import invalid_field
from ..protocol.json_types import Parameters
from ..protocol.outputs import ChatAnswer, ChatChoice, ChatMessage
from ..protocol.parameters import get_bool, get_number
from . import smollm2

_PARAMETERS = (
    "max_tokens",
    "max_completion_tokens",
    "temperature",
    "top_p",
    "seed",
    "stop",
    "frequency_penalty",
    "presence_penalty",
    "response_format",
    "logprobs",
    "top_logprobs",
)
_MAX_TOP_LOGPROBS = 20
# Without any, or with the one of the model's own template, it was seen to answer a plain question in broken French.
_SYSTEM_MESSAGE: ChatMessage = {"role": "system", "content": "You are a helpful AI assistant."}


@dataclass(frozen=True)
class ChatModel:
    """A conversation to `{"choices": [...], "usage": {...}}`.

    Attributes:
        model: The loaded model.
    """

    model: smollm2.LanguageModel

    def predict(self, inputs: list[list[ChatMessage]], parameters: Parameters) -> list[ChatAnswer]:
        """Answer conversations.

        Args:
            inputs: Conversations, each a list of messages.
            parameters: `max_tokens` (default 256), `temperature` (default 0), `seed`, `stop`, penalties, and
                `response_format` with or without a JSON schema; `logprobs` and `top_logprobs`.

        Returns:
            One answer for each conversation.

        Raises:
            HTTPError: 400 for bad parameters, 422 for too long a conversation.
        """
        sampling = _sampling(parameters)
        return [self._answer(messages, sampling, None) for messages in inputs]

    def stream(self, item: list[ChatMessage], parameters: Parameters, on_token: smollm2.OnToken) -> ChatAnswer:
        """Answer a conversation, token by token.

        Args:
            item: The conversation.
            parameters: As in `predict`.
            on_token: As in `StreamingModel.stream`.

        Returns:
            The whole answer.

        Raises:
            HTTPError: As `predict` does.
        """
        return self._answer(item, _sampling(parameters), on_token)

    def _answer(
        self, messages: list[ChatMessage], sampling: smollm2.Sampling, on_token: smollm2.OnToken | None
    ) -> ChatAnswer:
        if messages[0]["role"] != "system":
            messages = [_SYSTEM_MESSAGE, *messages]
        completion = self.model.chat(messages, sampling, on_token)
        choices: list[ChatChoice] = []
        for choice in completion["choices"]:
            logprobs = choice.get("logprobs")
            content = smollm2.openai_logprobs(logprobs["content"]) if logprobs else None
            choices.append(
                {
                    "index": choice["index"],
                    "message": choice["message"],
                    "logprobs": None if content is None else {"content": content},
                    "finish_reason": choice["finish_reason"] or "stop",
                }
            )
        return {"choices": choices, "usage": completion["usage"]}


def _sampling(parameters: Parameters) -> smollm2.Sampling:
    max_tokens_name = "max_completion_tokens" if parameters.get("max_completion_tokens") else "max_tokens"
    sampling = smollm2.sampling_parameters(parameters, max_tokens_name)
    if (schema := _json_schema(parameters.get("response_format"))) is not None:
        sampling["response_format"] = {"type": "json_schema", "json_schema": {"schema": schema}}
    if get_bool(parameters, "logprobs", False):
        sampling["logprobs"] = True
        sampling["top_logprobs"] = int(get_number(parameters, "top_logprobs", 0, 0, _MAX_TOP_LOGPROBS))
    return sampling


def _json_schema(response_format: object) -> dict[str, object] | None:
    """Return the JSON schema that an answer must follow, or None for plain text."""
    if response_format is None:
        return None
    schema: object = None
    if isinstance(response_format, dict):
        kind = response_format.get("type")
        if kind == "text":
            return None
        if kind == "json_object":
            # huggingface_hub puts the schema of json_schema here, as `value`.
            schema = response_format.get("schema", response_format.get("value", {"type": "object"}))
        elif kind == "json_schema":
            # OpenAI puts the schema a level deeper than Text Generation Inference's older form, `value`.
            inner = response_format.get("json_schema")
            schema = inner.get("schema") if isinstance(inner, dict) else None
        elif kind == "json":
            schema = response_format.get("value")
    if not isinstance(schema, dict):
        raise invalid_field("response_format", "expected type text, json_object, or json_schema with its schema")
    return schema


CARD = smollm2.model_card(TASK, ChatModel, parse_messages, _PARAMETERS)
