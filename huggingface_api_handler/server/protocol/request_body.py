"""From the bytes of a request to checked inputs: what each kind of task may be sent."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from .errors import HTTPError, batch_too_large, invalid_field

MAX_BODY_BYTES = 10_000_000
MAX_BATCH_SIZE = 128

# Text Embeddings Inference reads these beside `inputs`, the Inference API inside `parameters`.
_BESIDE_INPUTS = ("normalize", "truncate", "truncation_direction", "prompt_name")


@dataclass(frozen=True)
class RequestBody:
    """A request's JSON, taken apart. `inputs` is unchecked until a task reads it."""

    inputs: Any
    parameters: Mapping[str, Any]
    wait: bool


@dataclass(frozen=True)
class ModelInputs:
    """One entry for each answer. `is_batch`: they came as a list, so the answer is a list too."""

    items: list[Any]
    is_batch: bool
    num_characters: int


def parse_json_body(raw: bytes) -> RequestBody:
    """Read `{"inputs": ..., "parameters": {...}, "options": {...}}`; other keys are left alone.

    Raises HTTPError 400 for what is not JSON (text that is not UTF-8, NaN and too deep nesting included) and
    for an object without `inputs` or with parameters of another type.
    """
    try:
        content = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise HTTPError(400, f"The body is not valid JSON: {error}. Send an object with the key `inputs`.") from None
    if not isinstance(content, dict):
        raise HTTPError(400, f"The body is a JSON {_kind(content)}; send an object with the key `inputs`.")
    if "inputs" not in content:
        raise invalid_field("inputs", "field required")
    parameters = _object(content, "parameters")
    beside = {name: content[name] for name in _BESIDE_INPUTS if name in content}
    wait = _object(content, "options").get("wait_for_model") is True
    return RequestBody(content["inputs"], {**beside, **parameters}, wait)


def parse_texts(inputs: Any) -> ModelInputs:
    """A text, or a list of 1 to 128 texts. Raises HTTPError 400, or 413 for a longer list."""
    if isinstance(inputs, str):
        return ModelInputs([inputs], False, len(inputs))
    if not isinstance(inputs, list):
        raise invalid_field("inputs", f"expected a string or a list of strings, got {_kind(inputs)}")
    _check_texts("inputs", inputs)
    return ModelInputs(inputs, True, sum(map(len, inputs)))


def parse_text(inputs: Any) -> ModelInputs:
    """One text that is not blank, for tasks that answer with one file. Raises HTTPError 400."""
    if not isinstance(inputs, str):
        raise invalid_field("inputs", f"expected one string, got {_kind(inputs)}")
    if not inputs.strip():
        raise invalid_field("inputs", "the text is empty")
    return ModelInputs([inputs], False, len(inputs))


def parse_sentence_pair(inputs: Any) -> ModelInputs:
    """`{"source_sentence": str, "sentences": [str, ...]}` with 1 to 128 sentences."""
    if not isinstance(inputs, dict):
        raise invalid_field("inputs", f"expected an object with `source_sentence` and `sentences`, got {_kind(inputs)}")
    for name in ("source_sentence", "sentences"):
        if name not in inputs:
            raise invalid_field(f"inputs.{name}", "field required")
    source, sentences = inputs["source_sentence"], inputs["sentences"]
    if not isinstance(source, str):
        raise invalid_field("inputs.source_sentence", f"expected a string, got {_kind(source)}")
    if not isinstance(sentences, list):
        raise invalid_field("inputs.sentences", f"expected a list of strings, got {_kind(sentences)}")
    _check_texts("inputs.sentences", sentences)
    return ModelInputs([(source, sentences)], False, len(source) + sum(map(len, sentences)))


def _check_texts(field: str, listed: list[Any]) -> None:
    if not listed:
        raise invalid_field(field, "the list is empty, send at least one text")
    if len(listed) > MAX_BATCH_SIZE:
        raise batch_too_large(len(listed), MAX_BATCH_SIZE)
    for position, item in enumerate(listed):
        if not isinstance(item, str):
            raise invalid_field(f"{field}.{position}", f"expected a string, got {_kind(item)}")


def _object(content: dict[str, Any], name: str) -> dict[str, Any]:
    value = content.get(name)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise invalid_field(name, f"expected an object, got {_kind(value)}")
    return value


def _kind(value: Any) -> str:
    """The JSON name of a value's type; bytes came as a raw body."""
    if isinstance(value, bool):
        return "boolean"
    names: dict[type, str] = {str: "string", int: "number", float: "number", list: "list", dict: "object"}
    return "raw media body" if isinstance(value, bytes) else names.get(type(value), "null")
