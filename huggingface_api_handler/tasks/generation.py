"""Tasks that write text from a prompt: plain generation and chat."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from ..errors import UnreadableAnswer
from .base import Column, JSONObject, Prediction, Settings, Task, best_of, unreadable, with_parameters
from .input_types import Conversation, Input, Repair
from .structured_output import parse_fields, response_format


def _prompt_body(inputs: Sequence[str], settings: Settings) -> JSONObject:
    return with_parameters({"inputs": inputs[0]}, settings)


def read_generated(answer: object, _input: Input, _settings: Settings) -> Prediction:
    """The generated text; why it ended and its number of tokens, where the server says.

    Args:
        answer: ``{"generated_text", "details"}``, or a list of these, best first.

    Returns:
        The text for the target. ``explain`` is ``{"finish_reason", "tokens"}`` with the number of generated tokens;
        None where the server sent no details.

    Raises:
        UnreadableAnswer: the answer has another shape.
    """
    answer = best_of(answer)
    if not isinstance(answer, dict) or not isinstance(answer.get("generated_text"), str):
        raise unreadable("text-generation", answer)
    details = answer.get("details")
    explain = None
    if isinstance(details, dict):
        explain = {"finish_reason": details.get("finish_reason"), "tokens": details.get("generated_tokens")}
    return Prediction(answer["generated_text"], None, explain)


def _chat_body(inputs: Sequence[str | Conversation | Repair], settings: Settings) -> JSONObject:
    """OpenAI's chat completion form, which Hugging Face's router and most servers speak.

    ``system_prompt`` comes first, but for a conversation that begins with a system message of its own.
    """
    messages = _messages(inputs[0])
    if settings.system_prompt and messages[0]["role"] != "system":
        messages.insert(0, {"role": "system", "content": settings.system_prompt})
    body: JSONObject = {"model": settings.model, "messages": messages}
    if settings.output_schema:
        body["response_format"] = response_format(settings.output_schema)
    return {**body, **settings.parameters}


def _messages(item: str | Conversation | Repair) -> list[JSONObject]:
    if isinstance(item, Repair):
        return [
            *_messages(item.prompt),
            {"role": "assistant", "content": item.answer},
            {"role": "user", "content": item.complaint},
        ]
    if isinstance(item, Conversation):
        messages: list[JSONObject] = json.loads(item.messages)
        return messages
    return [{"role": "user", "content": item}]


def read_chat(answer: object, _input: Input, settings: Settings) -> Prediction:
    """The assistant's text, or the fields of its JSON under ``output_schema``; why it ended and the tokens it took.

    Args:
        answer: OpenAI's chat completion, of which the first choice counts.
        settings: of which ``output_schema`` is read.

    Returns:
        For the target the text, or ``{field: value}`` under ``output_schema``. ``explain`` is
        ``{"finish_reason", "tokens"}``, each None where the server does not say. The tokens are those of prompt and
        reply together.

    Raises:
        UnreadableAnswer: the answer has no text, or one that does not fit the schema.
    """
    content, explain = _reply(answer)
    value = parse_fields(content, settings.output_schema) if settings.output_schema else content
    return Prediction(value, None, explain)


def _repair(
    item: str | Conversation | Repair, answer: object, error: UnreadableAnswer, settings: Settings
) -> Repair | None:
    """One more turn of the conversation that says what did not fit; None for an answer that has no text."""
    if not settings.output_schema or isinstance(item, Repair):
        return None
    try:
        reply, _ = _reply(answer)
    except UnreadableAnswer:
        return None
    fields = ", ".join(f"{name} ({kind})" for name, kind in settings.output_schema.items())
    return Repair(
        item,
        reply,
        f"That does not fit: {error}. Answer again with one JSON object with the fields {fields}, and nothing else.",
    )


def _reply(answer: object) -> tuple[str, dict[str, Any]]:
    choices = answer.get("choices") if isinstance(answer, dict) else None
    if not isinstance(answer, dict) or not isinstance(choices, list) or not choices or not isinstance(choices[0], dict):
        raise unreadable("chat-completion", answer)
    message = choices[0].get("message")
    content = message.get("content") if isinstance(message, dict) else None
    if not isinstance(content, str):
        raise unreadable("chat-completion", message)
    usage = answer.get("usage")
    tokens = usage.get("total_tokens") if isinstance(usage, dict) else None
    return content, {"finish_reason": choices[0].get("finish_reason"), "tokens": tokens}


_PROMPT = (Column("column", required=False),)

TASKS = (
    Task(
        name="text-generation",
        description="Goes on from a prompt",
        default_model="Qwen/Qwen2.5-7B-Instruct",
        columns=_PROMPT,
        read=read_generated,
        body=_prompt_body,
        arguments=frozenset({"prompt_template"}),
        rename={"max_length": "max_new_tokens", "max_output_length": "max_new_tokens", "max_tokens": "max_new_tokens"},
        more_parameters={"num_return_sequences": int},
        deterministic=False,
        explained=True,
    ),
    Task(
        name="chat-completion",
        description="Answers a prompt, as an assistant does",
        aliases=("conversational", "chat"),
        default_model="Qwen/Qwen2.5-7B-Instruct",
        columns=(*_PROMPT, Column("messages_column", "messages", required=False)),
        read=read_chat,
        body=_chat_body,
        arguments=frozenset({"prompt_template", "system_prompt", "output_schema"}),
        repair=_repair,
        rename={"max_length": "max_tokens", "max_new_tokens": "max_tokens", "max_output_length": "max_tokens"},
        protocol="chat",
        deterministic=False,
        explained=True,
    ),
)
