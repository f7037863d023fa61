"""Text completion requests and responses in OpenAI's form (`/v1/completions`), whole and as parts of a stream.

Protocol: https://platform.openai.com/docs/api-reference/completions
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from .chat_completion import includes_usage, read_model, refuse_unsupported
from .errors import invalid_field
from .inputs import ModelInputs, parse_texts
from .json_types import JSON, Parameters
from .outputs import GeneratedText
from .parameters import get_bool
from .request_body import parse_object

TASK = "text-generation"
_IGNORED_FIELDS = ("model", "prompt", "user", "stream", "stream_options", "n", "best_of", "logprobs", "suffix")
_ONLY_SUPPORTED: tuple[tuple[str, object], ...] = (("n", 1), ("best_of", 1), ("logprobs", 0), ("suffix", ""))
# Text Generation Inference's name of the same.
_TASK_NAMES = {"max_tokens": "max_new_tokens", "echo": "return_full_text"}


@dataclass(frozen=True)
class CompletionRequest:
    """A completion request, taken apart.

    Attributes:
        model: The model that the body names, or None.
        prompts: The prompts, checked.
        parameters: All other fields, under the names that text generation has for them, unchecked.
        stream: The client wants the text as it comes.
        include_usage: A stream ends with the tokens used.
    """

    model: str | None
    prompts: ModelInputs[str]
    parameters: Parameters
    stream: bool
    include_usage: bool


def parse_completion_request(raw: bytes) -> CompletionRequest:
    """Parse the body of OpenAI's completion.

    Args:
        raw: The whole body.

    Returns:
        The parts of the request.

    Raises:
        HTTPError: 400 for what is not JSON, for prompts that are not texts, and for what this server does not do
            (several choices, logprobs, a suffix, a stream of several prompts).
    """
    content = parse_object(raw, "prompt")
    fields: dict[str, object] = {name: value for name, value in content.items() if value is not None}
    prompt = fields.get("prompt")
    if prompt is None:
        raise invalid_field("prompt", "field required")
    if isinstance(prompt, list) and prompt and isinstance(prompt[0], int | list):
        raise invalid_field("prompt", "lists of token ids are not read here: send the text")
    refuse_unsupported(fields, _ONLY_SUPPORTED)
    prompts = parse_texts(prompt)
    stream = get_bool(fields, "stream", False)
    if stream and len(prompts.items) > 1:
        raise invalid_field("stream", "a stream has one prompt: send the others in requests of their own")
    parameters = {_TASK_NAMES.get(name, name): fields[name] for name in fields if name not in _IGNORED_FIELDS}
    return CompletionRequest(read_model(fields), prompts, parameters, stream, includes_usage(fields))


@dataclass(frozen=True)
class CompletionResponse:
    """What all parts of the response to one request say.

    Attributes:
        model_id: The id that the request named.
        id: Names this response.
        created: When it was made, in seconds since 1970.
    """

    model_id: str
    id: str = field(default_factory=lambda: f"cmpl-{secrets.token_hex(12)}")
    created: int = field(default_factory=lambda: int(time.time()))

    def completion(self, texts: Sequence[GeneratedText]) -> dict[str, JSON]:
        """Build the whole response.

        Args:
            texts: The generated texts, in the order of the prompts.

        Returns:
            The JSON body; without usage where the model does not tell it.
        """
        choices: list[JSON] = [
            {"index": index, "text": text["generated_text"], "logprobs": None, "finish_reason": finish_reason(text)}
            for index, text in enumerate(texts)
        ]
        return {**self._frame(), "choices": choices, "usage": usage(texts)}

    def chunk(self, text: str, finish_reason: str | None = None) -> dict[str, JSON]:
        """Build one part of a stream.

        Args:
            text: What is new of the text.
            finish_reason: Why the text ended, in its last part.

        Returns:
            The JSON of the event.
        """
        choice: JSON = {"index": 0, "text": text, "logprobs": None, "finish_reason": finish_reason}
        return {**self._frame(), "choices": [choice]}

    def usage_chunk(self, text: GeneratedText) -> dict[str, JSON]:
        """Build the part of a stream that says how many tokens were used.

        Args:
            text: The generated text.

        Returns:
            The JSON of the event.
        """
        return {**self._frame(), "choices": [], "usage": usage([text])}

    def _frame(self) -> dict[str, JSON]:
        return {"object": "text_completion", "id": self.id, "created": self.created, "model": self.model_id}


def finish_reason(text: GeneratedText) -> str | None:
    """Say why a text ended, in OpenAI's words.

    Args:
        text: The generated text.

    Returns:
        `length` or `stop`; None where the model does not tell.
    """
    details = text.get("details")
    if details is None:
        return None
    return "length" if details["finish_reason"] == "length" else "stop"


def usage(texts: Sequence[GeneratedText]) -> Mapping[str, JSON] | None:
    """Add up the tokens of texts.

    Args:
        texts: The generated texts.

    Returns:
        OpenAI's usage, or None where the model does not tell.
    """
    details = [text["details"] for text in texts if "details" in text]
    if len(details) < len(texts):
        return None
    prompt_tokens = sum(each["prompt_tokens"] for each in details)
    completion_tokens = sum(each["generated_tokens"] for each in details)
    return {
        "prompt_tokens": prompt_tokens,
        "completion_tokens": completion_tokens,
        "total_tokens": prompt_tokens + completion_tokens,
    }
