"""text-generation: a prompt goes on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..protocol.parameters import get_bool, get_number, get_positive_int, reject_unknown
from ..protocol.request_body import parse_texts
from . import smollm2

_KNOWN = (
    "max_new_tokens",
    "temperature",
    "top_p",
    "top_k",
    "repetition_penalty",
    "do_sample",
    "seed",
    "stop",
    "return_full_text",
    "details",
)


class TextGenerator:
    """A prompt to `{"generated_text": ...}`, with `details` also why it ended and the tokens it took."""

    def __init__(self, model: smollm2.LanguageModel) -> None:
        self._model = model

    def predict(self, inputs: list[Any], parameters: Mapping[str, Any]) -> list[Any]:
        """`max_new_tokens` (default 256), `do_sample` false for no sampling whatever the temperature, and the rest
        of Text Generation Inference's that llama.cpp has. Raises HTTPError 400, and 422 for too long a prompt.
        """
        reject_unknown(parameters, CARD.task, _KNOWN)
        arguments = smollm2.sampling_parameters(parameters, "max_new_tokens")
        if not get_bool(parameters, "do_sample", True):
            arguments["temperature"] = 0.0
        arguments["top_k"] = get_positive_int(parameters, "top_k") or 0
        arguments["repeat_penalty"] = get_number(parameters, "repetition_penalty", 1, 0.01, 10)
        full = get_bool(parameters, "return_full_text", False)
        details = get_bool(parameters, "details", False)
        return [self._generated(prompt, arguments, full, details) for prompt in inputs]

    def _generated(self, prompt: str, arguments: dict[str, Any], full: bool, details: bool) -> dict[str, Any]:
        completion = self._model.complete(prompt, arguments)
        choice = completion["choices"][0]
        answer: dict[str, Any] = {"generated_text": prompt + choice["text"] if full else choice["text"]}
        if details:
            reason = "length" if choice["finish_reason"] == "length" else "eos_token"
            tokens = completion["usage"]["completion_tokens"]
            answer["details"] = {"finish_reason": reason, "generated_tokens": tokens, "seed": arguments.get("seed")}
        return answer


CARD = smollm2.model_card("text-generation", TextGenerator, parse_texts, wrap_single=True)
