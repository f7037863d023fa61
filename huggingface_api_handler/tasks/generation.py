"""Tasks that write text from a prompt: plain generation and chat."""

from __future__ import annotations

from typing import Any

from ..errors import UnreadableAnswer
from .base import MEGABYTE, Column, Prediction, Settings, Task, best_of, object_with_text, unreadable
from .input_types import Conversation, Input, Repair
from .structured_output import parse_fields


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
    generated = object_with_text(best_of(answer), "generated_text", "text-generation")
    details = generated.get("details")
    explain = None
    if isinstance(details, dict):
        explain = {"finish_reason": details.get("finish_reason"), "tokens": details.get("generated_tokens")}
    return Prediction(generated["generated_text"], None, explain)


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


def reply_value(settings: Settings) -> str:
    """The SQL type of the target of ``read_chat``.

    Args:
        settings: of which ``output_schema`` is read.

    Returns:
        JSON under ``output_schema``, else VARCHAR.
    """
    return "JSON" if settings.output_schema else "VARCHAR"


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

# It answers at once, at a low price and from several providers. openai/gpt-oss-120b, which Hugging Face's pages show
# too, reasons first, and answers nothing where max_tokens is as small as it often is for a column of short answers.
_DEFAULT_MODEL = "meta-llama/Llama-3.1-8B-Instruct"

TASKS = (
    Task(
        name="text-generation",
        description="Goes on from a prompt",
        default_model=_DEFAULT_MODEL,
        router_task="chat-completion",
        operation="text_completion",
        columns=_PROMPT,
        read=read_generated,
        arguments=frozenset({"prompt_template"}),
        rename={"max_length": "max_new_tokens", "max_output_length": "max_new_tokens", "max_tokens": "max_new_tokens"},
        more_parameters={"num_return_sequences": int},
        deterministic=False,
        explained=True,
        max_answer_bytes=16 * MEGABYTE,  # with twenty alternatives for each token
    ),
    Task(
        name="chat-completion",
        description="Answers a prompt, as an assistant does",
        aliases=("conversational", "chat"),
        operation="chat",
        default_model=_DEFAULT_MODEL,
        columns=(*_PROMPT, Column("messages_column", "messages", required=False)),
        read=read_chat,
        value_type=reply_value,
        arguments=frozenset({"prompt_template", "system_prompt", "output_schema"}),
        repair=_repair,
        rename={"max_length": "max_tokens", "max_new_tokens": "max_tokens", "max_output_length": "max_tokens"},
        deterministic=False,
        explained=True,
        max_answer_bytes=16 * MEGABYTE,  # with twenty alternatives for each token
    ),
)
