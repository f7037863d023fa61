"""Tasks that write text from a prompt: plain generation and chat."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from ..errors import UnreadableAnswer
from .base import MEGABYTE, Column, Prediction, Settings, Task, best_of, object_with_text
from .chat_answers import RAISE_MAX_TOKENS, Reply, reply_of
from .input_types import Conversation, Input, PromptFields, Repair
from .output_schema import scored_field
from .structured_output import FieldsInText, described, find_fields
from .token_confidence import field_confidence

RepairFunction: TypeAlias = Callable[[Any, object, UnreadableAnswer, Settings], Repair | None]


def read_generated(answer: object, _input: Input, _settings: Settings) -> Prediction:
    """The generated text; why it ended and its number of tokens, where the server says.

    Args:
        answer: ``{"generated_text", "details"}``, or a list of these, best first. A chat completion where the server
            has nothing but chat.

    Returns:
        The text for the target. ``explain`` is ``{"finish_reason", "tokens"}`` with the number of generated tokens;
        None where the server sent no details.

    Raises:
        UnreadableAnswer: the answer has another shape.
    """
    if isinstance(answer, dict) and "choices" in answer:
        return read_chat(answer, _input, _settings)
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
        For the target the text, or ``{field: value}`` under ``output_schema``. The confidence is the probability of
        the only field that is one of several choices, None where there is none. ``explain`` is
        ``{"finish_reason", "tokens"}``, each None where the server does not say, and ``reasoning`` where there is some.
        The tokens are those of prompt and reply together.

    Raises:
        UnreadableAnswer: the answer has no text, or one that does not fit the schema.
    """
    reply = reply_of(answer)
    if not settings.output_schema:
        return Prediction(reply.text, None, reply.explain)
    fields, source = fields_of(reply, settings.output_schema)
    scored = scored_field(settings.output_schema)
    confidence = field_confidence(reply.logprobs, source, scored) if scored is not None else None
    return Prediction(fields, confidence, reply.explain)


def fields_of(reply: Reply, output_schema: Mapping[str, Any]) -> FieldsInText:
    """The fields of a reply.

    Args:
        reply: what the model said.
        output_schema: as ``output_schema.parse_output_schema`` gives it.

    Returns:
        The fields, and the JSON that they were read from.

    Raises:
        UnreadableAnswer: the reply does not fit. Where it was cut off, the sentence says so.
    """
    try:
        return find_fields(reply.text, output_schema)
    except UnreadableAnswer as error:
        if not reply.is_cut_off:
            raise
        raise UnreadableAnswer(f"the answer was cut off at max_tokens, so {error}; {RAISE_MAX_TOKENS}") from None


def reply_value(settings: Settings) -> str:
    """The SQL type of the target of ``read_chat``.

    Args:
        settings: of which ``output_schema`` is read.

    Returns:
        JSON under ``output_schema``, else VARCHAR.
    """
    return "JSON" if settings.output_schema else "VARCHAR"


def typed_schema(settings: Settings) -> Mapping[str, Any] | None:
    """What an answer must be.

    Args:
        settings: of which ``output_schema`` is read.

    Returns:
        The ``output_schema``; None without it.
    """
    return settings.output_schema


def repair_for(answer_schema: Callable[[Settings], Mapping[str, Any] | None]) -> RepairFunction:
    """Make the repair of a task whose answers are JSON.

    Args:
        answer_schema: as of ``Task``.

    Returns:
        A function of input, answer, error and settings, as of ``Task.repair``. It makes one more turn that says what
        did not fit; none for an answer that has no text, or was cut off, and none for a repair.
    """

    def repair(
        item: str | PromptFields | Conversation | Repair, answer: object, error: UnreadableAnswer, settings: Settings
    ) -> Repair | None:
        schema = answer_schema(settings)
        if not schema or isinstance(item, Repair):
            return None
        try:
            reply = reply_of(answer)
        except UnreadableAnswer:
            return None
        if reply.is_cut_off:  # so would be the next one
            return None
        asked = f"Answer again with one JSON object {described(schema)}, and nothing else."
        return Repair(item, reply.text, f"That does not fit: {error}. {asked}")

    return repair


_PROMPT = (Column("column", required=False),)

PROMPT_FIELDS = Column("prompt_columns", "fields", required=False)
"""Columns whose cells make the prompt of a chat, each with its name."""

# It answers at once, at a low price and from several providers. openai/gpt-oss-120b, which Hugging Face's pages show
# too, reasons first, and answers nothing where max_tokens is as small as it often is for a column of short answers.
_DEFAULT_MODEL = "meta-llama/Llama-3.1-8B-Instruct"

LONG_PROMPT_ADVICE = (
    "Nothing of a prompt is cut, since the model's limit holds for the prompt and what it writes together. Shorten the "
    "prompt, ask for fewer tokens, or take a model that reads more"
)

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
        long_text_advice=LONG_PROMPT_ADVICE,
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
        columns=(*_PROMPT, PROMPT_FIELDS, Column("messages_column", "messages", required=False)),
        read=read_chat,
        value_type=reply_value,
        answer_schema=typed_schema,
        arguments=frozenset({"prompt_template", "system_prompt", "output_schema"}),
        repair=repair_for(typed_schema),
        rename={"max_length": "max_tokens", "max_new_tokens": "max_tokens", "max_output_length": "max_tokens"},
        long_text_advice=LONG_PROMPT_ADVICE,
        deterministic=False,
        explained=True,
        max_answer_bytes=16 * MEGABYTE,  # with twenty alternatives for each token
    ),
)
