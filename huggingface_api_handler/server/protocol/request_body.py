"""From the bytes of a request to checked inputs: what each kind of task may be sent."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from .errors import Refusal, bad_field, too_many

MAX_BODY_BYTES = 10_000_000
MAX_INPUTS = 128

# Text Embeddings Inference reads these beside `inputs`, the Inference API inside `parameters`.
_BESIDE_INPUTS = ("normalize", "truncate", "truncation_direction", "prompt_name")


@dataclass(frozen=True)
class Body:
    """A request's JSON, taken apart. `inputs` is unchecked until a task reads it."""

    inputs: Any
    parameters: Mapping[str, Any]
    wait: bool


@dataclass(frozen=True)
class Inputs:
    """One entry for each answer. `listed`: they came as a list, so the answer is a list too."""

    items: list[Any]
    listed: bool
    characters: int


def parse(raw: bytes) -> Body:
    """Read `{"inputs": ..., "parameters": {...}, "options": {...}}`; other keys are left alone.

    Raises Refusal 400 for what is not JSON (text that is not UTF-8, NaN and too deep nesting included) and
    for an object without `inputs` or with parameters of another type.
    """
    try:
        content = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise Refusal(400, f"The body is not valid JSON: {error}. Send an object with the key `inputs`.") from None
    if not isinstance(content, dict):
        raise Refusal(400, f"The body is a JSON {_kind(content)}; send an object with the key `inputs`.")
    if "inputs" not in content:
        raise bad_field("inputs", "field required")
    parameters = _object(content, "parameters")
    beside = {name: content[name] for name in _BESIDE_INPUTS if name in content}
    wait = _object(content, "options").get("wait_for_model") is True
    return Body(content["inputs"], {**beside, **parameters}, wait)


def texts(inputs: Any) -> Inputs:
    """A text, or a list of 1 to 128 texts. Raises Refusal 400, or 413 for a longer list."""
    if isinstance(inputs, str):
        return Inputs([inputs], False, len(inputs))
    if not isinstance(inputs, list):
        raise bad_field("inputs", f"expected a string or a list of strings, got {_kind(inputs)}")
    _check_texts("inputs", inputs)
    return Inputs(inputs, True, sum(map(len, inputs)))


def text(inputs: Any) -> Inputs:
    """One text that is not blank, for tasks that answer with one file. Raises Refusal 400."""
    if not isinstance(inputs, str):
        raise bad_field("inputs", f"expected one string, got {_kind(inputs)}")
    if not inputs.strip():
        raise bad_field("inputs", "the text is empty")
    return Inputs([inputs], False, len(inputs))


def sentence_pairs(inputs: Any) -> Inputs:
    """`{"source_sentence": str, "sentences": [str, ...]}` with 1 to 128 sentences."""
    if not isinstance(inputs, dict):
        raise bad_field("inputs", f"expected an object with `source_sentence` and `sentences`, got {_kind(inputs)}")
    for name in ("source_sentence", "sentences"):
        if name not in inputs:
            raise bad_field(f"inputs.{name}", "field required")
    source, sentences = inputs["source_sentence"], inputs["sentences"]
    if not isinstance(source, str):
        raise bad_field("inputs.source_sentence", f"expected a string, got {_kind(source)}")
    if not isinstance(sentences, list):
        raise bad_field("inputs.sentences", f"expected a list of strings, got {_kind(sentences)}")
    _check_texts("inputs.sentences", sentences)
    return Inputs([(source, sentences)], False, len(source) + sum(map(len, sentences)))


def _check_texts(field: str, listed: list[Any]) -> None:
    if not listed:
        raise bad_field(field, "the list is empty, send at least one text")
    if len(listed) > MAX_INPUTS:
        raise too_many(len(listed), MAX_INPUTS)
    for position, item in enumerate(listed):
        if not isinstance(item, str):
            raise bad_field(f"{field}.{position}", f"expected a string, got {_kind(item)}")


def _object(content: dict[str, Any], name: str) -> dict[str, Any]:
    value = content.get(name)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise bad_field(name, f"expected an object, got {_kind(value)}")
    return value


def _kind(value: Any) -> str:
    """The JSON name of a value's type; bytes came as a raw body."""
    if isinstance(value, bool):
        return "boolean"
    names: dict[type, str] = {str: "string", int: "number", float: "number", list: "list", dict: "object"}
    return "raw media body" if isinstance(value, bytes) else names.get(type(value), "null")
