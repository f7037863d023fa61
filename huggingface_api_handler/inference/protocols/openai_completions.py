"""OpenAI's completions, by which a server without chat goes on from a prompt: ``/v1/completions``.

llama.cpp, vLLM, SGLang, ``transformers serve`` and LiteLLM speak it. The task's parameters are those of Hugging Face's
text-generation; here they get the names that such servers know.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from ...errors import UnreadableAnswer
from ...redaction import preview
from ...tasks import Input, JSONObject, Settings, Task
from ...tasks.base import unreadable
from ..transport.client import Response
from . import codec
from .addresses import remove_path
from .base import Batching
from .event_stream import is_event_stream, join_events
from .openai_chat import chat_error
from .operations import JSONOperation

_TASK = "text-generation"
_CHAT_PATH = "/chat/completions"

_NAMES = {
    "max_new_tokens": "max_tokens",
    "stop": "stop",
    "seed": "seed",
    "temperature": "temperature",
    "top_p": "top_p",
    "top_k": "top_k",
    "frequency_penalty": "frequency_penalty",
    "repetition_penalty": "repetition_penalty",
    "best_of": "best_of",
}
"""The task's parameters that have an equal there, and its name. ``top_k`` and ``repetition_penalty`` are not OpenAI's
own: vLLM and SGLang take both."""

_NEUTRAL: dict[str, tuple[Any, ...]] = {
    "details": (True, False),  # why it ended and the number of tokens come in any case
    "do_sample": (True,),
    "return_full_text": (False,),
    "decoder_input_details": (False,),
    "watermark": (False,),
    "num_return_sequences": (1,),
}
"""Values of other parameters that ask for what such a server does in any case."""

_ADVICE = {
    "adapter_id": "Give the adapter's name as model",
    "grammar": "Use task = 'chat-completion' with output_schema",
    "num_return_sequences": "One text is made for each row",
}


def completion_payload(inputs: Sequence[Input], settings: Settings) -> JSONObject:
    """A prompt to go on from.

    Args:
        inputs: Exactly one prompt.
        settings: The settings of the model.

    Returns:
        ``{"model", "prompt", "stream": false}`` with the parameters beside them, under the names of this protocol.

    Raises:
        ValueError: A parameter has no equal in this protocol.
    """
    return {"model": settings.model, "prompt": str(inputs[0]), "stream": False, **_parameters(settings)}


def _parameters(settings: Settings) -> JSONObject:
    renamed: JSONObject = {}
    for name, value in settings.parameters.items():
        if name in _NAMES:
            renamed[_NAMES[name]] = value
        elif name == "return_full_text" and value is True:
            renamed["echo"] = True
        elif name == "do_sample" and value is False:
            if settings.parameters.get("temperature"):
                raise ValueError("do_sample = false and temperature exclude each other. Leave one of them out")
            renamed["temperature"] = 0
        elif value not in _NEUTRAL.get(name, (None,)):
            advice = _ADVICE.get(name, "Leave it out")
            raise ValueError(f"{name} = {preview(value)} has no equal in OpenAI's completions. {advice}")
    return renamed


def _as_chat(event: Any) -> Any:
    """An event with its text where chat has it, so that streams of both are joined in one way."""
    choices = event.get("choices") if isinstance(event, dict) else None
    choices = choices if isinstance(choices, list) else []
    if not isinstance(event, dict) or not all(isinstance(choice, dict) for choice in choices):
        raise unreadable(_TASK, event)
    return {**event, "choices": [{**choice, "delta": {"content": choice.get("text")}} for choice in choices]}


@dataclass(frozen=True)
class OpenAICompletions(JSONOperation):
    """Completions: ``{"model", "prompt", ...}``, answered with ``{"choices": [{"text"}], "usage"}``.

    A request is one prompt. OpenAI, vLLM and llama.cpp take a list of them, and others do not. A list also hides how
    many tokens each prompt took, and such servers work on many requests at once by themselves.
    """

    name: ClassVar[str] = "openai-completions"
    path: ClassVar[str] = "/completions"
    tasks: ClassVar[tuple[str, ...]] = (_TASK,)
    batch_rule: ClassVar[Batching] = Batching.NEVER

    def url(self, base: str, model: str, task: Task) -> str:
        """The address of every request.

        Args:
            base: The endpoint as it was given.
            model: The model's name.
            task: The task to ask for.

        Returns:
            ``base`` with the path of this operation. The full address of chat on the same server is taken for its base.
        """
        return super().url(remove_path(base, _CHAT_PATH), model, task)

    def payload(self, _task: Task, inputs: Sequence[Input], settings: Settings) -> JSONObject:
        """A prompt to go on from.

        Args:
            inputs: Exactly one prompt.
            settings: The settings of the model.

        Returns:
            The payload, as of ``completion_payload``.

        Raises:
            ValueError: A parameter has no equal in this protocol.
        """
        return completion_payload(inputs, settings)

    def parse(self, task: Task, response: Response) -> Any:
        """The completion, put together where the server streams it though it was told not to.

        Args:
            task: The task that was asked for.
            response: The response, whose status means success.

        Returns:
            Parsed JSON.

        Raises:
            AnswerCutOffError: The body is a stream that was cut off.
            ValueError: The body is no JSON.
            UnreadableAnswer: An event of the stream is none of a completion.
        """
        if not is_event_stream(response):
            return codec.parse(task, response)
        joined = join_events(response.body, lambda data: _as_chat(codec.parse(task, response._replace(body=data))))
        choices = [{**choice, "text": choice["message"].get("content")} for choice in joined["choices"]]
        return {**joined, "choices": choices}

    def split(self, _task: Task, answer: object, _count: int) -> list[Any]:
        """The answer to the one prompt, in the form that Text Generation Inference sends and that is stored.

        Args:
            answer: The answer, as parsed JSON.

        Returns:
            ``{"generated_text", "details"}`` as the only part.

        Raises:
            UnreadableAnswer: There is no text.
        """
        choices = answer.get("choices") if isinstance(answer, dict) else None
        choice = choices[0] if isinstance(choices, list) and choices else None
        if not isinstance(answer, dict) or not isinstance(choice, dict):
            raise unreadable(_TASK, answer)
        text, reason = choice.get("text"), choice.get("finish_reason")
        if not isinstance(text, str) or (reason == "content_filter" and not text):
            raise UnreadableAnswer(f"the server made no text: finish_reason is {preview(reason)}")
        usage = answer.get("usage")
        tokens = usage.get("completion_tokens") if isinstance(usage, dict) else None
        return [{"generated_text": text, "details": {"finish_reason": reason, "generated_tokens": tokens}}]

    error = staticmethod(chat_error)
