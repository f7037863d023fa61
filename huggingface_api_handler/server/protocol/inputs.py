"""Parsers of `inputs` for tasks that take texts, one file, or sentences to compare.

Tasks that take an object of several fields have theirs in `structured_inputs.py`.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, NamedTuple, TypeVar

from .errors import HTTPError, batch_too_large, invalid_audio, invalid_field, invalid_image
from .request_body import json_type_name

MAX_REQUEST_INPUTS = 128
# hf-inference sends this as `x-compute-characters` for inputs that are not text.
NO_CHARACTERS = -1

InputT = TypeVar("InputT")


@dataclass(frozen=True)
class ModelInputs(Generic[InputT]):
    """Checked inputs of one request.

    Attributes:
        items: One input for each output.
        is_batch: The inputs came as a list, so the response is a list too.
        num_characters: Characters of all inputs together; -1 where they are not text.
    """

    items: list[InputT]
    is_batch: bool
    num_characters: int


class SimilarityInput(NamedTuple):
    """One sentence, and the sentences to compare it with."""

    source_sentence: str
    sentences: list[str]


def parse_texts(inputs: object) -> ModelInputs[str]:
    """Parse a text, or a list of 1 to 128 texts.

    Args:
        inputs: The request's `inputs`.

    Returns:
        The texts, in order.

    Raises:
        HTTPError: 400 for another type, 413 for a longer list.
    """
    if isinstance(inputs, str):
        return ModelInputs([inputs], False, len(inputs))
    if not isinstance(inputs, list):
        raise invalid_field("inputs", f"expected a string or a list of strings, got {json_type_name(inputs)}")
    texts = _checked_texts("inputs", inputs)
    return ModelInputs(texts, True, sum(map(len, texts)))


def parse_text(inputs: object) -> ModelInputs[str]:
    """Parse one text that is not blank, for tasks whose output is one file.

    Args:
        inputs: The request's `inputs`.

    Returns:
        The text as the only item.

    Raises:
        HTTPError: 400 for another type, and for a blank text.
    """
    if not isinstance(inputs, str):
        raise invalid_field("inputs", f"expected one string, got {json_type_name(inputs)}")
    if not inputs.strip():
        raise invalid_field("inputs", "the text is empty")
    return ModelInputs([inputs], False, len(inputs))


def parse_similarity_input(inputs: object) -> ModelInputs[SimilarityInput]:
    """Parse `{"source_sentence": str, "sentences": [str, ...]}` with 1 to 128 sentences.

    Args:
        inputs: The request's `inputs`.

    Returns:
        The sentences as the only item.

    Raises:
        HTTPError: 400 for another form, 413 for more sentences.
    """
    if not isinstance(inputs, dict):
        type_name = json_type_name(inputs)
        raise invalid_field("inputs", f"expected an object with `source_sentence` and `sentences`, got {type_name}")
    for name in ("source_sentence", "sentences"):
        if name not in inputs:
            raise invalid_field(f"inputs.{name}", "field required")
    source, sentences = inputs["source_sentence"], inputs["sentences"]
    if not isinstance(source, str):
        raise invalid_field("inputs.source_sentence", f"expected a string, got {json_type_name(source)}")
    if not isinstance(sentences, list):
        raise invalid_field("inputs.sentences", f"expected a list of strings, got {json_type_name(sentences)}")
    texts = _checked_texts("inputs.sentences", sentences)
    return ModelInputs([SimilarityInput(source, texts)], False, len(source) + sum(map(len, texts)))


def file_parser(undecodable: Callable[[], HTTPError]) -> Callable[[object], ModelInputs[bytes]]:
    """Make a parser of one file: the bytes of a raw body, base64, or a `data:` URI.

    Args:
        undecodable: Makes the error for base64 that cannot be decoded, and for an empty file.

    Returns:
        A function of the request's `inputs`. Its only item is the file's bytes, which are not decoded yet. It raises
        HTTPError 400 for another type, and where the file is undecodable.
    """

    def parse(inputs: object) -> ModelInputs[bytes]:
        return ModelInputs([_file_bytes(inputs, undecodable)], False, NO_CHARACTERS)

    return parse


parse_audio = file_parser(invalid_audio)
parse_image = file_parser(invalid_image)


def _checked_texts(field: str, values: list[object]) -> list[str]:
    if not values:
        raise invalid_field(field, "the list is empty, send at least one text")
    if len(values) > MAX_REQUEST_INPUTS:
        raise batch_too_large(len(values), MAX_REQUEST_INPUTS)
    texts = []
    for position, value in enumerate(values):
        if not isinstance(value, str):
            raise invalid_field(f"{field}.{position}", f"expected a string, got {json_type_name(value)}")
        texts.append(value)
    return texts


def _file_bytes(inputs: object, undecodable: Callable[[], HTTPError]) -> bytes:
    if isinstance(inputs, str):
        # A data URI's part before the comma names the type; the decoders find that out themselves.
        text = inputs.partition(",")[2] if inputs.startswith("data:") else inputs
        try:
            inputs = base64.b64decode("".join(text.split()), validate=True)
        except (binascii.Error, ValueError):
            raise undecodable() from None
    if not isinstance(inputs, bytes):
        problem = "expected one file, as the raw body with its content type or as a base64 string"
        raise invalid_field("inputs", problem)
    if not inputs:
        raise undecodable()
    return inputs
