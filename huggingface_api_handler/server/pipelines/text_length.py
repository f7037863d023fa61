"""How many tokens of a text a model of transformers reads, by the files beside its weights.

They are `tokenizer_config.json`, `config.json` and, of a model that makes vectors, `sentence_bert_config.json`.
"""

from __future__ import annotations

import importlib
import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from .transformers_types import Pipeline

NO_LIMIT_TOKENS = 1_000_000
"""A tokenizer without a limit of its own says 10^30."""

_MIN_LENGTH_TOKENS = 2
_POSITIONS = ("max_position_embeddings", "n_positions")
# Types of models whose positions begin after that of the padding, so that two have no token.
_POSITIONS_BEFORE_TEXT = 2
_TYPES_WITH_THEM = (
    "camembert", "data2vec-text", "ibert", "longformer", "luke", "mpnet", "roberta", "roberta-prelayernorm",
    "xlm-roberta", "xlm-roberta-xl", "xmod",
)  # fmt: skip
# What models raise for a text that has more tokens than they have positions.
_POSITION_ERRORS = (IndexError, RuntimeError)
_ABOUT_LENGTH = ("sequence length", "max_position_embeddings")


def max_tokens(reference: str, *, makes_vectors: bool) -> int | None:
    """Read the most tokens of a text.

    Args:
        reference: An id of the Hub, or a folder.
        makes_vectors: Whether sentence-transformers would read the model, which has a file of its own for this.

    Returns:
        The least that the files say, special tokens included; None where they say nothing, or are not here yet.
    """
    return min(_limits(reference, makes_vectors), default=None)


def _limits(reference: str, makes_vectors: bool) -> Iterator[int]:
    yield from _limits_in(_read_object(reference, "tokenizer_config.json"), ("model_max_length",))
    if makes_vectors:
        yield from _limits_in(_read_object(reference, "sentence_bert_config.json"), ("max_seq_length",))
    config = _read_object(reference, "config.json")
    before_text = _POSITIONS_BEFORE_TEXT if config.get("model_type") in _TYPES_WITH_THEM else 0
    yield from (limit - before_text for limit in _limits_in(config, _POSITIONS))


def _limits_in(file: Mapping[str, object], names: Iterable[str]) -> Iterator[int]:
    for name in names:
        value = file.get(name)
        if type(value) is int and _MIN_LENGTH_TOKENS < value < NO_LIMIT_TOKENS:
            yield value


def _read_object(reference: str, name: str) -> dict[str, Any]:
    path = Path(reference) / name if Path(reference).is_dir() else _cached_file(reference, name)
    try:
        content = json.loads(path.read_text("utf-8")) if path is not None and path.is_file() else None
    except ValueError:  # what is wrong with it is said where the model is loaded
        return {}
    return content if isinstance(content, dict) else {}


def _cached_file(model_id: str, name: str) -> Path | None:
    huggingface_hub: Any = importlib.import_module("huggingface_hub")
    path = huggingface_hub.try_to_load_from_cache(model_id, name)
    return Path(path) if isinstance(path, str) else None


def longest(pipeline: Pipeline, item: object, beside: Iterable[str] = ()) -> int:
    """Count the tokens of an input, special tokens included.

    Args:
        pipeline: The pipeline.
        item: A text, or several that the model reads one after another.
        beside: Sentences of which the model reads each together with a text.

    Returns:
        The tokens of the longest of them.
    """
    texts = [item] if isinstance(item, str) else list(_texts_in(item))
    sentences: list[str | None] = [*beside] or [None]
    pairs = [(text, sentence) for text in texts for sentence in sentences]
    return max(len(pipeline.tokenizer(text, sentence)["input_ids"]) for text, sentence in pairs)


def _texts_in(item: object) -> Iterator[str]:
    for part in item if isinstance(item, (list, tuple)) else ():
        if isinstance(part, str):
            yield part
        else:
            yield from _texts_in(part)


def tokens_beyond(pipeline: Pipeline, item: object, limit: int, error: Exception) -> int | None:
    """Find out whether a pipeline failed since a text is too long.

    Args:
        pipeline: The pipeline.
        item: Its input.
        limit: The most tokens of a text.
        error: What it raised.

    Returns:
        The text's tokens; None where it has no more than the limit, or something else was wrong.
    """
    is_of_positions = isinstance(error, _POSITION_ERRORS) or any(words in str(error).lower() for words in _ABOUT_LENGTH)
    if not is_of_positions:
        return None
    if isinstance(item, str):
        given = len(pipeline.tokenizer(item)["input_ids"])
    elif isinstance(item, list):  # a conversation
        prompt = pipeline.tokenizer.apply_chat_template(
            item, add_generation_prompt=True, return_dict=True, return_tensors="pt"
        )
        given = int(prompt["input_ids"].shape[-1])
    else:
        return None
    return given if given > limit else None
