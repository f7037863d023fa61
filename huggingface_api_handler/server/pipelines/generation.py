"""How each task that writes or speaks calls its pipeline for one input."""

from __future__ import annotations

import importlib
import importlib.metadata
from collections.abc import Sequence
from typing import Any

from ..protocol.errors import HTTPError, invalid_field
from . import media_codecs

GENERATION_PARAMETERS = (
    "max_new_tokens", "min_new_tokens", "max_length", "min_length", "do_sample", "temperature", "top_k", "top_p",
    "typical_p", "epsilon_cutoff", "eta_cutoff", "repetition_penalty", "no_repeat_ngram_size", "num_beams",
    "length_penalty", "early_stopping", "max_time", "use_cache", "num_return_sequences", "seed", "stop",
)  # fmt: skip
# The schemas of Hugging Face name the same object differently from task to task.
NESTED_OBJECTS = ("generation_parameters", "generate_parameters", "generate_kwargs")


class StopOnTexts:
    """Ends generation once every text generated has one of the stop texts."""

    def __init__(self, tokenizer: Any, texts: Sequence[str]) -> None:
        self._tokenizer = tokenizer
        self._texts = texts
        self._prompt: int | None = None

    def __call__(self, ids: Any, scores: Any, **_: Any) -> Any:
        # The first call comes after one token.
        self._prompt = int(ids.shape[-1]) - 1 if self._prompt is None else self._prompt
        torch: Any = importlib.import_module("torch")
        made = [self._tokenizer.decode(row[self._prompt :], skip_special_tokens=True) for row in ids]
        ended = [any(text in one for text in self._texts) for one in made]
        return torch.tensor(ended, dtype=torch.bool, device=ids.device)


def generate_text(pipeline: Any, item: str, parameters: dict[str, Any]) -> Any:
    """A prompt. As in Text Generation Inference, the answer leaves the prompt out unless `return_full_text`."""
    flat, stops = _generation(pipeline, parameters)
    # A stop text in the prompt ends nothing.
    kept = len(item) if flat.get("return_full_text") else 0
    texts = [one["generated_text"] for one in pipeline(item, **{"return_full_text": False, **flat})]
    return [{"generated_text": text[:kept] + _cut(text[kept:], stops)[0]} for text in texts]


def generate_seq2seq(pipeline: Any, item: str, parameters: dict[str, Any]) -> Any:
    """A text for an encoder and a decoder."""
    flat, stops = _generation(pipeline, parameters)
    answers = pipeline(item, **flat)
    return [{name: _cut(text, stops)[0] for name, text in one.items()} for one in answers]


def describe_image(pipeline: Any, item: bytes, parameters: dict[str, Any]) -> Any:
    """An image to be put in words."""
    flat, stops = _generation(pipeline, parameters)
    answers = pipeline(media_codecs.decode_image(item), **_apart(flat, ("max_new_tokens",)))
    return [{"generated_text": _cut(one["generated_text"], stops)[0]} for one in answers]


def transcribe_audio(pipeline: Any, item: bytes, parameters: dict[str, Any]) -> Any:
    """Sound to be written down."""
    flat, _ = _generation(pipeline, parameters)
    if flat.get("return_timestamps") is True and str(pipeline.type).startswith("ctc"):
        # The schema has a boolean; these models tell the times of words or of letters.
        flat["return_timestamps"] = "word"
    samples = media_codecs.decode_audio(item, pipeline.feature_extractor.sampling_rate)
    return pipeline(samples, **_apart(flat, ("return_timestamps", "chunk_length_s", "stride_length_s")))


def synthesize_speech(pipeline: Any, item: str, parameters: dict[str, Any]) -> Any:
    """A text to be spoken."""
    flat, _ = _generation(pipeline, parameters)
    return pipeline(item, **_apart(flat, ()))


def complete_chat(pipeline: Any, item: list[dict[str, str]], parameters: dict[str, Any]) -> Any:
    """Messages to the fields of a chat completion that the model decides, `choices` and `usage` above all."""
    tokenizer = pipeline.tokenizer
    if not getattr(tokenizer, "chat_template", None):
        raise HTTPError(422, "Template error: template not found", error_type="template_error")
    flat, stops = _generation(pipeline, parameters)
    for name in ("max_tokens", "max_completion_tokens"):
        if name in flat:
            flat["max_new_tokens"] = flat.pop(name)
    prompt = tokenizer.apply_chat_template(item, add_generation_prompt=True, return_dict=True, return_tensors="pt")
    prompt_tokens = int(prompt["input_ids"].shape[-1])
    # A last message of the assistant's is answered, as Text Generation Inference does, and not gone on with.
    answers = pipeline(item, continue_final_message=False, return_tensors=True, **flat)
    made = [int(token) for token in answers[0]["generated_token_ids"]][prompt_tokens:]
    text, stopped = _cut(str(tokenizer.decode(made, skip_special_tokens=True)), stops, keep=False)
    ended = stopped or (bool(made) and made[-1] in _ends(pipeline))
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
            "completion_tokens": len(made),
            "total_tokens": prompt_tokens + len(made),
        },
    }


def _generation(pipeline: Any, parameters: dict[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """Parameters for the pipeline, those of a nested object beside the others, and the texts to stop at."""
    flat = {name: value for name, value in parameters.items() if name not in NESTED_OBJECTS}
    for name in NESTED_OBJECTS:
        flat.update(parameters.get(name) or {})
    if flat.get("temperature") == 0:
        # The Inference API's way to ask for the likeliest text; transformers refuses a temperature of 0.
        del flat["temperature"]
        flat["do_sample"] = False
    _seed(flat.pop("seed", None))
    stops = _stops(flat.pop("stop", None))
    if stops:
        flat["stopping_criteria"] = [StopOnTexts(pipeline.tokenizer, stops)]
    return flat, stops


def _seed(seed: Any) -> None:
    if seed is None:
        return
    if isinstance(seed, bool) or not isinstance(seed, int):
        raise invalid_field("parameters.seed", f"expected a whole number, got {seed!r:.80}")
    torch: Any = importlib.import_module("torch")
    torch.manual_seed(seed)


def _stops(given: Any) -> list[str]:
    stops = [given] if isinstance(given, str) else given or []
    if not isinstance(stops, list) or not all(isinstance(text, str) and text for text in stops):
        raise invalid_field("parameters.stop", f"expected a text or a list of texts, got {given!r:.80}")
    return stops


def _cut(text: str, stops: list[str], keep: bool = True) -> tuple[str, bool]:
    """The text up to the first stop, and whether there was one. Generation's servers keep the stop, chat's do not."""
    found = [(text.index(stop), stop) for stop in stops if stop in text]
    if not found:
        return text, False
    position, stop = min(found)
    return text[: position + len(stop) if keep else position], True


def _apart(flat: dict[str, Any], own: tuple[str, ...]) -> dict[str, Any]:
    """Generation's parameters under `generate_kwargs`, for pipelines that want them so; `own` stay beside it."""
    flat = dict(flat)
    result = {name: flat.pop(name) for name in own if name in flat}
    return {**result, "generate_kwargs": flat} if flat else result


def _ends(pipeline: Any) -> set[int]:
    ids: set[int] = set()
    for found in (pipeline.tokenizer.eos_token_id, getattr(pipeline.model.generation_config, "eos_token_id", None)):
        ids.update(found if isinstance(found, list) else [found] if found is not None else [])
    return ids
