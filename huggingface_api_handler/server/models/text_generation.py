"""text-generation: the small language model continues a prompt."""

from __future__ import annotations

from dataclasses import dataclass

from ..protocol.errors import invalid_field
from ..protocol.inputs import parse_texts
from ..protocol.json_types import Parameters
from ..protocol.outputs import GeneratedText
from ..protocol.parameters import get_bool, get_number, get_positive_int
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
    "frequency_penalty",
    "presence_penalty",
    "return_full_text",
    "details",
    "grammar",
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
        sampling = _sampling(parameters)
        return [self._generate(prompt, sampling, parameters, None) for prompt in inputs]

    def stream(self, item: str, parameters: Parameters, on_token: smollm2.OnToken) -> GeneratedText:
        """Continue a prompt, token by token.

        Args:
            item: The prompt.
            parameters: As in `predict`.
            on_token: As in `StreamingModel.stream`.

        Returns:
            The whole text.

        Raises:
            HTTPError: As `predict` does.
        """
        return self._generate(item, _sampling(parameters), parameters, on_token)

    def _generate(
        self, prompt: str, sampling: smollm2.Sampling, parameters: Parameters, on_token: smollm2.OnToken | None
    ) -> GeneratedText:
        with_prompt = get_bool(parameters, "return_full_text", False)
        with_details = get_bool(parameters, "details", False)
        completion = self.model.complete(prompt, sampling, on_token)
        choice = completion["choices"][0]
        output: GeneratedText = {"generated_text": prompt + choice["text"] if with_prompt else choice["text"]}
        if with_details:
            seed = sampling.get("seed")
            output["details"] = {
                "finish_reason": "length" if choice["finish_reason"] == "length" else "eos_token",
                "generated_tokens": completion["usage"]["completion_tokens"],
                "prompt_tokens": completion["usage"]["prompt_tokens"],
                "seed": seed if isinstance(seed, int) else None,
            }
        return output


def _sampling(parameters: Parameters) -> smollm2.Sampling:
    # A text in another form than was asked for is of no use, so this one is not ignored.
    if parameters.get("grammar") is not None:
        problem = "it is not supported here; a chat takes a JSON schema, as response_format"
        raise invalid_field("parameters.grammar", problem)
    sampling = smollm2.sampling_parameters(parameters, "max_new_tokens")
    if not get_bool(parameters, "do_sample", True):
        sampling["temperature"] = 0.0
    sampling["top_k"] = get_positive_int(parameters, "top_k") or 0
    sampling["repeat_penalty"] = get_number(parameters, "repetition_penalty", 1, 0.01, 10)
    return sampling


CARD = smollm2.model_card("text-generation", TextGenerator, parse_texts, _PARAMETERS, wrap_single=True)
