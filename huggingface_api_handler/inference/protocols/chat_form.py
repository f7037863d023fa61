"""How a chat server is told which JSON is wanted, and for the probabilities of its tokens: one form after another."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, replace
from enum import Enum
from typing import Any

from ...tasks import JSONObject, Settings, Task
from ...tasks.output_schema import schema_of, scored_field
from ...tasks.structured_output import response_format
from ..failures import Failure, FailureKind

_REFUSALS = (400, 422)
_REFUSALS_IN_WORDS = (*_REFUSALS, 404, 415, 500, 501)

_ABOUT_FORMAT = re.compile(
    r"response.?format|json.?(schema|object|mode)|structured.?output|guided|grammar|output.?format|schema for"
    r"|requested parameters",
    re.I,
)
_ABOUT_LOGPROBS = re.compile(r"log.?prob", re.I)


class ResponseFormat(Enum):
    """How the wanted JSON is told. A server that takes none of the former takes the last."""

    JSON_SCHEMA = "json_schema"  # of OpenAI, vLLM and Hugging Face's router
    VALUE = "json_object with the schema as its value"  # of Text Generation Inference
    JSON_OBJECT = "json_object"
    PROMPT = "in the prompt alone"


_NEXT = {
    ResponseFormat.JSON_SCHEMA: ResponseFormat.VALUE,
    ResponseFormat.VALUE: ResponseFormat.JSON_OBJECT,
    ResponseFormat.JSON_OBJECT: ResponseFormat.PROMPT,
}


@dataclass(frozen=True)
class ChatForm:
    """One form of a request.

    Attributes:
        response_format: How the wanted JSON is told. All but the first stand beside words in the prompt, since a server
            may take a field and heed no more than half of it.
        has_logprobs: Whether the probabilities of tokens are asked for, where they are of use.
    """

    response_format: ResponseFormat = ResponseFormat.JSON_SCHEMA
    has_logprobs: bool = True

    def fields(self, task: Task, settings: Settings) -> JSONObject:
        """What stands beside the messages of a request.

        Args:
            task: The task to ask for.
            settings: The settings of the model.

        Returns:
            ``response_format`` and ``logprobs``, as far as this form has them and they are wanted.
        """
        schema = task.answer_schema(settings)
        if not schema:
            return {}
        fields: JSONObject = {}
        if self.response_format is ResponseFormat.JSON_SCHEMA:
            fields["response_format"] = response_format(schema)
        elif self.response_format is ResponseFormat.VALUE:
            fields["response_format"] = {"type": "json_object", "value": schema_of(schema)}
        elif self.response_format is ResponseFormat.JSON_OBJECT:
            fields["response_format"] = {"type": "json_object"}
        if self.has_logprobs and scored_field(schema) is not None:
            fields["logprobs"] = True
        return fields

    def add_to_prompt(self, messages: list[JSONObject], task: Task, settings: Settings) -> None:
        """Say in words which JSON is wanted, where the form needs it.

        Args:
            messages: The conversation. The last message of the user begins with these words, as all that is alike
                does: a server then computes it once.
            task: The task to ask for.
            settings: The settings of the model.
        """
        schema = task.answer_schema(settings)
        if not schema or self.response_format is ResponseFormat.JSON_SCHEMA:
            return
        wanted = json.dumps(schema_of(schema), ensure_ascii=False)
        words = f"Answer with one JSON object that fits this JSON schema, and nothing else: {wanted}"
        for message in reversed(messages):
            if message["role"] == "user":
                message["content"] = _longer(message["content"], words)
                return
        messages.insert(0, {"role": "system", "content": words})

    def next_after(self, failure: Failure, task: Task, settings: Settings, *, is_first: bool) -> ChatForm | None:
        """The form to ask in once this one was refused.

        Args:
            failure: Of a request in this form.
            task: The task that was asked for.
            settings: The settings of the model.
            is_first: Whether nothing was answered in this form yet, so that any refusal may be of the form.

        Returns:
            The next form. None where the refusal is not of the form, or there is no other.
        """
        if failure.error is None or failure.status not in _REFUSALS_IN_WORDS:
            return None
        fields, given = self.fields(task, settings), settings.parameters
        has_logprobs = "logprobs" in fields and "logprobs" not in given
        following = _NEXT.get(self.response_format) if "response_format" in fields.keys() - given.keys() else None
        if has_logprobs and failure.error.search(_ABOUT_LOGPROBS):
            return replace(self, has_logprobs=False)
        if following is not None and failure.error.search(_ABOUT_FORMAT):
            return replace(self, response_format=following)
        is_of_input = failure.is_about_input or failure.kind is not FailureKind.INPUT_REJECTED
        if not is_first or is_of_input or failure.status not in _REFUSALS:
            return None
        if following is not None:
            return ChatForm(following, has_logprobs=False)
        return replace(self, has_logprobs=False) if has_logprobs else None


def _longer(content: Any, words: str) -> Any:
    if isinstance(content, list):
        return [{"type": "text", "text": words}, *content]
    return f"{words}\n\n{content}"
