"""text-generation: the small language model continues a prompt."""

from __future__ import annotations

from dataclasses import dataclass

from ..protocol.inputs import parse_texts
from ..protocol.json_types import Parameters
from ..protocol.outputs import GeneratedText
from ..protocol.parameters import get_bool, get_number, get_positive_int, reject_unknown
from . import smollm2

_PARAMETERS = (
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


@dataclass(frozen=True)
class TextGenerator:
    """A prompt to `{"generated_text": ...}`, with `details` also why it ended and how many tokens it has.

    Attributes:
        model: The loaded model.
    """

    model: smollm2.LanguageModel

    def predict(self, inputs: list[str], parameters: Parameters) -> list[GeneratedText]:
        """Continue prompts.

        Args:
            inputs: The prompts.
            parameters: `max_new_tokens` (default 256), `do_sample` (false: no sampling, whatever the temperature),
                and those of Text Generation Inference's others that llama.cpp has.

        Returns:
            One generated text for each prompt.

        Raises:
            HTTPError: 400 for bad parameters, 422 for too long a prompt.
        """
        reject_unknown(parameters, CARD.task, _PARAMETERS)
        sampling = smollm2.sampling_parameters(parameters, "max_new_tokens")
        if not get_bool(parameters, "do_sample", True):
            sampling["temperature"] = 0.0
        sampling["top_k"] = get_positive_int(parameters, "top_k") or 0
        sampling["repeat_penalty"] = get_number(parameters, "repetition_penalty", 1, 0.01, 10)
        with_prompt = get_bool(parameters, "return_full_text", False)
        with_details = get_bool(parameters, "details", False)
        return [self._generate(prompt, sampling, with_prompt, with_details) for prompt in inputs]

    def _generate(
        self, prompt: str, sampling: smollm2.Sampling, with_prompt: bool, with_details: bool
    ) -> GeneratedText:
        completion = self.model.complete(prompt, sampling)
        choice = completion["choices"][0]
        output: GeneratedText = {"generated_text": prompt + choice["text"] if with_prompt else choice["text"]}
        if with_details:
            seed = sampling.get("seed")
            output["details"] = {
                "finish_reason": "length" if choice["finish_reason"] == "length" else "eos_token",
                "generated_tokens": completion["usage"]["completion_tokens"],
                "seed": seed if isinstance(seed, int) else None,
            }
        return output


CARD = smollm2.model_card("text-generation", TextGenerator, parse_texts, wrap_single=True)
