"""How each task that generates text or audio calls its pipeline for one input.

Each task's function takes the pipeline, one input and the task's parameters.
"""

from __future__ import annotations

import importlib
import importlib.metadata
from collections.abc import Sequence
from typing import Any, NamedTuple

from ..protocol.errors import HTTPError, invalid_field
from ..protocol.json_types import Parameters
from ..protocol.outputs import ChatAnswer, ChatMessage, GeneratedText
from . import media_codecs
from .transformers_types import Pipeline, Tensor, Tokenizer

GENERATION_PARAMETERS = (
    "max_new_tokens", "min_new_tokens", "max_length", "min_length", "do_sample", "temperature", "top_k", "top_p",
    "typical_p", "epsilon_cutoff", "eta_cutoff", "repetition_penalty", "no_repeat_ngram_size", "num_beams",
    "length_penalty", "early_stopping", "max_time", "use_cache", "num_return_sequences", "seed", "stop",
)  # fmt: skip
# The schemas of Hugging Face name the same object differently from task to task.
NESTED_OBJECTS = ("generation_parameters", "generate_parameters", "generate_kwargs")


class StopOnTexts:
    """A stopping criterion of transformers: ends generation once every text has one of the stop texts."""

    def __init__(self, tokenizer: Tokenizer, stop_texts: Sequence[str]) -> None:
        """Watch for texts.

        Args:
            tokenizer: The model's tokenizer.
            stop_texts: The texts to stop at.
        """
        self._tokenizer = tokenizer
        self._stop_texts = stop_texts
        self._prompt_tokens: int | None = None

    def __call__(self, ids: Tensor, scores: Tensor, **_: object) -> Tensor:
        """Tell which sequences have ended, as transformers asks after each token.

        Args:
            ids: Tokens of shape (sequences, tokens), the prompt's among them.
            scores: Scores of the last token; not used.

        Returns:
            Booleans of shape (sequences,).
        """
        if self._prompt_tokens is None:
            # The first call comes after one token.
            self._prompt_tokens = int(ids.shape[-1]) - 1
        torch: Any = importlib.import_module("torch")
        texts = [self._tokenizer.decode(row[self._prompt_tokens :], skip_special_tokens=True) for row in ids]
        ended = [any(stop in text for stop in self._stop_texts) for text in texts]
        result: Tensor = torch.tensor(ended, dtype=torch.bool, device=ids.device)
        return result


class _Stopped(NamedTuple):
    """A text cut at its first stop text, and whether there was one."""

    text: str
    stopped: bool


def generate_text(pipeline: Pipeline, item: str, parameters: Parameters) -> list[GeneratedText]:
    """Continue a prompt.

    As in Text Generation Inference, the output leaves the prompt out unless `return_full_text`.

    Args:
        pipeline: The loaded pipeline.
        item: The prompt.
        parameters: Parameters of the task and of generation.

    Returns:
        One text for each sequence.

    Raises:
        HTTPError: 400 for a bad `seed` or `stop`.
    """
    arguments, stop_texts = _generation_arguments(pipeline, parameters)
    # A stop text in the prompt ends nothing.
    prompt_chars = len(item) if arguments.get("return_full_text") else 0
    outputs: list[dict[str, str]] = pipeline(item, **{"return_full_text": False, **arguments})
    texts = [output["generated_text"] for output in outputs]
    return [
        {"generated_text": text[:prompt_chars] + _cut_at_stop(text[prompt_chars:], stop_texts).text} for text in texts
    ]


def generate_seq2seq(pipeline: Pipeline, item: str, parameters: Parameters) -> list[dict[str, str]]:
    """Transform a text by an encoder and a decoder.

    Args:
        pipeline: The loaded pipeline.
        item: The text.
        parameters: Parameters of the task and of generation.

    Returns:
        One text for each sequence, under the name that its task gives it.

    Raises:
        HTTPError: 400 for a bad `seed` or `stop`.
    """
    arguments, stop_texts = _generation_arguments(pipeline, parameters)
    outputs: list[dict[str, str]] = pipeline(item, **arguments)
    return [{name: _cut_at_stop(text, stop_texts).text for name, text in output.items()} for output in outputs]


def describe_image(pipeline: Pipeline, item: bytes, parameters: Parameters) -> list[GeneratedText]:
    """Put an image in words.

    Args:
        pipeline: The loaded pipeline.
        item: An image file.
        parameters: Parameters of generation.

    Returns:
        One text for each sequence.

    Raises:
        HTTPError: 400 for what is no image, and for a bad `seed` or `stop`.
    """
    arguments, stop_texts = _generation_arguments(pipeline, parameters)
    outputs: list[dict[str, str]] = pipeline(
        media_codecs.decode_image(item), **_with_generate_kwargs(arguments, ("max_new_tokens",))
    )
    return [{"generated_text": _cut_at_stop(output["generated_text"], stop_texts).text} for output in outputs]


def transcribe_audio(pipeline: Pipeline, item: bytes, parameters: Parameters) -> object:
    """Transcribe audio.

    Args:
        pipeline: The loaded pipeline.
        item: An audio file.
        parameters: Parameters of the task and of generation.

    Returns:
        What the pipeline returns.

    Raises:
        HTTPError: 400 for what is no audio, and for a bad `seed` or `stop`.
    """
    arguments, _ = _generation_arguments(pipeline, parameters)
    if arguments.get("return_timestamps") is True and str(pipeline.type).startswith("ctc"):
        # The schema has a boolean; these models tell the times of words or of letters.
        arguments["return_timestamps"] = "word"
    samples = media_codecs.decode_audio(item, pipeline.feature_extractor.sampling_rate)
    own_names = ("return_timestamps", "chunk_length_s", "stride_length_s")
    return pipeline(samples, **_with_generate_kwargs(arguments, own_names))


def synthesize_speech(pipeline: Pipeline, item: str, parameters: Parameters) -> object:
    """Speak a text.

    Args:
        pipeline: The loaded pipeline.
        item: The text.
        parameters: Parameters of generation.

    Returns:
        What the pipeline returns.

    Raises:
        HTTPError: 400 for a bad `seed` or `stop`.
    """
    arguments, _ = _generation_arguments(pipeline, parameters)
    return pipeline(item, **_with_generate_kwargs(arguments, ()))


def complete_chat(pipeline: Pipeline, item: list[ChatMessage], parameters: Parameters) -> ChatAnswer:
    """Answer a conversation.

    Args:
        pipeline: The loaded pipeline.
        item: The conversation.
        parameters: Parameters of the task and of generation.

    Returns:
        The fields of a chat completion that the model decides.

    Raises:
        HTTPError: 422 for a model without a chat template, 400 for a bad `seed` or `stop`.
    """
    tokenizer = pipeline.tokenizer
    if not getattr(tokenizer, "chat_template", None):
        raise HTTPError(422, "Template error: template not found", error_type="template_error")
    arguments, stop_texts = _generation_arguments(pipeline, parameters)
    for name in ("max_tokens", "max_completion_tokens"):
        if name in arguments:
            arguments["max_new_tokens"] = arguments.pop(name)
    conversation = [{"role": message["role"], "content": message["content"]} for message in item]
    prompt = tokenizer.apply_chat_template(
        conversation, add_generation_prompt=True, return_dict=True, return_tensors="pt"
    )
    prompt_tokens = int(prompt["input_ids"].shape[-1])
    # A last message of the assistant's is answered, as Text Generation Inference does, and not continued.
    outputs: list[dict[str, Sequence[int]]] = pipeline(
        conversation, continue_final_message=False, return_tensors=True, **arguments
    )
    new_tokens = [int(token) for token in outputs[0]["generated_token_ids"]][prompt_tokens:]
    decoded = tokenizer.decode(new_tokens, skip_special_tokens=True)
    text, stopped = _cut_at_stop(str(decoded), stop_texts, keep_stop=False)
    ended = stopped or (bool(new_tokens) and new_tokens[-1] in _eos_token_ids(pipeline))
    return {
        "system_fingerprint": f"transformers-{importlib.metadata.version('transformers')}",
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": text},
                "logprobs": None,
                "finish_reason": "stop" if ended else "length",
            }
        ],
        "usage": {
            "prompt_tokens": prompt_tokens,
            "completion_tokens": len(new_tokens),
            "total_tokens": prompt_tokens + len(new_tokens),
        },
    }


def _generation_arguments(pipeline: Pipeline, parameters: Parameters) -> tuple[dict[str, object], list[str]]:
    """Return arguments for the pipeline, those of a nested object beside the others, and the texts to stop at."""
    arguments = {name: value for name, value in parameters.items() if name not in NESTED_OBJECTS}
    for name in NESTED_OBJECTS:
        nested = parameters.get(name)
        if isinstance(nested, dict):
            arguments.update(nested)
    if arguments.get("temperature") == 0:
        # The Inference API's way to ask for the likeliest text; transformers refuses a temperature of 0.
        del arguments["temperature"]
        arguments["do_sample"] = False
    _set_seed(arguments.pop("seed", None))
    stop_texts = _stop_texts(arguments.pop("stop", None))
    if stop_texts:
        arguments["stopping_criteria"] = [StopOnTexts(pipeline.tokenizer, stop_texts)]
    return arguments, stop_texts


def _set_seed(seed: object) -> None:
    if seed is None:
        return
    if isinstance(seed, bool) or not isinstance(seed, int):
        raise invalid_field("parameters.seed", f"expected a whole number, got {seed!r:.80}")
    torch: Any = importlib.import_module("torch")
    torch.manual_seed(seed)


def _stop_texts(value: object) -> list[str]:
    texts = [value] if isinstance(value, str) else value or []
    if not isinstance(texts, list) or not all(isinstance(text, str) and text for text in texts):
        raise invalid_field("parameters.stop", f"expected a text or a list of texts, got {value!r:.80}")
    return texts


def _cut_at_stop(text: str, stop_texts: list[str], keep_stop: bool = True) -> _Stopped:
    """Cut a text at its first stop text. Generation's servers keep the stop text, chat's do not."""
    found = [(text.index(stop), stop) for stop in stop_texts if stop in text]
    if not found:
        return _Stopped(text, False)
    position, stop = min(found)
    return _Stopped(text[: position + len(stop) if keep_stop else position], True)


def _with_generate_kwargs(arguments: dict[str, object], own_names: tuple[str, ...]) -> dict[str, object]:
    """Put generation's arguments under `generate_kwargs`, for pipelines that want them so, except `own_names`."""
    nested = {name: value for name, value in arguments.items() if name not in own_names}
    own: dict[str, object] = {name: arguments[name] for name in own_names if name in arguments}
    return {**own, "generate_kwargs": nested} if nested else own


def _eos_token_ids(pipeline: Pipeline) -> set[int]:
    ids: set[int] = set()
    for found in (pipeline.tokenizer.eos_token_id, getattr(pipeline.model.generation_config, "eos_token_id", None)):
        ids.update(found if isinstance(found, list) else [found] if found is not None else [])
    return ids
